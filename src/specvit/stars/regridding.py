"""An emulator for another spectrograph, from one of higher resolution."""

from __future__ import annotations

import numpy as np

from specvit.constants import SPEED_OF_LIGHT
from specvit.grid import PixelGrid
from specvit.grid.gaussian import smoothing_matrix
from specvit.stars.emulator import NATIVE_LSF_FRACTION, Emulator

__all__ = ["regrid_emulator"]

_NEEDED = 3.0  # … of the final LSF that must be there on either side: beyond lies 0.13 % of its area


def regrid_emulator(emulator: Emulator, grid: PixelGrid):
    """The emulator of the same stars on other pixels and at lower resolution.

    Its spectral components are smoothed; the networks, and with them the labels, stay as they are.

    Parameters
    ----------
    emulator : Emulator
        An emulator, for instance the one that ships, ``Emulator.load()``.
    grid : PixelGrid
        A grid within the wavelengths of `emulator`, of the same medium, with an LSF as wide or wider.

    Returns
    -------
    Emulator
        Its ``record`` is that of `emulator`, with ``regridded_from``.

    Raises
    ------
    ValueError
        If the grid is sharper than the emulator's, reaches beyond its wavelengths or is in another medium,
        or the emulator is calibrated, for optical depths do not average.

    Notes
    -----
    At the ends of the emulator's wavelengths kernels are cut where there is no more spectrum. 3 σ of the
    grid's LSF must be there beyond the last pixel; the cut part holds less than 0.13 % of a kernel, in
    the last few pixels. To be exact to the last pixel, fit an emulator to the library (`Emulator.fit`).

    Examples
    --------
    >>> from specvit import Emulator, PixelGrid
    >>> grid = PixelGrid.from_resolving_power(8400, 8800, 2500)
    >>> regrid_emulator(Emulator.load(), grid).grid == grid
    True
    """
    wave = emulator.wave
    if emulator.correction is not None:
        raise ValueError("emulator must not be calibrated: its correction belongs to its own resolution")
    if grid.medium != emulator.grid.medium:
        raise ValueError(f"grid must be in {emulator.grid.medium}, as the emulator is, got {grid.medium}")
    start, stop = grid.wave[0] - _NEEDED * grid.lsf_sigma[0], grid.wave[-1] + _NEEDED * grid.lsf_sigma[-1]
    if start < wave[0] or stop > wave[-1]:
        raise ValueError(
            f"grid needs spectra from {start:.1f} to {stop:.1f} Å ({_NEEDED} σ of its LSF beyond the last "
            f"pixels), the emulator has {wave[0]:.1f} to {wave[-1]:.1f} Å"
        )
    own = NATIVE_LSF_FRACTION * np.interp(wave, emulator.grid.wave, emulator.grid.lsf_sigma)
    wanted = NATIVE_LSF_FRACTION * np.interp(wave, grid.wave, grid.lsf_sigma)
    covered = (wave >= grid.edges[0]) & (wave <= grid.edges[-1])
    sharper = covered & (wanted < own * (1 - 1e-4))
    if sharper.any():
        at = sharper.argmax()
        raise ValueError(
            f"grid must not have a sharper LSF than the emulator, at {wave[at]:.1f} Å σ is "
            f"{wanted[at] / NATIVE_LSF_FRACTION:.4g} and {own[at] / NATIVE_LSF_FRACTION:.4g} Å"
        )
    kernel = smoothing_matrix(wave, np.sqrt(np.maximum(wanted**2 - own**2, 0)), wave, ends="cut")
    # Samples that no pixel needs only cost time; stars at 600 km/s need 18 Å.
    margin = 6 * grid.lsf_sigma.max() + 600 / SPEED_OF_LIGHT * grid.wave[-1]
    kept = (wave > grid.edges[0] - margin) & (wave < grid.edges[-1] + margin)
    kernel = kernel[np.flatnonzero(kept)]
    regridded = Emulator(
        grid,
        wave[kept],
        kernel @ emulator.mean.astype(np.float64),
        np.ascontiguousarray((kernel @ emulator.components.T.astype(np.float64)).T),
        emulator.continuum_wave,
        emulator.continuum_mean,
        emulator.continuum_components,
        emulator.label_range.double().numpy(),
        width=emulator.networks[0][0].out_features,
        members=len(emulator.networks),
    )
    regridded.load_state_dict(emulator.state_dict())
    regridded.record = emulator.record | {"regridded_from": emulator.grid.name}
    return regridded.eval().requires_grad_(False)

"""The survey of one known spectrograph, in its own pixels: what limits and studies of presets start from."""

from __future__ import annotations

import numpy as np

from specvit.grid import TELLURIC, Instrument, PixelGrid, find_instrument, native_edges
from specvit.stars import Emulator, regrid_emulator
from specvit.survey.noise import Noise
from specvit.survey.priors import PRIORS, Prior
from specvit.survey.snrnoise import SNRNoise
from specvit.survey.survey import Survey

__all__ = ["preset_grid", "preset_survey"]

#: σ of the line spread function that must be there beyond the last pixels (`regrid_emulator` needs 3).
_REACH = 3.01
#: Relative width by which a line spread function is kept above the emulator's own.
_JUST_ABOVE = 1e-6


def preset_grid(instrument: str | Instrument, emulator: Emulator) -> PixelGrid:
    """Native pixels of an instrument within the emulator's range, no sharper than the emulator.

    Parameters
    ----------
    instrument : str or Instrument
        A preset by name (`specvit.grid.INSTRUMENTS`), or one's own.
    emulator : Emulator
        Its range of wavelengths limits the grid, and its line spread function is taken where the
        instrument's is sharper.

    Returns
    -------
    PixelGrid
        In vacuum, from the first window to the last: gaps between windows are pixels too.

    Raises
    ------
    ValueError
        If no preset is called so, or the instrument sees nothing of the emulator's range.

    Examples
    --------
    >>> from specvit.stars import Emulator
    >>> grid = preset_grid("SDSS", Emulator.load())
    >>> len(grid), round(float(grid.resolving_power.min())), round(float(grid.resolving_power.max()))
    (956, 2144, 2609)
    """
    instrument = find_instrument(instrument)

    def sigma(wave):
        own = np.interp(wave, emulator.grid.wave, emulator.grid.lsf_sigma)
        return np.maximum(instrument.lsf_sigma(wave), own * (1 + _JUST_ABOVE))

    wave = emulator.wave
    low = max(instrument.windows[0][0], emulator.grid.edges[0], wave[0] + _REACH * sigma(wave[0]))
    high = min(instrument.windows[-1][1], emulator.grid.edges[-1], wave[-1] - _REACH * sigma(wave[-1]))
    if not low < high:
        raise ValueError(
            f"instrument must see a part of {emulator.grid.edges[0]:.0f}–{emulator.grid.edges[-1]:.0f} Å, "
            f"got {instrument.name!r} with the windows {instrument.windows}"
        )
    if instrument.pixel_unit == "fwhm":
        # Edges lie where the number of pixels from `low` on, the integral of dλ over their width, is whole.
        fine = np.linspace(low, high, 20_000)
        density = 1 / instrument.pixel_width(fine)
        count = np.concatenate([[0], np.cumsum(np.diff(fine) * (density[1:] + density[:-1]) / 2)])
        edges = np.interp(np.arange(int(count[-1]) + 1), count, fine)
    else:
        edges = native_edges(low, high, instrument.pixel, instrument.pixel_unit)
        edges = edges[edges <= high]
    return PixelGrid(edges, sigma(0.5 * (edges[1:] + edges[:-1])), name=instrument.name)


def preset_survey(
    instrument: str | Instrument,
    snr: float | tuple[float, float] = 50.0,
    *,
    noise: Noise | None = None,
    prior: Prior | None = None,
    emulator: Emulator | None = None,
) -> Survey:
    """A survey of one instrument in its own pixels, stars at rest and without imperfections.

    Parameters
    ----------
    instrument : str or Instrument
        A preset by name (`specvit.grid.INSTRUMENTS`), or one's own.
    snr : float or tuple of float
        S/N per native pixel, or the limits of a uniform distribution: independent noise, equal in all pixels.
    noise : Noise, optional
        Another noise model instead of `snr`.
    prior : LabelPrior or similar, optional
        Distribution of the labels; by default that of ``pfs-mr``.
    emulator : Emulator, optional
        By default the one that ships; it is brought to the instrument's pixels.

    Returns
    -------
    Survey
        The Earth's absorption bands are masked if the instrument is on the ground, and gaps between windows.

    Raises
    ------
    ValueError
        As `preset_grid` and `Survey` do.

    See Also
    --------
    InstrumentSurvey : ``Survey("any", instruments=…)``, with the imperfections that real spectra have.

    Examples
    --------
    >>> from specvit.survey import preset_survey
    >>> survey = preset_survey("Gaia RVS", snr=80)
    >>> len(survey.grid), survey.masked
    (2400, ())
    """
    instrument = find_instrument(instrument)
    emulator = Emulator.load() if emulator is None else emulator
    grid = preset_grid(instrument, emulator)
    low, high = grid.edges[[0, -1]]
    lost = [(a[1], b[0]) for a, b in zip(instrument.windows, instrument.windows[1:], strict=False)]
    lost += list(TELLURIC.values()) if instrument.ground_based else []
    return Survey(
        instrument.name,
        prior=PRIORS["pfs-mr"] if prior is None else prior,
        noise=SNRNoise(snr) if noise is None else noise,
        emulator=regrid_emulator(emulator, grid),
        masked=[(first, last) for first, last in lost if first < high and last > low],
    )

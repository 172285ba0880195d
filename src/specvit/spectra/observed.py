"""Reading of one observed spectrum: ascending Å in the grid's medium, rest frame, F_λ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from specvit.grid import air_to_vacuum, edges_from_centres, vacuum_to_air
from specvit.spectra.batch import Flag, SpectrumError
from specvit.spectra.medium import medium_of
from specvit.spectra.units import (
    flux_factor,
    real_array,
    resolving_power,
    variance_from,
    wavelength_in_angstrom,
)

__all__ = ["Observed", "Parts", "observe", "parts_of"]

#: Keys of ``meta`` and ``meta["header"]`` in which a resolving power is looked for.
RESOLUTION_KEYS = ("resolution", "resolving_power", "R", "SPEC_RES")


@dataclass
class Parts:
    """Parts of a specutils object that `observe` needs; fluxes of any number of dimensions share one axis."""

    flux: np.ndarray
    unit: Any
    axis: Any
    axis_index: int
    uncertainty: Any
    mask: Any
    meta: Any
    wcs: Any


@dataclass
class Observed:
    """Spectra sharing one axis, on their own pixels, those near the grid only.

    Attributes
    ----------
    bounds : numpy.ndarray, shape (npix, 2)
        Lower and upper edges of the pixels in Å: rest frame, medium of the grid, ascending.
    flux, variance : numpy.ndarray, shape (n, npix)
        F_λ and its variance; `variance` is None without uncertainties.
    valid : numpy.ndarray of bool, shape (n, npix)
        Pixels that hold information.
    resolution : numpy.ndarray of shape (npix,), or None
        λ/FWHM, None if nothing states it.
    flags : int
        `Flag` values that hold for all.
    """

    bounds: np.ndarray
    flux: np.ndarray
    variance: np.ndarray | None
    valid: np.ndarray
    resolution: np.ndarray | None
    flags: int


def parts_of(spectrum):
    """`Parts` of a `specutils.Spectrum`."""
    return Parts(
        flux=spectrum.data,
        unit=spectrum.unit,
        axis=spectrum.spectral_axis,
        axis_index=spectrum.spectral_axis_index,
        uncertainty=spectrum.uncertainty,
        mask=spectrum.mask,
        meta=spectrum.meta,
        wcs=spectrum.wcs,
    )


def observe(parts, grid, medium=None, resolution=None):
    """Read one specutils object.

    Parameters
    ----------
    parts : Parts
        Flux, axis, uncertainty, mask and metadata of the object.
    grid : PixelGrid
        Where the spectrum is going; sets medium and the range that is kept.
    medium : {"air", "vacuum"}, optional
        Medium of the wavelengths; None: what the metadata say (see `medium_of`), else vacuum.
    resolution : float, array-like or Quantity, optional
        λ/FWHM or FWHM (see `resolving_power`); None: what the metadata say.

    Returns
    -------
    Observed
        Arrays are new: nothing of the caller's is shared.

    Raises
    ------
    SpectrumError
        If the spectrum as a whole cannot be used.

    Notes
    -----
    Wavelengths go to vacuum first, where they were measured, and from there to rest:
    λ_rest = λ_vac / (1 + z), with z the label that the spectral axis carries (a radial velocity is
    converted relativistically). Frequencies and energies are turned to c/ν and hc/E; a medium
    "air" declared for such an axis means that these are air wavelengths.
    """

    def order(array):
        return np.moveaxis(array, parts.axis_index, -1)

    flux = order(real_array(parts.flux, "flux", SpectrumError))
    flux = flux.reshape(-1, flux.shape[-1])
    stated = wavelength_in_angstrom(parts.axis)
    if stated.ndim != 1 or stated.size != flux.shape[1]:
        raise SpectrumError(f"spectral_axis must have {flux.shape[1]} values, got shape {stated.shape}")
    if stated.size < 2:
        raise SpectrumError(f"a spectrum must have at least 2 pixels, got {stated.size}")

    factor, target = flux_factor(parts.unit, stated)
    variance = None
    if parts.uncertainty is not None:
        variance = variance_from(parts.uncertainty, target, stated, order).reshape(flux.shape)
    power, flags = None, 0
    if resolution is not None:
        power = resolving_power(resolution, stated)
    else:
        key, found = _stated_resolution(parts.meta)
        power = None if found is None else resolving_power(found, stated, f"meta[{key!r}]")
    flags |= Flag.RESOLUTION_ASSUMED if power is None else 0

    if medium is None:
        try:
            medium = medium_of(parts)
        except ValueError as error:
            raise SpectrumError(str(error)) from None
        flags |= Flag.MEDIUM_ASSUMED if medium is None else 0

    bounds, direction = _rest_bounds(parts.axis, stated, medium == "air", grid.medium)
    take = _near(bounds, grid)

    def pick(array):
        return array[..., ::direction][..., take]

    mask = _mask(parts.mask, parts.flux.shape)
    with np.errstate(all="ignore"):
        flux = pick(flux) * pick(np.broadcast_to(factor, stated.shape))
    valid = np.isfinite(flux)
    if mask is not None:
        valid &= ~pick(order(mask).reshape(-1, stated.size))
    if variance is None:
        # A pipeline that gives no errors marks lost pixels by zeros: nothing measured is exactly 0.
        valid &= flux != 0
    else:
        variance = np.ascontiguousarray(pick(variance))
        valid &= np.isfinite(variance)
    return Observed(
        bounds=bounds[take],
        flux=np.ascontiguousarray(flux),
        variance=variance,
        valid=valid,
        resolution=None if power is None else pick(power),
        flags=int(flags),
    )


def _rest_bounds(axis, stated, in_air, grid_medium):
    """Pixel edges (npix, 2), ascending, at rest, in the grid's medium; and 1, or -1 for a descending axis."""
    redshift = float(getattr(axis, "redshift", 0.0))
    if not (np.isfinite(redshift) and redshift > -1):
        raise SpectrumError(f"redshift must be finite and above -1, got {redshift}")
    if not np.isfinite(stated).all():
        raise SpectrumError(
            f"spectral_axis must be finite, got {int((~np.isfinite(stated)).sum())} bad values"
        )
    if stated.min() <= 0:
        raise SpectrumError(f"spectral_axis must be positive, got a wavelength of {stated.min():.6g} Å")
    direction = 1 if stated[-1] > stated[0] else -1
    steps = np.diff(stated[::direction])
    if (steps == 0).any():
        where = stated[::direction][np.flatnonzero(steps == 0)[0]]
        raise SpectrumError(f"spectral_axis must not hold duplicate wavelengths, got {where:.10g} Å twice")
    if (steps < 0).any():
        raise SpectrumError(
            "spectral_axis must be sorted, ascending or descending, got "
            f"{min((steps < 0).sum(), (steps > 0).sum())} steps against the others"
        )

    def at_rest(wave):
        wave = (air_to_vacuum(wave) if in_air else wave) / (1 + redshift)
        return vacuum_to_air(wave) if grid_medium == "air" else wave

    # Edges that the caller gave are kept; bin_edges made up by specutils are not: in frequency
    # they are midpoints of frequency.
    given = getattr(axis, "__dict__", {}).get("_bin_edges")
    if given is not None and len(given) == stated.size + 1:
        edges = at_rest(wavelength_in_angstrom(given)[::direction])
        if (np.diff(edges) > 0).all():
            return np.stack([edges[:-1], edges[1:]], axis=1), direction
    return edges_from_centres(at_rest(stated[::direction])), direction


def _near(bounds, grid):
    """Slice of the pixels that may touch the grid, smoothed or not."""
    margin = 8 * grid.lsf_sigma.max() + 4 * grid.width.max()
    if not ((bounds[:, 1] > grid.edges[0]) & (bounds[:, 0] < grid.edges[-1])).any():
        raise SpectrumError(
            f"no overlap with the grid {grid.name}, {grid.edges[0]:.1f}–{grid.edges[-1]:.1f} Å: "
            f"the rest-frame range is {bounds[0, 0]:.1f}–{bounds[-1, 1]:.1f} Å"
        )
    near = (bounds[:, 1] > grid.edges[0] - margin) & (bounds[:, 0] < grid.edges[-1] + margin)
    near = np.flatnonzero(near)
    return slice(near[0], near[-1] + 1)


def _mask(mask, shape):
    """Boolean mask of the flux's shape, or None."""
    if mask is None:
        return None
    try:
        return np.broadcast_to(np.asarray(mask).astype(bool), shape)
    except ValueError:
        raise SpectrumError(f"mask must have the shape of the flux {shape}, got {np.shape(mask)}") from None


def _stated_resolution(meta):
    """Key and value of the first resolution that the metadata state; (None, None) if none."""
    for source in (meta, meta.get("header") if hasattr(meta, "get") else None):
        if hasattr(source, "get"):
            for key in RESOLUTION_KEYS:
                if source.get(key) is not None:
                    return key, source[key]
    return None, None

"""Reading of one observed spectrum: ascending Å in the grid's medium, rest frame, F_λ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from specvit.grid import (
    FWHM_PER_SIGMA,
    Instrument,
    air_to_vacuum,
    edges_from_centres,
    find_instrument,
    find_windows,
    vacuum_to_air,
)
from specvit.spectra.batch import Flag, SpectrumError
from specvit.spectra.given import bad_pixels, numbers_given
from specvit.spectra.medium import medium_of
from specvit.spectra.rules import extreme_pixels
from specvit.spectra.units import (
    flux_factor,
    linear_flux,
    resolving_power,
    variance_from,
    variance_of_logarithm,
    wavelength_in_angstrom,
)

__all__ = ["Observed", "Parts", "Stated", "medium_stated", "observe", "parts_of"]

#: Keys of ``meta`` and ``meta["header"]`` in which a resolving power is looked for.
RESOLUTION_KEYS = ("resolution", "resolving_power", "R", "SPEC_RES")
#: Native pixels per FWHM of a spectrum that does not say its resolution: the sharpest that pixels allow.
_SHARPEST = 2.0
_WIDTH_WINDOW = 17  # pixels over which the median of their widths is taken, odd


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


@dataclass(frozen=True)
class Stated:
    """What the caller says of all spectra; see `specvit.spectra.adapt`.

    Attributes
    ----------
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths; None where it is not said.
    resolution : float, array-like, Quantity or None
        R = λ/FWHM, or the FWHM as a length; None where it is not said.
    instrument : Instrument or None
        The spectrograph, which tells what is not said otherwise.
    windows : numpy.ndarray, shape (k, 2)
        Windows in vacuum Å, as observed, in which nothing is used.
    """

    medium: str | None = None
    resolution: Any = None
    instrument: Instrument | None = None
    windows: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    @classmethod
    def of(cls, medium=None, resolution=None, instrument=None, mask=None):
        """What arguments of `specvit.spectra.adapt` say, with instruments and windows by name.

        Without a `mask` an instrument on the ground has the telluric bands masked.
        """
        instrument = None if instrument is None else find_instrument(instrument)
        ground_based = instrument is not None and instrument.ground_based
        windows = find_windows("telluric" if mask is None and ground_based else mask)
        return cls(medium, resolution, instrument, windows)


@dataclass
class Observed:
    """Spectra sharing one axis, on their own pixels, those near the grid only.

    Attributes
    ----------
    bounds : numpy.ndarray, shape (npix, 2)
        Lower and upper edges of the pixels in Å: rest frame, medium of the grid, ascending.
    pixels : numpy.ndarray of int, shape (npix,)
        Index of each in the spectrum as it was given.
    factor : numpy.ndarray, shape (npix,)
        F_λ over the flux as it was given, its logarithm undone.
    flux, variance : numpy.ndarray, shape (n, npix)
        F_λ and its variance; `variance` is None without uncertainties.
    valid : numpy.ndarray of bool, shape (n, npix)
        Pixels that hold information.
    native : numpy.ndarray, shape (npix,)
        Width in Å of the native pixels, those whose noise is independent.
    resolution : numpy.ndarray, shape (npix,)
        λ/FWHM, stated or, with the flag, assumed.
    flags : int
        `Flag` values that hold for all.
    extreme : numpy.ndarray of bool, shape (n,)
        Whether a spectrum has pixels that are left out as `specvit.spectra.rules.extreme_pixels`.
    """

    bounds: np.ndarray
    pixels: np.ndarray
    factor: np.ndarray
    flux: np.ndarray
    variance: np.ndarray | None
    valid: np.ndarray
    native: np.ndarray
    resolution: np.ndarray
    flags: int
    extreme: np.ndarray


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


def observe(parts, grid, stated=Stated()):
    """Read one specutils object.

    Parameters
    ----------
    parts : Parts
        Flux, axis, uncertainty, mask and metadata of the object.
    grid : PixelGrid
        Where the spectrum is going; sets medium and the range that is kept.
    stated : Stated
        What the caller says. Medium and resolution are those given here, else those of the metadata
        (`medium_of`, `RESOLUTION_KEYS`), else the instrument's, else assumed: vacuum, and the grid's FWHM or
        two native pixels, whichever is more.

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

    given = numbers_given(parts.flux, "flux", SpectrumError)
    flux, unit, slope = linear_flux(order(given.visible), parts.unit)
    flux = flux.reshape(-1, flux.shape[-1])
    wave = wavelength_in_angstrom(parts.axis)
    if wave.ndim != 1 or wave.size != flux.shape[1]:
        raise SpectrumError(f"spectral_axis must have {flux.shape[1]} values, got shape {wave.shape}")
    if wave.size < 2:
        raise SpectrumError(f"a spectrum must have at least 2 pixels, got {wave.size}")

    factor, target = flux_factor(unit, wave)
    variance = _variance(parts, flux, slope, factor, target, wave)
    power, flags = _power(parts.meta, stated, wave), 0
    medium = medium_stated(parts, stated)
    flags |= Flag.MEDIUM_ASSUMED if medium is None else 0

    bounds, direction = _rest_bounds(parts.axis, wave, medium == "air", grid.medium)
    take = _near(bounds, grid)

    def pick(array):
        return array[..., ::direction][..., take]

    vacuum = air_to_vacuum(wave) if medium == "air" else wave
    mask = _mask(parts.mask, parts.flux.shape)
    factor = pick(np.broadcast_to(factor, wave.shape))
    with np.errstate(all="ignore"):
        flux = pick(flux) * factor
    valid = np.isfinite(flux)
    if mask is not None:
        valid &= ~pick(order(mask).reshape(-1, wave.size))
    for low, high in stated.windows:
        valid &= ~pick((vacuum >= low) & (vacuum <= high))
    if variance is None:
        # A pipeline that gives no errors marks lost pixels by zeros: nothing measured is exactly 0.
        valid &= flux != 0
    else:
        variance = np.ascontiguousarray(pick(variance))
        valid &= np.isfinite(variance)
    with np.errstate(all="ignore"):
        extreme = extreme_pixels(flux, None if variance is None else np.sqrt(variance), valid)
    valid &= ~extreme
    bounds = bounds[take]
    native, sharpest = _line_spread(bounds, pick(vacuum), grid, stated.instrument)
    flags |= Flag.RESOLUTION_ASSUMED if power is None and stated.instrument is None else 0
    return Observed(
        bounds=bounds,
        pixels=pick(np.arange(wave.size)),
        factor=factor,
        flux=np.ascontiguousarray(flux),
        variance=variance,
        valid=valid,
        native=native,
        resolution=sharpest if power is None else pick(power),
        flags=int(flags),
        extreme=extreme.any(axis=1),
    )


def _variance(parts, flux, slope, factor, target, wave):
    """Variance of the flux times `factor`, (n, npix); None without an uncertainty."""
    if parts.uncertainty is None:
        return None
    shape = np.shape(parts.flux)

    def in_rows(values):
        if values.shape != shape:
            raise SpectrumError(f"uncertainty must have the shape of the flux {shape}, got {values.shape}")
        return np.moveaxis(values, parts.axis_index, -1).reshape(flux.shape)

    if slope is None:
        return variance_from(parts.uncertainty, target, wave, in_rows)
    return variance_of_logarithm(parts.uncertainty, parts.unit, flux * factor, slope, in_rows)


def _power(meta, stated, wave):
    """λ/FWHM that the caller or the metadata state, (npix,), or None."""
    if stated.resolution is not None:
        return resolving_power(stated.resolution, wave)
    key, found = _stated_resolution(meta)
    return None if found is None else resolving_power(found, wave, f"meta[{key!r}]")


def medium_stated(parts, stated):
    """Medium that caller, metadata or instrument state, in this order, or None."""
    if stated.medium is not None:
        return stated.medium
    try:
        found = medium_of(parts)
    except ValueError as error:
        raise SpectrumError(str(error)) from None
    return found if found is not None or stated.instrument is None else stated.instrument.medium


def _line_spread(bounds, vacuum, grid, instrument):
    """Width in Å of native pixels at rest, and λ/FWHM where nothing is stated, both (npix,)."""
    width = np.pad(np.diff(bounds, axis=1)[:, 0], _WIDTH_WINDOW // 2, mode="edge")
    width = np.median(sliding_window_view(width, _WIDTH_WINDOW), axis=1)
    centres = bounds.mean(axis=1)
    if instrument is None:
        fwhm = np.interp(centres, grid.wave, FWHM_PER_SIGMA * grid.lsf_sigma)
        return width, centres / np.maximum(fwhm, _SHARPEST * width)
    # Rebinned spectra have wider pixels than the instrument, which blur lines further; pixels finer than
    # the instrument's have not each their own noise.
    at_rest = centres / vacuum
    own, fwhm = (at_rest * one(vacuum) for one in (instrument.pixel_width, instrument.fwhm_at))
    added = FWHM_PER_SIGMA**2 / 12 * np.maximum(width**2 - own**2, 0)
    return np.maximum(width, own), centres / np.sqrt(fwhm**2 + added)


def _rest_bounds(axis, wave, in_air, grid_medium):
    """Pixel edges (npix, 2), ascending, at rest, in the grid's medium; and 1, or -1 for a descending axis."""
    redshift = float(getattr(axis, "redshift", 0.0))
    if not (np.isfinite(redshift) and redshift > -1):
        raise SpectrumError(f"redshift must be finite and above -1, got {redshift}")
    if not np.isfinite(wave).all():
        raise SpectrumError(f"spectral_axis must be finite, got {int((~np.isfinite(wave)).sum())} bad values")
    if wave.min() <= 0:
        raise SpectrumError(f"spectral_axis must be positive, got a wavelength of {wave.min():.6g} Å")
    direction = 1 if wave[-1] > wave[0] else -1
    steps = np.diff(wave[::direction])
    if (steps == 0).any():
        where = wave[::direction][np.flatnonzero(steps == 0)[0]]
        raise SpectrumError(f"spectral_axis must not hold duplicate wavelengths, got {where:.10g} Å twice")
    if (steps < 0).any():
        raise SpectrumError(
            "spectral_axis must be sorted, ascending or descending, got "
            f"{min((steps < 0).sum(), (steps > 0).sum())} steps against the others"
        )

    def at_rest(observed):
        vacuum = (air_to_vacuum(observed) if in_air else observed) / (1 + redshift)
        return vacuum_to_air(vacuum) if grid_medium == "air" else vacuum

    # Edges that the caller gave are kept; bin_edges made up by specutils are not: in frequency
    # they are midpoints of frequency.
    given = getattr(axis, "__dict__", {}).get("_bin_edges")
    if given is not None and len(given) == wave.size + 1:
        edges = at_rest(wavelength_in_angstrom(given)[::direction])
        if (np.diff(edges) > 0).all():
            return np.stack([edges[:-1], edges[1:]], axis=1), direction
    return edges_from_centres(at_rest(wave[::direction])), direction


def _near(bounds, grid):
    """Slice of the pixels that may touch the grid, smoothed or not."""
    margin = 8 * grid.lsf_sigma.max() + 4 * grid.width.max()
    if not ((bounds[:, 1] > grid.edges[0]) & (bounds[:, 0] < grid.edges[-1])).any():
        raise SpectrumError(
            f"no overlap with the grid {grid.name}, {grid.edges[0]:.1f}–{grid.edges[-1]:.1f} Å: "
            f"the rest-frame range is {bounds[0, 0]:.1f}–{bounds[-1, 1]:.1f} Å; another unit must be stated"
        )
    near = (bounds[:, 1] > grid.edges[0] - margin) & (bounds[:, 0] < grid.edges[-1] + margin)
    near = np.flatnonzero(near)
    return slice(near[0], near[-1] + 1)


def _mask(mask, shape):
    """Boolean mask of the flux's shape, or None."""
    if mask is None:
        return None
    mask = bad_pixels(mask, error=SpectrumError)
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise SpectrumError(f"mask must have the shape of the flux {shape}, got {np.shape(mask)}") from None


def _stated_resolution(meta):
    """Key and value of the first resolution that the metadata state; (None, None) if none."""
    for source in (meta, meta.get("header") if hasattr(meta, "get") else None):
        if hasattr(source, "get"):
            for key in RESOLUTION_KEYS:
                if source.get(key) is not None and source.get(key) is not np.ma.masked:
                    return key, source[key]
    return None, None

"""Fluxes that are on the grid already."""

from __future__ import annotations

from collections.abc import Iterable, Set

import numpy as np

from specvit.grid import FWHM_PER_SIGMA
from specvit.spectra.batch import Flag, SpectrumBatch
from specvit.spectra.given import numbers_given
from specvit.spectra.rules import no_information
from specvit.spectra.scatter import scatter_variance
from specvit.spectra.units import flux_factor, linear_flux

__all__ = ["batch_from_array", "check_array_shape", "refuse_wavelengths", "rows_on_grid"]


def batch_from_array(flux, ivar, grid, medium, resolution, covariance):
    """Batch from fluxes on the grid, and the reasons against each."""
    _refuse_no_fluxes(flux)
    if isinstance(flux, list | tuple) and not flux:
        raise ValueError("spectra must not be empty")
    if isinstance(flux, tuple) and all(len(getattr(one, "shape", ())) == 1 for one in flux):
        raise ValueError(
            f"spectra must not be a tuple of {len(flux)} arrays, as (wavelength, flux) would be: make a "
            "specutils.Spectrum(flux, spectral_axis), or a list of fluxes that are on the grid"
        )
    values, unit, mask = rows_on_grid(flux, grid)
    if medium not in (None, grid.medium):
        raise ValueError(f"medium must be that of the grid, {grid.medium!r}, for an array, got {medium!r}")
    if resolution is not None:
        raise ValueError("resolution is for Spectrum: an array must be at the grid's resolution already")
    batch = SpectrumBatch.empty(values.shape[:-1], grid, covariance, on_grid=True)
    rows = values.reshape(-1, len(grid))
    factor, target = (1.0, None) if unit is None else flux_factor(unit, grid.wave, "spectra")
    with np.errstate(all="ignore"):
        rows = rows * factor
        valid = np.isfinite(rows)
        if mask is not None:
            valid &= ~mask.reshape(rows.shape)
        if ivar is None:
            batch.flags |= int(Flag.NO_UNCERTAINTY)
            valid &= rows != 0
            per_fwhm = np.median(FWHM_PER_SIGMA * grid.lsf_sigma / grid.width)
            weight = np.broadcast_to(1 / scatter_variance(rows, valid, per_fwhm)[:, None], rows.shape)
        else:
            weight = _array_ivar(ivar, values.shape, unit, target, grid).reshape(rows.shape)
            valid &= np.isfinite(weight) & (weight > 0)
        reasons = no_information(rows, valid, mask is not None, ivar is not None)
        valid &= np.isfinite(weight)
    batch.flux[:] = np.where(valid, rows, 0)
    batch.ivar[:] = np.where(valid, weight, 0)
    return batch, reasons


def _refuse_no_fluxes(flux):
    """Raise TypeError for what is neither numbers nor objects of specutils, and say what to do."""
    first = flux[0] if isinstance(flux, list | tuple) and flux else flux
    name = type(flux).__name__ if first is flux else f"a {type(flux).__name__} of {type(first).__name__}"
    if isinstance(first, str | bytes | dict) or hasattr(first, "read_bytes"):
        way = "; read a file with specutils.Spectrum.read"
    elif first is None or isinstance(first, Set):
        way = ""
    elif isinstance(first, Iterable) and not hasattr(first, "__getitem__"):
        way = "; list() makes a list of it, and specvit.predict_stream takes it as it is"
    else:
        return
    raise TypeError(
        f"spectra must be Spectrum, a list or collection of them, or an array of fluxes, got {name}{way}"
    )


def rows_on_grid(flux, grid, first=0):
    """Fluxes that a caller gave as numbers, checked.

    Parameters
    ----------
    flux : array-like, shape (n_pixels,) or (n, n_pixels)
        Fluxes.
    grid : PixelGrid
        Their pixels.
    first : int
        Number of the first row, for messages.

    Returns
    -------
    values : numpy.ndarray of float64
        Linear fluxes.
    unit : astropy.units.UnitBase or None
    masked : numpy.ndarray of bool or None

    Raises
    ------
    TypeError, ValueError
        If they are no real numbers, empty, not on the grid, or wavelengths.
    """
    given = numbers_given(flux, "spectra")
    values, unit, _ = linear_flux(given.values, given.unit)
    check_array_shape(values.shape, grid)
    if not len(values):
        raise ValueError(f"spectra must not be empty, got shape {values.shape}")
    refuse_wavelengths(values.reshape(-1, len(grid)), grid, first)
    return values, unit, given.masked


def check_array_shape(shape, grid):
    """Raise ValueError unless fluxes of this shape can be on the grid."""
    if len(shape) not in (1, 2) or shape[-1] != len(grid):
        raise ValueError(
            f"spectra must have shape ({len(grid)},) or (n, {len(grid)}) to be on the grid {grid.name}, "
            f"got {shape}"
        )


def refuse_wavelengths(rows, grid, first=0):
    """Raise ValueError if a row of fluxes is a wavelength axis: rises or falls throughout, over the grid.

    Parameters
    ----------
    rows : ndarray, shape (n, n_pixels)
        Fluxes.
    grid : PixelGrid
        Their pixels.
    first : int
        Number of the first row, for the message.
    """
    few = _directions(rows[:, :10])  # which settle it for nearly all spectra
    for k in np.flatnonzero(np.abs(few.sum(axis=1)) == few.shape[1]):
        row = rows[k]
        steps = _directions(row)
        if abs(steps.sum()) != steps.size:
            continue
        low, high = sorted((row[0], row[-1]))
        for unit, scale in {"Å": 1.0, "nm": 0.1, "µm": 1e-4, "m": 1e-10}.items():
            shared = min(high / scale, grid.edges[-1]) - max(low / scale, grid.edges[0])
            if shared > 0.5 * (grid.edges[-1] - grid.edges[0]):
                raise ValueError(
                    f"spectra must be fluxes on the grid, one spectrum in each row, got wavelengths in "
                    f"{unit} in row {first + k}: make a specutils.Spectrum(flux, spectral_axis) of the two"
                )


def _directions(values):
    """1 where a value is above the one before it, −1 where below: of any numbers, infinite ones too."""
    later, earlier = values[..., 1:], values[..., :-1]
    return (later > earlier).astype(int) - (later < earlier)


def _array_ivar(ivar, shape, flux_unit, target, grid):
    """Inverse variance given beside an array, in the unit of the converted flux."""
    given = numbers_given(ivar, "ivar")
    values, unit = given.visible, given.unit
    if values.shape != shape:
        raise ValueError(f"ivar must have the shape of spectra {shape}, got {values.shape}")
    if unit is None:
        if target is not None and target.to_string():
            raise ValueError(f"ivar must have a unit where spectra have one, {str(flux_unit)!r}")
        return values
    factor, ivar_target = flux_factor(unit**-0.5, grid.wave, "ivar")
    if ivar_target != target and not (target is None and not ivar_target.to_string()):
        raise ValueError(f"ivar must have the unit of 1 / spectra**2, got {unit.to_string()!r}")
    return values / np.square(factor)

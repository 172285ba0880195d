"""Some rows of spectra of any kind, and spectra made of bare arrays."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from specvit.spectra.batch import SpectrumBatch
from specvit.spectra.given import bad_pixels, hidden_in, unmasked, with_hidden
from specvit.spectra.kinds import Kind, kind_of
from specvit.spectra.objectname import row_of_meta

__all__ = ["count_spectra", "cut", "cut_shape", "set_velocity", "spectra_on_axis", "take_rows"]


def cut_shape(spectra, n_pixels):
    """Shape that answers for several spectra have, if `take_rows` gives some of them without loss.

    Parameters
    ----------
    spectra : object
        Anything that `specvit.spectra.adapt` takes, or that it refuses.
    n_pixels : int
        Pixels of the grid.

    Returns
    -------
    tuple of int or None
        None for one spectrum, and for what says only as a whole what it is or what is wrong with it.
    """
    kind = kind_of(spectra)
    if kind is Kind.BATCH:
        shape = tuple(spectra.shape)
    elif kind is Kind.SEQUENCE:
        plain = all(kind_of(one) is Kind.SPECTRUM and one.data.ndim == 1 for one in spectra)
        shape = (len(spectra),) if plain else ()
    elif kind is Kind.SPECTRUM:
        shape = tuple(np.delete(spectra.data.shape, spectra.spectral_axis_index).tolist())
        error, mask = spectra.uncertainty, spectra.mask
        if not (error is None or np.shape(error.array) == spectra.data.shape):
            return None  # `adapt` says so
        if not (mask is None or _goes_with(np.shape(mask), spectra.data.shape)):
            return None
    elif kind is Kind.COLLECTION:
        shape, meta = tuple(spectra.shape), spectra.meta
        several = isinstance(meta, list | tuple | np.ndarray) and len(meta)
        if several and np.asarray(meta, dtype=object).shape != shape:
            return None
    else:
        shape = _rows_of_numbers(spectra, n_pixels)
    return shape if shape and np.prod(shape) > 1 else None


def _rows_of_numbers(array, n_pixels):
    """Shape (n,) of n rows of numbers on the grid, in an array or a list of alike arrays; else ()."""
    if isinstance(array, list):
        plain = all(_is_row(one, n_pixels) for one in array)
        return (len(array),) if plain and len({str(getattr(one, "unit", "")) for one in array}) == 1 else ()
    shape = getattr(array, "shape", ())
    known = hasattr(array, "iloc") or str(getattr(array, "dtype", object)) != "object"
    several = known and hasattr(array, "__getitem__") and len(shape) == 2 and shape[1] == n_pixels
    return (shape[0],) if several else ()


def _is_row(one, n_pixels):
    if isinstance(one, list | tuple):
        return len(one) == n_pixels and isinstance(one[0], float | int)
    return getattr(one, "shape", ()) == (n_pixels,)


def _goes_with(shape, whole):
    """Whether arrays of the first shape are broadcast to the second."""
    try:
        return np.broadcast_shapes(shape, whole) == whole
    except ValueError:
        return False


def take_rows(spectra, start, stop):
    """Some of several spectra, read or looked at without the others.

    Parameters
    ----------
    spectra : list, tuple, specutils.Spectrum, specutils.SpectrumCollection, SpectrumBatch or array-like
        Spectra; arrays (n, n_pixels) of NumPy, torch, pandas, or on disk: anything that gives rows when
        sliced.
    start, stop : int
        First row, and the one after the last.

    Returns
    -------
    object
        Of the same kind, views where that is possible; of an array on disk one in memory.
    """
    if isinstance(spectra, SpectrumBatch):
        return _cut_batch(spectra, start, stop)
    if hasattr(spectra, "spectral_axis"):
        return cut(spectra, start, stop)
    rows = getattr(spectra, "iloc", spectra)[start:stop]
    hidden = hidden_in(spectra) if isinstance(spectra, np.ndarray) else None
    return rows if hidden is None else with_hidden(rows, hidden[start:stop])


def _cut_batch(batch, start, stop):
    arrays = {}
    for one in fields(batch):
        values = getattr(batch, one.name)
        if one.name == "covariance" and values is not None:
            arrays[one.name] = values[:, start:stop]
        elif one.name not in ("grid", "shape") and values is not None:
            arrays[one.name] = values[start:stop]
    return replace(batch, shape=(stop - start,), **arrays)


def count_spectra(spectrum):
    """How many spectra a `~specutils.Spectrum` of any number of dimensions, or a collection, holds: int."""
    index = getattr(spectrum, "spectral_axis_index", None)
    shape = np.shape(spectrum.flux)
    return int(np.prod(shape[:-1] if index is None else np.delete(shape, index)))


def cut(spectrum, start, stop):
    """Some of the spectra of a cube.

    Parameters
    ----------
    spectrum : specutils.Spectrum or specutils.SpectrumCollection
        Spectra that share an axis, or a collection.
    start, stop : int
        First row, and the one after the last, in C order of the spatial axes.

    Returns
    -------
    specutils.Spectrum or specutils.SpectrumCollection
        Of two dimensions, the spectral axis last. The numbers are views where the axis was last already. Of
        lists in ``meta`` with one entry a spectrum, these.
    """
    if getattr(spectrum, "spectral_axis_index", None) is None:
        return _cut_collection(spectrum, start, stop)
    from specutils import Spectrum

    index = spectrum.spectral_axis_index

    def rows(values):
        return _rows(np.moveaxis(values, index, -1), start, stop)

    def visible(values):
        hidden = hidden_in(values)
        return rows(values) if hidden is None else np.where(rows(hidden), np.nan, rows(values))

    uncertainty, mask = spectrum.uncertainty, spectrum.mask
    if uncertainty is not None:
        uncertainty = type(uncertainty)(visible(uncertainty.array), unit=uncertainty.unit, copy=False)
    if mask is not None:
        mask = rows(np.broadcast_to(_whole_mask(mask), spectrum.data.shape))
    axis = spectrum.spectral_axis
    return Spectrum(
        flux=visible(spectrum.data) << spectrum.unit,
        spectral_axis=axis,
        spectral_axis_index=1,
        uncertainty=uncertainty,
        mask=mask,
        meta=_meta_of_rows(_with_medium(spectrum), count_spectra(spectrum), start, stop),
    )


def _rows(values, start, stop):
    """Some rows of an array whose last axis is that of the pixels: no more is copied than these."""
    if values.ndim < 3 or values.flags.c_contiguous:
        return values.reshape(-1, values.shape[-1])[start:stop]
    return values[np.unravel_index(np.arange(start, stop), values.shape[:-1])]


def _whole_mask(mask):
    """A mask of which what is itself masked is bad; words are left to `adapt`."""
    hidden = hidden_in(mask) if isinstance(mask, np.ndarray) else None
    values = np.asarray(unmasked(mask))
    return values if hidden is None else np.where(hidden, np.ones_like(values), values)


def _meta_of_rows(meta, n, start, stop):
    """Metadata of some of n spectra: a list that is none of theirs must not seem to be, and is a tuple."""
    own = {
        key: tuple(x) if isinstance(x, list) and len(x) == stop - start != n else x for key, x in meta.items()
    }
    return row_of_meta(own, n, slice(start, stop))


def _with_medium(spectrum):
    """Metadata that say what the coordinate system said, which a cut does not keep."""
    from specvit.spectra.medium import medium_of

    meta = dict(spectrum.meta)
    try:
        medium = medium_of(spectrum)
    except ValueError:
        return meta  # adapt refuses the spectrum with the reason
    return meta if medium is None else meta | {"medium": medium}


def _cut_collection(collection, start, stop):
    from specutils import SpectrumCollection

    def rows(values):
        return _rows(values, start, stop)

    uncertainty, mask, meta = collection.uncertainty, collection.mask, collection.meta
    if uncertainty is not None:
        if (hidden := hidden_in(uncertainty.array)) is not None:
            mask = hidden if mask is None else bad_pixels(mask) | hidden
        uncertainty = type(uncertainty)(rows(uncertainty.array), unit=uncertainty.unit, copy=False)
    several = isinstance(meta, list | tuple | np.ndarray) and len(meta)
    return SpectrumCollection(
        flux=rows(collection.flux),
        spectral_axis=rows(collection.spectral_axis),
        uncertainty=uncertainty,
        mask=None if mask is None else rows(_whole_mask(mask)),
        meta=np.asarray(meta, dtype=object).ravel()[start:stop].tolist() if several else meta,
    )


def spectra_on_axis(wave, flux, ivar=None):
    """One `~specutils.Spectrum` of arrays that share an axis.

    Parameters
    ----------
    wave : array-like or Quantity, shape (n_pixels,)
        Wavelengths; plain numbers are in Å.
    flux : array-like or Quantity, shape (n, n_pixels)
        Fluxes; plain numbers are relative F_λ.
    ivar : array-like or Quantity, shape (n, n_pixels), optional
        Inverse variance; plain numbers are in the unit that goes with `flux`.

    Returns
    -------
    specutils.Spectrum
    """
    import astropy.units as u
    from astropy.nddata import InverseVariance
    from specutils import Spectrum

    unit = getattr(flux, "unit", None)
    flux = u.Quantity(flux, u.Unit("erg / (s cm2 Angstrom)") if unit is None else unit)
    if ivar is not None:
        ivar = InverseVariance(np.asarray(getattr(ivar, "value", ivar)), unit=getattr(ivar, "unit", None))
    axis = u.Quantity(wave, u.AA if getattr(wave, "unit", None) is None else None)
    return Spectrum(flux=flux, spectral_axis=axis, spectral_axis_index=flux.ndim - 1, uncertainty=ivar)


def set_velocity(spectrum, velocity):
    """Let a `~specutils.Spectrum` carry a radial velocity in km/s, which `adapt` removes.

    Parameters
    ----------
    spectrum : specutils.Spectrum
        Changed in place; a velocity or redshift that it carried is replaced.
    velocity : float
        Finite.

    Raises
    ------
    ValueError
        If it is not finite.
    """
    import astropy.units as u

    if not np.isfinite(velocity):
        raise ValueError(f"velocity must be finite, got {velocity}")
    spectrum.set_radial_velocity_to(float(velocity) * u.km / u.s)

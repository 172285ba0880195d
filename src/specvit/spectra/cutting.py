"""Rows of spectra that have more dimensions than one, and spectra made of bare arrays."""

from __future__ import annotations

import numpy as np

from specvit.spectra.objectname import row_of_meta

__all__ = ["count_spectra", "cut", "set_velocity", "spectra_on_axis"]


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
        values = np.moveaxis(values, index, -1)
        return values.reshape(-1, values.shape[-1])[start:stop]

    uncertainty, mask = spectrum.uncertainty, spectrum.mask
    if uncertainty is not None:
        uncertainty = type(uncertainty)(rows(uncertainty.array), unit=uncertainty.unit, copy=False)
    if mask is not None:
        mask = rows(np.broadcast_to(np.asarray(mask), spectrum.data.shape))
    axis = spectrum.spectral_axis
    return Spectrum(
        flux=rows(spectrum.flux),
        spectral_axis=axis,
        spectral_axis_index=1,
        uncertainty=uncertainty,
        mask=mask,
        meta=row_of_meta(_with_medium(spectrum), count_spectra(spectrum), slice(start, stop)),
    )


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
        return values.reshape(-1, values.shape[-1])[start:stop]

    uncertainty, mask, meta = collection.uncertainty, collection.mask, collection.meta
    if uncertainty is not None:
        uncertainty = type(uncertainty)(rows(uncertainty.array), unit=uncertainty.unit, copy=False)
    several = isinstance(meta, list | tuple | np.ndarray) and len(meta)
    return SpectrumCollection(
        flux=rows(collection.flux),
        spectral_axis=rows(collection.spectral_axis),
        uncertainty=uncertainty,
        mask=None if mask is None else rows(np.asarray(mask)),
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

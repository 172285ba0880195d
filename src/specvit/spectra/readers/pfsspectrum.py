"""One PFS spectrum put together from its arrays, the same way whatever file they come from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from specvit.spectra.readers.pfsaxis import resolving_power_of
from specvit.spectra.readers.pfsmask import damaged

__all__ = ["PfsArrays", "build", "flux_unit"]


@dataclass
class PfsArrays:
    """Arrays of one spectrum as a file holds them.

    Attributes
    ----------
    wave : numpy.ndarray of float64, shape (npix,)
        Vacuum wavelengths in nm.
    flux : numpy.ndarray of float64, shape (npix,)
        Flux in nJy; relative in files of fibres.
    mask : numpy.ndarray of int, shape (npix,), or None
        Mask values; None if the file has none.
    covariance : numpy.ndarray of float64, shape (3, npix), or None
        Variance and the covariances with the next pixel and the next but one; None if the file has none.
    bits : dict of str to int
        Names and numbers of the mask bits.
    meta : dict
        Facts about the target and its observation.
    """

    wave: np.ndarray
    flux: np.ndarray
    mask: np.ndarray | None
    covariance: np.ndarray | None
    bits: dict = field(default_factory=dict)
    meta: dict = field(default_factory=dict)

    @classmethod
    def from_detector(cls, wave, flux, mask, variance):
        """Arrays on the pixels of the detector: sorted by wavelength, neighbours independent.

        Parameters
        ----------
        wave, flux : numpy.ndarray of float64, shape (npix,)
            Wavelengths and fluxes.
        mask : numpy.ndarray of int, shape (npix,), or None
            Mask values.
        variance : numpy.ndarray of float64, shape (npix,), or None
            Variance of the fluxes.

        Returns
        -------
        PfsArrays
            Without names of bits and metadata.
        """
        order = np.argsort(wave, kind="stable")
        covariance = None
        if variance is not None:
            covariance = np.zeros((3, order.size))
            covariance[0] = variance[order]
        return cls(wave[order], flux[order], None if mask is None else mask[order], covariance)


def build(arrays, file, unit, damage):
    """Make a `~specutils.Spectrum`.

    Parameters
    ----------
    arrays : PfsArrays
        One spectrum.
    file : FitsFile
        The file, for messages.
    unit : str or astropy.units.UnitBase
        Unit of the flux.
    damage : sequence of str or None
        Names of mask bits that mean a lost pixel (see `damaged`).

    Returns
    -------
    specutils.Spectrum
        Pixels that are lost or not finite are masked. ``meta`` holds, beside what `arrays` brings:
        ``medium`` "vacuum"; ``resolution``, λ/FWHM a pixel, where the arm is known; ``covariance``,
        shape (2, npix), with the next pixel and the next but one, in the square of the unit;
        ``mask_values`` and ``mask_bits``, the file's own mask and the names of its bits.

    Raises
    ------
    ValueError
        If shapes disagree, or wavelengths are not finite, positive and strictly rising or falling.
    """
    from astropy import units as u
    from astropy.nddata import VarianceUncertainty
    from specutils import Spectrum

    npix = arrays.flux.size
    for name, array, shape in (
        ("WAVELENGTH", arrays.wave, (npix,)),
        ("MASK", arrays.mask, (npix,)),
        ("COVAR", arrays.covariance, (3, npix)),
    ):
        if array is not None and array.shape != shape:
            raise file.error(name, f"must have the shape {shape} for {npix} fluxes, got {array.shape}")
    steps = np.diff(arrays.wave)
    if npix < 2 or not (np.isfinite(arrays.wave).all() and (arrays.wave > 0).all()):
        raise file.error("WAVELENGTH", "must hold at least 2 finite, positive wavelengths")
    if not ((steps > 0).all() or (steps < 0).all()):
        raise file.error("WAVELENGTH", "must rise or fall strictly")

    meta = {**arrays.meta, "medium": "vacuum", "mask_bits": arrays.bits}
    power = resolving_power_of(arrays.wave, "".join(meta.get("arm", [])))
    if power is not None:
        meta["resolution"] = power
    mask = ~np.isfinite(arrays.flux)
    if arrays.mask is not None:
        meta["mask_values"] = arrays.mask
        mask |= damaged(arrays.mask, arrays.bits, damage)
    uncertainty = None
    if arrays.covariance is not None:
        uncertainty = VarianceUncertainty(arrays.covariance[0], unit=u.Unit(unit) ** 2)
        meta["covariance"] = arrays.covariance[1:]
    return Spectrum(
        flux=arrays.flux * u.Unit(unit),
        spectral_axis=arrays.wave * u.nm,
        uncertainty=uncertainty,
        mask=mask,
        meta=meta,
    )


def flux_unit(file):
    """Unit of calibrated fluxes: nJy by convention, unless the HDU FLUX has a card BUNIT.

    Parameters
    ----------
    file : FitsFile
        The file.

    Returns
    -------
    astropy.units.UnitBase

    Raises
    ------
    ValueError
        If BUNIT is no unit.
    """
    from astropy import units as u

    hdu = file.find("FLUX")
    stated = "nJy" if hdu is None else str(hdu.header.get("BUNIT") or "nJy")
    try:
        return u.Unit(stated)
    except ValueError as error:
        raise file.error("FLUX", f"must have a unit in BUNIT, got {stated!r}") from error

"""One PFS spectrum put together from its arrays, the same way whatever file they come from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from specvit.spectra.readers.pfsaxis import in_nanometres, resolving_power_of
from specvit.spectra.readers.pfsmask import damaged, mask_note
from specvit.spectra.readers.unitwords import flux_unit_of

__all__ = ["PfsArrays", "build", "build_all", "flux_unit"]


@dataclass
class PfsArrays:
    """Arrays of one spectrum as a file holds them.

    Attributes
    ----------
    wave : numpy.ndarray of float64, shape (npix,)
        Vacuum wavelengths.
    flux : numpy.ndarray of float64, shape (npix,)
        Flux in nJy; relative in files of fibres.
    mask : numpy.ndarray of int, shape (npix,), or None
        Mask values; None if the file has none.
    covariance : numpy.ndarray of float64, shape (3, npix), or None
        Variance and the covariances with the next pixel and the next but one; None if the file has none.
        Fewer rows are the first of these.
    bits : dict of str to int
        Names and numbers of the mask bits.
    meta : dict
        Facts about the target and its observation.
    wave_unit : str or None
        Unit of the wavelengths that the file states; None: nm.
    """

    wave: np.ndarray
    flux: np.ndarray
    mask: np.ndarray | None
    covariance: np.ndarray | None
    bits: dict = field(default_factory=dict)
    meta: dict = field(default_factory=dict)
    wave_unit: str | None = None

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
    unit : tuple of (astropy.units.UnitBase, str or None)
        Unit of the flux, and what was assumed of it: `flux_unit`.
    damage : sequence of str or None
        Names of mask bits that mean a lost pixel (see `damaged`).

    Returns
    -------
    specutils.Spectrum
        Pixels that are lost or not finite are masked. ``meta`` holds, beside what `arrays` brings:
        ``medium`` "vacuum"; ``notes``, what was assumed; ``resolution``, λ/FWHM a pixel, where the arm is
        known; ``covariance``,
        shape (2, npix), with the next pixel and the next but one, in the square of the unit;
        ``mask_values`` and ``mask_bits``, the file's own mask and the names of its bits.

    Raises
    ------
    ValueError
        If shapes disagree, or wavelengths neither rise nor fall strictly. Pixels whose wavelength is not
        finite and positive are left out.
    """
    from astropy import units as u
    from astropy.nddata import VarianceUncertainty
    from specutils import Spectrum

    npix = arrays.flux.size
    covariance = None if arrays.covariance is None else np.atleast_2d(arrays.covariance)
    if covariance is not None and covariance.shape in ((1, npix), (2, npix)):
        covariance = np.concatenate([covariance, np.zeros((3 - len(covariance), npix))])
    for name, array, shape in (
        ("WAVELENGTH", arrays.wave, (npix,)),
        ("MASK", arrays.mask, (npix,)),
        ("COVAR", covariance, (3, npix)),
    ):
        if array is not None and array.shape != shape:
            raise file.error(name, f"must have the shape {shape} for {npix} fluxes, got {array.shape}")
    wave, wave_note = in_nanometres(arrays.wave, arrays.wave_unit)
    with np.errstate(invalid="ignore"):
        known = np.isfinite(wave) & (wave > 0)
    if known.sum() < 2:
        raise file.error("WAVELENGTH", "must hold at least 2 finite, positive wavelengths")
    wave, flux, values = wave[known], arrays.flux[known], arrays.mask
    steps = np.diff(wave)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise file.error("WAVELENGTH", "must rise or fall strictly")

    meta = {**arrays.meta, "medium": "vacuum", "mask_bits": arrays.bits}
    power = resolving_power_of(wave, "".join(meta.get("arm", [])))
    if power is not None:
        meta["resolution"] = power
    (unit, unit_note), note = unit, None
    mask = ~np.isfinite(flux)
    if values is not None:
        meta["mask_values"] = values = values[known]
        mask |= damaged(values, arrays.bits, damage)
        note = mask_note(values, arrays.bits, damage)
    meta["notes"] = tuple(one for one in (wave_note, unit_note, note) if one)
    uncertainty = None
    if covariance is not None:
        uncertainty = VarianceUncertainty(covariance[0, known], unit=unit**2)
        meta["covariance"] = covariance[1:, known]
    return Spectrum(
        flux=flux * unit,
        spectral_axis=wave * u.nm,
        uncertainty=uncertainty,
        mask=mask,
        meta=meta,
    )


def build_all(readers, file, unit, damage):
    """Make the spectra of a file of several; one that is torn does not cost the others.

    Parameters
    ----------
    readers : iterable of (callable, dict)
        For each spectrum a function that gives its `PfsArrays`, and the facts about it, for ``meta``.
    file, unit, damage
        As for `build`.

    Returns
    -------
    list of specutils.Spectrum
        In place of one that cannot be read two masked pixels, whose ``meta["unreadable"]`` says why; whoever
        adapts it is told so.

    Raises
    ------
    ValueError
        If none can be read: the reason against the first.
    """
    spectra, reasons = [], []
    for read, meta in readers:
        try:
            arrays = read()
            arrays.meta = meta
            spectra.append(build(arrays, file, unit, damage))
        except ValueError as error:
            spectra.append(_unreadable(meta, str(error).removeprefix(f"{file.name}: ")))
            reasons.append(error)
    if reasons and len(reasons) == len(spectra):
        raise reasons[0]
    return spectra


def _unreadable(meta, reason):
    from astropy import units as u
    from specutils import Spectrum

    return Spectrum(
        flux=[np.nan, np.nan] * u.nJy,
        spectral_axis=[710.0, 885.0] * u.nm,
        mask=[True, True],
        meta={**meta, "medium": "vacuum", "unreadable": reason},
    )


def flux_unit(file):
    """Unit of calibrated fluxes: nJy by convention, unless the HDU FLUX has a card BUNIT.

    Parameters
    ----------
    file : FitsFile
        The file.

    Returns
    -------
    unit : astropy.units.UnitBase
        Dimensionless for counts.
    note : str or None
        What was made of BUNIT if it is no flux density.
    """
    hdu = file.find("FLUX")
    return flux_unit_of("nJy" if hdu is None else str(hdu.header.get("BUNIT") or "nJy"))

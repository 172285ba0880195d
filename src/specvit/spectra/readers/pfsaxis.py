"""Wavelengths and resolving power of PFS spectra: what the file says, and what the instrument is."""

from __future__ import annotations

import numpy as np

from specvit.grid import FWHM_PER_SIGMA, PFS_MR
from specvit.spectra.readers.unitwords import wave_unit_of

__all__ = ["in_nanometres", "linear_wavelengths", "resolving_power_of"]

_RED = (640.0, 955.0)  # nm: the middles of the dichroic overlaps 630–650 and 940–970
_BLUE_R, _RED_R, _INFRARED_R = 2300.0, 3000.0, 4300.0
_MR_STEP = 0.06  # nm: pixels of the MR arm have 0.045 nm, those of the other arms 0.07 to 0.09


def linear_wavelengths(header, npix):
    """Wavelengths of a linear axis from its header cards.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Header of the HDU FLUX, with CRVAL1, CRPIX1 and CDELT1 (or CD1_1); CUNIT1 is nm if absent.
    npix : int
        Number of pixels.

    Returns
    -------
    numpy.ndarray of float64, shape (npix,), or None
        Vacuum wavelengths in nm; None if the header states no such axis.

    Raises
    ------
    ValueError
        If the axis is something else than a linear wavelength.

    Notes
    -----
    The data model of PFS gives the wavelength of the middle, pixel N/2 + 1/2 counted from one, and
    writes CRPIX1 = N/2 + 3/2; its own reader takes the one back. A header with just this CRPIX1 is
    read as it was meant; any other as the FITS standard says.
    """
    from astropy import units as u

    step = header.get("CDELT1", header.get("CD1_1"))
    if "CRVAL1" not in header or step is None:
        return None
    kind = str(header.get("CTYPE1", "WAVE")).strip().upper()
    if kind not in ("WAVE", "WAVELENGTH", "LAMBDA", "LINEAR", ""):
        raise ValueError(
            f"must have a linear vacuum wavelength, CTYPE1 = 'WAVE', got {kind!r}: put the wavelengths "
            "into an HDU WAVELENGTH, in nm"
        )
    if "CDELT1" in header:
        step = step * header.get("PC1_1", 1.0)
    reference = float(header.get("CRPIX1", 0.0))
    if abs(reference - (npix / 2 + 1.5)) < 1e-6:
        reference -= 1.0
    wave = float(header["CRVAL1"]) + (np.arange(1, npix + 1) - reference) * float(step)
    if not header.get("CUNIT1"):
        return in_nanometres(wave, None)[0]
    try:
        return wave * u.Unit(header["CUNIT1"]).to(u.nm)
    except (ValueError, u.UnitConversionError) as error:
        raise ValueError(f"must have a unit of wavelength, CUNIT1, got {header['CUNIT1']!r}") from error


def in_nanometres(wave, stated):
    """Wavelengths in nm, whatever unit a file states.

    Parameters
    ----------
    wave : numpy.ndarray of float64, shape (npix,)
        Wavelengths as the file has them.
    stated : str or None
        The unit that the file states; nm is the convention.

    Returns
    -------
    wave : numpy.ndarray of float64, shape (npix,)
        In nm.
    note : str or None
        What was assumed where no unit is stated and the numbers cannot be nm: PFS sees 380 to 1260 nm.
    """
    from astropy import units as u

    unit = wave_unit_of(stated)
    if unit is not None:
        return (wave * unit).to_value(u.nm, u.spectral()), None
    with np.errstate(invalid="ignore"):
        usable = wave[np.isfinite(wave) & (wave > 0)]
    middle = np.median(usable) if usable.size else np.nan
    numbers = any(np.array_equal(wave, np.arange(wave.size) + first) for first in (0, 1))  # of the pixels
    for low, high, unit in ((3000, 15000, u.AA), (0.3, 1.5, u.um), (3e-7, 1.5e-6, u.m)):
        if low < middle < high and not numbers:
            note = f"wavelengths without a unit are taken for {unit.to_string('unicode')}, not nm"
            return wave * unit.to(u.nm), note
    return wave, None


def resolving_power_of(wave, arms=""):
    """Resolving power of each pixel, for the arms that observed it.

    Parameters
    ----------
    wave : numpy.ndarray, shape (npix,)
        Vacuum wavelengths in nm.
    arms : str
        Letters of the arms, of all exposures: b, r, m (medium resolution), n; "" if unknown.

    Returns
    -------
    numpy.ndarray of float64, shape (npix,), or None
        λ/FWHM. None if neither the letters nor the sampling say which red arm it was.

    Notes
    -----
    The medium-resolution arm, 695–905 nm, has the line spread function of `~specvit.grid.PFS_MR`
    (from the exposure-time calculator), taken as constant beyond 710–885 nm. The other arms have the
    nominal R of the instrument [1]_: blue, to 650 nm, 2300; red low resolution, 630–970 nm, 3000;
    infrared, from 940 nm, 4300. A spectrum to which both red arms have contributed is taken for
    medium resolution, and so is one with pixels below 0.06 nm, whatever its letters.

    References
    ----------
    .. [1] Tamura et al. 2016, "Prime Focus Spectrograph (PFS) for the Subaru Telescope: overview,
       recent progress, and future perspectives", Proc. SPIE 9908, 99081M
    """
    red = (wave > _RED[0]) & (wave < _RED[1])
    fine = red.sum() > 1 and np.median(np.abs(np.diff(wave[red]))) < _MR_STEP
    medium = "m" in arms or fine
    if not medium and not set(arms) & set("brn"):
        return None
    fwhm = FWHM_PER_SIGMA * np.interp(10 * wave, PFS_MR.wave, PFS_MR.lsf_sigma)
    red_power = 10 * wave / fwhm if medium else _RED_R
    return np.where(red, red_power, np.where(wave <= _RED[0], _BLUE_R, _INFRARED_R))

"""A `~specutils.Spectrum` from arrays of a file, the same way for all readers but that of PFS."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from specvit.grid import INSTRUMENTS, air_to_vacuum, find_instrument
from specvit.spectra.batch import SpectrumError
from specvit.spectra.medium import medium_of
from specvit.spectra.readers.unitwords import flux_unit_of
from specvit.spectra.units import wavelength_in_angstrom

__all__ = [
    "bad_bits",
    "camera_medium",
    "in_density",
    "instrument_named",
    "make_spectrum",
    "preset_resolution",
    "stated_medium",
]

# First word of INSTRUME, or of SURVEY -> preset.
_NAMED = {
    "MUSE": "MUSE",
    "BOSS": "SDSS/BOSS",
    "LAMOST": "LAMOST LRS",
    "DESI": "DESI",
    "RAVE": "RAVE",
    "RVS": "Gaia RVS",
    "WEAVE": "WEAVE LR",
}
# First word of INSTRUME -> a setting, the cards that say it, the preset of this setting.
_SETTINGS = {
    "DEIMOS": ("1200G", ("GRATENAM", "DISPNAME", "GRATING"), "DEIMOS 1200G"),
    "GIRAFFE": ("L881.7", ("ESO INS EXP MODE", "ESO INS GRAT NAME"), "GIRAFFE LR8"),
    "XSHOOTER": ("VIS", ("ESO SEQ ARM", "DISPELEM"), "X-shooter VIS"),
}
_BY_NAME = {name.upper(): name for name in INSTRUMENTS}
# Spectrographs of ESO whose pipelines write wavelengths in air.
_IN_AIR = ("XSHOO", "UVES", "FEROS", "GIRAFFE", "HARPS", "FORS", "VIMOS", "EFOSC")


def make_spectrum(
    wave,
    flux,
    *,
    wave_unit=None,
    unit=None,
    sigma=None,
    variance=None,
    ivar=None,
    mask=None,
    medium=None,
    resolution=None,
    instrument=None,
    header=None,
    notes=(),
    **facts,
):
    """Make a spectrum, or several that share their wavelengths.

    Parameters
    ----------
    wave : array-like of float or astropy.units.Quantity, shape (npix,)
        Wavelengths, any order; pixels whose wavelength is not finite and positive are dropped.
    flux : array-like of float, shape (npix,) or (n, npix)
        Fluxes; masked where not finite.
    wave_unit : astropy.units.UnitBase or str, optional
        Unit of `wave` unless it has one. None: Å.
    unit : astropy.units.UnitBase or str, optional
        Unit of the flux. None: relative.
    sigma, variance, ivar : array-like of float, of the flux's shape, optional
        Error of the flux, in one of these forms, in the unit of the flux to the power that it needs.
    mask : array-like of bool, of the flux's shape, optional
        True where a pixel is lost.
    medium : {"air", "vacuum"}, optional
        Medium of the wavelengths. None: the header may say it, else that of the `instrument`.
    resolution : float, array-like of shape (npix,), or list of these, optional
        λ/FWHM; a list has one for each of several spectra. None: that of the `instrument`, if there is one.
    instrument : str, optional
        Name of a preset of `specvit.grid.INSTRUMENTS`.
    header : astropy.io.fits.Header, optional
        Kept in ``meta["header"]``.
    notes : sequence of str or None
        What was assumed or left out, kept in ``meta["notes"]``.
    **facts : dict
        Further entries of ``meta``; None is left out.

    Returns
    -------
    specutils.Spectrum

    Raises
    ------
    ValueError
        If shapes disagree, there are fewer than 2 wavelengths, or they are the numbers of the pixels.
    """
    from astropy import units as u
    from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
    from specutils import Spectrum

    wave = wave if isinstance(wave, u.Quantity) else np.asarray(wave, np.float64) * u.Unit(wave_unit or u.AA)
    wave = u.Quantity(wave, dtype=np.float64, subok=False)
    flux = np.array(flux, np.float64)
    if wave.ndim != 1 or flux.shape[-1:] != wave.shape:
        raise ValueError(f"there must be one wavelength a flux, got the shapes {wave.shape} and {flux.shape}")
    keep = np.isfinite(wave.value) & (wave.value > 0)
    if keep.sum() < 2:
        raise ValueError(f"there must be at least 2 finite, positive wavelengths, got {keep.sum()}")
    if mask is not None:
        mask = np.broadcast_to(np.asarray(mask, bool), flux.shape)[..., keep]
    wave, flux = wave[keep], flux[..., keep]
    try:
        angstrom = wavelength_in_angstrom(wave, "the axis")
    except SpectrumError as error:
        raise ValueError(str(error)) from None
    unit = u.Unit("" if unit is None else unit)
    uncertainty = None
    for values, kind, power in (
        (sigma, StdDevUncertainty, 1),
        (ivar, InverseVariance, -2),
        (variance, VarianceUncertainty, 2),
    ):
        if values is not None and uncertainty is None:
            values = np.array(values, np.float64)
            if values.shape[-1:] != keep.shape:
                raise ValueError(f"there must be one error a flux, got {values.shape} for {flux.shape}")
            values = np.broadcast_to(values[..., keep], flux.shape).copy()
            uncertainty = kind(values, unit=unit**power)
    meta = {key: value for key, value in facts.items() if value is not None}
    meta["notes"] = tuple(dict.fromkeys(note for note in notes if note))
    if header is not None:
        meta["header"] = header
    if instrument is not None and medium is None and stated_medium(header) is None:
        medium = find_instrument(instrument).medium
    if medium is not None:
        meta["medium"] = medium
    if instrument is not None:
        meta["instrument"] = instrument
        if resolution is None:
            resolution = preset_resolution(instrument, angstrom, medium)
    if isinstance(resolution, list):
        meta["resolution"] = [_at(np.asarray(one, np.float64), keep) for one in resolution]
    elif resolution is not None:
        resolution = np.asarray(resolution, np.float64)
        meta["resolution"] = float(resolution) if resolution.ndim == 0 else _at(resolution, keep)
    lost = ~np.isfinite(flux)
    return Spectrum(
        flux=flux * unit,
        spectral_axis=wave,
        spectral_axis_index=flux.ndim - 1,  # as many rows as pixels leave specutils in doubt
        uncertainty=uncertainty,
        mask=lost if mask is None else lost | mask,
        meta=meta,
    )


def _at(values, keep):
    """Values of the pixels that are kept, unless they were chosen already."""
    return values[keep] if values.shape == keep.shape else values


def stated_medium(header):
    """Medium that a header states (`specvit.spectra.medium.medium_of`), "air" or "vacuum", or None."""
    return None if header is None else medium_of(SimpleNamespace(meta={"header": header}))


def camera_medium(header):
    """Medium in which an instrument's pipeline writes wavelengths, by the card INSTRUME.

    Parameters
    ----------
    header : mapping
        The header.

    Returns
    -------
    {"air", "vacuum"} or None
        Air for the optical spectrographs of ESO, vacuum for 4MOST.
    """
    camera = str(header.get("INSTRUME", "")).upper()
    if camera.startswith(("QMOST", "4MOST")):
        return "vacuum"
    return "air" if camera.startswith(_IN_AIR) else None


def in_density(spectrum):
    """A spectrum of a reader of specutils whose flux is in counts, as a relative one; others as they are.

    Parameters
    ----------
    spectrum : specutils.Spectrum
        The spectrum.

    Returns
    -------
    specutils.Spectrum
        With a note in ``meta["notes"]`` if its unit was no flux density.
    """
    from specutils import Spectrum

    note = flux_unit_of(spectrum.unit)[1]
    if note is None:
        return spectrum
    uncertainty = spectrum.uncertainty
    return Spectrum(
        flux=spectrum.data * flux_unit_of("")[0],
        spectral_axis=spectrum.spectral_axis,
        uncertainty=None if uncertainty is None else type(uncertainty)(uncertainty.array),
        mask=spectrum.mask,
        meta={**spectrum.meta, "notes": (*spectrum.meta.get("notes", ()), note)},
        spectral_axis_index=spectrum.spectral_axis_index,
    )


def preset_resolution(instrument, wave, medium=None):
    """Resolving power of a preset.

    Parameters
    ----------
    instrument : str
        Name of a preset.
    wave : numpy.ndarray, shape (npix,)
        Wavelengths in Å.
    medium : {"air", "vacuum"} or None
        Their medium; None: that of the preset.

    Returns
    -------
    float or numpy.ndarray of shape (npix,)
        λ/FWHM: one number if the preset has one.
    """
    preset = find_instrument(instrument)
    if preset.resolving_power is not None and np.ndim(preset.resolving_power) == 0:
        return float(preset.resolving_power)
    if (medium or preset.medium) == "air":
        wave = air_to_vacuum(wave)
    return wave / preset.fwhm_at(wave)


def instrument_named(header):
    """Preset that a header names, by the cards INSTRUME and SURVEY.

    Parameters
    ----------
    header : mapping
        The header.

    Returns
    -------
    str or None Name of the preset; None if there is none, or the setting of the instrument is not that
    preset's or not said (grating of DEIMOS, mode of GIRAFFE, arm of X-shooter).
    """
    for card in ("INSTRUME", "SURVEY"):
        stated = str(header.get(card, "")).strip().upper()
        if stated in _BY_NAME:
            return _BY_NAME[stated]
        word = stated.split()[0].strip(":,;") if stated else ""
        if word in _NAMED:
            return _NAMED[word]
        if word in _SETTINGS:
            setting, cards, preset = _SETTINGS[word]
            return preset if any(setting in str(header.get(one, "")).upper() for one in cards) else None
    return None


def bad_bits(values, information=0):
    """Where a bit mask of SDSS, or of those who took over its bits, means a lost pixel.

    Parameters
    ----------
    values : array-like of int, any shape, pixels last
        The mask; 0 is good.
    information : int
        Bits that are no damage.

    Returns
    -------
    numpy.ndarray of bool, of the shape of `values`
        Bits 0 to 15 say something of the fibre: where all pixels of a spectrum have one, it does not count.
    """
    values = np.asarray(values).astype(np.int64) & ~np.int64(information)
    of_fibre = np.bitwise_and.reduce(values, axis=-1, keepdims=True) & np.int64(0xFFFF)
    return (values & ~of_fibre) != 0

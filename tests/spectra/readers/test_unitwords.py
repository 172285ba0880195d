"""Units as files write them, against what is meant."""

import astropy.units as u
import numpy as np
import pytest

from specvit.spectra.readers.unitwords import flux_unit_of, to_wavelengths, wave_unit_of

FLAM = u.erg / u.s / u.cm**2 / u.AA


@pytest.mark.parametrize(
    ("stated", "scale"),
    [
        ("10**-17 erg/s/cm^2/Ang", 1e-17),
        ("1E-17 erg/cm^2/s/Ang", 1e-17),
        ("1.0E-17 erg/cm/s/Ang", 1e-17),  # spSpec of SDSS, as it is
        ("10**-17 erg/(s cm2 Angstrom)", 1e-17),
        ("10^(-17) erg/s/cm2/Angstrom", 1e-17),
        ("10**(-20)*erg/s/cm**2/Angstrom", 1e-20),
        ("10E-17 ergs/s/cm^2/A", 1e-16),
        ("FLAM", 1.0),
        ("erg/s/cm2/A", 1.0),
        ("ergs cm-2 s-1 angstroms-1", 1.0),
        ("erg cm**(-2) s**(-1) angstrom**(-1)", 1.0),
        ("erg s^-1 cm^-2 Å^-1", 1.0),
        ("W/m2/um", 0.1),
        ("W m-2 nm-1", 100.0),
    ],
)
def test_flux_densities(stated, scale):
    unit, note = flux_unit_of(stated)
    assert unit.to(FLAM) == pytest.approx(scale, rel=1e-12)
    assert note is None


@pytest.mark.parametrize(
    "stated",
    [
        "counts",
        "Counts",
        "adu",
        "ADU/s",
        "DU/PIXEL",
        "DN",
        "electrons",
        "e-/s",
        "photons",
        "counts/s/Angstrom",
        "relative",
        "arbitrary units",
        "normalised",
        "Normalized flux",
        "xyzzy",
        "ct",
        "electron / nm",
    ],
)
def test_words_that_mean_relative(stated):
    unit, note = flux_unit_of(stated)
    assert unit == u.dimensionless_unscaled
    assert stated in note


def test_nothing_stated_is_relative_without_a_note():
    assert flux_unit_of(None) == flux_unit_of("") == (u.dimensionless_unscaled, None)


def test_other_densities_keep_their_kind():
    assert flux_unit_of("mJy")[0] == u.mJy
    assert flux_unit_of("nJy")[0] == u.nJy
    assert flux_unit_of("ph / (s cm2 Angstrom)")[0] == u.ph / u.s / u.cm**2 / u.AA


@pytest.mark.parametrize(
    ("stated", "unit"),
    [
        ("ANGSTROMS", u.AA),
        ("Ang", u.AA),
        ("A", u.AA),
        ("Å", u.AA),
        ("'angstrom'", u.AA),
        ("nm", u.nm),
        ("nanometers", u.nm),
        ("microns", u.um),
        ("µm", u.um),
        ("m", u.m),
        ("GHz", u.GHz),
        ("cm-1", 1 / u.cm),
    ],
)
def test_wavelengths(stated, unit):
    assert wave_unit_of(stated) == unit


@pytest.mark.parametrize("stated", [None, "", "pixel", "km/s", "log(lambda)", "counts"])
def test_no_wavelength(stated):
    assert wave_unit_of(stated) is None


@pytest.mark.parametrize("factor", [1.0, 10.0, 1e4, 1e10])
def test_the_size_of_numbers_tells_their_unit(factor):
    wave = np.linspace(7100, 8850, 50)
    found, note = to_wavelengths(wave / factor)
    np.testing.assert_allclose(found.to_value(u.AA), wave, rtol=1e-12)
    assert (note is None) == (factor == 1.0)
    np.testing.assert_allclose(to_wavelengths(np.log10(wave))[0].to_value(u.AA), wave, rtol=1e-12)

"""Wavelengths from header cards against linspace; resolving power against the grid and the nominal values."""

import numpy as np
import pytest
from astropy.io import fits

from specvit.grid import PFS_MR
from specvit.spectra.readers.pfsaxis import linear_wavelengths, resolving_power_of


@pytest.mark.parametrize("npix", [4096, 4097])
@pytest.mark.parametrize(("unit", "scale"), [("m", 1e-9), ("nm", 1), (None, 1), ("Angstrom", 10)])
def test_the_writers_reference_pixel_is_taken_back(npix, unit, scale):
    """The data model writes CRPIX1 = N/2 + 3/2 for the middle of linspace(first, last, N)."""
    cards = {"CRVAL1": 800 * scale, "CDELT1": 200 / (npix - 1) * scale, "CRPIX1": npix / 2 + 1.5}
    cards |= {} if unit is None else {"CUNIT1": unit}
    wave = linear_wavelengths(fits.Header(cards), npix)
    np.testing.assert_allclose(wave, np.linspace(700, 900, npix), rtol=0, atol=1e-9)


def test_any_other_reference_pixel_is_that_of_the_standard():
    header = fits.Header({"CRVAL1": 700.0, "CD1_1": 0.5, "CRPIX1": 1.0})
    np.testing.assert_allclose(linear_wavelengths(header, 5), [700, 700.5, 701, 701.5, 702])


def test_no_cards_no_axis():
    assert linear_wavelengths(fits.Header({"CRVAL1": 700.0}), 5) is None


@pytest.mark.parametrize(
    ("cards", "message"),
    [({"CTYPE1": "FREQ"}, "CTYPE1"), ({"CUNIT1": "s"}, "CUNIT1"), ({"CUNIT1": "xx"}, "CUNIT1")],
)
def test_other_axes_are_refused(cards, message):
    with pytest.raises(ValueError, match=message):
        linear_wavelengths(fits.Header({"CRVAL1": 700.0, "CDELT1": 0.5, **cards}), 5)


def test_medium_resolution_has_the_line_spread_function_of_the_grid():
    wave = PFS_MR.wave / 10
    for arms in ("bmn", "m", "brnbmn", ""):  # without letters by the sampling, 0.043 nm
        np.testing.assert_allclose(resolving_power_of(wave, arms), PFS_MR.resolving_power, rtol=1e-12)


def test_other_arms_have_their_nominal_resolution():
    wave = np.array([400.0, 600.0, 700.0, 800.0, 1000.0, 1200.0])
    np.testing.assert_array_equal(resolving_power_of(wave, "brn"), [2300, 2300, 3000, 3000, 4300, 4300])
    power = resolving_power_of(np.linspace(380, 1260, 11640), "bmn")
    assert np.isfinite(power).all()
    assert power.min() > 0


def test_coarse_pixels_of_an_unknown_arm_state_no_resolution():
    assert resolving_power_of(np.arange(380, 1260, 0.08)) is None

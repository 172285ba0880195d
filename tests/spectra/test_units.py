"""Wavelengths in Å, and numbers that are none."""

import astropy.units as u
import numpy as np
import pytest
from specutils import Spectrum

from specvit.spectra import SpectrumError, adapt
from specvit.spectra.units import wavelength_in_angstrom


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("unit", [u.AA, u.nm, u.um, u.GHz, 1 / u.cm])
@pytest.mark.parametrize("direction", [1, -1])
def test_numbers_of_pixels_are_no_wavelengths(first, unit, direction):
    axis = np.arange(first, first + 11640.0)[::direction] * unit
    with pytest.raises(SpectrumError, match="must hold wavelengths, got the numbers of its 11640"):
        wavelength_in_angstrom(axis)


def test_numbers_of_pixels_are_known_in_metres():
    """What an image without wavelengths becomes when its reader takes CDELT1 = 1 for an Ångström."""
    with pytest.raises(SpectrumError, match="numbers of its 9000 pixels in m"):
        wavelength_in_angstrom(np.arange(1, 9001) * 1e-10 * u.m)


def test_a_spectrum_over_pixel_numbers_is_refused():
    """Pixels 7100 to 8850 of a longer image would lie on the grid."""
    flux = 1 + 0.1 * np.random.default_rng(1).normal(size=11640)
    spectrum = Spectrum(flux * u.nJy, np.arange(1, 11641) * u.AA)
    with pytest.raises(SpectrumError, match=r"^spectrum: spectral_axis must hold wavelengths"):
        adapt(spectrum)
    batch = adapt(spectrum, on_error="nan")
    assert not batch.usable.any()
    assert "numbers of its 11640 pixels" in batch.errors[0]


@pytest.mark.parametrize(
    "wave",
    [
        np.arange(7100.0, 8850.0),
        np.arange(1, 9000.5, 0.5),
        np.arange(2.0, 9000.0),
        np.array([1.0, 2.0]),
        np.array([1.0, 2.0, 4.0]),
    ],
    ids=["whole numbers", "half steps", "from two", "two values", "unequal steps"],
)
def test_other_axes_are_left_alone(wave):
    np.testing.assert_array_equal(wavelength_in_angstrom(wave * u.AA), wave)

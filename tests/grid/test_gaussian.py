"""Gaussian smoothing against closed forms."""

import numpy as np
import pytest

from specvit.constants import SPEED_OF_LIGHT
from specvit.grid.gaussian import smoothing_matrix

LOG_WAVE = np.exp(np.arange(np.log(7900), np.log(8100), 2e-5))


def test_a_flat_spectrum_stays_flat():
    wave = np.exp(np.linspace(np.log(7060), np.log(8890), 11_525))
    matrix = smoothing_matrix(wave, np.full(50, 0.4), np.linspace(7100, 8800, 50))
    assert np.allclose(matrix @ np.ones(wave.size), 1, atol=1e-14)


def test_a_line_gets_width_and_place():
    """A Gaussian convolved with a Gaussian is a Gaussian whose variances add, moved by 1 + v/c."""
    line = 1 - 0.5 * np.exp(-0.5 * ((LOG_WAVE - 8000) / 0.4) ** 2)
    centres = np.arange(7990, 8010, 0.05)
    made = smoothing_matrix(LOG_WAVE, np.full(centres.size, 0.3), centres, velocity=15.0) @ line
    place, width = 8000 * (1 + 15 / SPEED_OF_LIGHT), 0.5
    expected = 1 - 0.5 * 0.4 / width * np.exp(-0.5 * ((centres - place) / width) ** 2)
    # the kernel's width is constant in the observed frame: 5e-5 of it
    assert np.abs(made - expected).max() < 1e-4


def test_a_wave_of_given_period_is_damped_as_its_transform_says():
    """A sine of wave number k comes out with exp(−k² σ² / 2) of its amplitude, at every pixel's own σ."""
    wave = np.linspace(8000, 8100, 4001)
    sigma = np.linspace(0.2, 0.8, 50)
    centres = np.linspace(8010, 8090, 50)
    k = 2 * np.pi / 3.0
    made = smoothing_matrix(wave, sigma, centres) @ np.sin(k * wave)
    assert np.allclose(made, np.exp(-0.5 * (k * sigma) ** 2) * np.sin(k * centres), atol=1e-6)


def test_a_width_of_zero_changes_nothing():
    rng = np.random.default_rng(0)
    wave = np.linspace(8000, 8010, 101)
    spectrum = rng.standard_normal(101)
    assert np.array_equal(smoothing_matrix(wave, np.zeros(101), wave, ends="cut") @ spectrum, spectrum)


def test_a_kernel_beyond_the_spectrum_is_refused_or_cut():
    wave, sigma, centre = np.linspace(8000, 8010, 101), np.full(1, 0.5), np.array([8001.0])
    with pytest.raises(ValueError, match=r"wave must extend 5\.5 σ beyond the sampled range \(8001\.0"):
        smoothing_matrix(wave, sigma, centre)
    made = smoothing_matrix(wave, sigma, centre, ends="cut")
    near = np.abs(wave - 8001) < 5.5 * 0.5
    width = np.gradient(wave)
    weight = near * width * np.exp(-0.5 * ((wave - 8001) / 0.5) ** 2)
    assert np.allclose(made.toarray()[0], weight / weight.sum(), atol=1e-15)
    assert near[0] and made[[0], [0]].item() > 0


def test_a_centre_beyond_the_spectrum_is_refused_in_any_case():
    wave = np.linspace(8000, 8010, 101)
    with pytest.raises(ValueError, match="wave must extend over the sampled range"):
        smoothing_matrix(wave, np.full(1, 0.5), np.array([8011.0]), ends="cut")
    with pytest.raises(ValueError, match="ends must be 'raise' or 'cut', got 'wrap'"):
        smoothing_matrix(wave, np.full(1, 0.5), np.array([8005.0]), ends="wrap")

"""Constants against those of SciPy, the Gaussian distribution, and what they say of themselves."""

import numpy as np
import pytest
import scipy.constants
from scipy import integrate, optimize, stats

from specvit import constants


def test_speed_of_light():
    assert scipy.constants.c / 1000 == constants.SPEED_OF_LIGHT


def test_fwhm_is_where_a_gaussian_has_half_its_height():
    half = optimize.brentq(lambda x: stats.norm.pdf(x) - stats.norm.pdf(0) / 2, 0, 3, xtol=1e-14)
    assert pytest.approx(2 * half, rel=1e-12) == constants.FWHM_PER_SIGMA


def test_one_sigma_is_the_content_of_a_gaussian():
    content, _ = integrate.quad(stats.norm.pdf, -1, 1)
    assert pytest.approx(content, rel=1e-12) == constants.ONE_SIGMA
    assert pytest.approx(0.682689492137086, rel=1e-14) == constants.ONE_SIGMA  # OEIS A178647


def test_kernels_lose_what_is_said():
    assert 2 * stats.norm.sf(constants.KERNEL_REACH) == pytest.approx(4e-8, rel=0.06)


def test_carbon_limit_is_a_ratio_of_numbers_of_atoms():
    """C/O of the Sun (Grevesse et al. 2007: 8.39 and 8.66) times ten to [C/M] − [alpha/M]; O is an alpha."""
    ratio = 10 ** (8.39 - 8.66 + constants.CARBON_LIMIT)
    assert ratio == pytest.approx(0.8, abs=0.03)


def test_unit_magnitude_is_that_of_unit_flux():
    """A flat AB source of that magnitude has the flux that surveys count in: 1 at the middle of the grid."""
    from specvit.survey import Survey

    survey = Survey("paper", seed=1)
    batch = survey.observe([4700.0, 2.2, -0.4, 0.15, -0.05], constants.UNIT_MAGNITUDE)
    wave, flux = survey.grid.wave, batch.noiseless[0].double().numpy()
    middle = (wave[0] + wave[-1]) / 2
    assert np.mean(flux * (wave / middle) ** 2) == pytest.approx(1, rel=2e-6)  # in f_ν ∝ λ² f_λ

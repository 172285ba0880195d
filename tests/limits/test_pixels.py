"""Information in each pixel: its sum is the whole's, and it is found where there is something to see."""

import numpy as np
import pytest

from specvit.grid import FWHM_PER_SIGMA, PixelGrid
from specvit.limits import pixel_information, survey_fisher
from specvit.stars import Emulator, regrid_emulator
from specvit.survey import NoNoise, SNRNoise, Survey

STAR = [4500.0, 2.0, -0.4, 0.1, 0.0]
GRID = PixelGrid.linear(7130, 8820, 512, 3.6 / FWHM_PER_SIGMA, name="coarse")


@pytest.fixture(scope="module")
def paper():
    return Survey("paper")


@pytest.fixture(scope="module")
def coarse():
    return regrid_emulator(Emulator.load(), GRID)


@pytest.mark.parametrize(("label", "known"), [("logg", ()), ("teff", ("mh", "cm"))])
def test_sums_to_the_schur_complement(paper, label, known):
    information, flux = pixel_information(paper, STAR, 21.5, label=label, known=known)
    fisher = survey_fisher(paper, [STAR], 21.5).fix(*known)
    assert information.sum() == pytest.approx(1 / fisher.crlb(label)[0], rel=1e-9)
    assert information.shape == flux.shape == paper.grid.wave.shape and (information >= 0).all()
    np.testing.assert_allclose(flux, paper.observe(STAR, 21.5).noiseless[0], rtol=2e-5)


@pytest.mark.parametrize("curve", [None, 2 + np.cos(np.linspace(0, 9, 512))], ids=["flat", "curve"])
def test_of_a_stated_snr_on_another_grid_with_masked_windows(paper, coarse, curve):
    noise = SNRNoise((10, 90), sigma=curve, grid=None if curve is None else GRID)
    survey = Survey("own", prior=paper.prior, emulator=coarse, noise=noise, masked=[(8490, 8680)])
    information, _ = pixel_information(survey, STAR, snr=50)
    assert (information[~survey.used_pixels] == 0).all() and (information[survey.used_pixels] > 0).all()
    expected = 1 / survey_fisher(survey, [STAR], snr=50).crlb("logg")[0]
    assert information.sum() == pytest.approx(expected, rel=1e-9)
    twice, _ = pixel_information(survey, STAR, snr=100)
    np.testing.assert_allclose(twice, 4 * information, rtol=1e-9)


def test_masked_pixels_tell_nothing(paper):
    survey = Survey("paper", masked=[(8490, 8680)])
    information, _ = pixel_information(survey, STAR, 21.5)
    assert (information[~survey.used_pixels] == 0).all() and information[survey.used_pixels].min() >= 0
    whole, _ = pixel_information(paper, STAR, 21.5)
    assert information.sum() < whole.sum()
    expected = 1 / survey_fisher(survey, [STAR], 21.5).crlb("logg")[0]
    assert information.sum() == pytest.approx(expected, rel=1e-9)


def test_what_is_refused(paper):
    with pytest.raises(ValueError, match=r"label must be one of .* got 'age'"):
        pixel_information(paper, STAR, 21.5, label="age")
    with pytest.raises(ValueError, match="not known, got 'logg'"):
        pixel_information(paper, STAR, 21.5, known=("logg",))
    with pytest.raises(ValueError, match="survey must have no imperfections"):
        pixel_information(Survey("pfs-mr"), STAR, 21.5)
    with pytest.raises(ValueError, match="magnitude is needed for PFSNoise"):
        pixel_information(paper, STAR)
    with pytest.raises(ValueError, match="survey must have noise"):
        pixel_information(Survey("own", prior=paper.prior, noise=NoNoise()), STAR)

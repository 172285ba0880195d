"""Explanations of the bundled network: complete, in agreement with its σ, and beside the true information."""

import numpy as np
import pytest

from specvit import LoggEstimator, Survey
from specvit.labels import LABELS
from specvit.limits import pixel_information
from specvit.predictors import explain


@pytest.fixture(scope="module")
def survey():
    return Survey("paper", seed=3, masked=[(7590, 7700)])


@pytest.fixture(scope="module")
def stars(survey):
    return survey.draw(2, magnitude=21.5)


@pytest.fixture(scope="module")
def found(stars):
    return explain(LoggEstimator(), stars.flux.numpy(), "log g", ivar=stars.ivar.numpy())


def test_attributions_add_up(found, stars):
    """Complete: to a tenth of the predicted σ by default, and to a 200th with more points."""
    sigma = found.predictions.sigma[:, LABELS.index("logg")]
    assert (np.abs(found.completeness) < 0.1 * sigma).all()
    assert (np.abs(found.difference) > 0.2 * sigma).all()
    more = explain(LoggEstimator(), stars.flux.numpy()[:1], ivar=stars.ivar.numpy()[:1], n_steps=100)
    assert abs(more.completeness[0]) < 0.005 * sigma[0]
    np.testing.assert_allclose(more.difference, found.difference[:1], rtol=1e-5)


def test_sensitivity_is_the_scatter_under_new_noise(found, survey, stars):
    """Predictions of the same star with other noise scatter as its gradients say, and as its σ does."""
    labels = stars.labels[0].double().numpy()
    again = survey.observe(np.repeat(labels[None], 60, 0), 21.5, stream=9)
    mean = LoggEstimator().predict(again.flux.numpy(), ivar=again.ivar.numpy())
    assert found.noise_error[0] == pytest.approx(mean.std(), rel=0.35)
    sigma = found.predictions.sigma[:, 1]
    assert ((found.noise_error > 0.4 * sigma) & (found.noise_error < 1.8 * sigma)).all()


def test_no_two_pixels_have_the_effect_of_the_level(found):
    """The two pixels that happen to be the median of a spectrum are like their neighbours in flux."""
    for row in range(len(found)):
        near = np.argsort(np.where(found.ivar[row] > 0, np.abs(found.flux[row] - 1), np.inf))
        middle, others = found.sensitivity[row, near[:2]], found.sensitivity[row, near[2:40]]
        assert np.abs(middle).max() < 3 * np.abs(others).max()


def test_masked_pixels_have_no_part(found, survey):
    lost = ~survey.used_pixels
    for name in ("attribution", "sensitivity", "information"):
        assert (getattr(found, name)[:, lost] == 0).all(), name
        assert (getattr(found, name)[:, ~lost] != 0).any()
    np.testing.assert_allclose(found.attention.sum(1), 1, rtol=1e-6)
    assert (found.attention >= 0).all()


def test_information_is_that_of_the_survey(found, survey, stars):
    """At the predicted labels, but with the σ of the noisy spectrum: within its noise of the survey's."""
    labels = found.predictions.mean[0]
    expected, _ = pixel_information(survey, labels, 21.5)
    inner = slice(8, -8)
    ratio = found.information[0, inner].sum() / expected[inner].sum()
    assert ratio == pytest.approx(1, abs=0.1)
    assert np.corrcoef(found.information[0, inner], expected[inner])[0, 1] > 0.97


def test_a_star_of_its_own_baseline_has_nothing_to_explain(stars):
    flux, ivar = stars.flux.numpy()[:1], stars.ivar.numpy()[:1]
    own = flux[0] / np.median(flux[0][ivar[0] > 0])
    found = explain(LoggEstimator(), flux, ivar=ivar, baseline=own, n_steps=2)
    np.testing.assert_allclose(found.attribution, 0, atol=1e-6)
    np.testing.assert_allclose(found.difference, 0, atol=1e-5)


def test_what_cannot_be_explained(stars):
    estimator = LoggEstimator()
    flux, ivar = stars.flux.numpy()[:2].copy(), stars.ivar.numpy()[:2].copy()
    with pytest.raises(ValueError, match="label must be among"):
        explain(estimator, flux, "age", ivar=ivar)
    with pytest.raises(ValueError, match=r"baseline must have shape \(4096,\) or \(2, 4096\), got \(3,\)"):
        explain(estimator, flux, ivar=ivar, baseline=np.ones(3))
    ivar[1] = 0
    found = explain(estimator, flux, ivar=ivar, n_steps=2, on_error="nan")
    assert np.isfinite(found.difference[0]) and np.isnan(found.difference[1])
    assert np.isnan(found.information[1]).all() and len(found) == 2

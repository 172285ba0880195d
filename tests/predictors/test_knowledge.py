"""Conditioning on outside knowledge: closed forms, the posterior of `specvit.limits`, and real draws."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn
from astropy.utils.masked import Masked

from specvit import LoggEstimator, Survey
from specvit.labels import LABELS
from specvit.limits import posterior, survey_fisher
from specvit.limits.compressed import CompressedSpectra
from specvit.network.reduced import half_of, reduced
from specvit.predictors import RidgeEstimator, TemplateFit
from specvit.predictors.knowledge import condition, read_given
from specvit.weights import load_weights


@pytest.fixture
def gaussian():
    """Means and covariances of 20 stars of five labels of very different sizes."""
    rng = np.random.default_rng(3)
    factor = rng.normal(size=(20, 5, 5)) * np.array([80.0, 0.2, 0.1, 0.05, 0.1])[:, None]
    return rng.normal(size=(20, 5)) * 100, factor @ factor.swapaxes(1, 2)


def test_is_the_conditional_of_a_joint_gaussian(gaussian):
    """Labels and the measurements of two of them are jointly normal: the textbook's block formula."""
    mean, covariance = gaussian
    rng = np.random.default_rng(0)
    places, spread = [0, 2], np.array([30.0, 0.05])
    value = mean[:, places] + rng.normal(size=(20, 2)) * spread
    given, sigma = np.zeros((20, 5)), np.full((20, 5), np.inf)
    given[:, places], sigma[:, places] = value, spread
    found, after = condition(mean, covariance, given, sigma)
    for i in range(20):
        cross = covariance[i][:, places]
        inverse = np.linalg.inv(covariance[i][np.ix_(places, places)] + np.diag(spread**2))
        exact = mean[i] + cross @ inverse @ (value[i] - mean[i, places])
        left = covariance[i] - cross @ inverse @ cross.T
        np.testing.assert_allclose((found[i] - exact) / np.sqrt(np.diag(left)), 0, atol=1e-7)
        np.testing.assert_allclose(after[i], left, rtol=1e-6, atol=1e-7 * np.abs(left).max())


def test_what_is_not_measured_changes_nothing(gaussian):
    mean, covariance = gaussian
    found, after = condition(mean, covariance, np.zeros((20, 5)), np.full((20, 5), np.inf))
    np.testing.assert_allclose(found, mean, rtol=1e-12)
    np.testing.assert_allclose(after, covariance, rtol=1e-9, atol=1e-9)


def test_agrees_with_the_posterior_under_that_prior():
    """Stars of good S/N: the posterior without the measurement, conditioned, is the posterior with it."""
    survey, n = Survey("paper", seed=8), 16
    rng = np.random.default_rng(1)
    ranges = ((4300, 5300), (2, 4), (-0.8, -0.2), (0.0, 0.3), (-0.4, -0.1))
    labels = np.stack([rng.uniform(*limits, n) for limits in ranges], 1)
    batch = survey.observe(labels, 19.5)
    variance = batch.noiseless_sigma**2
    spectra = CompressedSpectra(survey, 19.5, n=500)
    spread = {"teff": 3.0, "mh": 0.02}  # near to the errors of the spectra alone
    measured = {k: (labels[:, LABELS.index(k)] + s * rng.normal(size=n), s) for k, s in spread.items()}
    alone, together = (posterior(batch.flux, variance, spectra, given=x) for x in (None, measured))
    covariance = survey_fisher(survey, labels, 19.5).keep(*LABELS).covariance
    mean, after = condition(alone.mean, covariance, *read_given(measured, LABELS, n))
    sigma = np.sqrt(np.diagonal(after, axis1=1, axis2=2))
    shift = (together.mean - alone.mean) / sigma
    assert np.sqrt(np.mean(shift**2, 0)).min() > 0.15  # every label is moved, those not measured, too
    assert np.sqrt(np.mean(((mean - together.mean) / sigma) ** 2, 0)).max() < 0.15
    np.testing.assert_allclose(np.median(together.sigma / sigma, 0), 1, atol=0.08)


@pytest.fixture(scope="module")
def stars():
    return Survey("any", seed=5).draw(400, stream=44)


def test_the_bundled_network_gains_and_stays_calibrated(stars):
    """With temperatures of 30 K the other labels are better, and σ still holds two thirds of the errors."""
    truth = stars.labels.double().numpy()
    regressor = reduced(load_weights("any")[0], half_of("cpu"))  # off by a hundredth of σ, and faster
    mean, covariance = (
        x.double().numpy()
        for x in regressor.predict_covariance(stars.flux, stars.ivar, stars.lsf, stars.sampling)
    )
    rng = np.random.default_rng(2)
    used = np.isfinite(mean).all(1)
    measured = {"teff": (truth[used, 0] + 30 * rng.normal(size=used.sum()), 30.0)}
    after, left = condition(mean[used], covariance[used], *read_given(measured, LABELS, used.sum()))
    sigma = np.sqrt(np.diagonal(left, axis1=1, axis2=2))
    error, before = after - truth[used], mean[used] - truth[used]
    for k in (0, 1):
        assert 0.62 < np.mean(np.abs(error[:, k]) < sigma[:, k]) < 0.75
        assert np.mean(error[:, k] ** 2) < 0.9 * np.mean(before[:, k] ** 2)
    logg = 1 - np.mean(error[:, 1] ** 2) / np.mean(before[:, 1] ** 2)
    expected = 1 - np.mean(left[:, 1, 1]) / np.mean(covariance[used, 1, 1])
    assert logg == pytest.approx(expected, abs=0.1)  # the gain that the correlations promise


def test_in_all_predict_methods(example):
    estimator = LoggEstimator(labels=("logg", "teff"))
    plain, helped = (estimator.predict_table(example, **x) for x in ({}, {"given": {"teff": (4700, 20)}}))
    assert helped["logg_err"][0] < plain["logg_err"][0] and helped["teff_err"][0] < 20 * u.K
    with_units = {"Teff": (4.7 * u.kK, 20 * u.K)}
    mean, sigma = estimator.predict(example, return_std=True, given=with_units)
    assert mean["teff"] == helped["teff"][0] and sigma["logg"] == helped["logg_err"][0]
    found = estimator.predict_labels([example, example], given={"teff": ([4700, np.nan], 20)})
    np.testing.assert_allclose(found.mean[0, 1], helped["logg"][0].value, rtol=1e-5)
    np.testing.assert_allclose(found.mean[1, 1], plain["logg"][0].value, rtol=1e-5)
    logg = 2.2 * u.dex(u.cm / u.s**2)
    assert estimator.predict(example, given={"logg": (logg, 0.01)})["logg"].value == pytest.approx(
        2.2, abs=0.01
    )


@pytest.fixture(scope="module")
def example():
    from specvit import example_spectrum

    return example_spectrum()


def test_the_template_fit_has_a_covariance(example):
    fit = TemplateFit()
    plain, helped = (fit.predict_table(example, **x) for x in ({}, {"given": {"teff": (4700, 5)}}))
    assert helped["logg_err"][0] < plain["logg_err"][0] and helped["teff_err"][0] < 5 * u.K


@pytest.mark.slow
def test_who_has_no_correlations_says_so(example):
    with pytest.raises(ValueError, match="this LoggEstimator does not predict them"):
        LoggEstimator("paper").predict(example, given={"teff": (4700, 20)})
    survey = Survey("paper", n=60, seed=1)
    with pytest.raises(ValueError, match="this RidgeEstimator does not predict them"):
        RidgeEstimator().fit(survey).predict(example, given={"logg": (2, 0.1)})


@pytest.mark.parametrize(
    ("label", "value", "sigma", "expected"),
    [
        ("teff", np.ma.array([4700, 4800, 4900], mask=[0, 1, 0]), 20, [4700, None, 4900]),
        ("teff", [4700, np.ma.masked, 4900], np.ma.array([20, 20, 20], mask=[0, 0, 1]), [4700, None, None]),
        ("teff", np.ma.masked, 20, [None] * 3),
        ("teff", Masked([4.7, 4.8, 4.9], mask=[True, False, False]) * u.kK, 20, [None, 4800, 4900]),
        ("teff", MaskedColumn([4700, 1, 4900], mask=[0, 1, 0], unit="K"), 20, [4700, None, 4900]),
        ("teff", 4426.85 * u.deg_C, 20 * u.K, [4700] * 3),
        ("logg", [100, 1000, np.nan] * u.cm / u.s**2, 0.1, [2, 3, None]),
        ("logg", 0 * u.dex(u.m / u.s**2), 0.1 * u.dex, [2] * 3),
    ],
)
def test_units_convert_and_what_is_masked_was_not_measured(label, value, sigma, expected):
    values, spread = read_given({label: (value, sigma)}, LABELS, 3)
    column = LABELS.index(label)
    for k, wanted in enumerate(expected):
        assert np.isfinite(spread[k, column]) == (wanted is not None)
        assert wanted is None or values[k, column] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "given must be a dict"),
        ({"age": (1, 1)}, "given must be among .* got 'age'"),
        ({"teff": 4700}, r"given\['teff'\] must be \(value, σ\), got 4700"),
        ({"teff": (4700, 0)}, "positive σ"),
        ({"teff": (np.inf, 10)}, "finite values"),
        ({"teff": ([4700, 4800], 10)}, "one number or 3"),
        ({"teff": (4700 * u.AA, 10)}, r"value of given\['teff'\]: Teff must be .* got 'Angstrom'"),
        ({"teff": (4700, 10 * u.AA)}, r"σ of given\['teff'\]: Teff must be .* got 'Angstrom'"),
        ({"logg": (-1 * u.cm / u.s**2, 0.1)}, "which must be positive"),
        ({"teff": ([4700, -9999, 4700], 10)}, r"value of given\['teff'\]: Teff must lie .* got -9999"),
        ({"teff": ("4700", 10)}, "must be an array of real numbers"),
        ({"teff": (4700, 10), "Teff": (4700, 10)}, "different names"),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        read_given(given, LABELS, 3)

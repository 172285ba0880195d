"""Figures of merit against scikit-learn, SciPy and closed forms."""

import numpy as np
import pytest
import torch
from scipy.stats import median_abs_deviation, norm
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from specvit.assess import DEFINITIONS, METRICS, figures_of_merit, label_metrics, score_survey
from specvit.assess.metrics import bootstrap_errors, bootstrap_weights
from specvit.survey import Survey
from specvit.survey.streams import SCORING


def reference(truth, prediction, sigma):
    """Every figure by other people's code."""
    e = prediction - truth
    scatter = median_abs_deviation(e, scale="normal")
    return {
        "r2": r2_score(truth, prediction),
        "mae": mean_absolute_error(truth, prediction),
        "rmse": root_mean_squared_error(truth, prediction),
        "bias": np.mean(e),
        "scatter": scatter,
        "outliers": np.mean(np.abs(e) > 3 * scatter),
        "coverage68": np.mean(np.abs(e) <= sigma),
        "coverage95": np.mean(np.abs(e) <= norm.ppf(0.975) * sigma),
    }


def sample(n, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(3, 1, n)
    return truth, truth + 0.1 + 0.3 * rng.standard_t(3, n), rng.uniform(0.2, 0.5, n)


@pytest.mark.parametrize("n", [5, 6, 1000, 1001])
def test_every_figure_against_others_code(n):
    figures = figures_of_merit(*sample(n))
    assert tuple(figures) == METRICS == tuple(DEFINITIONS)
    assert figures == pytest.approx(reference(*sample(n)), rel=1e-12)


@pytest.mark.parametrize("n", [40, 41])
def test_the_error_is_the_spread_of_the_figures_of_the_repeated_stars(n):
    truth, prediction, sigma = sample(n)
    weights = bootstrap_weights(n, 20, np.random.default_rng(1))
    assert (weights.sum(1) == n).all()
    weights[:, : n // 3] = 0  # a bin has not the same number of stars in every resample
    repeated = [reference(*(np.repeat(x, counts) for x in (truth, prediction, sigma))) for counts in weights]
    for few in (slice(None), slice(2), slice(5, 7)):  # of two resamples, the difference of their figures / √2
        errors = bootstrap_errors(truth, prediction, sigma, weights[few])
        expected = {name: np.std([row[name] for row in repeated[few]], ddof=1) for name in METRICS}
        assert errors == pytest.approx(expected, rel=1e-9, abs=1e-14)


def test_bootstrap_errors_in_closed_form():
    """Gaussian residuals: bias has error s/√n, rmse s/√(2n), mae s√((1 − 2/π)/n), scatter 1.17 s/√n."""
    n, s = 4000, 0.5
    rng = np.random.default_rng(2)
    truth = rng.normal(0, 2, n)
    weights = bootstrap_weights(n, 1000, rng)
    errors = bootstrap_errors(truth, truth + rng.normal(0, s, n), np.full(n, s), weights)
    expected = {
        "bias": s / np.sqrt(n),
        "rmse": s / np.sqrt(2 * n),
        "mae": s * np.sqrt((1 - 2 / np.pi) / n),
        "scatter": 1.167 * s / np.sqrt(n),  # of the MAD: Rousseeuw & Croux 1993, efficiency 0.3674
        "coverage68": np.sqrt(0.6827 * 0.3173 / n),
        "coverage95": np.sqrt(0.95 * 0.05 / n),
        "r2": 2 * (s / 2) ** 2 / np.sqrt(n),  # of a ratio of two independent χ² of n: √(4/n) (1 − R²)
    }
    for name, value in expected.items():
        rel = 0.3 if name == "scatter" else 0.12  # the bootstrap of a quantile is right to n^(−1/4) only
        assert errors[name] == pytest.approx(value, rel=rel), name


def test_more_weights_than_are_held_at_once():
    """Two resamples repeated have the errors of the two, wherever the cuts between chunks fall."""
    truth, prediction, sigma = sample(20_000)
    kinds = bootstrap_weights(20_000, 2, np.random.default_rng(3))
    few = bootstrap_errors(truth, prediction, sigma, kinds)
    many = bootstrap_errors(truth, prediction, sigma, np.tile(kinds, (225, 1)))  # 9 million: three chunks
    expected = {name: value * np.sqrt(225 / (2 * 225 - 1)) for name, value in few.items()}
    assert many == pytest.approx(expected, rel=1e-9)


def test_figures_that_do_not_exist_are_nan():
    truth, prediction, sigma = sample(10)
    figures = figures_of_merit(truth, prediction)
    assert np.isnan([figures["coverage68"], figures["coverage95"]]).all() and np.isfinite(figures["r2"])
    assert np.isnan(figures_of_merit(np.full(10, 4.4), prediction)["r2"])
    assert np.isnan(list(figures_of_merit([], []).values())).all()
    none = bootstrap_errors(truth, prediction, sigma, bootstrap_weights(10, 0, np.random.default_rng(0)))
    assert np.isnan(list(none.values())).all()


def test_stars_without_sigma_are_left_out_of_coverage():
    truth, prediction = np.zeros(4), np.array([0.5, 1.5, 0.5, 0.5])
    figures = figures_of_merit(truth, prediction, [1, 1, np.nan, np.nan])
    assert figures["coverage68"] == 0.5 and figures["coverage95"] == 1


def test_a_constant_residual_has_no_scatter():
    figures = figures_of_merit(np.arange(5.0), np.arange(5.0) + 0.25)
    assert figures["scatter"] == 0 and figures["bias"] == 0.25 and figures["outliers"] == 1


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"one shape \(n,\), got \(3,\), \(3, 1\) and \(3,\)"):
        figures_of_merit(np.zeros(3), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="prediction must be finite, 1 of 2 are not"):
        figures_of_merit([1, 2], [1, np.nan])
    with pytest.raises(ValueError, match=r"weights must have shape \(size, 2\), got \(2, 3\)"):
        bootstrap_errors([1, 2], [1, 2], None, np.ones((2, 3)))


def test_the_record_of_weights():
    truth, prediction, sigma = sample(1000)
    figures = label_metrics(truth, prediction, sigma)
    assert list(figures) == ["r2", "mae", "rmse", "bias", "coverage"]
    assert figures["coverage"] == np.mean(np.abs(prediction - truth) <= sigma)
    assert "coverage" not in label_metrics(truth, prediction)


class Oracle:
    """Knows the labels of the stars that the survey will draw, and errs by a known amount."""

    label_names = ("teff", "logg", "mh", "alpham", "cm")
    label_scale = torch.ones(5)

    def __init__(self, survey):
        self.truth = iter(survey.draw(50, stream=SCORING + k).labels for _ in range(2) for k in range(4))

    def predict(self, flux, ivar):
        truth = next(self.truth)
        return truth + 0.5 * truth.std(0), torch.full_like(truth, 1e9)


def test_score_survey_draws_the_same_stars_at_each_magnitude():
    survey = Survey("paper", seed=3)
    table = score_survey(Oracle(survey), survey, n=200, magnitudes=(20.0, 22.5), batch_size=50)
    assert list(table) == ["20.0", "22.5"]
    for row in table.values():
        assert row["logg"]["coverage"] == 1 and row["unusable"] == 0
        assert row["teff"]["r2"] == pytest.approx(0.75, abs=0.02)  # 1 − 0.5²
    assert table["20.0"]["snr"] == pytest.approx(24, rel=0.05)
    assert table["22.5"]["snr"] == pytest.approx(2.8, rel=0.05)


def test_units_are_those_of_labels():
    import astropy.units as u

    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, 100)
    prediction, sigma = truth + 0.1 * rng.normal(size=100), np.full(100, 0.1)
    expected = label_metrics(truth, prediction, sigma)
    given = (truth - 2) * u.dex(u.m / u.s**2), prediction * u.dex(u.cm / u.s**2), sigma * u.dex
    assert label_metrics(*given) == pytest.approx(expected, rel=1e-9)
    kilo = label_metrics(truth * u.kK, prediction * 1000 * u.K, sigma * u.kK)
    assert kilo["mae"] == pytest.approx(1000 * expected["mae"], rel=1e-9)
    with pytest.raises(ValueError, match="prediction must be plain numbers or in the unit of a label"):
        label_metrics(truth, prediction * u.Jy, sigma)
    with pytest.raises(ValueError, match="truth must be finite, 3 of 100 are not"):
        label_metrics(np.ma.array(truth, mask=np.arange(100) < 3), prediction, sigma)

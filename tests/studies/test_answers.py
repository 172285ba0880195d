"""The law of size, and errors beside the Fisher prediction."""

import numpy as np
import pytest

from specvit.labels import LABELS
from studies.answers import correlation_table, fisher_correlations, fit_law
from studies.catalogue import STUDIES

LIMIT = 0.9


def made(a=0.4, b=0.7, scatter=0.0):
    parameters, seen = (x.ravel() for x in np.meshgrid([1e5, 3e5, 1e6, 3e6], [1e6, 3e6, 1e7]))
    distance = 5 * parameters**-a + 200 * seen**-b
    return parameters, seen, LIMIT - distance * np.exp(scatter * np.random.default_rng(0).normal(size=12))


def test_the_law_that_made_the_values_is_found():
    law = fit_law(*made(), LIMIT)
    assert law["a"][0] == pytest.approx(0.4, rel=1e-4) and law["b"][0] == pytest.approx(0.7, rel=1e-4)
    assert law["log_a"][0] == pytest.approx(np.log(5), abs=1e-3)


def test_errors_of_the_exponents_cover_the_truth():
    law = fit_law(*made(scatter=0.02), LIMIT)
    for name, truth in (("a", 0.4), ("b", 0.7)):
        value, err = law[name]
        assert 0 < err < 0.5 and abs(value - truth) < 3 * err


@pytest.mark.parametrize("change", [lambda x: x[:4], lambda x: np.where(x == x[0], 1, x)])
def test_a_law_needs_enough_trainings_below_the_limit(change):
    parameters, seen, r2 = made()
    r2 = change(r2)
    with pytest.raises(ValueError, match="r2 must be"):
        fit_law(parameters[: len(r2)], seen[: len(r2)], r2 if len(r2) < 5 else r2 + (r2 == 1), LIMIT)


def test_the_fisher_prediction_is_that_of_the_formula():
    from specvit.limits import survey_fisher
    from specvit.survey import Survey

    survey, rng = Survey("paper"), np.random.default_rng(20_000)
    labels = survey.prior.sample(30, rng)
    fisher = survey_fisher(survey, labels, rng.uniform(20.5, 22.5, 30))
    matrix = fisher.matrix.copy()  # labels, then the amplitude, which has no prior
    matrix[:, range(5), range(5)] += labels.std(0) ** -2.0
    covariance = np.linalg.inv(matrix)[:, :5, :5].mean(0)
    size = np.sqrt(np.diag(covariance))
    assert fisher_correlations(30) == pytest.approx(covariance / np.outer(size, size), abs=1e-6)


def test_measured_correlations_stand_beside_the_prediction():
    study = STUDIES["several"]
    one = study.variants["five"][0]
    matrix = np.eye(5)
    matrix[0, 1] = matrix[1, 0] = 0.3
    rows = {one.key: {"error_correlation": matrix.tolist()}}
    table = correlation_table(study, rows, np.eye(5)).set_index("labels")
    assert list(table.columns) == ["Fisher", "five"] and len(table) == 10
    assert table.loc[f"{LABELS[0]}, {LABELS[1]}", "five"] == 0.3

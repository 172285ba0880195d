"""Correlations of errors beside the Fisher prediction, distances to the limit, and crossings."""

import numpy as np
import pandas as pd
import pytest

from specvit.labels import LABELS
from studies.answers import (
    BAYES_LIMIT,
    correlation_table,
    crossing,
    crossing_table,
    difference_table,
    fisher_correlations,
    label_table,
    limit_of,
)
from studies.catalogue import STUDIES


def test_the_fisher_prediction_is_that_of_the_formula():
    from specvit.limits import survey_fisher
    from specvit.survey import Survey

    survey, rng = Survey("paper"), np.random.default_rng(20_000)
    labels = survey.prior.sample(30, rng)
    fisher = survey_fisher(survey, labels, rng.uniform(20.5, 22.5, 30)).keep(*LABELS)
    prior = np.cov(labels.T)
    assert prior[3, 4] > 0.2 * np.sqrt(prior[3, 3] * prior[4, 4])  # [alpha/M] bounds [C/M]
    # C − C (C + F⁻¹)⁻¹ C: the gain of a Kalman filter, instead of an inverse of the sum of information
    covariance = np.mean(
        [prior - prior @ np.linalg.solve(prior + one, prior) for one in fisher.covariance], 0
    )
    size = np.sqrt(np.diag(covariance))
    assert fisher_correlations(30) == pytest.approx(covariance / np.outer(size, size), abs=1e-6)


def test_measured_correlations_stand_beside_the_prediction():
    study = STUDIES["several"]
    one = study.variants["five"][0]
    matrix = np.eye(5)
    matrix[0, 1] = matrix[1, 0] = 0.3
    rows = {one.key: {"error_correlation": matrix.tolist()}}
    rows |= {other.key: {} for other in study.variants["five"][1:]}  # early rows have none
    table = correlation_table(study, rows, np.eye(5)).set_index("labels")
    assert list(table.columns) == ["Fisher", "five"] and len(table) == 10
    assert table.loc[f"{LABELS[0]}, {LABELS[1]}", "five"] == 0.3


def test_a_crossing_lies_where_straight_lines_in_the_logarithm_meet():
    sizes = [1e3, 1e4, 1e5]
    # first − second: −0.1, +0.1, +0.1: halfway between 10³ and 10⁴ in the logarithm
    ((size, above),) = crossing(sizes, [0.4, 0.7, 0.8], [0.5, 0.6, 0.7])
    assert size == pytest.approx(10**3.5) and above
    assert crossing(sizes, [0.5, 0.6, 0.7], [0.4, 0.5, 0.6]) == []
    (one, two) = crossing(sizes, [0.4, 0.7, 0.4], [0.5, 0.5, 0.5])
    assert one[1] and not two[1]


def curves(**values):
    lines = [
        {"name": name, "spectra": n, "r2": r2, "label": "logg", "test": "paper", "condition": np.nan}
        for name, own in values.items()
        for n, r2 in own.items()
    ]
    return pd.DataFrame(lines)


def test_the_reference_overtakes_trees_between_its_first_two_sizes():
    # Of its own values 0.434, 0.596 against 0.488, 0.553: −0.054 and +0.043 at 50,000 and 100,000.
    table = curves(**{"ViT, reference": {5e4: 0.8, 2e5: 0.8}, "LightGBM, pixels": {5e4: 0.7, 2e5: 0.9}})
    (line,) = crossing_table(STUDIES["scaling"], table).to_dict("records")
    assert line["crossing"] == "is overtaken at 100,000" and line["smallest"] == "+0.100 (50,000)"
    expected = 50_000 * 2 ** (0.054 / 0.097)
    assert line["reference: crossing"] == f"overtakes at {int(float(f'{expected:.2g}')):,}"


def test_the_limit_is_that_of_the_test_stars_where_it_is_known():
    table = curves(**{"MLP": {5e4: 0.8}})
    assert limit_of(table) == BAYES_LIMIT[0]
    assert limit_of(pd.concat([table, curves(**{"Bayes limit": {np.nan: 0.89}})])) == 0.89


def test_who_is_ahead_is_told_at_each_size_here_and_of_the_reference():
    network = {2e4: 0.75, 5e4: 0.8, 1e5: 0.82}
    table = curves(
        **{
            "ViT, reference": network,
            "MLP": network,
            "Ridge": {5e4: 0.7},
            "LightGBM, pixels": {2e4: 0.8, 5e4: 0.79},
        }
    )
    found = difference_table(STUDIES["scaling"], table).set_index("spectra")
    assert list(found.index) == ["20,000", "50,000", "100,000"] and "over MLP" not in found
    assert list(found["over LightGBM, pixels"]) == ["-0.050", "+0.010", ""]
    assert list(found["over Ridge"]) == ["", "+0.100", ""]
    # Of its own values 0.434 against 0.488 and 0.442 at 50,000; it has none at 20,000.
    beside = found.filter(like="reference: ")
    assert dict(beside.loc["50,000"]) == {
        "reference: R²": "0.434",
        "reference: over Ridge": "-0.008",
        "reference: over LightGBM, pixels": "-0.054",
    }
    assert (beside.loc["20,000"] == "").all()


def test_a_label_alone_stands_beside_what_several_make_of_it():
    lines = [("mh alone", "mh", 0.81, 0.01), ("five", "mh", 0.82, np.nan), ("five", "logg", 0.9, 0.002)]
    average = pd.DataFrame(lines, columns=["name", "label", "r2", "r2_err"])
    average = average.assign(test="paper", condition=np.nan)
    bright = average.assign(condition=20.5, r2=0.1)
    found = label_table(pd.concat([average, bright])).set_index("label")
    assert list(found.index) == list(LABELS) and list(found.columns) == ["alone", "five"]
    assert found.loc["mh", "alone"] == "0.8100 ± 0.0100" and found.loc["mh", "five"] == "0.8200"
    assert found.loc["logg", "alone"] == "" and found.loc["logg", "five"] == "0.9000 ± 0.0020"

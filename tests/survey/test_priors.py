"""Label priors against their definitions."""

import numpy as np
import pytest
from scipy import stats

from specvit.stars.library import carbon_star
from specvit.survey.priors import PRIORS, LabelPrior


@pytest.mark.parametrize("column", range(4))
def test_paper_labels_are_beta_distributed(column):
    labels = PRIORS["paper"].sample(20_000, np.random.default_rng(0))
    low, high = PRIORS["paper"].ranges[column]
    assert stats.kstest((labels[:, column] - low) / (high - low), stats.beta(0.7, 0.7).cdf).pvalue > 1e-3


def test_paper_carbon_is_bounded_by_alpha():
    labels = PRIORS["paper"].sample(20_000, np.random.default_rng(1))
    top = np.minimum(0.5, labels[:, 3] + 0.15)
    assert stats.kstest((labels[:, 4] + 0.6) / (top + 0.6), stats.beta(0.7, 0.7).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", PRIORS)
def test_samples_are_in_the_support_and_no_carbon_stars(name):
    labels = PRIORS[name].sample(5000, np.random.default_rng(2))
    assert PRIORS[name].contains(labels).all()
    assert not carbon_star(labels).any()
    assert not PRIORS[name].contains(labels + np.array([5000, 0, 0, 0, 0])).any()


def test_hot_giants_are_left_out_where_the_library_has_none():
    prior = PRIORS["pfs-mr"]
    assert not prior.contains(np.array([[6400, 0.5, 0, 0, 0]])).any()
    assert prior.contains(np.array([[4500, 0.5, 0, 0, 0]])).all()


def test_survey_priors_stay_inside_the_library(test_data):
    with np.load(test_data / "library_labels.npz") as archive:
        labels = archive["labels"]
    useful = labels[~carbon_star(labels)]
    for prior in PRIORS.values():
        for (low, high), column in zip(prior.ranges, useful.T, strict=True):
            assert (
                column.min() - 1e-6 <= low + 0.02 * (high - low)
                and high - 0.02 * (high - low) <= column.max()
            )


def test_uniform_is_shape_one():
    prior = LabelPrior((4000, 6000), (1, 5), (-1, 0), (0, 0.4), (-0.4, 0.1))
    labels = prior.from_unit(np.full((1, 5), 0.5))
    assert labels[0] == pytest.approx([5000, 3, -0.5, 0.2, -0.15])

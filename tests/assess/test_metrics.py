"""Figures of merit against scikit-learn and closed forms."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from specvit.assess import label_metrics, score_survey
from specvit.simulate import Survey


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.normal(3, 1, 1000)
    prediction = truth + rng.normal(0.1, 0.3, 1000)
    figures = label_metrics(truth, prediction, np.full(1000, 0.3))
    assert figures["r2"] == pytest.approx(r2_score(truth, prediction))
    assert figures["mae"] == pytest.approx(mean_absolute_error(truth, prediction))
    assert figures["rmse"] == pytest.approx(root_mean_squared_error(truth, prediction))
    assert figures["bias"] == pytest.approx(0.1, abs=0.03)
    assert figures["coverage"] == pytest.approx(0.65, abs=0.05)
    assert "coverage" not in label_metrics(truth, prediction)


class Oracle:
    """Knows the labels of the stars that the survey will draw, and errs by a known amount."""

    label_names = ("teff", "logg", "mh", "alpham", "cm")
    label_scale = torch.ones(5)

    def __init__(self, survey):
        self.truth = iter(survey.draw(50, stream=2**43 + k).labels for _ in range(2) for k in range(4))

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

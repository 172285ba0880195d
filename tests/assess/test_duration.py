"""What a trial says of the time that an evaluation will take."""

import time

import numpy as np
import pytest

from specvit.assess import duration
from specvit.assess.duration import TRIAL, expected_seconds
from specvit.predictors import Predictions
from specvit.survey import Survey


class Slow:
    """A predictor that takes its time for each spectrum, and more at first."""

    label_names = ("logg",)

    def __init__(self, seconds):
        self.seconds, self.asked = seconds, []

    def predict_labels(self, X, *, ivar=None, on_error="raise"):
        time.sleep(self.seconds * len(X) + (0.0 if self.asked else 0.5))
        self.asked.append(len(X))
        return Predictions(("logg",), np.full((len(X), 1), 3.0), np.ones((len(X), 1)), (len(X),))


def test_time_of_predictions_is_that_of_their_number():
    slow = Slow(5e-3)
    told = expected_seconds({"slow": slow}, Survey("paper"), n=1000, magnitudes=[20, 21, 22], limits=False)
    assert slow.asked == [2, TRIAL]
    assert told == {"predictions": pytest.approx(15.0, rel=0.3)}  # the wait at first is not counted


def test_limits_are_timed_at_the_middle_magnitude(monkeypatch):
    asked = []

    def evaluate(predictors, data, *, progress, **options):
        asked.append(options)
        if progress:
            for what, end in (("predictions", 1.0), ("limits", 6.0)):
                for now, done in ((0.0, 0), (end, TRIAL)):
                    monkeypatch.setattr(duration.time, "monotonic", lambda now=now: now)
                    progress(what, done, TRIAL)

    monkeypatch.setattr(duration, "evaluate", evaluate)
    options = {"n": 640, "magnitudes": [22, 20, 21], "limit_stars": 130, "seed": 4}
    told = expected_seconds({}, Survey("paper"), **options)
    assert told == {"predictions": 30.0, "limits": 54.0}  # three rounds of limits at each of three magnitudes
    assert asked[1]["magnitudes"] == [21] and asked[1]["seed"] == 4 and asked[1]["limit_stars"] == TRIAL


def test_nothing_is_tried_where_there_is_little_to_do():
    slow = Slow(0.0)
    assert expected_seconds({"slow": slow}, Survey("paper"), n=3 * TRIAL, limits=False) == {}
    assert slow.asked == []

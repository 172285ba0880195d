"""No silent wrong number: kinds of trouble, and what a predictor says of them."""

import pytest

from specvit import LoggEstimator
from specvit.assess.campaign import campaign, summary
from specvit.assess.scene import STARS
from specvit.assess.troubles import TROUBLES


@pytest.fixture(scope="module")
def estimator():
    return LoggEstimator(device="cpu")


def test_the_worst_are_told(estimator):
    """At S/N 30, of a metal-poor giant: each was 1 to 3 dex off without a word."""
    names = ("velocity +100 km/s", "air called vacuum", "R 2000 called the grid's", "noise about 1")
    kinds = [trouble for trouble in TROUBLES if trouble.name in names]
    assert len(kinds) == len(names)
    cells = campaign(estimator, snr=(30,), stars={"it": STARS["metal-poor"]}, troubles=kinds, draws=5)
    assert all(cell.told == 1 for cell in cells)


def test_the_harmless_are_left_alone(estimator):
    kinds = [
        trouble for trouble in TROUBLES if trouble.name in ("untouched", "σ × 0.33", "velocity +20 km/s")
    ]
    cells = list(campaign(estimator, snr=(30,), troubles=kinds, draws=4))
    assert len(cells) == 15 and summary(cells)["false_alarms"] <= 0.05


@pytest.mark.slow
def test_the_whole_campaign(estimator):
    found = summary(campaign(estimator))
    assert found["share"] <= 0.04 and found["false_alarms"] <= 0.02

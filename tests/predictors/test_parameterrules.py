"""Parameters of the wrong type: an error of fit or predict names them and the rule."""

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from specvit import LoggEstimator
from specvit.grid import PixelGrid
from specvit.predictors import LightGBMEstimator, RidgeEstimator, TemplateFit
from specvit.predictors.parameterrules import BOOSTING, NETWORK, RIDGE, TEMPLATE, check_parameters

GRID = PixelGrid.linear(7100, 7500, 64, 4.0)
X = 1 + 0.1 * np.random.default_rng(0).normal(size=(120, 64))
Y = np.linspace(1, 4, 120)
ESTIMATORS = {
    LoggEstimator: NETWORK,
    RidgeEstimator: RIDGE,
    LightGBMEstimator: BOOSTING,
    TemplateFit: TEMPLATE,
}
CASES = [(cls, name) for cls, rules in ESTIMATORS.items() for name in rules]
OTHERS = {"labels": [5, True, [1, 2], 2.5, b"x"], "random_state": [-1, 2.5, "abc", [1, 2]]}
OTHERS |= {"device": [5, "abc", True], "weights": [5, True, ["any"], b"any"], "progress": [5, "yes"]}


@pytest.mark.parametrize(("cls", "name"), CASES, ids=[f"{cls.__name__}-{name}" for cls, name in CASES])
def test_wrong_types_are_named(cls, name):
    for value in (object(), np.array([1.0, 2.0]), {"a": 1.5}, *OTHERS.get(name, ())):
        if isinstance(value, dict) and name == "labels":
            continue  # the names are its keys, which are no labels: judged there
        with pytest.raises(ValueError, match=rf"^{name} must be .*, got "):
            cls(**{name: value}).fit(X, Y, ivar=np.full(X.shape, 100.0))
    if cls is LoggEstimator:
        with pytest.raises(ValueError, match=rf"^{name} must be .*, got "):
            cls(**{name: object()}).predict(X)


def test_the_positional_argument_of_the_issue():
    with pytest.raises(ValueError, match=r"^weights must be a name of bundled weights .*, got 5$"):
        LoggEstimator(5).predict(X)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_every_parameter_has_a_rule_that_its_default_meets(cls):
    parameters = set(inspect.signature(cls).parameters)
    assert parameters - {"gaussian", "l2"} <= set(ESTIMATORS[cls]) <= parameters
    check_parameters(cls(), ESTIMATORS[cls])


@pytest.mark.parametrize(
    "parameters",
    [
        {"labels": pd.Index(["logg", "teff"]), "random_state": np.int64(3), "device": torch.device("cpu")},
        {"labels": np.array(["logg"]), "random_state": np.random.RandomState(1), "weights": Path("any")},
        {"weights": None, "grid": GRID, "patch_size": np.int32(8), "dropout": 0, "epochs": np.int64(1)},
        {"progress": np.True_, "device": "cuda:1", "learning_rate": np.float32(1e-3)},
    ],
)
def test_types_that_mean_the_same_are_taken(parameters):
    check_parameters(clone(LoggEstimator(**parameters)), NETWORK)

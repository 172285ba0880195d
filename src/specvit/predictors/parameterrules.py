"""Types of the parameters of estimators: a wrong one raises an error that names it, before work begins.

As scikit-learn wants it, a constructor takes everything; ``fit`` and ``predict`` judge. Ranges and words are
judged where they are used.
"""

from __future__ import annotations

import os
from numbers import Integral, Real

import numpy as np
import torch

from specvit.grid import PixelGrid

__all__ = ["BOOSTING", "NETWORK", "RIDGE", "TEMPLATE", "check_parameters"]


def check_parameters(estimator, rules):
    """Raise unless each parameter of an estimator is of a type that it may have.

    Parameters
    ----------
    estimator : object
        With an attribute for each of the rules.
    rules : dict of str to tuple of (str, callable)
        Parameter -> what it must be, in words, and whether a value is so.

    Raises
    ------
    ValueError
        Names the parameter, the rule and the value.
    """
    for name, (what, holds) in rules.items():
        value = getattr(estimator, name)
        if not holds(value):
            raise ValueError(f"{name} must be {what}, got {value!r}")


def _integer(value):
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def _number(value):
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _is_seed(value):
    sequence = isinstance(value, np.random.RandomState | np.random.Generator)
    return value is None or sequence or (_integer(value) and value >= 0)


def _is_device(value):
    if isinstance(value, torch.device) or (isinstance(value, str) and value == "auto"):
        return True
    try:
        return isinstance(value, str) and bool(torch.device(value))
    except RuntimeError:
        return False


def _are_labels(value):
    if isinstance(value, str):
        return True
    several = isinstance(value, list | tuple) or (hasattr(value, "shape") and np.ndim(value) == 1)
    return several and all(isinstance(one, str) for one in value)


def _optional(rule):
    what, holds = rule
    return f"{what}, or None", lambda value: value is None or holds(value)


def _or_word(word, rule):
    what, holds = rule
    return f"{word!r} or {what}", lambda value: (isinstance(value, str) and value == word) or holds(value)


_INTEGER = ("an integer", _integer)
_NUMBER = ("a number", _number)
_WORD = ("a str", lambda value: isinstance(value, str))
_PATH = ("a path", lambda value: isinstance(value, str | os.PathLike))
_GRID = _optional(("a PixelGrid", lambda value: isinstance(value, PixelGrid)))
_LABELS = _optional(("the name of a label, or a sequence of names", _are_labels))
_SEED = ("an integer not below 0, a RandomState or None", _is_seed)
_DEVICE = ("'auto', 'cpu', 'cuda' or another device of torch", _is_device)
_FLAG = _optional(("True or False", lambda value: isinstance(value, bool | np.bool_)))

_COMMON = {"labels": _LABELS, "device": _DEVICE, "random_state": _SEED}
#: Parameters of `~specvit.LoggEstimator`.
NETWORK = {
    "weights": _optional(("a name of bundled weights or the path of a file", _PATH[1])),
    "grid": _GRID,
    **_COMMON,
    **dict.fromkeys(("encoding", "tokenizer", "position", "loss"), _optional(_WORD)),
    **dict.fromkeys(("patch_size", "width", "depth", "heads", "patience"), _optional(_INTEGER)),
    **dict.fromkeys(("dropout", "learning_rate", "gradient_clip", "ema_decay"), _optional(_NUMBER)),
    **dict.fromkeys(("epochs", "batch_size", "devices"), _INTEGER),
    **dict.fromkeys(("weight_decay", "validation_fraction"), _NUMBER),
    "precision": _WORD,
    "progress": _FLAG,
    "checkpoint_dir": _optional(_PATH),
}
_FEATURES = {"grid": _GRID, **_COMMON, "encoding": _WORD, "validation_fraction": _NUMBER}
#: Parameters of `~specvit.predictors.RidgeEstimator`.
RIDGE = {"alpha": _or_word("auto", _NUMBER), **_FEATURES}
#: Parameters of `~specvit.predictors.LightGBMEstimator`.
BOOSTING = {
    **_FEATURES,
    "n_components": _optional(_INTEGER),
    **dict.fromkeys(
        ("n_trees", "num_leaves", "min_child_samples", "max_bin", "patience", "n_jobs"), _INTEGER
    ),
    **dict.fromkeys(("learning_rate", "feature_fraction", "bagging_fraction", "l2"), _NUMBER),
}
#: Parameters of `~specvit.predictors.TemplateFit`.
TEMPLATE = {
    "emulator": _optional(("an Emulator", lambda value: hasattr(value, "label_range"))),
    "prior": _optional(("a prior of stars, as survey.prior", lambda value: hasattr(value, "sample"))),
    **_COMMON,
    **dict.fromkeys(("continuum", "n_templates", "n_starts", "max_iter", "batch_size"), _INTEGER),
    "max_velocity": _optional(_NUMBER),
    "tol": _NUMBER,
}

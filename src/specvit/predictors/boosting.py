"""Gradient-boosted trees on pixels: LightGBM with the interface of the estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.extmath import randomized_svd

from specvit.grid import PixelGrid
from specvit.predictors.featureregressor import FeatureRegressor
from specvit.predictors.parameterrules import BOOSTING

__all__ = ["LightGBMEstimator"]

_MOST_FOR_COMPONENTS = 10_000  # spectra that the principal components are found from


class LightGBMEstimator(FeatureRegressor):
    """Gradient-boosted regression trees (LightGBM: Ke et al. 2017, NIPS 30, 3146), one model for each label.

    Needs ``lightgbm``: ``pip install specvit[evaluate]``.

    Parameters
    ----------
    grid : PixelGrid, optional
        Pixels of the spectra; by default those of the survey or data set, or PFS MR.
    labels : str or sequence of str, optional
        Labels of a survey or data set to learn, or the names of the columns of `y`, in any spelling;
        `predict` gives the same. By default log g alone, because each label takes as long as the first. None:
        all.
    n_components : int, optional
        Number of principal components of the training spectra that are the features instead of the pixels. A
        split of a tree looks at one number. A single pixel of a faint spectrum says little, a component sums
        over thousands. It is to be used with ``encoding="weighted"``; else the components are those of noise.
    n_trees : int
        Largest number of trees; there are fewer if the held-out error stops falling.
    learning_rate : float
        Share of each tree that is added.
    num_leaves, min_child_samples : int
        Largest number of leaves of a tree, and smallest number of spectra in a leaf.
    feature_fraction : float
        Share of the features that each tree may use.
    bagging_fraction : float
        Share of the spectra that each tree is grown on.
    l2 : float
        Penalty on the values of leaves.
    max_bin : int
        Number of bins into which the values of a feature are sorted.
    patience : int
        Trees without a lower held-out error after which to stop.
    encoding : {"median", "weighted", "none"}
        How a spectrum becomes features, see `specvit.network.encode`; ``"none"`` takes any features, in
        arrays.
    validation_fraction : float
        Share of the spectra, at most 10,000, that are held out of the training to stop it and to measure σ.
    n_jobs : int
        Threads; 0 is LightGBM's choice.
    device : str or torch.device
        Where a survey is simulated; trees grow on the CPU.
    random_state : int
        Seed of the choice of held-out spectra, and of the spectra and features of each tree.

    Attributes
    ----------
    label_names_ : tuple of str
        Labels that were learned, those of `predict_table`; also `label_names`.
    output_names : tuple of str
        Labels that `predict` gives.
    boosters_ : list of lightgbm.Booster
        The trees, one model for each label.
    components_ : tuple of ndarray, or None
        Mean (n_features,) and principal components (n_components, n_features) of the features that were not
        held out; None without `n_components`.
    n_trees_ : list of int
        Number of trees in the model of each label.
    validation_r2_ : ndarray, shape (n_labels,)
        R² on the held-out spectra; slightly too high, because they also decided when to stop.
    n_spectra_ : int
        Spectra used; those without a positive median flux are left out.
    grid_ : PixelGrid or None
        Pixels of the spectra; None for plain features.
    label_range_ : dict of str to (float, float)
        Lowest and highest value of each label that was learned, beyond which it is flagged.
    columns_ : tuple of str or None
        Names of the columns of a two-dimensional `y`; None otherwise.
    n_features_in_ : int
        Pixels of the spectra.
    feature_names_in_ : ndarray of str
        Names of the columns, of plain features in a data frame with names only.

    Raises
    ------
    ImportError
        By `fit`, if lightgbm is not installed.

    See Also
    --------
    RidgeEstimator : A linear fit, in one pass over any number of spectra.
    specvit.LoggEstimator : The network, which is used in the same way.

    Notes
    -----
    Advantages: pixels interact; hardly a parameter has to be tuned. Disadvantages: each split looks at one
    number, so that faint spectra need components; labels are learned one by one; σ is that of held-out
    spectra of the same S/N, not one of each star.

    Unlike `~specvit.predictors.RidgeEstimator` it must hold all features at once, as float32: 0.8 GB for
    50,000 spectra of 4096 pixels; with `n_components`, only these.

    Examples
    --------
    A product of two features, which no linear fit finds:

    >>> from specvit.predictors import LightGBMEstimator
    >>> x = np.random.default_rng(0).normal(size=(1000, 2))
    >>> trees = LightGBMEstimator(encoding="none", feature_fraction=1.0, n_jobs=1).fit(x, x[:, 0] * x[:, 1])
    >>> bool(trees.validation_r2_[0] > 0.8)
    True
    """

    _rules = BOOSTING

    def __init__(
        self,
        *,
        grid: PixelGrid | None = None,
        labels: str | Sequence[str] = "logg",
        n_components: int | None = None,
        n_trees: int = 2000,
        learning_rate: float = 0.05,
        num_leaves: int = 31,
        min_child_samples: int = 50,
        feature_fraction: float = 0.05,
        bagging_fraction: float = 0.7,
        l2: float = 1.0,
        max_bin: int = 63,
        patience: int = 50,
        encoding: str = "median",
        validation_fraction: float = 0.1,
        n_jobs: int = 0,
        device: Any = "cpu",
        random_state: Any = 0,
    ) -> None:
        self.grid = grid
        self.labels = labels
        self.n_components = n_components
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.feature_fraction = feature_fraction
        self.bagging_fraction = bagging_fraction
        self.l2 = l2
        self.max_bin = max_bin
        self.patience = patience
        self.encoding = encoding
        self.validation_fraction = validation_fraction
        self.n_jobs = n_jobs
        self.device = device
        self.random_state = random_state

    def _learn(self, batches):
        lightgbm = _lightgbm()
        if self.n_components is not None and self.n_components < 1:
            raise ValueError(f"n_components must be at least 1, got {self.n_components!r}")
        x, labels, snr, held_out, self.components_ = _collect(batches, self.n_components, self.random_state)
        if not held_out.any() or held_out.all():
            raise ValueError(f"X must hold spectra of positive median flux, got {len(x)} of {batches.n}")
        options = {"free_raw_data": False, "params": self._parameters()}
        training = lightgbm.Dataset(x[~held_out], labels[~held_out, 0], **options).construct()
        check = lightgbm.Dataset(x[held_out], labels[held_out, 0], reference=training, **options).construct()
        self.boosters_, prediction = [], []
        for k in range(labels.shape[1]):
            training.set_label(labels[~held_out, k])
            check.set_label(labels[held_out, k])
            booster = lightgbm.train(
                self._parameters(),
                training,
                self.n_trees,
                valid_sets=[check],
                callbacks=[lightgbm.early_stopping(self.patience, verbose=False)],
            )
            self.boosters_.append(booster)
            prediction.append(booster.predict(x[held_out], num_iteration=booster.best_iteration))
        self.n_trees_ = [booster.best_iteration for booster in self.boosters_]
        return np.stack(prediction, 1), labels[held_out], snr[held_out], len(x)

    @property
    def _device(self):
        return self.device

    def _labels(self, x):
        x = x.float().numpy()
        if self.components_ is not None:
            x = _scores(x, self.components_)
        return np.stack([b.predict(x, num_iteration=b.best_iteration) for b in self.boosters_], 1)

    def _parameters(self):
        return {
            "objective": "regression",
            "metric": "l2",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_child_samples": self.min_child_samples,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "lambda_l2": self.l2,
            "max_bin": self.max_bin,
            "num_threads": self.n_jobs,
            "seed": self.random_state,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }


def _lightgbm():
    try:
        import lightgbm
    except ImportError as error:
        raise ImportError(
            "LightGBMEstimator needs lightgbm, which is not installed: pip install specvit[evaluate]"
        ) from error
    return lightgbm


def _collect(batches, n_components, seed):
    """Features (float32), labels, S/N and held-out marks of all usable spectra, and the components.

    With `n_components` the features are scores, and only the first spectra are ever held whole.
    """
    x, at, parts, components = None, 0, [], None
    labels, snr, held_out = [], [], []
    for features, values, ratio, chosen in batches:
        features = features.float().cpu().numpy()
        labels.append(values.cpu().numpy())
        snr.append(ratio.double().cpu().numpy())
        held_out.append(chosen.cpu().numpy())
        at += len(features)
        if n_components is None:
            if x is None:  # filled in place: a list of batches would hold everything twice
                x = np.empty((batches.n, features.shape[1]), np.float32)
            x[at - len(features) : at] = features
            continue
        parts.append(features if components is None else _scores(features, components))
        if components is None and at >= _MOST_FOR_COMPONENTS:
            components = _principal(parts, held_out, n_components, seed)
            parts = [_scores(part, components) for part in parts]
    if n_components is None:
        x = x[:at]
    elif components is None:
        components = _principal(parts, held_out, n_components, seed)
        x = np.concatenate([_scores(part, components) for part in parts])
    else:
        x = np.concatenate(parts)
    return x, np.concatenate(labels), np.concatenate(snr), np.concatenate(held_out), components


def _principal(parts, held_out, n_components, seed):
    """Mean (p,) and leading principal components (k, p) of the features that are not held out."""
    x = np.concatenate([part[~chosen] for part, chosen in zip(parts, held_out, strict=True)])
    if not n_components < min(x.shape):
        raise ValueError(
            f"n_components must be below the numbers of spectra and of features, {min(x.shape)}, "
            f"got {n_components!r}"
        )
    mean = x.mean(0)
    x -= mean
    return mean, randomized_svd(x, n_components, random_state=seed)[2]


def _scores(x, components):
    mean, vectors = components
    return (x - mean) @ vectors.T

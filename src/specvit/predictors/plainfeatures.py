"""Plain features instead of spectra: what an estimator with ``encoding="none"`` accepts."""

from __future__ import annotations

import numpy as np

from specvit.spectra.given import numbers_given, real_array
from specvit.spectra.kinds import Kind, kind_of

__all__ = ["feature_names", "plain_features", "take_features"]


def plain_features(X, ivar, medium, resolution):
    """Features as scikit-learn takes them, NaN where masked.

    Parameters
    ----------
    X : array-like, shape (n, n_features), or SpectrumBatch
        Numbers of any kind, without unit; a batch is taken for its fluxes.
    ivar : array-like, shape of `X`, or None
        A value that is not positive masks a feature.
    medium, resolution : None
        Spectra have these, features do not.

    Returns
    -------
    features : array-like, shape (n, n_features)
    shape : tuple of int, or None
        That of a `SpectrumBatch`.

    Raises
    ------
    TypeError
        If `X` holds spectra, or has a unit.
    ValueError
        If `ivar` has another shape, or `medium` or `resolution` is given.
    """
    if not (medium is None and resolution is None):
        raise ValueError("medium and resolution are for spectra, not for plain features")
    kind = kind_of(X)
    if kind is Kind.BATCH and ivar is None:
        return np.where(X.ivar > 0, X.flux, np.nan), X.shape
    if kind is not Kind.ARRAY:
        raise TypeError(
            f"X must be an array for an estimator of plain features (encoding='none'), got {type(X).__name__}"
        )
    if ivar is not None:
        X, weight = _features(X), numbers_given(ivar, "ivar").visible
        if weight.shape != X.shape:
            raise ValueError(f"ivar must have the shape of X {X.shape}, got {weight.shape}")
        X = np.where(weight > 0, X, np.nan)
    elif hasattr(X, "detach") or hasattr(X, "unit") or isinstance(X, np.ma.MaskedArray):
        X = _features(X)
    return X, None


def feature_names(estimator, grid):
    """Names of the features of an estimator's fit, a list of str for its record; empty without names."""
    return [] if grid is not None else list(getattr(estimator, "feature_names_in_", ()))


def take_features(estimator, regressor, grid, record):
    """Tell an estimator what scikit-learn asks of it: number and names of features of a network from a file.

    Parameters
    ----------
    estimator : LoggEstimator
        Its ``n_features_in_`` and ``feature_names_in_`` are set for a network of plain features.
    regressor, grid, record
        From `specvit.weights.load_weights`.
    """
    if grid is None:
        estimator.n_features_in_ = regressor.config.n_pixels
        if record.get("features"):
            estimator.feature_names_in_ = np.array(record["features"], dtype=object)


def _features(X):
    """`X` as an array, NaN where masked; a unit is refused, because nobody would convert another later."""
    given = numbers_given(X, "X")
    return real_array(given.visible if given.unit is None else X, "X")

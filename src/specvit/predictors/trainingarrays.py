"""Spectra in memory with their true labels: what ``fit`` learns from, and what ``score`` compares with."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import validate_data

from specvit.predictors.plainfeatures import plain_features
from specvit.predictors.truelabels import TrueLabels
from specvit.spectra import adapt
from specvit.spectra.given import numbers_given

__all__ = ["r2_of_labels", "training_arrays"]


def training_arrays(estimator, X, y, grid, *, known=None, ivar, medium, resolution, on_error, **rules):
    """What ``fit`` is given in memory.

    Parameters
    ----------
    estimator : Predictor
        Who learns; its `labels` name the columns of `y`.
    X, y, ivar, medium, resolution, on_error
        As for its ``fit``.
    grid : PixelGrid or None
        Pixels of the spectra; None for plain features.
    known : tuple of str, optional
        Labels of a network to be fine-tuned.
    **rules : object
        Further arguments of `~specvit.spectra.adapt`.

    Returns
    -------
    flux, ivar : ndarray of float64, shape (n, n_pixels)
        Spectra on the grid, or features and 1 where they are known.
    truth : TrueLabels
        Their labels, of n spectra.
    lsf, sampling : ndarray, shape (n, n_pixels)
        Of spectra only.

    Raises
    ------
    SpectrumError, TypeError, ValueError
        As ``fit`` does.
    """
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None: "
            "only a Survey or SpectrumDataset knows its own labels"
        )
    if grid is None:
        features, _ = plain_features(X, ivar, medium, resolution)
        options = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
        options |= {"multi_output": True, "y_numeric": True}
        try:
            truth = TrueLabels.read(y, estimator.labels, known)
        except TypeError:  # numbers as objects, which scikit-learn takes, or a complaint in its own words
            _, y = validate_data(estimator, features, y, **options)
            truth = TrueLabels.read(y, estimator.labels, known)
        flux, values = validate_data(estimator, features, truth.array, **options)
        flux = np.require(flux, requirements="CW")  # for torch, which takes no array in reverse
        return flux, np.isfinite(flux).astype(np.float64), truth.replaced(values)
    stated = {"medium": medium, "resolution": resolution}
    batch = adapt(X, ivar=ivar, grid=grid, on_error=on_error, **stated, **rules)
    truth = TrueLabels.read(y, estimator.labels, known).possible()
    if len(truth) != len(batch):
        n, shape = len(batch), truth.array.shape
        raise ValueError(f"y must have shape ({n},) or ({n}, n_labels), got {shape}")
    return batch.flux, batch.ivar, truth, batch.lsf, batch.sampling


def r2_of_labels(found, names, y, sample_weight=None):
    """Coefficient of determination R² of predicted labels, the mean of those of the labels.

    Parameters
    ----------
    found : Predictions
        The predictions, of n spectra.
    names : tuple of str
        Labels that count.
    y : array-like, Quantity or table
        True labels, see `TrueLabels.read`; one label may have the shape of the spectra of a cube.
    sample_weight : array-like, shape (n,), optional
        Relative weights of the spectra.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If `y` does not match, or a weight is masked, negative or not finite, or all are zero.
    """
    from sklearn.metrics import r2_score  # which brings much that no prediction needs

    if len(found.shape) > 1 and np.shape(y) == found.shape:
        y = y.reshape(-1) if isinstance(y, np.ndarray) else np.ravel(y)
    truth = TrueLabels.read(y, names)
    truth.check(every=True)
    if len(truth) != len(found):
        raise ValueError(f"y must hold the labels of {len(found)} spectra, got {len(truth)}")
    weights = _weights(sample_weight, len(found))
    return r2_score(truth.values, found.columns(names)[0], sample_weight=weights)


def _weights(weights, n):
    """Relative weights (n,) of spectra; None stays None. A unit does not matter: ratios count."""
    if weights is None:
        return None
    given = numbers_given(weights, "sample_weight", ValueError)
    if hasattr(given.unit, "physical_unit") or str(given.unit) in ("mag", "dex", "dB"):
        raise ValueError(f"sample_weight must not be logarithms, got the unit {str(given.unit)!r}")
    if given.values.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), got {given.values.shape}")
    if given.n_masked:
        raise ValueError(f"sample_weight must not be masked, got {given.n_masked} masked of {n} values")
    if not (np.isfinite(given.values).all() and (given.values >= 0).all() and given.values.any()):
        raise ValueError(
            f"sample_weight must be finite, not negative and not all 0, got {given.values.min():g} at least"
        )
    return given.values

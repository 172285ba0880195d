"""Outside knowledge: labels conditioned on measurements of some of them, by the joint errors of all.

A photometric temperature, the log g of a parallax or the metallicity of a cluster says something of the other
labels, too, because their errors are correlated.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from specvit.labels import label_tuple
from specvit.predictors.truelabels import check_possible, in_label_unit
from specvit.spectra.given import numbers_given

__all__ = ["condition", "conditioned", "read_given"]


def condition(mean, covariance, value, sigma):
    r"""Gaussian labels, given independent measurements of some of them.

    .. math:: C' = (I + C D)^{-1} C, \qquad \mu' = \mu + C' D (v - \mu),

    with D the diagonal of 1/σ² of the measurements v, 0 where there is none: the posterior of a Gaussian
    prior and likelihood, in the form that does not invert C (Gelman et al. 2013, *Bayesian Data Analysis*,
    §3.5).

    Parameters
    ----------
    mean : ndarray, shape (n, k)
        Labels μ.
    covariance : ndarray, shape (n, k, k)
        Covariance C of their errors.
    value, sigma : ndarray, shape (n, k)
        Measurements and their σ, positive; infinite where a label was not measured, the value then being any
        finite number.

    Returns
    -------
    mean : ndarray, shape (n, k)
    covariance : ndarray, shape (n, k, k)

    Examples
    --------
    Two labels with a correlation of 0.8, the first of which is measured 1 σ higher, with the same σ:

    >>> joint = np.array([[[1.0, 0.8], [0.8, 1.0]]])
    >>> measured = np.array([[1.0, 0.0]]), np.array([[1.0, np.inf]])
    >>> mean, covariance = condition(np.zeros((1, 2)), joint, *measured)
    >>> mean.tolist(), covariance[0, 1, 1].round(2).item()
    ([[0.5, 0.4]], 0.68)
    """
    weight = 1 / np.square(sigma)
    # Teff is in K, the others in dex: solve with labels in units of their own σ.
    scale = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    scaled = covariance / (scale[:, :, None] * scale[:, None, :])
    precision = weight * scale**2
    after = np.linalg.solve(np.eye(mean.shape[1]) + scaled * precision[:, None, :], scaled)
    after = (after + after.swapaxes(1, 2)) / 2
    shift = np.einsum("nij,nj->ni", after, precision * (value - mean) / scale)
    return mean + scale * shift, after * (scale[:, :, None] * scale[:, None, :])


def read_given(given, names, n):
    """Measurements of labels as arrays.

    Parameters
    ----------
    given : dict of str to (value, σ)
        Labels in any spelling. Value and σ are numbers or arrays of n, in the label's unit or any that
        converts; NaN or masked in either: that star was not measured.
    names : sequence of str
        Labels of the predictor.
    n : int
        Number of spectra.

    Returns
    -------
    value, sigma : ndarray, shape (n, len(names))
        As for `condition`.

    Raises
    ------
    ValueError
        If a name is no label or comes twice, there is no pair of value and σ, a shape or unit does not fit,
        or a σ is not positive.

    Examples
    --------
    >>> value, sigma = read_given({"teff": (4750, 50)}, ("teff", "logg"), 1)
    >>> value.tolist(), sigma.tolist()
    ([[4750.0, 0.0]], [[50.0, inf]])
    """
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f"given must be a dict of labels to (value, σ), got {given!r}")
    value, sigma = np.zeros((n, len(names))), np.full((n, len(names)), np.inf)
    for name, key in zip(given, label_tuple(given, among=names, what="given"), strict=True):
        pair = given[name]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"given[{name!r}] must be (value, σ), got {pair!r}")
        centre = _numbers(pair[0], key, n, f"value of given[{name!r}]")
        spread = _numbers(pair[1], key, n, f"σ of given[{name!r}]", err=True)
        measured = ~(np.isnan(centre) | np.isnan(spread))
        if not (np.isfinite(centre[measured]).all() and (spread[measured] > 0).all()):
            raise ValueError(f"given[{name!r}] must have finite values and positive σ, got {pair!r}")
        check_possible(centre, key, f"value of given[{name!r}]")
        column = list(names).index(key)
        value[measured, column], sigma[measured, column] = centre[measured], spread[measured]
    return value, sigma


def conditioned(predictor, given, batch):
    """What a predictor says of a batch, given outside knowledge: mean and σ (n, k), and what else it found.

    Parameters
    ----------
    predictor : Predictor
        Its method ``_covariance(batch, details)`` gives the covariance of its errors, (n, k, k).
    given : dict
        As for `read_given`.
    batch : SpectrumBatch
        The spectra.

    Returns
    -------
    mean, sigma : ndarray, shape (n, k)
        NaN where there is no answer.
    details : object

    Raises
    ------
    ValueError
        If the predictor does not know how its errors are correlated, or as `read_given` does.

    Examples
    --------
    >>> from specvit import PFS_MR, LoggEstimator, example_spectrum
    >>> from specvit.spectra import adapt
    >>> estimator, batch = LoggEstimator(), adapt(example_spectrum(), grid=PFS_MR)
    >>> mean, sigma, details = conditioned(estimator, {"teff": (4750, 20)}, batch)
    >>> bool(sigma[0, estimator.label_names.index("teff")] < 20)
    True
    """
    value, spread = read_given(given, predictor.label_names, len(batch))
    mean, sigma, details = predictor._predict_batch(batch)
    covariance = getattr(predictor, "_covariance", lambda *_: None)(batch, details)
    if covariance is None:
        raise ValueError(
            f"given needs correlations of the errors, and this {type(predictor).__name__} does not predict "
            "them: the weights 'any', networks trained with correlations, and TemplateFit do"
        )
    used = np.isfinite(mean).all(1) & np.isfinite(covariance).all((1, 2)) & np.isfinite(spread).any(1)
    mean, sigma = mean.copy(), sigma.copy()
    if used.any():
        mean[used], after = condition(mean[used], covariance[used], value[used], spread[used])
        sigma[used] = np.sqrt(np.diagonal(after, axis1=1, axis2=2))
    return mean, sigma, details


def _numbers(given, name, n, what, *, err=False):
    """Plain numbers (n,) of a label or its σ, NaN where masked, of one number or one for each spectrum."""
    read = numbers_given(given, what, ValueError)
    values = in_label_unit(read.visible, read.unit, name, what, err=err)
    if values.size not in (1, n):
        raise ValueError(f"{what} must be one number or {n}, one for each spectrum, got shape {values.shape}")
    return np.broadcast_to(values.ravel(), n)

"""Checks of predicted errors: probability integral transform, coverage, predicted against actual errors."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import kstest

from specvit.assess.bins import import_pandas
from specvit.predictors.truelabels import label_numbers

__all__ = ["audit_calibration", "coverage_curve", "pit", "reliability"]

#: Probabilities of central intervals: 5 % to 95 %.
LEVELS = tuple(k / 100 for k in range(5, 100, 5))


def pit(truth, prediction, sigma):
    """Probability integral transform Φ((truth − prediction)/σ) of Gaussian predictions.

    It is uniform on (0, 1) where predictions are calibrated; heaped at both ends where σ is too small, in the
    middle where it is too large, at one end where predictions are biased (Dawid 1984, J. R. Stat. Soc. A
    147, 278; Gneiting et al. 2007, J. R. Stat. Soc. B 69, 243).

    Parameters
    ----------
    truth, prediction, sigma : array-like, shape (n,)
        True values, predicted means and their standard errors; `sigma` positive.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    ValueError
        If the shapes differ, a value is not finite or a σ not positive.

    Examples
    --------
    >>> pit([2.0, 2.5], [2.0, 2.0], [0.5, 0.5]).round(2)
    array([0.5 , 0.84])
    """
    return ndtr(_deviation(truth, prediction, sigma))


def coverage_curve(truth, prediction, sigma, levels=LEVELS):
    """Share of the truth within the central intervals of Gaussian predictions, against their probability.

    Parameters
    ----------
    truth, prediction, sigma : array-like, shape (n,)
        True values, predicted means and their standard errors; `sigma` positive.
    levels : sequence of float
        Probabilities, between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        ``nominal``; ``actual``, the share with |truth − prediction| ≤ Φ⁻¹((1 + nominal)/2) σ; ``actual_err``,
        its binomial standard error were it calibrated.

    Raises
    ------
    ValueError
        As `pit` does; also if a level is not between 0 and 1.

    Examples
    --------
    Errors that are stated a third too small:

    >>> import numpy as np
    >>> error = np.random.default_rng(0).normal(0, 0.15, 10_000)
    >>> curve = coverage_curve(error, np.zeros(10_000), np.full(10_000, 0.1), levels=[0.683, 0.954])
    >>> curve["actual"].round(2).tolist()
    [0.49, 0.82]
    """
    pd = import_pandas()
    size = np.sort(np.abs(_deviation(truth, prediction, sigma)))
    levels = np.asarray(levels, float)
    if not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"levels must lie between 0 and 1, got {levels.tolist()}")
    actual = np.searchsorted(size, ndtri((1 + levels) / 2), "right") / len(size)
    error = np.sqrt(levels * (1 - levels) / len(size))
    return pd.DataFrame({"nominal": levels, "actual": actual, "actual_err": error})


def reliability(truth, prediction, sigma, bins=10):
    """Actual against predicted error, in bins of predicted error that hold equal numbers of stars.

    Parameters
    ----------
    truth, prediction, sigma : array-like, shape (n,)
        True values, predicted means and their standard errors; `sigma` positive.
    bins : int
        Number of bins; fewer where there are not two stars for each.

    Returns
    -------
    pandas.DataFrame
        ``low`` and ``high``, the least and largest σ of the bin; ``n``; ``predicted``, √⟨σ²⟩; ``actual``,
        √⟨(truth − prediction)²⟩, with ``actual_err``, its standard error; ``ratio``, actual / predicted.

    Raises
    ------
    ValueError
        As `pit` does; also if `bins` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> sigma = np.repeat([0.1, 0.3], 5000)
    >>> error = np.random.default_rng(0).normal(0, sigma)
    >>> reliability(error, 0 * error, sigma, bins=2)["ratio"].round(1).tolist()
    [1.0, 1.0]
    """
    pd = import_pandas()
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins!r}")
    z, sigma = _deviation(truth, prediction, sigma), np.asarray(sigma, float)
    rows = []
    for chosen in np.array_split(np.argsort(sigma, kind="stable"), max(1, min(bins, len(sigma) // 2))):
        own = sigma[chosen]
        squared = (z[chosen] * own) ** 2
        actual, predicted = np.sqrt(squared.mean()), np.sqrt(np.mean(own**2))
        spread = squared.std(ddof=1) / np.sqrt(len(chosen)) if len(chosen) > 1 else np.nan
        error = spread / (2 * actual) if actual > 0 else 0.0
        rows.append((own.min(), own.max(), len(chosen), predicted, actual, error, actual / predicted))
    columns = ["low", "high", "n", "predicted", "actual", "actual_err", "ratio"]
    return pd.DataFrame(rows, columns=columns)


def audit_calibration(predictions, levels=LEVELS):
    """How well calibrated every predictor's errors are.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Predictions of `evaluate`; predictors without σ are left out, and so are stars without a prediction.
    levels : sequence of float
        Probabilities, as for `coverage_curve`.

    Returns
    -------
    pandas.DataFrame
        A row for each predictor and label: ``n``; ``mean`` and ``std`` of z = (truth − prediction)/σ, 0 and 1
        where calibrated; ``ks``, the Kolmogorov–Smirnov distance of the PIT from uniform, and ``p_value``
        of that; ``miscoverage``, the largest |actual − nominal| over the levels, and ``at``, the level.
        With many stars the p-value is small even where a miscalibration is too small to matter; the
        distance says how large it is.

    Examples
    --------
    >>> from specvit import LoggEstimator, Survey
    >>> from specvit.assess import evaluate
    >>> vit = {"ViT": LoggEstimator(weights="paper")}
    >>> options = {"n": 60, "magnitudes": [20], "limits": False, "bootstrap": 0}
    >>> _, stars = evaluate(vit, Survey("paper"), return_predictions=True, **options)
    >>> audit = audit_calibration(stars)
    >>> len(audit), bool(audit["ks"][0] < 0.3)
    (1, True)
    """
    pd = import_pandas()
    rows = []
    for (name, label), own in predictions.groupby(["predictor", "label"], sort=False):
        own = own[np.isfinite(own["prediction"]) & np.isfinite(own["sigma"])]
        if not len(own):
            continue
        columns = [own[key].to_numpy() for key in ("truth", "prediction", "sigma")]
        z = _deviation(*columns)
        test = kstest(ndtr(z), "uniform")
        curve = coverage_curve(*columns, levels)
        gap = (curve["actual"] - curve["nominal"]).abs()
        spread = z.std(ddof=1) if len(z) > 1 else np.nan
        row = (name, label, len(z), z.mean(), spread, test.statistic, test.pvalue)
        rows.append((*row, gap.max(), curve["nominal"][gap.idxmax()]))
    columns = ["predictor", "label", "n", "mean", "std", "ks", "p_value", "miscoverage", "at"]
    return pd.DataFrame(rows, columns=columns)


def _deviation(truth, prediction, sigma):
    """(truth − prediction)/σ, checked."""
    truth, prediction = label_numbers(truth, "truth"), label_numbers(prediction, "prediction")
    sigma = label_numbers(sigma, "sigma", err=True)
    if truth.ndim != 1 or not truth.shape == prediction.shape == sigma.shape or not len(truth):
        raise ValueError(
            f"truth, prediction and sigma must have one shape (n,), n > 0, got {truth.shape}, "
            f"{prediction.shape} and {sigma.shape}"
        )
    for name, values in (("truth", truth), ("prediction", prediction), ("sigma", sigma)):
        if not np.isfinite(values).all():
            raise ValueError(
                f"{name} must be finite, {np.sum(~np.isfinite(values))} of {len(values)} are not"
            )
    if not (sigma > 0).all():
        raise ValueError(f"sigma must be positive, the least is {sigma.min()}")
    return (truth - prediction) / sigma

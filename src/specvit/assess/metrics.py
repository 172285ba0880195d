"""How good predictions are: one definition of each figure of merit, and its error."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from specvit.constants import ONE_SIGMA, SIGMA_PER_MAD
from specvit.network.conformal import predict_batches
from specvit.network.inputs import SNR_DEFINITION
from specvit.predictors.truelabels import label_numbers
from specvit.survey.streams import SCORING

__all__ = [
    "DEFINITIONS",
    "METRICS",
    "bootstrap_errors",
    "bootstrap_weights",
    "figures_of_merit",
    "label_metrics",
    "score_survey",
]

#: Magnitudes at which surveys are scored.
MAGNITUDES = {
    "paper": (20.0, 20.5, 21.0, 21.5, 22.0, 22.5),
    "pfs-mr": (17.0, 18.0, 19.0, 20.0, 21.0, 22.0, 23.0),
}
#: What each figure is, with p the prediction, t the truth and e = p − t of a star.
DEFINITIONS = {
    "r2": "1 − Σe² / Σ(t − ⟨t⟩)², the mean ⟨t⟩ that of the same stars",
    "mae": "⟨|e|⟩, in the unit of the label (dex for log g)",
    "rmse": "√⟨e²⟩, in the unit of the label",
    "bias": "⟨e⟩, in the unit of the label",
    "scatter": "1.4826 median |e − median e|, in the unit of the label",
    "outliers": "fraction of stars with |e| > 3 scatter",
    "coverage68": f"fraction of stars with |e| ≤ σ, σ the predicted one; nominal {ONE_SIGMA:.4f}",
    "coverage95": "fraction of stars with |e| ≤ 1.96 σ; nominal 0.95",
}
#: Names of the figures, in the order of tables.
METRICS = tuple(DEFINITIONS)
#: What else a table of figures says.
TABLE_DEFINITIONS = {
    "snr": f"median over the stars of the S/N of each: {SNR_DEFINITION}",
    "n": "stars that the figures are over",
    "unusable": "stars of the bin without a finite prediction, left out of this predictor's figures alone",
    "error": "<figure>_err: standard deviation over bootstrap resamples of the stars, the same resamples "
    "for all predictors; a star seen at several magnitudes is drawn with all its spectra",
}

_TWO_SIGMA = ndtri(0.975)
_CHUNK = 2**22  # weights at once: 32 MB


def figures_of_merit(truth, prediction, sigma=None):
    """All figures of merit of one label, as `DEFINITIONS` has them.

    Parameters
    ----------
    truth, prediction : array-like, shape (n,)
        Finite, in the label's unit.
    sigma : array-like, shape (n,), optional
        Predicted standard errors; where NaN, the star is left out of the coverages.

    Returns
    -------
    dict of float
        By the names in `METRICS`. NaN where there is no such figure: ``r2`` of fewer than two different
        truths, the coverages without `sigma`, all without stars.

    Raises
    ------
    ValueError
        If the shapes differ, or a truth or prediction is not finite.

    Examples
    --------
    >>> found = figures_of_merit([1.0, 2.0, 3.0], [1.1, 2.0, 2.9], [0.2, 0.2, 0.2])
    >>> round(found["r2"], 3), round(found["mae"], 3), found["coverage68"]
    (0.99, 0.067, 1.0)
    """
    truth, prediction, sigma = _checked(truth, prediction, sigma)
    figures = _weighted(truth, prediction - truth, sigma, np.ones((1, len(truth))))
    return {name: float(value[0]) for name, value in figures.items()}


def bootstrap_weights(n, size, rng):
    """How often each star is drawn in each bootstrap resample.

    Parameters
    ----------
    n : int
        Number of stars, and of draws in a resample.
    size : int
        Number of resamples.
    rng : numpy.random.Generator
        Where the draws come from.

    Returns
    -------
    ndarray of int32, shape (size, n)
        Every row sums to n.
    """
    if size == 0 or n == 0:
        return np.zeros((size, n), np.int32)
    return rng.multinomial(n, np.full(n, 1 / n), size=size).astype(np.int32)


def bootstrap_errors(truth, prediction, sigma, weights):
    """Bootstrap standard errors of the figures of merit.

    Parameters
    ----------
    truth, prediction, sigma
        As for `figures_of_merit`.
    weights : ndarray, shape (size, n)
        How often each star is in each resample (`bootstrap_weights`; the columns of the stars used).

    Returns
    -------
    dict of float
        Standard deviation of each figure over the resamples (Efron 1979, Ann. Stat. 7, 1); NaN for fewer
        than two of them.
    """
    truth, prediction, sigma = _checked(truth, prediction, sigma)
    weights = np.asarray(weights)
    if weights.ndim != 2 or weights.shape[1] != len(truth):
        raise ValueError(f"weights must have shape (size, {len(truth)}), got {weights.shape}")
    if len(weights) < 2 or not len(truth):
        return dict.fromkeys(METRICS, np.nan)
    step = max(1, _CHUNK // len(truth))
    parts = [
        _weighted(truth, prediction - truth, sigma, weights[start : start + step].astype(float))
        for start in range(0, len(weights), step)
    ]
    return {name: float(np.std(np.concatenate([p[name] for p in parts]), ddof=1)) for name in METRICS}


def label_metrics(truth, prediction, sigma=None):
    """The chief figures of merit of one label, for the record of weights.

    Parameters
    ----------
    truth, prediction, sigma
        As for `figures_of_merit`.

    Returns
    -------
    dict of float
        ``r2``, ``mae``, ``rmse``, ``bias``; with `sigma`, ``coverage``, the fraction with |p − t| ≤ σ.

    Examples
    --------
    >>> label_metrics([1.0, 2.0, 3.0], [1.5, 2.5, 3.5])["bias"]
    0.5
    """
    figures = figures_of_merit(truth, prediction, sigma)
    result = {name: figures[name] for name in ("r2", "mae", "rmse", "bias")}
    return result if sigma is None else result | {"coverage": figures["coverage68"]}


def score_survey(
    regressor, survey, *, n=20_000, magnitudes=None, device="cpu", stream=SCORING, batch_size=1000
):
    """Metrics of every label at single magnitudes, on stars drawn afresh.

    Parameters
    ----------
    regressor : LabelRegressor
        The network to be measured; anything with its ``predict`` will do.
    survey : Survey
        Where the stars come from.
    n : int
        Stars per magnitude; the same stars at each.
    magnitudes : sequence of float, optional
        Magnitudes to measure at; by default those usual for the survey.
    device : str or torch.device
        Where the spectra are made; the regressor's own device.
    stream : int
        Stream of the survey, to be one it was not trained on.
    batch_size : int
        Stars drawn at once.

    Returns
    -------
    dict
        Magnitude (as str) → label name → `label_metrics`; and ``"snr"`` → median observed S/N.

    Examples
    --------
    >>> from specvit import Survey
    >>> from specvit.weights import load_weights
    >>> found = score_survey(load_weights("paper")[0], Survey("paper"), n=40, magnitudes=[20])
    >>> bool(found["20"]["logg"]["r2"] > 0.9)
    True
    """
    magnitudes = MAGNITUDES[survey.name] if magnitudes is None else magnitudes
    sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
    table = {}
    for magnitude in magnitudes:
        drawn = (
            survey.draw(size, stream=stream + i, device=device, magnitude=magnitude)
            for i, size in enumerate(sizes)
        )
        mean, sigma, labels, snr = predict_batches(regressor, ((b.flux, b.ivar, b.labels) for b in drawn))
        used = np.isfinite(mean).all(1)
        row = {
            name: label_metrics(labels[used, k], mean[used, k], sigma[used, k])
            for k, name in enumerate(regressor.label_names)
        }
        table[str(magnitude)] = row | {"snr": float(np.median(snr[used])), "unusable": int((~used).sum())}
    return table


def _checked(truth, prediction, sigma):
    truth, prediction = label_numbers(truth, "truth"), label_numbers(prediction, "prediction")
    sigma = np.full(truth.shape, np.nan) if sigma is None else label_numbers(sigma, "sigma", err=True)
    if truth.ndim != 1 or not truth.shape == prediction.shape == sigma.shape:
        raise ValueError(
            f"truth, prediction and sigma must have one shape (n,), got {truth.shape}, {prediction.shape} "
            f"and {sigma.shape}"
        )
    for name, values in (("truth", truth), ("prediction", prediction)):
        if not np.isfinite(values).all():
            raise ValueError(
                f"{name} must be finite, {np.sum(~np.isfinite(values))} of {len(values)} are not"
            )
    return truth, prediction, sigma


def _weighted(truth, residual, sigma, weights):
    """Every figure of merit for each row of weights (b, n): dict of (b,)."""
    order = np.argsort(residual)  # quantiles of every resample from one sort
    truth, residual, sigma, weights = truth[order], residual[order], sigma[order], weights[:, order]
    size, known = np.abs(residual), np.isfinite(sigma)
    constant = np.ptp(truth) == 0 if len(truth) else True
    truth = truth - truth.mean() if len(truth) else truth  # against cancellation
    columns = [
        np.ones_like(truth),
        truth,
        truth**2,
        residual,
        residual**2,
        size,
        known,
        known & (size <= np.where(known, sigma, 0)),
        known & (size <= np.where(known, _TWO_SIGMA * sigma, 0)),
    ]
    total, t, t2, e, e2, absolute, with_sigma, one, two = (weights @ np.stack(columns, 1)).T
    count = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, 1)], 1)
    scatter = SIGMA_PER_MAD * _median_deviation(residual, count)
    inside = _between(residual, count, -3 * scatter, 3 * scatter)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0/0 is NaN, as documented
        spread = np.full_like(t, np.nan) if constant else t2 - t**2 / total
        return {
            "r2": np.where(spread > 0, 1 - e2 / spread, np.nan),
            "mae": absolute / total,
            "rmse": np.sqrt(e2 / total),
            "bias": e / total,
            "scatter": scatter,
            "outliers": 1 - inside / total,
            "coverage68": one / with_sigma,
            "coverage95": two / with_sigma,
        }


def _between(values, count, low, high):
    """Weight of the sorted values (n,) in [low, high], each (b,), from the running weight (b, n + 1)."""
    rows = np.arange(len(count))
    above, below = np.searchsorted(values, high, "right"), np.searchsorted(values, low, "left")
    return count[rows, above] - count[rows, below]


def _median_deviation(values, count):
    """Median absolute deviation from the median of each resample, (b,).

    The k-th smallest |x − median| is the least d for which k values lie in [median − d, median + d]:
    found by bisection for all resamples at once, without sorting each.
    """
    if not len(values):
        return np.full(len(count), np.nan)
    total = count[:, -1]
    middles = np.floor((total + 1) / 2), np.floor(total / 2) + 1  # the same one for an odd number
    last = len(values) - 1
    median = np.mean([values[np.minimum(last, (count[:, 1:] < k[:, None]).sum(1))] for k in middles], axis=0)
    deviations = []
    for k in middles:
        low, high = np.zeros(len(count)), np.full(len(count), np.ptp(values))
        for _ in range(60):
            middle = (low + high) / 2
            enough = _between(values, count, median - middle, median + middle) >= k
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        deviations.append(high)
    return np.where(total > 0, np.mean(deviations, axis=0), np.nan)

"""The limits that stand beside predictors in a table, from the first stars that these are measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from specvit.limits.bayeslimit import bayes_limit, variance_of_prior
from specvit.limits.fisher import survey_fisher, van_trees_survey
from specvit.limits.scope import require_plain, require_prior
from specvit.survey import Survey
from specvit.survey.priors import LabelPrior

__all__ = ["LIMIT_DEFINITIONS", "LimitSample", "limit_rows", "mean_error", "unknown_because"]

BAYES, VAN_TREES = "Bayes limit", "van Trees bound"
CRLB_MEDIAN, CRLB_MEAN = "1 - CRLB/Var (median)", "1 - CRLB/Var (mean)"
#: What each limit is.
LIMIT_DEFINITIONS = {
    BAYES: "R² = 1 − E[Var(label | spectrum)] / Var(label) over the prior (over its stars, in a bin of S/N "
    "that depends on the labels), RMSE the root of that mean variance, MAE that of the posterior median: no "
    "estimator does better; unusable counts posteriors of too few effective draws, which are included; "
    "errors are Monte-Carlo ones",
    VAN_TREES: "R² = 1 − bound / Var(label), the weighted van Trees bound on the mean squared error: a "
    "looser limit",
    CRLB_MEDIAN: "R² = 1 − median over the stars of the Cramér–Rao bound / Var(label); no limit on R²: it is "
    "for unbiased estimators at one star",
    CRLB_MEAN: "the same with the mean over the stars",
}
_FIFTHS = 5  # parts of the stars whose spread gives the error of the van Trees bound


@dataclass(frozen=True)
class LimitSample:
    """Spectra that limits are computed from.

    Attributes
    ----------
    magnitude : float or None
        One magnitude for all, or the survey's own.
    index : ndarray of int, shape (n,)
        Rows of these spectra among all of the evaluation.
    magnitudes : ndarray, shape (n,)
        Magnitude of each spectrum.
    flux, ivar, noiseless_sigma : tensor, shape (n, n_pixels)
        Spectra, the inverse variance that is reported, and the σ that their noise was drawn with.
    labels : tensor, shape (n, n_labels)
        True labels.
    """

    magnitude: float | None
    index: np.ndarray
    magnitudes: np.ndarray
    flux: object
    ivar: object
    noiseless_sigma: object
    labels: object


def unknown_because(data, options):
    """Why no limit is known for the data, or None where one is."""
    if "spectra" in options:
        return None
    if not isinstance(data, Survey):
        return "the limits of a data set are not known: it holds spectra, and no model of them"
    try:
        require_plain(data)
        require_prior(data)
    except ValueError as reason:
        return str(reason)
    return None


def limit_rows(data, samples, bins, stars, labels, *, seed=0, device="cpu", **options):
    """Rows of the limits for a table, and the posteriors they come from.

    Parameters
    ----------
    data : Survey
        Where the spectra come from; its prior and model are those of the likelihood.
    samples : list of LimitSample
        Spectra to find posteriors of, one sample for each magnitude.
    bins : list
        Bins of the table, with ``by`` and ``member``.
    stars
        The evaluation's spectra: ``star``, int (n,); ``magnitude``, (n,); ``truth``, (n, n_labels).
    labels : sequence of str
        Names of the labels that rows are wanted of.
    seed, device
        Of the draws from the posteriors, and where they are made.
    **options
        Those of `bayes_limit`.

    Returns
    -------
    rows : list of dict
        ``predictor``, ``label``, ``bin`` (its number), ``n``, ``unusable`` and figures with errors.
    index : ndarray of int, shape (m,)
        Rows of the evaluation's spectra that have posteriors.
    mean, sigma : ndarray, shape (m, n_labels)
        Means and standard deviations of the posteriors.
    """
    names = tuple(data.label_names)
    index = np.concatenate([sample.index for sample in samples])
    found = [
        bayes_limit(data, sample.magnitude, batch=sample, seed=seed, **{"device": device} | options)
        for sample in samples
    ]
    mean, sigma, deviation, flagged = (
        np.concatenate([getattr(limit.posterior, name) for limit in found])
        for name in ("mean", "sigma", "deviation", "flagged")
    )
    prior = variance_of_prior(getattr(options.get("spectra"), "prior", data.prior), len(names))
    survey = data if isinstance(data, Survey) else None
    crlb = _cramer_rao(survey, samples, device) if survey else None
    trees = _van_trees(survey, bins, stars, len(samples[0].index), seed, device) if survey else {}
    # A stated S/N does not depend on the labels: their variance in a bin of it is the prior's.
    mixed = survey is None or survey.noise.brightness != "snr"
    rng = np.random.default_rng([seed, 2])
    rows = []
    for number, one in enumerate(bins):
        chosen = one.member[index]
        if chosen.sum() < 2:
            continue
        who = stars.star[index[chosen]]
        for label in labels:
            k = names.index(label)
            variance = stars.truth[one.member, k].var() if mixed and one.by == "snr" else prior[k]
            common = {"label": label, "bin": number, "n": int(chosen.sum()), "unusable": 0}
            squared, mae = sigma[chosen, k] ** 2, deviation[chosen, k]
            bayes = _figures(squared.mean(), mean_error(squared, who), variance)
            bayes |= {"mae": mae.mean(), "mae_err": mean_error(mae, who)}
            bayes["unusable"] = int(flagged[chosen].sum())
            rows.append(common | {"predictor": BAYES} | bayes)
            if number in trees:
                bound, error = trees[number]
                rows.append(common | {"predictor": VAN_TREES} | _figures(bound[k], error[k], variance))
            if crlb is not None:
                values = crlb[chosen, k]
                error = _median_error(values, who, rng)
                figures = _figures(np.median(values), error, variance)
                rows.append(common | {"predictor": CRLB_MEDIAN} | figures)
                figures = _figures(values.mean(), mean_error(values, who), variance)
                rows.append(common | {"predictor": CRLB_MEAN} | figures)
    return rows, index, mean, sigma


def _figures(mse, error, variance):
    """R² and RMSE from a mean squared error and its error; R² may be −∞."""
    rmse = np.sqrt(mse)
    return {
        "r2": 1 - mse / variance,
        "r2_err": error / variance,
        "rmse": rmse,
        "rmse_err": error / (2 * rmse),
    }


def mean_error(values, star):
    """Standard error of the mean of values, those of one star not being independent."""
    if not np.isfinite(values).all():
        return np.nan
    _, place = np.unique(star, return_inverse=True)
    sums = np.bincount(place, values - values.mean())
    n = len(sums)
    return np.sqrt(n / (n - 1) * np.sum(sums**2)) / len(values) if n > 1 else np.nan


def _median_error(values, star, rng, size=200):
    """Bootstrap standard error of the median, stars being drawn with all their values."""
    stars, place = np.unique(star, return_inverse=True)
    order = np.argsort(place, kind="stable")
    groups = np.split(values[order], np.cumsum(np.bincount(place))[:-1])
    draws = rng.integers(len(stars), size=(size, len(stars)))
    medians = [np.median(np.concatenate([groups[i] for i in draw])) for draw in draws]
    return np.std(medians, ddof=1) if np.isfinite(medians).all() else np.nan


def _cramer_rao(survey, samples, device):
    """Bound on the variance of every label for each star, the amplitude unknown: (m, n_labels)."""
    parts = []
    for sample in samples:
        labels = sample.labels.double().cpu().numpy()
        if survey.noise.brightness == "snr":
            brightness = {"snr": _stated_snr(survey, sample, device)}
        else:
            brightness = {"magnitude": sample.magnitudes}
        fisher = survey_fisher(survey, labels, device=device, **brightness)
        parts.append(fisher.crlb()[:, : labels.shape[1]])
    return np.concatenate(parts)


def _stated_snr(survey, sample, device):
    """The S/N that the noise of each star was drawn with, (n,); the observed one is lost where ivar is 0."""
    model = survey.forward(device)
    labels = model.check_labels(sample.labels)
    sigma = sample.noiseless_sigma.to(model.device, model.dtype)
    return model.snr(model.flux(labels, torch.ones_like(labels[:, 0])), sigma).cpu().numpy()


def _van_trees(survey, bins, stars, n, seed, device):
    """Bound and its error for bins of brightness and the whole, by number of the bin; {} where not known.

    Brightnesses are those of the bin's stars. The whole is bounded by the mean over its parts: the bins, and
    the stars that are in none of them.
    """
    if not isinstance(survey.prior, LabelPrior) or n < 2 * _FIFTHS:
        return {}
    kind = survey.noise.brightness
    brightness = getattr(stars, kind)
    known = np.isfinite(brightness) & ((brightness > 0) if kind == "snr" else True)

    def bound(member, size, seed):
        values = np.random.default_rng(seed).choice(brightness[member & known], size)
        return van_trees_survey(survey, n_stars=size, seed=seed, device=device, **{kind: values})

    def bound_and_error(member, number):
        start = 1_000_003 * seed + 100 * number
        parts = [bound(member, n // _FIFTHS, start + 1 + k) for k in range(_FIFTHS)]
        return bound(member, n, start), np.std(parts, axis=0, ddof=1) / np.sqrt(_FIFTHS)

    found = {number: bound_and_error(one.member, number) for number, one in enumerate(bins) if one.by == kind}
    parts = [(bins[number].member, *figures) for number, figures in found.items()]
    rest = known & ~np.any([member for member, _, _ in parts], axis=0) if parts else known
    if rest.any():
        parts.append((rest, *bound_and_error(rest, len(bins))))
    if not parts:
        return {}
    members, bounds, errors = map(np.array, zip(*parts, strict=True))
    share = members.sum(1, keepdims=True) / members.sum()
    whole = (share * bounds).sum(0), np.sqrt((share**2 * errors**2).sum(0))
    return found | {number: whole for number, one in enumerate(bins) if one.by == "overall"}

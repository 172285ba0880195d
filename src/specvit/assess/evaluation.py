"""`evaluate`: one table for any predictors on the same spectra and noise, with the limits beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from specvit import __version__
from specvit.assess.bins import SNR_BINS, Stars, import_pandas, make_bins
from specvit.assess.limitrows import (
    BAYES,
    LIMIT_DEFINITIONS,
    LimitSample,
    limit_rows,
    unknown_because,
)
from specvit.assess.metrics import (
    DEFINITIONS,
    METRICS,
    TABLE_DEFINITIONS,
    bootstrap_errors,
    bootstrap_weights,
    figures_of_merit,
)
from specvit.assess.teststars import ask, label_names_of, observed_batches
from specvit.labels import LABELS, label_tuple
from specvit.network.inputs import median_snr
from specvit.progress import ProgressLine

__all__ = ["evaluate"]

_FIRST = ["predictor", "kind", "label", "by", "low", "high", "centre", "snr", "n", "unusable"]
_COLUMNS = _FIRST + [column for name in METRICS for column in (name, f"{name}_err")]


def evaluate(
    predictors: Mapping[str, Any],
    data: Any,
    *,
    n: int = 4000,
    magnitudes: Sequence[float] | None = None,
    snr_bins: Sequence[float] | None = None,
    labels: str | Sequence[str] = ("logg",),
    limits: bool | dict[str, Any] = True,
    limit_stars: int = 500,
    bootstrap: int = 200,
    seed: int = 0,
    device: Any = "cpu",
    batch_size: int = 1000,
    return_predictions: bool = False,
    progress: bool | Callable[[str, int, int], Any] | None = None,
) -> Any:
    """Measure predictors on identical spectra and noise: overall, per magnitude and per S/N.

    Parameters
    ----------
    predictors : dict of str to predictor
        Predictors by the names that they get in the table: a `~specvit.LoggEstimator`, another
        `~specvit.predictors.Predictor`, a `~specvit.network.LabelRegressor`, any object with the method
        ``predict_labels`` of `~specvit.predictors.LabelPredictor`, or a scikit-learn regressor fitted on
        fluxes. Of the last ``predict(flux)`` is called, which must give log g, or the labels of its attribute
        ``label_names``; `~specvit.predictors.ForeignPredictor` has options for other regressors.
    data : Survey, SpectrumDataset or FrozenBatches
        Where the spectra come from. Stars of a survey are those that no training of this package draws
        (`specvit.survey.streams`). Of a data set the first spectra are taken, with frozen noise; it should be
        a part that was not trained on.
    n : int
        Number of stars, at most as many as a data set has; with `magnitudes`, at each of them.
    magnitudes : sequence of float, optional
        Observe the same stars at each of these. By default they have the magnitudes of the survey or data
        set, and are binned.
    snr_bins : sequence of float, optional
        Rising edges of the bins of observed median S/N, by default `SNR_BINS`.
    labels : str or sequence of str
        Labels to measure, in any spelling, as ``"log g"``. A predictor has rows for those that it predicts.
    limits : bool or dict
        Whether to compute the limits of a survey; a dict has options of `bayes_limit`. Where no limits are
        known (imperfections, velocities, no noise, data sets) there are no such rows, and ``attrs["limits"]``
        says why.
    limit_stars : int
        Number of stars that limits are computed from, the first at each magnitude.
    bootstrap : int
        Number of resamples for the errors; with 0 errors are NaN.
    seed : int
        Seed of stars, noise and resamples.
    device : str or torch.device
        Where spectra are made and limits computed; networks stay on their own.
    batch_size : int
        Spectra handed to a predictor at once. Another size draws other stars.
    return_predictions : bool
        Whether to return a table of the single predictions, too.
    progress : bool or callable, optional
        Whether to show how far "predictions", then "limits", have come; by default on a terminal only. A
        callable is called as ``progress(what, done, total)``, with 0 before the first batch, and after each.

    Returns
    -------
    table : pandas.DataFrame
        A row for each predictor, label and bin: ``predictor``, ``kind`` ("predictor" or "limit"), ``label``,
        ``by`` ("overall", "magnitude" or "snr"), ``low``, ``high``, ``centre`` (median magnitude or S/N of
        the bin), ``snr``, ``n``, ``unusable``, and each of `METRICS` with ``<metric>_err``. In ``attrs``:
        ``definitions``, ``survey``, ``seed``, ``limits`` and what else the table rests on.
    predictions : pandas.DataFrame
        If `return_predictions`: ``predictor``, ``label``, ``star``, ``magnitude``, ``snr``, ``truth``,
        ``prediction``, ``sigma``, and the true labels; posterior means as predictor "Bayes limit".

    Raises
    ------
    ImportError
        Without pandas.
    TypeError, ValueError
        If an argument breaks its rule, or a prediction has the wrong shape.

    Notes
    -----
    A spectrum for which a predictor gives no finite number is counted in its column ``unusable`` and left out
    of its figures only. Bins of fewer than 20 stars are left out. Bins are closed below and open above.

    Examples
    --------
    >>> from specvit import LoggEstimator, Survey
    >>> vit = {"ViT": LoggEstimator(weights="paper")}
    >>> table = evaluate(vit, Survey("paper"), n=40, magnitudes=[20], limits=False, bootstrap=0)
    >>> table["by"].tolist(), bool(table["r2"][0] > 0.9)
    (['overall', 'magnitude', 'snr'], True)
    """
    pd = import_pandas()
    snr_bins = SNR_BINS if snr_bins is None else snr_bins
    labels = _check(predictors, data, n, magnitudes, labels, limit_stars, bootstrap, snr_bins)
    progress = progress if callable(progress) else _Lines(progress)
    options = dict(limits) if isinstance(limits, dict) else {}
    unknown = "not asked for" if limits is False else unknown_because(data, options)
    stars, given, samples = _observe(
        predictors, data, n, magnitudes, 0 if unknown else limit_stars, seed, device, batch_size, progress
    )
    for label in labels:
        if not any(label in names for names, _, _ in given.values()):
            raise ValueError(f"none of the predictors predicts {label!r}")
    bins = make_bins(stars, magnitudes is not None, snr_bins)
    weights = bootstrap_weights(stars.star.max() + 1, bootstrap, np.random.default_rng([seed, 1]))
    rows, tidy = [], []
    for name, (names, mean, sigma) in given.items():
        for label in (label for label in labels if label in names):
            k, truth = names.index(label), stars.truth[:, stars.names.index(label)]
            tidy.append((name, label, np.arange(len(truth)), mean[:, k], sigma[:, k]))
            for one in bins:
                row = {"predictor": name, "kind": "predictor", "label": label} | _place(one)
                rows.append(row | _figures(one.member, truth, mean[:, k], sigma[:, k], weights, stars.star))
    if unknown is None:
        options |= {"progress": _of_all(progress, [len(sample.index) for sample in samples])}
        found, index, mean, sigma = limit_rows(
            data, samples, bins, stars, labels, seed=seed, device=device, **options
        )
        order = list(LIMIT_DEFINITIONS)
        found.sort(key=lambda row: (order.index(row["predictor"]), labels.index(row["label"]), row["bin"]))
        rows += [{"kind": "limit"} | _place(bins[row.pop("bin")]) | row for row in found]
        for label in labels:
            k = stars.names.index(label)
            tidy.append((BAYES, label, index, mean[:, k], sigma[:, k]))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    table = table.astype({"n": int, "unusable": int} | dict.fromkeys(_COLUMNS[4:8] + _COLUMNS[10:], float))
    table.attrs = {
        "definitions": DEFINITIONS | TABLE_DEFINITIONS | ({} if unknown else LIMIT_DEFINITIONS),
        "survey": repr(data),
        "seed": seed,
        "stars": int(stars.star.max()) + 1,
        "limits": unknown or f"from the first {len(samples[0].index)} stars",
        "bootstrap": bootstrap,
        "specvit": __version__,
    }
    return (table, _tidy(pd, tidy, stars)) if return_predictions else table


def _observe(predictors, data, n, magnitudes, limit_stars, seed, device, batch_size, progress):
    """Draw the spectra, ask every predictor, and keep what the limits need."""
    each = (None,) if magnitudes is None else magnitudes
    columns, given, samples, total = [], {name: [] for name in predictors}, [], n * len(each)
    progress("predictions", 0, total)
    for magnitude in each:
        kept, start = [], sum(len(column[0]) for column in columns)
        options = {"magnitude": magnitude, "seed": seed, "device": device, "batch_size": batch_size}
        for batch in observed_batches(data, n, **options):
            # To 1e-4, as magnitudes are: a stated S/N is itself again, which float32 is not.
            snr = np.round(median_snr(batch.flux, batch.ivar).double().cpu().numpy(), 4)
            truth = batch.labels.double().cpu().numpy()
            before = sum(len(column[0]) for column in columns)
            columns.append((batch.star, batch.magnitude, snr, truth))
            for k, (name, predictor) in enumerate(predictors.items(), 1):
                given[name].append(ask(f"predictors[{name!r}]", predictor, batch))
                progress("predictions", before + len(batch.star) * k // len(predictors), total)
            missing = limit_stars - sum(len(part[0]) for part in kept)
            if missing > 0:
                parts = batch.magnitude, batch.flux, batch.ivar, batch.noiseless_sigma, batch.labels
                kept.append(tuple(part[:missing] for part in parts))
        if kept:
            parts = list(zip(*kept, strict=True))
            index = start + np.arange(sum(map(len, parts[0])))
            tensors = (torch.cat(part) for part in parts[1:])
            samples.append(LimitSample(magnitude, index, np.concatenate(parts[0]), *tensors))
    stars = Stars(label_names_of(data), *map(np.concatenate, zip(*columns, strict=True)))
    for name, parts in given.items():
        names, mean, sigma = zip(*parts, strict=True)
        given[name] = names[0], np.concatenate(mean), np.concatenate(sigma)
    return stars, given, samples


class _Lines:
    """A line for each kind of work."""

    def __init__(self, shown):
        self._shown, self._lines = shown, {}

    def __call__(self, what, done, total):
        if what not in self._lines:
            self._lines[what] = ProgressLine(what, self._shown)
        self._lines[what](done, total)


def _of_all(progress, sizes):
    """Progress of limits over all samples, from that of one sample after the other."""
    before = [0]
    progress("limits", 0, sum(sizes))

    def report(done, size):
        progress("limits", before[0] + done, sum(sizes))
        before[0] += size if done == size else 0

    return report


def _place(one):
    return {name: getattr(one, name) for name in ("by", "low", "high", "centre", "snr")}


def _figures(member, truth, mean, sigma, weights, star):
    """Figures and their errors over the usable spectra of a bin."""
    used = member & np.isfinite(mean)
    truth, mean, sigma = truth[used], mean[used], sigma[used]
    row = {"n": int(used.sum()), "unusable": int(member.sum() - used.sum())}
    row |= figures_of_merit(truth, mean, sigma)
    errors = bootstrap_errors(truth, mean, sigma, weights[:, star[used]])
    return row | {f"{name}_err": error for name, error in errors.items()}


def _tidy(pd, parts, stars):
    """A row for each prediction."""
    frames = []
    for name, label, index, mean, sigma in parts:
        k = stars.names.index(label)
        columns = {"star": stars.star, "magnitude": stars.magnitude, "snr": stars.snr}
        columns |= {"truth": stars.truth[:, k]}
        columns = {key: values[index] for key, values in columns.items()}
        columns |= {"prediction": mean, "sigma": sigma}
        frame = pd.DataFrame({"predictor": name, "label": label} | columns)
        for true in LABELS:
            known = true in stars.names
            frame[true] = stars.truth[index, stars.names.index(true)] if known else np.nan
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _check(predictors, data, n, magnitudes, labels, limit_stars, bootstrap, snr_bins):
    if not isinstance(predictors, dict) or not predictors:
        raise TypeError(f"predictors must be a dict of at least one name to predictor, got {predictors!r}")
    taken = [name for name in predictors if name in LIMIT_DEFINITIONS]
    if taken:
        raise ValueError(f"predictors must not have the name of a limit, got {taken[0]!r}")
    labels = label_tuple(labels, among=label_names_of(data))
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n!r}")
    if limit_stars < 2:
        raise ValueError(f"limit_stars must be at least 2, got {limit_stars!r}")
    if bootstrap < 0:
        raise ValueError(f"bootstrap must not be negative, got {bootstrap!r}")
    if magnitudes is not None:
        if not hasattr(data, "draw"):
            raise ValueError("magnitudes are for surveys: a data set has its own")
        if not len(magnitudes) or not np.isfinite(magnitudes).all():
            raise ValueError(f"magnitudes must be finite numbers, at least one, got {magnitudes!r}")
    if len(snr_bins) < 2 or not (np.diff(snr_bins) > 0).all():
        raise ValueError(f"snr_bins must be at least two rising edges, got {snr_bins!r}")
    return labels

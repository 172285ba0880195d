"""Audits of leakage: whether labels can be read from the error array, and whether a predictor does so.

The variance of photon noise follows the flux, so an error array computed from the noiseless spectrum *is* the
spectrum, without noise: a linear fit to it reaches R² 0.99 where the spectrum itself allows 0.7. No real
pipeline reports such errors, and a network that has learned from them knows nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from specvit.assess.bins import import_pandas
from specvit.assess.metrics import bootstrap_errors, bootstrap_weights, figures_of_merit
from specvit.assess.outoffold import out_of_fold
from specvit.assess.teststars import ask, label_names_of, observed_batches
from specvit.labels import label_tuple
from specvit.network.inputs import masked_median, median_snr, usable

__all__ = ["audit_leakage", "audit_predictor"]

AUDITS = {
    "magnitude only": "cubic polynomial in the magnitude, where it is known, or in the inverse hyperbolic "
    "sine of the median S/N, whichever tells more: the reference",
    "error only": "ridge on the log of the reported errors about their mean, and a cubic polynomial in that "
    "mean; passes if R² exceeds the reference by no more than the tolerance",
    "given inputs": "ridge on the inputs given instead of the errors; passes by the same rule",
    "spectrum, labels shuffled": "ridge on the scaled flux, for labels of other stars; passes if R² is no "
    "more than the tolerance: the procedure itself lets nothing through",
    "spectrum": "ridge on the scaled flux: a control that there is something to find",
    "noiseless sigma": "ridge on the errors that the noise was drawn with: a control that a leak is seen",
    "flux exchanged": "squared correlation of the label with predictions from the star's errors and the flux "
    "of another star as bright; passes if it exceeds the reference by no more than the tolerance",
    "as observed": "R² of the predictor on the same spectra: a control",
    "r2": "1 − Σ(p − t)² / Σ(t − ⟨t⟩)² of five-fold out-of-sample predictions (of a predictor's own, in its "
    "audit); may be negative",
}
_NEIGHBOURS = 32  # stars of like brightness that exchange their fluxes


def audit_leakage(
    data,
    *,
    n=20_000,
    label="logg",
    inputs=None,
    tolerance=0.02,
    seed=0,
    device="cpu",
    batch_size=1000,
):
    """Whether the error array of a survey or data set tells a label.

    Parameters
    ----------
    data : Survey, SpectrumDataset or FrozenBatches
        Where spectra, errors and labels come from.
    n : int
        Spectra, at most as many as a data set has.
    label : str
        Name of the label that must not be told.
    inputs : callable, optional
        Takes a batch (``flux``, ``ivar``, ``noiseless_sigma``, tensors of shape (n, n_pixels)) and returns an
        array (n, p) that is audited instead of the reported errors.
    tolerance : float
        Largest R² beyond what brightness alone tells.
    seed : int
        Seed of the stars, the folds and the resamples.
    device : str or torch.device
        Where spectra are made and regressions solved.
    batch_size : int
        Spectra made at once.

    Returns
    -------
    pandas.DataFrame
        ``input``, ``r2`` with ``r2_err`` (bootstrap), ``n``, ``excess`` over the row "magnitude only", and
        ``verdict``: "pass" or "fail", or what a row is for ("reference", "control"). In ``attrs``:
        ``passed`` (bool), ``definitions``, ``survey``, ``label``, ``tolerance``, ``seed``.

    Raises
    ------
    ImportError
        Without pandas.
    ValueError
        If the label is not known to the data, or `inputs` gives another shape or what is not finite.

    Notes
    -----
    Regressions are linear, except in the brightness. `audit_predictor` looks for leaks that only a network
    could read.

    Examples
    --------
    >>> from specvit import Survey
    >>> table = audit_leakage(Survey("paper"), n=200, tolerance=0.3)
    >>> table.attrs["passed"]
    True
    """
    pd = import_pandas()
    label, column = _column(data, label)
    audited = "error only" if inputs is None else "given inputs"
    designs = {name: [] for name in ("magnitude only", audited, "spectrum", "noiseless sigma")}
    truth = []
    options = {"seed": seed, "device": device, "batch_size": batch_size, "noiseless": True}
    for batch in observed_batches(data, n, **options):
        truth.append(batch.labels[:, column].double().cpu().numpy())
        sigma = torch.where(usable(batch.flux, batch.ivar), batch.ivar, 0).rsqrt()  # infinite where masked
        designs["magnitude only"].append(_brightness(batch))
        designs[audited].append(_errors(sigma) if inputs is None else _given(inputs, batch))
        designs["spectrum"].append(_spectrum(batch))
        designs["noiseless sigma"].append(_errors(batch.noiseless_sigma))
    truth = np.concatenate(truth)
    rng = np.random.default_rng([seed, 4])
    both = np.stack([truth, rng.permutation(truth)], 1)
    weights = bootstrap_weights(len(truth), 200, rng)
    results = {}
    for name in list(designs):
        design = torch.cat(designs.pop(name))
        if name == "magnitude only":
            results[name] = _r2(truth, _from_brightness(design, truth, seed, device), weights)
            continue
        if name in ("error only", "noiseless sigma"):
            design = _with_level(design)
        targets = both if name == "spectrum" else both[:, :1]
        predictions = out_of_fold(design, targets, seed=seed, device=device)
        results[name] = _r2(truth, predictions[:, 0], weights)
        if name == "spectrum":
            results["spectrum, labels shuffled"] = _r2(both[:, 1], predictions[:, 1], weights)
    judged = {audited: results["magnitude only"][0], "spectrum, labels shuffled": 0.0}
    attrs = {"survey": repr(data), "label": label, "n": len(truth), "seed": seed}
    return _verdicts(pd, results, judged, tolerance, attrs)


def audit_predictor(
    predictor, data, *, n=4000, label="logg", tolerance=0.02, seed=0, device="cpu", batch_size=1000
):
    """Whether a predictor reads a label in the errors of a spectrum instead of its flux.

    Each star keeps its inverse variance and is given the flux of another star, scaled to its own median. The
    other star is as bright to a few parts in a hundred, or the nearest in brightness. If the predictions
    still tell something of the star that the errors belong to, beyond its brightness, they have it from the
    errors.

    Parameters
    ----------
    predictor
        As for `evaluate`.
    data : Survey, SpectrumDataset or FrozenBatches
        Where spectra, errors and labels come from.
    n, label, tolerance, seed, device, batch_size
        As for `audit_leakage`.

    Returns
    -------
    pandas.DataFrame
        A table as that of `audit_leakage`, for "magnitude only", "flux exchanged" and "as observed".

    Raises
    ------
    ImportError, TypeError, ValueError
        As `evaluate` and `audit_leakage` do; also if there is no usable prediction.

    Examples
    --------
    >>> from specvit import LoggEstimator, Survey
    >>> table = audit_predictor(LoggEstimator(weights="paper"), Survey("paper"), n=50, tolerance=0.5)
    >>> table["input"].tolist()
    ['magnitude only', 'flux exchanged', 'as observed']
    """
    pd = import_pandas()
    label, column = _column(data, label)
    batches = list(observed_batches(data, n, seed=seed, device=device, batch_size=batch_size))
    truth = np.concatenate([batch.labels[:, column].double().cpu().numpy() for batch in batches])
    flux, ivar = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("flux", "ivar"))
    good = usable(flux, ivar)
    level = masked_median(torch.where(good, flux, 0), good)[:, 0].nan_to_num(0.0)
    other = _exchange(level, np.random.default_rng([seed, 5]))
    exchanged = torch.where(good, flux, level[:, None])[other]
    safe = torch.where(level > 0, level, 1.0)
    exchanged = exchanged * (safe / safe[other])[:, None]
    sizes = [len(batch) for batch in batches]
    observed, swapped = (
        np.concatenate([_ask(predictor, *pair, label) for pair in zip(batches, parts, strict=True)])
        for parts in (flux.split(sizes), exchanged.split(sizes))
    )
    used = np.isfinite(observed) & np.isfinite(swapped)
    if used.sum() < 10:
        raise ValueError(f"predictor must give finite numbers for at least 10 spectra, got {used.sum()}")
    brightness = torch.cat([_brightness(batch) for batch in batches])[
        torch.as_tensor(used, device=flux.device)
    ]
    truth, observed, swapped = truth[used], observed[used], swapped[used]
    weights = bootstrap_weights(len(truth), 200, np.random.default_rng([seed, 4]))
    known = _from_brightness(brightness, truth, seed, device)
    slope, offset = np.polyfit(swapped, truth, 1) if np.ptp(swapped) > 0 else (0.0, truth.mean())
    results = {
        "magnitude only": _r2(truth, known, weights),
        "flux exchanged": _r2(truth, slope * swapped + offset, weights),  # of a line: the squared correlation
        "as observed": _r2(truth, observed, weights),
    }
    judged = {"flux exchanged": max(results["magnitude only"][0], 0.0)}  # a squared correlation is positive
    attrs = {"survey": repr(data), "label": label, "n": len(truth), "seed": seed}
    return _verdicts(pd, results, judged, tolerance, attrs)


def _column(data, label):
    """Name of a label, as this package writes it, and its column in the data."""
    names = label_names_of(data)
    (name,) = label_tuple([label], among=names, what="label")
    return name, names.index(name)


def _brightness(batch):
    """Inverse hyperbolic sine of the median S/N, and the true magnitude: (n, 2), NaN where not known.

    One number at a time: two of them, median flux and median error, would tell how much the lines absorb.
    Flux alone tells nothing where spectra are normalised.
    """
    snr = torch.asinh(median_snr(batch.flux, batch.ivar).double().nan_to_num(0.0))
    return torch.stack([snr, torch.as_tensor(batch.magnitude, device=snr.device)], 1)


def _from_brightness(columns, truth, seed, device):
    """Out-of-sample predictions from the measure of brightness that tells more of the label."""
    known = [column[:, None] for column in columns.unbind(1) if torch.isfinite(column).all()]
    found = [out_of_fold(_cubic(x), truth[:, None], seed=seed, device=device)[:, 0] for x in known]
    return min(found, key=lambda prediction: np.sum((prediction - truth) ** 2))


def _cubic(column):
    """The first three powers of a standardised column, (n, 1) to (n, 3)."""
    column = (column - column.mean()) / column.std().clamp_min(1e-12)
    return torch.cat([column, column**2, column**3], 1)


def _errors(sigma):
    """Log of errors about its mean over the pixels, and that mean: (n, n_pixels + 1), float32."""
    good = torch.isfinite(sigma) & (sigma > 0)
    log = torch.where(good, sigma, 1.0).log()
    mean = log.sum(1, keepdim=True) / good.sum(1, keepdim=True).clamp_min(1)
    return torch.cat([torch.where(good, log - mean, 0), mean], 1).float()


def _with_level(design):
    return torch.cat([design[:, :-1].double(), _cubic(design[:, -1:].double())], 1)


def _spectrum(batch):
    """Flux over its median, without what no line can do, in float32; masked pixels at the median."""
    good = usable(batch.flux, batch.ivar)
    level = masked_median(torch.where(good, batch.flux, 0), good).nan_to_num(0.0)
    level = torch.where(level > 0, level, torch.inf)  # no scale: all zero
    return torch.where(good, batch.flux / level - 1, 0).clamp(-2, 2).float()


def _given(inputs, batch):
    values = torch.as_tensor(inputs(batch)).detach()
    if values.ndim != 2 or len(values) != len(batch):
        raise ValueError(f"inputs must give an array of shape ({len(batch)}, p), got {tuple(values.shape)}")
    return values.float()


def _r2(truth, prediction, weights):
    sigma = np.full(len(truth), np.nan)
    error = bootstrap_errors(truth, prediction, sigma, weights)["r2"]
    return figures_of_merit(truth, prediction)["r2"], error


def _exchange(level, rng):
    """For each star another of like brightness, never itself: a permutation."""
    order = torch.argsort(level).cpu().numpy()
    other = np.empty(len(order), np.int64)
    blocks = np.array_split(order, max(1, len(order) // _NEIGHBOURS))
    for block in blocks:
        ring = rng.permutation(block)
        other[ring] = np.roll(ring, 1)
    return torch.as_tensor(other, device=level.device)


def _ask(predictor, batch, flux, label):
    names, mean, _ = ask("predictor", predictor, replace(batch, flux=flux))
    if label not in names:
        raise ValueError(f"predictor must predict {label!r}, it predicts {names}")
    return mean[:, names.index(label)]


def _verdicts(pd, results, judged, tolerance, attrs):
    """The table; `judged` has what the R² of a row may exceed by no more than the tolerance."""
    reference = results["magnitude only"][0]
    rows = []
    for name, (r2, error) in results.items():
        verdict = "reference" if name == "magnitude only" else "control"
        if name in judged:
            verdict = "pass" if r2 <= judged[name] + tolerance else "fail"
        rows.append((name, r2, error, attrs["n"], r2 - reference, verdict))
    table = pd.DataFrame(rows, columns=["input", "r2", "r2_err", "n", "excess", "verdict"])
    table.attrs = {
        "passed": not (table["verdict"] == "fail").any(),
        "definitions": {name: AUDITS[name] for name in [*results, "r2"]},
        "tolerance": tolerance,
        **attrs,
    }
    return table

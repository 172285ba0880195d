"""How good predictions are: one definition of each figure of merit."""

from __future__ import annotations

import numpy as np

from specvit.network.calibration import predict_batches

__all__ = ["label_metrics", "score_survey"]

#: Magnitudes at which surveys are scored.
MAGNITUDES = {
    "paper": (20.0, 20.5, 21.0, 21.5, 22.0, 22.5),
    "pfs-mr": (17.0, 18.0, 19.0, 20.0, 21.0, 22.0, 23.0),
}


def label_metrics(truth, prediction, sigma=None):
    """Figures of merit of one label.

    Parameters
    ----------
    truth, prediction : ndarray, shape (n,)
        In the label's unit; MAE of log g is therefore in dex.
    sigma : ndarray, shape (n,), optional
        Predicted standard errors.

    Returns
    -------
    dict of float
        ``r2`` = 1 − Σ(t − p)² / Σ(t − ⟨t⟩)²; ``mae`` = ⟨|t − p|⟩; ``rmse``; ``bias`` = ⟨p − t⟩; with
        `sigma`, ``coverage`` = fraction with |t − p| ≤ σ.
    """
    residual = prediction - truth
    figures = {
        "r2": 1 - np.sum(residual**2) / np.sum((truth - truth.mean()) ** 2),
        "mae": np.abs(residual).mean(),
        "rmse": np.sqrt(np.mean(residual**2)),
        "bias": residual.mean(),
    }
    if sigma is not None:
        figures["coverage"] = np.mean(np.abs(residual) <= sigma)
    return {name: float(value) for name, value in figures.items()}


def score_survey(
    regressor, survey, *, n=20_000, magnitudes=None, device="cpu", stream=2**43, batch_size=1000
):
    """Metrics of every label at single magnitudes, on stars drawn afresh.

    Parameters
    ----------
    regressor : LabelRegressor
    survey : Survey
    n : int
        Stars per magnitude; the same stars at each.
    magnitudes : sequence of float, optional
        By default the survey's usual ones.
    device : str or torch.device
        Where the spectra are made; the regressor's own device.
    stream : int
        Stream of the survey, to be one it was not trained on.
    batch_size : int

    Returns
    -------
    dict
        Magnitude (as str) → label name → `label_metrics`; and ``"snr"`` → median observed S/N.
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

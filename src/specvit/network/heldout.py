"""Predictions for spectra that a network was not trained on, before any calibration of its errors."""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["HeldOut", "predict_held_out"]


class HeldOut(NamedTuple):
    """What calibration for any instrument rests on; all float64, on the CPU.

    Attributes
    ----------
    error : Tensor, shape (n, n_labels)
        (truth − prediction)/σ, σ as the network predicts it.
    mean, log_sigma : Tensor, shape (n, n_labels)
        Predictions: the standardised label, and ln σ of it.
    snr, lsf, coverage : Tensor, shape (n,)
        As of `specvit.network.cells.describe`.
    correlation : Tensor, shape (n, n_labels, n_labels)
        Predicted correlations of the errors; the unit matrix where none are predicted.

    Examples
    --------
    >>> HeldOut._fields
    ('error', 'mean', 'log_sigma', 'snr', 'lsf', 'coverage', 'correlation')
    """

    error: torch.Tensor
    mean: torch.Tensor
    log_sigma: torch.Tensor
    snr: torch.Tensor
    lsf: torch.Tensor
    coverage: torch.Tensor
    correlation: torch.Tensor


@torch.no_grad()
def predict_held_out(regressor, batches):
    """Predictions of an ``instrument`` regressor without its calibration.

    Parameters
    ----------
    regressor : LabelRegressor
        A network with the encoding ``instrument``.
    batches : iterable of (flux, ivar, labels, lsf, sampling)
        Labels in physical units. Spectra of which one is unknown (NaN) or no pixel is usable are left out.

    Returns
    -------
    HeldOut

    Examples
    --------
    Of one of three spectra the label is unknown:

    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> network = LabelRegressor.build(config, "logg", encoding="instrument")
    >>> flux, zero = torch.full((3, 64), 5.0), torch.zeros(3, 64)
    >>> labels = torch.tensor([[1.0], [2.0], [float("nan")]])
    >>> predict_held_out(network, [(flux, torch.ones(3, 64), labels, zero, zero)]).snr.tolist()
    [5.0, 5.0]
    """
    training = regressor.training
    regressor.eval()
    try:
        rows = [_predicted(regressor, *batch) for batch in batches]
    finally:
        regressor.train(training)
    return HeldOut(*map(torch.cat, zip(*rows, strict=True)))


def _predicted(regressor, flux, ivar, labels, *instrument):
    """What `HeldOut` holds, of one batch."""
    device = regressor.label_scale.device
    flux, ivar, *instrument = (one.to(device) for one in (flux, ivar, *instrument))
    x, valid = regressor.encode(flux, ivar, *instrument)
    mean, log_sigma, factor = regressor.heads(x)
    log_sigma = torch.zeros_like(mean) if log_sigma is None else log_sigma
    truth = (labels.to(mean) - regressor.label_centre) / regressor.label_scale
    snr, lsf, coverage = regressor.calibration_axes(flux, ivar, *instrument[:1])
    unit = torch.eye(regressor.n_labels).to(mean).expand(len(mean), -1, -1)
    correlation = unit if factor is None else factor @ factor.mT
    error = (truth - mean) * torch.exp(-log_sigma)
    known = valid & error.isfinite().all(1) & (snr > 0)
    one = (error, mean, log_sigma, snr, lsf, coverage, correlation)
    return [values[known].double().cpu() for values in one]

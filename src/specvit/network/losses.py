"""Losses of one standardised label: each maps (mean, log σ, target) to a value per spectrum and label."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from specvit.checks import check_choice

__all__ = ["LOSSES", "correlation_nll", "gaussian_nll", "masked_mean", "pointwise_loss"]

#: Names of the losses; only ``gaussian_nll`` uses (and needs) a predicted σ.
LOSSES = ("gaussian_nll", "huber", "l1", "mse")


def gaussian_nll(mean, log_sigma, target, beta=0.0):
    """Negative log likelihood of a Gaussian, with the β weighting of Seitzer et al. (2022).

    L = ⌊σ^{2β}⌋ · [ (y − μ)²/(2σ²) + ln σ + ½ ln 2π ], where ⌊·⌋ stops the gradient. β = 0 is the
    likelihood itself, a proper score; β = 1 gives the mean the gradient of the squared error. In
    between, spectra that the model calls uncertain are not given up so early (arXiv:2203.09168).

    Parameters
    ----------
    mean, log_sigma, target : Tensor, one shape
    beta : float
        Between 0 and 1.

    Returns
    -------
    Tensor, the same shape
    """
    nll = 0.5 * ((target - mean) * torch.exp(-log_sigma)).square() + log_sigma + 0.5 * math.log(2 * math.pi)
    return nll * torch.exp(2 * beta * log_sigma.detach()) if beta else nll


def correlation_nll(mean, log_sigma, factor, target, beta=0.0):
    """What the correlations of the errors add to the sum of `gaussian_nll` over labels.

    With e = (y − μ)/σ and K the Cholesky factor of the correlations, K z = e, the term of label i is
    ½ z_i² − ½ e_i² + ln K_ii; summed over labels, and added to that of `gaussian_nll`, it is the negative log
    likelihood of a Gaussian of covariance σ K Kᵀ σ. The gradient stops at e: correlations are learned from
    the errors that are there, and mean and σ are those that they would be without.

    Parameters
    ----------
    mean, log_sigma, target : Tensor, shape (n, k)
    factor : Tensor, shape (n, k, k)
        K, lower triangular, its rows of unit length.
    beta : float
        Weights a spectrum by the geometric mean of its σ^{2β}, as `gaussian_nll` its labels.

    Returns
    -------
    Tensor, shape (n, k)
    """
    log_sigma = log_sigma.detach()
    error = (target - mean.detach()) * torch.exp(-log_sigma)
    white = torch.linalg.solve_triangular(factor, error[..., None], upper=False)[..., 0]
    term = 0.5 * (white.square() - error.square()) + factor.diagonal(dim1=1, dim2=2).log()
    return term * torch.exp(2 * beta * log_sigma.mean(1, keepdim=True)) if beta else term


def pointwise_loss(name, mean, log_sigma, target, beta=0.0):
    """The loss called `name`, elementwise; point losses take ``log_sigma=None`` and nothing else."""
    check_choice("loss", name, LOSSES)
    if (log_sigma is None) == (name == "gaussian_nll"):
        need = "needs a heteroscedastic regressor" if log_sigma is None else "would leave σ untrained"
        raise ValueError(f"loss={name!r} {need}")
    if name == "gaussian_nll":
        return gaussian_nll(mean, log_sigma, target, beta)
    function = {"l1": F.l1_loss, "mse": F.mse_loss, "huber": F.huber_loss}[name]
    return function(mean, target, reduction="none")


def masked_mean(values, mask):
    """Mean of `values` where `mask` is True (zero where it nowhere is), without a device sync."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp_min(1)

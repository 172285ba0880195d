"""Losses of standardised labels, each a function of (mean, log σ, target) for every spectrum and label.

``gaussian_nll``. Advantage: it learns a σ for each label and spectrum. Disadvantages: it minimises R² only
indirectly, and single outliers count much; β = 0.5 (`gaussian_nll`) keeps it from neglecting uncertain
spectra.

``mse``. Advantages: its minimum is the posterior mean, which has the best R²; simple. Disadvantages: no σ but
one for all stars of an S/N, and outliers count most.

``l1``. Advantages: its minimum is the posterior median, which has the best mean absolute error; outliers
count little. Disadvantages: no σ of each star; its gradient does not vanish at the minimum, so that the end
of training is noisy.

``huber``. Advantages: quadratic for errors below one standard deviation of the label, linear beyond, so that
it combines the smooth minimum of ``mse`` with the robustness of ``l1``. Disadvantages: no σ of each star; its
minimum is neither mean nor median.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from specvit.checks import check_choice

__all__ = ["LOSSES", "correlation_nll", "gaussian_nll", "pointwise_loss"]

#: Names of the losses; only ``gaussian_nll`` uses (and needs) a predicted σ.
LOSSES = ("gaussian_nll", "huber", "l1", "mse")


def gaussian_nll(mean, log_sigma, target, beta=0.0):
    """Negative log likelihood of a Gaussian, with the β weighting of Seitzer et al. (2022).

    L = ⌊σ^{2β}⌋ · [ (y − μ)²/(2σ²) + ln σ + ½ ln 2π ], where ⌊·⌋ stops the gradient. β = 0 is the
    likelihood itself, a proper score; β = 1 gives the mean the gradient of the squared error. With values
    in between, spectra that the model calls uncertain still contribute to the mean (arXiv:2203.09168).

    Parameters
    ----------
    mean, log_sigma, target : Tensor, all of one shape
        Prediction μ, ln σ, and true value y, in units of the label scale.
    beta : float
        Exponent β of the weight, between 0 and 1.

    Returns
    -------
    Tensor, the same shape

    Examples
    --------
    >>> zero = torch.zeros(1)
    >>> round(gaussian_nll(zero, zero, zero).item(), 4)  # ½ ln 2π
    0.9189
    """
    nll = 0.5 * ((target - mean) * torch.exp(-log_sigma)).square() + log_sigma + 0.5 * math.log(2 * math.pi)
    return nll * torch.exp(2 * beta * log_sigma.detach()) if beta else nll


def correlation_nll(mean, log_sigma, factor, target, beta=0.0):
    """The term that the correlations of the errors add to the sum of `gaussian_nll` over labels.

    With e = (y − μ)/σ and K the Cholesky factor of the correlations, K z = e, the term of label i is
    ½ z_i² − ½ e_i² + ln K_ii; summed over labels, and added to that of `gaussian_nll`, it is the negative log
    likelihood of a Gaussian of covariance σ K Kᵀ σ. The gradient stops at e: correlations are learned from
    the errors, and do not influence what mean and σ learn.

    Parameters
    ----------
    mean, log_sigma, target : Tensor, shape (n, k)
        As for `gaussian_nll`.
    factor : Tensor, shape (n, k, k)
        K, lower triangular, its rows of unit length.
    beta : float
        Exponent β: a spectrum is weighted by the geometric mean over its labels of σ^{2β}.

    Returns
    -------
    Tensor, shape (n, k)

    Examples
    --------
    >>> mean, target = torch.zeros(3, 2), torch.rand(3, 2)
    >>> correlation_nll(mean, mean, torch.eye(2).expand(3, 2, 2), target).abs().max().item()  # none
    0.0
    """
    log_sigma = log_sigma.detach()
    error = (target - mean.detach()) * torch.exp(-log_sigma)
    white = torch.linalg.solve_triangular(factor, error[..., None], upper=False)[..., 0]
    term = 0.5 * (white.square() - error.square()) + factor.diagonal(dim1=1, dim2=2).log()
    return term * torch.exp(2 * beta * log_sigma.mean(1, keepdim=True)) if beta else term


def pointwise_loss(name, mean, log_sigma, target, beta=0.0):
    """The loss called `name`, elementwise; all but ``gaussian_nll`` must be given ``log_sigma=None``.

    Examples
    --------
    >>> pointwise_loss("l1", torch.tensor([1.0]), None, torch.tensor([3.0])).item()
    2.0
    """
    check_choice("loss", name, LOSSES)
    if (log_sigma is None) == (name == "gaussian_nll"):
        need = "needs a heteroscedastic regressor" if log_sigma is None else "would leave σ untrained"
        raise ValueError(f"loss={name!r} {need}")
    if name == "gaussian_nll":
        return gaussian_nll(mean, log_sigma, target, beta)
    function = {"l1": F.l1_loss, "mse": F.mse_loss, "huber": F.huber_loss}[name]
    return function(mean, target, reduction="none")

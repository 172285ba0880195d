"""The outputs of the network: labels, their errors, and the correlations of these."""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["Heads", "correlation_factor", "n_outputs_of", "soft_bound", "split_heads"]

LOG_SIGMA_RANGE = (-7.0, 3.0)
#: Of the elements below the diagonal of the correlations' factor, where that is 1: |correlation| < 0.995.
OFF_DIAGONAL_RANGE = (-10.0, 10.0)


class Heads(NamedTuple):
    """Predictions of the network for standardised labels.

    Attributes
    ----------
    mean : Tensor, shape (n, n_labels)
        Means of the standardised labels.
    log_sigma : Tensor, shape (n, n_labels), or None
        ln σ of each label by itself.
    factor : Tensor, shape (n, n_labels, n_labels), or None
        Cholesky factor of the correlations of their errors: lower triangular, rows of unit length.

    Examples
    --------
    >>> Heads(torch.zeros(3, 2), None, None).log_sigma is None
    True
    """

    mean: torch.Tensor
    log_sigma: torch.Tensor | None
    factor: torch.Tensor | None


def n_outputs_of(n_labels, heteroscedastic, covariance):
    """Outputs of a network: a mean for each label, a σ if wanted, and a number for each pair if wanted."""
    return n_labels * (1 + heteroscedastic) + covariance * (n_labels * (n_labels - 1) // 2)


def split_heads(out, n_labels, heteroscedastic, covariance):
    """`Heads` from the outputs (n, n_outputs), in the order of `n_outputs_of`."""
    if not heteroscedastic:
        return Heads(out, None, None)
    mean, log_sigma, off = out.split([n_labels, n_labels, out.shape[1] - 2 * n_labels], dim=1)
    factor = correlation_factor(soft_bound(off, *OFF_DIAGONAL_RANGE), n_labels) if covariance else None
    return Heads(mean, soft_bound(log_sigma, *LOG_SIGMA_RANGE), factor)


def soft_bound(x, low, high):
    """Smoothly confine `x` to (low, high); nearly the identity well inside."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    return middle + half * torch.tanh((x - middle) / half)


def correlation_factor(off, k):
    """Lower triangular factors (n, k, k) with rows of unit length from their k (k − 1)/2 free elements."""
    rows, columns = torch.tril_indices(k, k, -1, device=off.device)
    factor = torch.eye(k, dtype=off.dtype, device=off.device).repeat(len(off), 1, 1)
    factor[:, rows, columns] = off
    return factor / factor.norm(dim=2, keepdim=True)

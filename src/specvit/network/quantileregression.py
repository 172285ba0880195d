"""Linear quantile regression with a smooth loss and shrinkage."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["quantile_regression"]

_STEPS, _HALVINGS, _ENOUGH = 60, 14, 1e-12


def quantile_regression(terms, y, quantile, *, ridge=0.0, bandwidth=0.08):
    r"""Coefficients b such that the share `quantile` of `y` lies below ``b[0] + terms @ b[1:]``.

    The loss of Koenker & Bassett (1978, Econometrica 46, 33) is convolved with a Gaussian, so that it has two
    derivatives and Newton's method finds its one minimum (Fernandes, Guerre & Horta 2021, JBES 39, 338). The
    share below is then right on average over the rows under every weight that is linear in the terms, as
    far as shrinkage allows (Gibbs, Cherian & Candès 2025, JRSS B 87, 1100).

    Parameters
    ----------
    terms : ndarray, shape (n, p)
        Regressors without the constant; one that does not vary has the coefficient 0.
    y : ndarray, shape (n,)
        What is regressed.
    quantile : float
        Share below, in (0, 1).
    ridge : float
        Penalty on the square of each coefficient but the constant, per standard deviation of its term, in
        units of the loss of one row: it matters less, the more rows there are.
    bandwidth : float
        σ of the Gaussian, in units of `y`.

    Returns
    -------
    ndarray, shape (p + 1,)
        The constant first.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(10_000, 1))
    >>> y = 2 * x[:, 0] + np.random.default_rng(1).normal(size=10_000)
    >>> [round(float(b), 1) for b in quantile_regression(x, y, 0.8413)]
    [1.0, 2.0]
    """
    n, p = terms.shape
    centre, scale = terms.mean(0), terms.std(0)
    varies = scale > 1e-9 * np.maximum(np.abs(centre), 1.0)
    design = np.ones((n, p + 1))
    design[:, 1:] = np.where(varies, (terms - centre) / np.where(varies, scale, 1.0), 0.0)
    penalty = np.full(p + 1, ridge / n)
    penalty[0] = 0.0

    def loss(b):
        u = (y - design @ b) / bandwidth
        smooth = u * (_normal_cdf(u) - 0.5) + np.exp(-0.5 * u * u) / np.sqrt(2 * np.pi)
        return bandwidth * np.mean((quantile - 0.5) * u + smooth) + 0.5 * (penalty * b * b).sum()

    b = np.zeros(p + 1)
    b[0] = np.quantile(y, quantile)
    lowest = loss(b)
    for _ in range(_STEPS):
        u = (y - design @ b) / bandwidth
        gradient = design.T @ (_normal_cdf(-u) - quantile) / n + penalty * b
        weight = np.exp(-0.5 * u * u) / (np.sqrt(2 * np.pi) * bandwidth * n)
        # The last term keeps what neither rows nor penalty decide where it is.
        curvature = (design.T * weight) @ design + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        for _ in range(_HALVINGS):
            value = loss(b - step)
            if value <= lowest:
                break
            step = 0.5 * step
        else:
            break
        gained, lowest, b = lowest - value, value, b - step
        if gained < _ENOUGH:
            break
    b[1:] = np.where(varies, b[1:] / np.where(varies, scale, 1.0), 0.0)
    b[0] -= centre @ b[1:]
    return b


def _normal_cdf(x):
    return torch.special.ndtr(torch.as_tensor(x)).numpy()

"""The factor on σ for the shape of a posterior, which depends on what was predicted.

Where a posterior is Gaussian, σ is half of its 68.27 % interval. Where a spectrum tells little, the posterior
is the prior between its ends, or what these leave of it, and the interval is another multiple of σ. How far
it is so shows in σ itself, in units of the prior's width, in how near the label is to an end, and in the S/N.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations_with_replacement

import torch

__all__ = ["VARIABLES", "interval_shape", "n_terms", "shape_terms", "shape_variables"]

#: What the factor of a label depends on: ln(σ/label scale) and the standardised label, as predicted,
#: log10(S/N), relative line spread function and ln(coverage).
VARIABLES = ("log_sigma", "label", "log_snr", "lsf", "log_coverage")
#: Highest total degree of the polynomial in the first two variables, the first three, and all. The ends of a
#: prior are sharp, so that much happens in the first two; by the rest, shares at each S/N, resolution and
#: coverage stay what the cells made them.
_DEGREES = ((2, 6), (3, 3), (len(VARIABLES), 2))
_TERMS = sorted(
    {
        chosen
        for of, highest in _DEGREES
        for degree in range(1, highest + 1)
        for chosen in combinations_with_replacement(range(of), degree)
    },
    key=lambda chosen: (len(chosen), chosen),
)
#: Largest |ln factor|: a polynomial is trusted no further.
_LARGEST = 0.5


def n_terms():
    """Number of coefficients of a label, the constant included.

    Examples
    --------
    >>> n_terms()
    49
    """
    return 1 + len(_TERMS)


def shape_variables(mean, log_sigma, snr, lsf, coverage):
    """The `VARIABLES` of each label.

    Parameters
    ----------
    mean, log_sigma : Tensor, shape (n, n_labels)
        Standardised labels and ln σ of them, before calibration.
    snr, lsf, coverage : Tensor, shape (n,)
        As of `specvit.network.cells.describe`.

    Returns
    -------
    Tensor, shape (n, n_labels, 5)
        Finite where the first two are: an S/N that is not positive is the smallest positive number.

    Examples
    --------
    >>> snr, lsf, coverage = torch.tensor([[100.0], [0.5], [1.0]])
    >>> shape_variables(torch.zeros(1, 1), torch.full((1, 1), -2.0), snr, lsf, coverage).tolist()
    [[[-2.0, 0.0, 2.0, 0.5, 0.0]]]
    """
    log_snr = torch.log10(snr.to(mean).nan_to_num(0.0).clamp_min(torch.finfo(mean.dtype).tiny))
    seen = torch.stack([log_snr, lsf.to(mean).nan_to_num(0.0), coverage.to(mean).clamp_min(1e-4).log()], -1)
    return torch.cat([torch.stack([log_sigma, mean], -1), seen[:, None].expand(-1, mean.shape[1], -1)], -1)


def shape_terms(variables, limits):
    """Monomials of variables that are scaled to ±1 between limits and clipped there.

    Parameters
    ----------
    variables : Tensor, shape (..., 5)
        In the order of `VARIABLES`.
    limits : Tensor, shape (2, ..., 5)
        Lowest and highest values.

    Returns
    -------
    Tensor, shape (..., n_terms)
        The constant first.

    Examples
    --------
    >>> limits = torch.tensor([[-2.0], [2.0]]).expand(2, 5)
    >>> shape_terms(torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0]), limits)[:2].tolist()
    [1.0, 0.5]
    """
    low, high = limits
    x = (2 * (variables - low) / (high - low) - 1).clamp(-1, 1)
    factors = torch.cat([x, torch.ones_like(x[..., :1])], -1)
    return factors[..., _factors(x.device)].prod(-1)


@lru_cache
def _factors(device):
    """Which variables each term is a product of, tensor (n_terms, highest degree); the one beyond is 1."""
    highest = max(map(len, _TERMS))
    padded = [(*chosen, *[len(VARIABLES)] * (highest - len(chosen))) for chosen in ((), *_TERMS)]
    with torch.inference_mode(False):  # it is kept, and autograd refuses what was made in that mode
        return torch.tensor(padded, device=device)


def interval_shape(variables, limits, coefficients):
    """Factors on σ, shape (n, n_labels).

    Parameters
    ----------
    variables : Tensor, shape (n, n_labels, 5)
        Of `shape_variables`.
    limits : Tensor, shape (2, n_labels, 5)
        Beyond these the factor is constant.
    coefficients : Tensor, shape (n_terms, n_labels)
        Of ln(factor), which is cut at ±0.5.

    Examples
    --------
    A factor that grows with ln σ, and is constant beyond the limits:

    >>> limits = torch.stack([-torch.ones(1, 5), torch.ones(1, 5)])
    >>> coefficients = torch.zeros(n_terms(), 1)
    >>> coefficients[1] = 0.1
    >>> variables = torch.zeros(3, 1, 5)
    >>> variables[:, 0, 0] = torch.tensor([0.0, 1.0, 7.0])
    >>> interval_shape(variables, limits, coefficients)[:, 0].log().round(decimals=3).tolist()
    [0.0, 0.1, 0.1]
    """
    logarithm = (shape_terms(variables, limits) * coefficients.T).sum(-1)
    return logarithm.clamp(-_LARGEST, _LARGEST).exp()

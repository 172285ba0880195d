"""Sums over pixels that the fits of the honesty check are made of; tensors (b, n_pixels)."""

from __future__ import annotations

import torch

from specvit.network import inputs
from specvit.pixelscatter import scatter_of_differences, windows

__all__ = [
    "RIDGE",
    "bin_sums",
    "line_scatter",
    "masked_median",
    "paired",
    "smoothed",
    "solved",
]

#: Fewest differences between pixels from which the scatter of a spectrum is measured.
_FEWEST_DIFFERENCES = 40
#: Ridge, over the diagonal, of normal equations that were summed in single precision. Of a spectrum that is
#: seen at both ends alone, polynomials are alike to 1e-7 and sums wrong by some 3e-7: with less they may grow
#: to thousands there.
RIDGE = 1e-6


def solved(gram, right):
    """Solution of normal equations that were summed in single precision, (b, k, k) and (b, k) → (b, k)."""
    gram = gram.double()
    diagonal = gram.diagonal(dim1=1, dim2=2)
    diagonal.mul_(1 + RIDGE).add_(torch.where(diagonal > 0, 0.0, 1.0))  # columns of zeros get 0
    # None is singular, and `solve` would look: a GPU would wait for the host at each fit.
    return torch.linalg.solve_ex(gram, right[..., None].double())[0][..., 0].float()


def masked_median(values, good):
    """Median of each row over its good pixels, (b,); 1 where there are none."""
    return inputs.masked_median(values, good)[:, 0].nan_to_num(1.0)


def smoothed(flux, good):
    """Mean over three pixels, of the good ones."""
    total, count = (
        torch.nn.functional.avg_pool1d(x[:, None], 3, 1, 1)[:, 0]
        for x in (torch.where(good, flux, 0.0), good.float())
    )
    return torch.where(count > 0, total / count.clamp_min(1 / 3), 1.0)


def bin_sums(residual, good, n):
    """Sums of `n` pixels over the root of their number, (b, m), and whether all of them are good."""
    length = residual.shape[1] // n * n
    parts = (residual * good)[:, :length].unflatten(1, (-1, n)).sum(2) / n**0.5
    return parts, good[:, :length].unflatten(1, (-1, n)).all(2)


def paired(flux, ivar, n):
    """Weighted means of `n` pixels and their inverse variance, (b, m); of those that are good."""
    if n == 1:
        return torch.where(ivar > 0, flux, 0.0), ivar
    length = flux.shape[1] // n * n
    weight = ivar[:, :length].unflatten(1, (-1, n))
    total = weight.sum(2)
    mean = (weight * flux[:, :length].unflatten(1, (-1, n))).sum(2)
    return torch.where(total > 0, mean / total.clamp_min(1e-30), 0.0), total


def line_scatter(residual, good, spacing):
    """Scale of the noise from differences of pixels `spacing` apart, (b,); 1 where there are too few."""
    usable = torch.stack(windows(good, spacing)).all(0)
    scatter = scatter_of_differences(residual, spacing)
    known = usable.sum(1) >= _FEWEST_DIFFERENCES
    return torch.where(known, masked_median(scatter, usable), 1.0).clamp_min(1e-3)

"""Cells of instrument, coverage and S/N in which predicted errors are calibrated."""

from __future__ import annotations

import torch

from specvit.network.inputs import masked_median, per_pixel, snr_and_coverage, usable

__all__ = ["describe", "interpolate_cells"]


def describe(flux, ivar, lsf=None):
    """S/N, relative line spread function and coverage of spectra, each of shape (n,).

    Parameters
    ----------
    flux, ivar : Tensor, shape (n, n_pixels)
        Flux and its inverse variance, 0 where masked.
    lsf : Tensor, shape (n,) or (n, n_pixels), optional
        Relative line spread function; 0 without it.

    Returns
    -------
    snr : Tensor
        `median_snr`; NaN where no pixel is usable.
    lsf : Tensor
        Median over usable pixels; 0 where there are none.
    coverage : Tensor
        Share of pixels that are usable.

    Examples
    --------
    Of a spectrum whose last quarter is masked:

    >>> flux, ivar = torch.ones(1, 100), torch.full((1, 100), 400.0)
    >>> ivar[:, 75:] = 0
    >>> [float(value) for value in describe(flux, ivar)]
    [20.0, 0.0, 0.75]
    """
    snr, coverage = snr_and_coverage(flux, ivar)
    if lsf is None:
        return snr, torch.zeros_like(snr), coverage
    mask = usable(flux, ivar)
    return snr, masked_median(per_pixel(lsf, flux), mask)[:, 0].nan_to_num(0.0), coverage


def interpolate_cells(points, axes, table):
    """Multilinear interpolation in a table, constant beyond its ends.

    Parameters
    ----------
    points : sequence of d Tensors, shape (n,)
        Coordinates at which the table is wanted, one tensor for each axis.
    axes : sequence of d Tensors, shape (k_d,)
        Strictly increasing.
    table : Tensor, shape (k_1, ..., k_d, m)
        Values at the nodes.

    Returns
    -------
    Tensor, shape (n, m)

    Examples
    --------
    >>> axis, table = torch.tensor([1.0, 2.0]), torch.tensor([[10.0], [20.0]])
    >>> interpolate_cells([torch.tensor([1.5, 9.0])], [axis], table).tolist()
    [[15.0], [20.0]]
    """
    weight = torch.ones_like(points[0])[:, None]  # of the corners of each point, (n, 2, 4, 8, …)
    node = torch.zeros_like(weight, dtype=torch.long)
    for x, axis in zip(points, axes, strict=True):
        if len(axis) == 1:
            continue
        right = torch.searchsorted(axis, x.contiguous()).clamp(1, len(axis) - 1)[:, None]
        u = ((x[:, None] - axis[right - 1]) / (axis[right] - axis[right - 1])).clamp(0, 1)
        weight = torch.cat([weight * (1 - u), weight * u], 1)
        node = torch.cat([node * len(axis) + right - 1, node * len(axis) + right], 1)
    return (weight[..., None] * table.flatten(0, -2)[node]).sum(1)

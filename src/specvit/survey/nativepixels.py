"""Native pixels of many stars at once, each with its own, and their way onto the grid on the device."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from specvit.grid.native import MIN_WEIGHT

__all__ = ["GridEdges", "NativePixels"]


class GridEdges(NamedTuple):
    """Edges of a grid on a device, and what the host must know of them without asking the device.

    Attributes
    ----------
    edges : tensor of float64, shape (n_pixels + 1,)
        Å.
    low, high, widest : float
        First edge, last edge, and width of the widest pixel, Å.
    """

    edges: torch.Tensor
    low: float
    high: float
    widest: float

    @classmethod
    def of(cls, grid, device):
        """Of a `PixelGrid`."""
        edges = torch.as_tensor(grid.edges.copy(), device=device)
        return cls(edges, float(grid.edges[0]), float(grid.edges[-1]), float(grid.width.max()))


class NativePixels:
    """Pixels equal in λ or in ln λ that cover a grid, one set a star.

    The rule is that of `specvit.grid.native`, and the result that of `~specvit.grid.Resampler`, to float32
    rounding; edges and overlaps are computed in float64.

    Parameters
    ----------
    grid : GridEdges
        Edges of the grid that the pixels cover.
    width : tensor of float64, shape (n,)
        Width in Å of each star's native pixels at the middle of the grid.
    phase : tensor of float64, shape (n,)
        Where the first edge of the grid lies in the first native pixel, in native pixels, 0 to 1.
    logarithmic : tensor of bool, shape (n,)
        Whether the pixels are equal in ln λ.
    counts : (int, int)
        Sizes of the arrays, from `counts` of the narrowest pixels.

    Attributes
    ----------
    n_native : int
        Native pixels held for each star; those beyond the grid overlap nothing.
    """

    def __init__(self, grid, width, phase, logarithmic, counts):
        edges, low, high, _ = grid
        self._middle = 0.5 * (low + high)
        self._edges, self._width, self._logarithmic = edges, width[:, None], logarithmic[:, None]
        # A coordinate, in Å at the middle of the grid, in which either kind of pixel has steps of `width`.
        scaled = self._middle * torch.log(edges / self._middle)
        self._index = torch.where(self._logarithmic, scaled - scaled[0], edges - edges[0])
        self._index = self._index / self._width + phase[:, None]  # (n, n_pixels + 1), in native pixels
        self._first = torch.where(logarithmic, self._middle * math.log(low / self._middle), low)[:, None]
        self._first = self._first - (phase * width)[:, None]
        self.n_native, self._n_over = counts

    @staticmethod
    def counts(grid, finest):
        """How many pixels a star has, and how many a pixel of the grid may touch, at most: two int.

        Parameters
        ----------
        grid : GridEdges
            Edges of the grid that the pixels cover.
        finest : float
            Lower limit of the widths in Å, known beforehand so that the host need not wait for the device.
        """
        _, low, high, widest = grid
        middle = 0.5 * (low + high)
        span = max(high - low, middle * math.log(high / low))
        return math.ceil(span / finest) + 2, math.ceil(widest / (finest * low / middle)) + 1

    def edge(self, index):
        """Wavelength in Å of the edges of a number, tensor of float64: (k,) or (n, k) → (n, k)."""
        coordinate = self._first + self._width * index
        return torch.where(self._logarithmic, self._middle * torch.exp(coordinate / self._middle), coordinate)

    @property
    def centres(self):
        """Centres in Å, tensor of float64 and shape (n, n_native)."""
        bounds = self.edge(torch.arange(self.n_native + 1, device=self._edges.device, dtype=torch.float64))
        return 0.5 * (bounds[:, 1:] + bounds[:, :-1])

    def to_grid(self, valid, means, variance):
        """Rebin onto the grid.

        Parameters
        ----------
        valid : tensor of bool, shape (n, n_native)
            False where a native pixel is lost.
        means : sequence of tensors, shape (n, n_native)
            Flux densities, finite.
        variance : tensor, shape (n, n_native)
            Finite variance of independent native pixels.

        Returns
        -------
        means : list of tensors, shape (n, n_pixels)
            0 where lost.
        variance : tensor, shape (n, n_pixels)
            Infinite where lost.
        weight : tensor, shape (n, n_pixels)
            Share of each pixel's weight on valid native pixels.
        """
        first = self._index[:, :-1].floor()
        low, high = self._edges[:-1], self._edges[1:]
        weight, total_variance, totals = 0.0, 0.0, [0.0] * len(means)
        good = valid.to(variance.dtype)
        lower = low.expand_as(first)
        for k in range(self._n_over):
            upper = torch.minimum(self.edge(first + (k + 1)), high)
            overlap = ((upper - lower) / (high - low)).clamp_min(0).to(variance.dtype)
            lower = torch.maximum(upper, lower)
            index = (first + k).long().clamp_max(self.n_native - 1)
            overlap = overlap * good.gather(1, index)
            weight = weight + overlap
            total_variance = total_variance + overlap.square() * variance.gather(1, index)
            totals = [t + overlap * mean.gather(1, index) for t, mean in zip(totals, means, strict=True)]
        lost = weight < MIN_WEIGHT
        scale = (1 / weight).masked_fill(lost, 0)
        total_variance = (total_variance * scale.square()).masked_fill(lost, torch.inf)
        return [t * scale for t in totals], total_variance, weight

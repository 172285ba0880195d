"""The continuum: Chebyshev polynomials over the range that each spectrum is seen in, and sums with them."""

from __future__ import annotations

import torch

from specvit.honesty.fitsums import solved

__all__ = ["Continuum"]


class Continuum:
    """Polynomials of b spectra.

    Their order is that of `terms` over the whole grid: the shorter the range of a spectrum, the fewer are
    kept, at least T0 to T2; the others are 0.

    Parameters
    ----------
    good : Tensor of bool, shape (b, n)
        Pixels that are seen.
    terms : int
        Number k of polynomials.

    Attributes
    ----------
    polynomials : Tensor, shape (b, k, n)
        (1, k, n) where they are the same for all.
    """

    def __init__(self, good, terms):
        if (good[:, 0] & good[:, -1]).all():  # one set for all
            good = good[:1] | True
        pixel = torch.arange(good.shape[1], device=good.device, dtype=torch.float32)
        self._low = torch.where(good, pixel, torch.inf).min(1, keepdim=True).values
        high = torch.where(good, pixel, -torch.inf).max(1, keepdim=True).values
        self._span = (high - self._low).clamp_min(1)
        order = torch.arange(terms, device=good.device)
        share = (self._span / (good.shape[1] - 1)).clamp_min(2 / (terms - 1))
        self._kept = (order <= (terms - 1) * share).float()  # (b, k)
        #: T0 … T(2k − 2), of which products of two consist.
        self._all = self._chebyshev(pixel, 2 * terms - 1)
        self._products = (order + order[:, None], (order - order[:, None]).abs())
        self.polynomials = self._all[:, :terms] * self._kept[..., None]

    def at(self, position, terms):
        """The first `terms` polynomials at positions in pixels (m,), (b, terms, m) or (1, terms, m)."""
        return self._chebyshev(position, terms) * self._kept[:, :terms, None]

    def sums(self, values):
        """Sums over pixels of values (b, …, n) times each polynomial, (b, …, k)."""
        return self._matrix(values, self.polynomials.mT)

    def curve(self, coefficients):
        """Sums of polynomials (b, …, n) with coefficients (b, …, k)."""
        return self._matrix(coefficients, self.polynomials)

    def gram(self, weight):
        """Sums over pixels of a weight (b, n) times products of two polynomials, (b, k, k).

        By Tᵢ Tⱼ = ½ (Tᵢ₊ⱼ + T|ᵢ₋ⱼ|), so that 2k − 1 sums do for k² products.
        """
        sums, differences = self._products
        moments = self._matrix(weight, self._all.mT)
        kept = self._kept[:, :, None] * self._kept[:, None]
        return 0.5 * (moments[:, sums] + moments[:, differences]) * kept

    def fitted(self, weight, target):
        """Coefficients of the polynomials that, times a weight, are nearest to a target, both (b, n)."""
        return solved(self.gram(weight.square()), self.sums(weight * target))

    @staticmethod
    def _matrix(values, matrix):
        """Products of values (b, …, i) with a matrix each (b, i, j), or with one for all."""
        if len(matrix) == 1:
            return values @ matrix[0]
        return values @ matrix if values.ndim == 3 else (values[:, None] @ matrix)[:, 0]

    def _chebyshev(self, position, terms):
        x = (2 * (position - self._low) / self._span - 1).clamp(-1, 1)
        basis, twice = [torch.ones_like(x), x], 2 * x
        for _ in range(terms - 2):
            basis.append(twice * basis[-1] - basis[-2])
        return torch.stack(basis[:terms], 1)

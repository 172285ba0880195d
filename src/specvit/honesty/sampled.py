"""Values at positions between the samples of a uniform grid, and their sums onto it: fixed weighted sums."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from specvit.network.fastlayers import can_compile

__all__ = ["WeightedSums"]


class WeightedSums(nn.Module):
    """Each output is a sum of few values, the same for all spectra: ``sum(weights * values[index])``.

    Parameters
    ----------
    index : ndarray of int, shape (k, m)
        Which k values make each of m outputs.
    weights : ndarray, shape (k, m)
        Their weights.
    """

    def __init__(self, index, weights):
        super().__init__()
        self.register_buffer("index", torch.as_tensor(index, dtype=torch.int64), persistent=False)
        self.register_buffer("weights", torch.as_tensor(weights, dtype=torch.float32), persistent=False)

    @classmethod
    def cubic(cls, position):
        """Lagrange's cubic through the four samples around each position (m,), in samples from the first."""
        whole = np.floor(position).astype(int)
        t = position - whole
        weights = [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ]
        return cls(whole + np.arange(-1, 3)[:, None], np.stack(weights))

    @classmethod
    def linear(cls, position):
        """Straight lines between the two samples around each position (m,)."""
        whole = np.floor(position).astype(int)
        return cls(whole + np.arange(2)[:, None], np.stack([1 - position + whole, position - whole]))

    def transposed(self, n):
        """The sums of the transposed matrix: from m values onto `n` samples."""
        index, weights = self.index.numpy(), self.weights.numpy()
        order = np.argsort(index, axis=None, kind="stable")
        sample, pixel = index.ravel()[order], order % index.shape[1]
        place = np.arange(len(sample)) - np.searchsorted(sample, sample)  # among those of the same sample
        turned = np.zeros((place.max() + 1, n), int), np.zeros((place.max() + 1, n))
        turned[0][place, sample], turned[1][place, sample] = pixel, weights.ravel()[order]
        return WeightedSums(*turned)

    def forward(self, values):
        """The sums, (…, m), of values (…, n)."""
        if can_compile(values.device):
            from specvit.honesty.samplekernel import weighted_sums

            return weighted_sums(values, self.index, self.weights)
        shape = *values.shape[:-1], -1
        total = values.gather(-1, self.index[0].expand(shape)).mul_(self.weights[0])
        for index, weight in zip(self.index[1:], self.weights[1:], strict=True):
            total.addcmul_(values.gather(-1, index.expand(shape)), weight)
        return total

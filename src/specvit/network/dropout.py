"""Dropout with one multiplication a value, so that a GPU need not wait for random numbers.

Torch draws one for each value, by some 80 integer instructions of Philox. Compiled into the kernels that add
and normalise, they take longer than what these read and write. Here each row (a token) and each column (a
hidden value, or a key of attention) has a random odd number of 32 bits, and a value is kept where the product
of its row's and its column's, modulo 2³², is not among the lowest. What the backward pass keeps are these
numbers, not a mask.

A random odd number times any odd number is as random: within a row, and within a column, values are dropped
independently, at the right rate. Two rows, or two columns, depend on each other only where small multiples of
their numbers agree, but perhaps for the highest bits: at rate 0.1, fewer than one pair in 10⁷ is correlated
by more than 0.05. Pairs, triples and corners of rectangles are by measurement as of independent draws.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Dropout", "lowest_kept", "odd_factors"]


def odd_factors(shape, device):
    """Random odd numbers of rows or columns, Tensor of int32, from torch's generator."""
    return torch.randint(-(2**31), 2**31, shape, dtype=torch.int32, device=device) | 1


def lowest_kept(rate):
    """The least product, as a signed number of 32 bits, of a kept value, when a share `rate` is dropped."""
    return int(rate * 2**32) - 2**31


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, and where it is compiled the same by products of random numbers.

    Parameters
    ----------
    p : float
        Probability of dropping a value; kept ones are divided by 1 - p.
    """

    def forward(self, x):
        """Values `x` (…, width) of any floating type, in training some of them zero."""
        if not (self.training and self.p and torch.compiler.is_compiling()):
            return super().forward(x)
        rows, columns = odd_factors((*x.shape[:-1], 1), x.device), odd_factors(x.shape[-1:], x.device)
        return torch.where(rows * columns >= lowest_kept(self.p), x * (1 / (1 - self.p)), 0.0)

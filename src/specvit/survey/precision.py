"""Float32 products in full precision, whatever the user asked torch for."""

from __future__ import annotations

from contextlib import contextmanager

import torch

__all__ = ["full_float32"]


@contextmanager
def full_float32():
    """Keep TF32 and bfloat16 out of float32 matrix products, for as long as the block lasts.

    Rounding of 1e-3 would be a pattern in simulated spectra that a network learns, and least squares of many
    sums do not bear it. The setting is one for all threads: whoever starts threads sets it for them.

    Examples
    --------
    >>> torch.set_float32_matmul_precision("high")
    >>> with full_float32():
    ...     torch.get_float32_matmul_precision()
    'highest'
    >>> torch.get_float32_matmul_precision()
    'high'
    >>> torch.set_float32_matmul_precision("highest")
    """
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)

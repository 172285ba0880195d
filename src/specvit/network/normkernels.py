"""Sum and layer normalisation in one pass on a GPU, for prediction."""

from __future__ import annotations

import torch

from specvit.network.kerneldevice import compiled, on_its_device, tl, triton

__all__ = ["add_norm"]

_ROWS = 8


@compiled
def _add_norm(
    x, y, weight, bias, out, M, eps, W: tl.constexpr, BM: tl.constexpr, ADD: tl.constexpr
):  # fmt: skip
    begin, row, d = tl.program_id(0).to(tl.int64) * BM, tl.arange(0, BM), tl.arange(0, W)
    place, inside = row[:, None] * W + d[None, :], (row < M - begin)[:, None]
    x, y, out = x + begin * W, y + begin * W, out + begin * W
    value = tl.load(x + place, mask=inside, other=0.0)
    if ADD:
        value += tl.load(y + place, mask=inside, other=0.0).to(tl.float32)
        tl.store(x + place, value, mask=inside)
    value -= (tl.sum(value, 1) / W)[:, None]
    value *= tl.rsqrt(tl.sum(value * value, 1) / W + eps)[:, None]
    value = value * tl.load(weight + d)[None, :] + tl.load(bias + d)[None, :]
    tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


@on_its_device
def add_norm(x, y, weight, bias, eps, dtype):
    """Add to the residual stream, and normalise.

    Parameters
    ----------
    x : Tensor of float32, shape (..., width)
        The stream; contiguous, and changed: `y` is added. The width is a power of two.
    y : Tensor, shape (..., width), or None
        What is added.
    weight, bias : Tensor of float32, shape (width,)
        Of the layer normalisation.
    eps : float
        Its ε.
    dtype : torch.dtype
        Of the result.

    Returns
    -------
    Tensor, shape (..., width)
    """
    out, width = torch.empty_like(x, dtype=dtype), x.shape[-1]
    m = x.numel() // width
    given = x, x if y is None else y, weight, bias, out, m, eps
    _add_norm[(triton.cdiv(m, _ROWS),)](*given, W=width, BM=_ROWS, ADD=y is not None, num_warps=4)
    return out

"""Fixed weighted sums of values in one pass on a GPU."""

from __future__ import annotations

import torch

from specvit.network.kerneldevice import compiled, on_its_device, tl, triton

__all__ = ["weighted_sums"]

_BLOCK = 1024


@compiled
def _weighted_sums(values, index, weights, out, stride, M, K: tl.constexpr, BM: tl.constexpr):
    row, place = tl.program_id(0).to(tl.int64), tl.program_id(1) * BM + tl.arange(0, BM)
    inside, total = place < M, tl.zeros([BM], tl.float32)
    for k in tl.static_range(K):
        at = tl.load(index + k * M + place, mask=inside, other=0)
        weight = tl.load(weights + k * M + place, mask=inside, other=0.0)
        total += weight * tl.load(values + row * stride + at, mask=inside, other=0.0)
    tl.store(out + row * M + place, total, mask=inside)


@on_its_device
def weighted_sums(values, index, weights):
    """As `specvit.honesty.sampled.WeightedSums`.

    Parameters
    ----------
    values : Tensor of float32, shape (..., n)
        On a GPU.
    index, weights : Tensor of int64 and float32, shape (k, m)
        Contiguous.

    Returns
    -------
    Tensor of float32, shape (..., m)
    """
    k, m = index.shape
    rows = values.reshape(-1, values.shape[-1])
    rows = rows if rows.stride(-1) == 1 else rows.contiguous()
    out = torch.empty(len(rows), m, device=values.device)
    grid = (len(rows), triton.cdiv(m, _BLOCK))
    _weighted_sums[grid](rows, index, weights, out, rows.stride(0), m, K=k, BM=_BLOCK, num_warps=4)
    return out.view(*values.shape[:-1], m)

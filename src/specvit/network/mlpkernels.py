"""The feed-forward layer on a GPU: products whose results pass through GELU before they leave the chip.

A product of tokens with a matrix of 256 rows takes as long as reading and writing its operands; GELU by
itself reads and writes the widest of them once more, forward and backward.

GELU is z Φ(z). In training Φ is computed by formula 7.1.26 of Abramowitz & Stegun (1964), to 1.5e-7, whose
exponential is that of the derivative Φ + z φ. For prediction in half precision it is a logistic function of
an odd polynomial, which takes fewer operations: fitted to GELU between −6 and 6, it is off by at most 2.6e-5.
Rounding to half precision costs up to ten times that where GELU is between 0.5 and 1, twenty times between
1 and 2, and twice where it is negative.
"""

from __future__ import annotations

import torch

from specvit.network.kerneldevice import compiled, on_its_device, tl, triton

__all__ = ["gelu_gradient", "linear_gelu"]

#: Rows and columns of a tile, depth of a step, warps, stages of loading; forward and backward.
FORWARD, BACKWARD = (128, 128, 32, 8, 5), (128, 64, 64, 4, 3)
#: Tiles of rows that a GPU starts at once: the second axis of a grid is no longer.
_MOST_TILES = 65_535


@compiled
def _normal(z):
    """Φ(z) and exp(−z²/2)."""
    size = tl.abs(z) * 0.7071067811865476
    e = tl.exp2(size * size * -1.4426950408889634)
    t = 1.0 / (1.0 + 0.3275911 * size)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    tail = 0.5 * series * e
    return tl.where(z < 0, tail, 1.0 - tail), e


@compiled
def _gelu(z):
    square = tl.minimum(z * z, 36.0)
    # In units of ln 2, negative.
    return z / (1.0 + tl.exp2(z * (-2.3011066 + square * (-0.10678920 + square * 0.0010164489))))


@compiled
def _forward(
    x, weight, bias, before, after, M, N,
    K: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
    KEEP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0) * BN + tl.arange(0, BN)  # neighbours share rows of x
    begin, row = tl.program_id(1).to(tl.int64) * BM, tl.arange(0, BM)
    depth, inside = tl.arange(0, BK), (row < M - begin)[:, None]
    total, x = tl.zeros([BM, BN], tl.float32), x + begin * K
    for start in range(0, K, BK):
        a = tl.load(x + row[:, None] * K + (start + depth)[None, :], mask=inside, other=0.0)
        b = tl.load(weight + column[None, :] * K + (start + depth)[:, None])
        total = tl.dot(a, b, total, input_precision=PRECISION)
    z = total + tl.load(bias + column).to(tl.float32)[None, :]
    place, before, after = row[:, None] * N + column[None, :], before + begin * N, after + begin * N
    if KEEP or PRECISION == "ieee":
        rounded = z.to(after.dtype.element_ty)
        if KEEP:
            tl.store(before + place, rounded, mask=inside)
        z = rounded.to(tl.float32)
        share, _ = _normal(z)
        y = z * share
    else:
        y = _gelu(z)
    tl.store(after + place, y.to(after.dtype.element_ty), mask=inside)


@compiled
def _backward(
    grad, weight, before, result, sums, M, N,
    K: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0) * BN + tl.arange(0, BN)
    begin, row = tl.program_id(1).to(tl.int64) * BM, tl.arange(0, BM)
    depth, inside = tl.arange(0, BK), (row < M - begin)[:, None]
    total, grad = tl.zeros([BM, BN], tl.float32), grad + begin * K
    for start in range(0, K, BK):
        a = tl.load(grad + row[:, None] * K + (start + depth)[None, :], mask=inside, other=0.0)
        b = tl.load(weight + (start + depth)[:, None] * N + column[None, :])
        total = tl.dot(a, b, total, input_precision=PRECISION)
    place, before, result = row[:, None] * N + column[None, :], before + begin * N, result + begin * N
    z = tl.load(before + place, mask=inside, other=0.0).to(tl.float32)
    share, e = _normal(z)
    found = (total * (share + z * e * 0.3989422804014327)).to(result.dtype.element_ty)
    tl.store(result + place, found, mask=inside)
    tl.store(sums + tl.program_id(1) * N + column, tl.sum(found.to(tl.float32), 0))


def _precision(x):
    return "tf32" if x.dtype in (torch.float16, torch.bfloat16) else "ieee"


@on_its_device
def linear_gelu(x, weight, bias, *, keep=True, tiles=None):
    """GELU of a linear layer.

    Parameters
    ----------
    x : Tensor, shape (m, k)
        Contiguous; k a multiple of 64.
    weight, bias : Tensor, shapes (n, k) and (n,)
        Of the type of `x`; n a multiple of 128.
    keep : bool
        Whether to return what went into GELU, too.
    tiles : tuple of int, optional
        As `FORWARD`.

    Returns
    -------
    after : Tensor, shape (m, n)
    before : Tensor, shape (m, n), or None
    """
    (m, k), n = x.shape, len(weight)
    bm, bn, bk, warps, stages = tiles or FORWARD
    after = x.new_empty(m, n)
    before = torch.empty_like(after) if keep else None
    sizes = {"K": k, "BM": bm, "BN": bn, "BK": bk, "KEEP": keep, "PRECISION": _precision(x)}
    for start in range(0, m, bm * _MOST_TILES):
        part = slice(start, start + bm * _MOST_TILES)
        given = x[part], weight, bias, before[part] if keep else after[part], after[part]
        grid = (n // bn, triton.cdiv(len(given[0]), bm))
        _forward[grid](*given, len(given[0]), n, **sizes, num_warps=warps, num_stages=stages)
    return after, before


@on_its_device
def gelu_gradient(grad, weight, before, *, tiles=None):
    """Gradient of what went into GELU, from that of the output of the linear layer after it.

    Parameters
    ----------
    grad : Tensor, shape (m, k)
        Contiguous; k a multiple of 64.
    weight : Tensor, shape (k, n)
        Of the layer after GELU; n a multiple of 128.
    before : Tensor, shape (m, n)
        From `linear_gelu`.
    tiles : tuple of int, optional
        As `BACKWARD`.

    Returns
    -------
    result : Tensor, shape (m, n)
    total : Tensor of float32, shape (n,)
        Its sum over rows, the gradient of the bias before GELU.
    """
    (m, k), n = grad.shape, weight.shape[1]
    bm, bn, bk, warps, stages = tiles or BACKWARD
    result = torch.empty_like(before)
    sums = torch.empty(triton.cdiv(m, bm), n, dtype=torch.float32, device=grad.device)
    sizes = {"K": k, "BM": bm, "BN": bn, "BK": bk, "PRECISION": _precision(grad)}
    grid = (n // bn, len(sums))
    _backward[grid](grad, weight, before, result, sums, m, n, **sizes, num_warps=warps, num_stages=stages)
    return result, sums.sum(0)

"""Attention of short sequences on a GPU: one program reads all keys of a head, and nothing is read twice.

General kernels for long sequences go over the keys in blocks. Spectra have 128 or 256 tokens, which fit on
the chip together: softmax needs no second pass, the backward pass makes the gradients of queries, keys and
values at once, and gradients are written where the gradient of the projection is read, without a copy.
A class token, whose 257th key would cost another block, is a vector beside the keys of the others.

Dropout multiplies random odd factors of row and column (`specvit.network.dropout`), in both passes the same.
"""

from __future__ import annotations

import torch

from specvit.network.dropout import lowest_kept
from specvit.network.kerneldevice import compiled, on_its_device, tl

__all__ = ["attention_backward", "attention_forward"]

_LOG2E = 1.4426950408889634
#: Rows of queries at once, forward and backward, and warps.
FORWARD, BACKWARD = (64, 4), (64, 8)


@compiled
def _forward(
    qkv, out, norm, factors, scale, lowest, keep, T,
    HEADS: tl.constexpr, D: tl.constexpr, N: tl.constexpr, CLS: tl.constexpr, BM: tl.constexpr,
    DROPOUT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    which = tl.program_id(0)
    base, W = (which // HEADS).to(tl.int64) * T, HEADS * D  # offsets within a spectrum are of 32 bits
    d, token = (which % HEADS) * D + tl.arange(0, D), tl.arange(0, N) + CLS
    qkv, out = qkv + base * (3 * W), out + base * W
    keys = token[:, None] * (3 * W) + W + d[None, :]
    k, v = tl.load(qkv + keys), tl.load(qkv + keys + W)
    row = tl.program_id(1) * BM + tl.arange(0, BM) + CLS
    q = tl.load(qkv + row[:, None] * (3 * W) + d[None, :])
    s = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    top = tl.max(s, 1) * scale
    line = which * T + row
    if CLS:
        k0, v0 = tl.load(qkv + d + W).to(tl.float32), tl.load(qkv + d + 2 * W).to(tl.float32)
        s0 = tl.sum(q.to(tl.float32) * k0[None, :], 1) * scale
        top = tl.maximum(top, s0)
    p = tl.exp2(s * scale - top[:, None])  # fused, where scaling `s` first is a product more
    total = tl.sum(p, 1)
    if DROPOUT:
        of_row, of_column = tl.load(factors + T + line), tl.load(factors + token)
        p = tl.where(of_row[:, None] * of_column[None, :] >= lowest, p, 0.0)
    y = tl.dot(p.to(v.dtype), v, input_precision=PRECISION)
    if CLS:
        p0 = tl.exp2(s0 - top)
        total += p0
        if DROPOUT:
            p0 = tl.where(of_row * tl.load(factors) >= lowest, p0, 0.0)
        y += p0[:, None] * v0[None, :]
    y *= (keep / total)[:, None]
    tl.store(out + row[:, None] * W + d[None, :], y.to(out.dtype.element_ty))
    tl.store(norm + line, top + tl.log2(total))
    if CLS:  # noqa: SIM102  (known when compiled, the next is not)
        if tl.program_id(1) == 0:  # the class token's own row
            q0, line0 = tl.load(qkv + d).to(tl.float32), which * T
            c = tl.sum(k.to(tl.float32) * q0[None, :], 1) * scale
            c0 = tl.sum(k0 * q0, 0) * scale
            top0 = tl.maximum(tl.max(c, 0), c0)
            e, e0 = tl.exp2(c - top0), tl.exp2(c0 - top0)
            total0 = tl.sum(e, 0) + e0
            if DROPOUT:
                of_row0 = tl.load(factors + T + line0)
                e = tl.where(of_row0 * of_column >= lowest, e, 0.0)
                e0 = tl.where(of_row0 * tl.load(factors) >= lowest, e0, 0.0)
            y0 = (tl.sum(e[:, None] * v.to(tl.float32), 0) + e0 * v0) * (keep / total0)
            tl.store(out + d, y0.to(out.dtype.element_ty))
            tl.store(norm + line0, top0 + tl.log2(total0))


@compiled
def _backward(
    qkv, out, norm, grad, result, sums, factors, scale, lowest, keep, T,
    HEADS: tl.constexpr, D: tl.constexpr, N: tl.constexpr, CLS: tl.constexpr, BM: tl.constexpr,
    DROPOUT: tl.constexpr, PRECISION: tl.constexpr, TINY: tl.constexpr,
):  # fmt: skip
    which = tl.program_id(0)
    base, W = (which // HEADS).to(tl.int64) * T, HEADS * D  # offsets within a spectrum are of 32 bits
    d, token = (which % HEADS) * D + tl.arange(0, D), tl.arange(0, N) + CLS
    qkv, result, out, grad = qkv + base * (3 * W), result + base * (3 * W), out + base * W, grad + base * W
    keys = token[:, None] * (3 * W) + W + d[None, :]
    k, v = tl.load(qkv + keys), tl.load(qkv + keys + W)
    natural = scale * TINY * keep  # the scale without log2(e); gradients of weights are divided by `keep`
    dk, dv = tl.zeros([N, D], tl.float32), tl.zeros([N, D], tl.float32)
    total = tl.zeros([D], tl.float32)
    if DROPOUT:
        of_column = tl.load(factors + token)
    if CLS:
        k0, v0 = tl.load(qkv + d + W).to(tl.float32), tl.load(qkv + d + 2 * W).to(tl.float32)
        dk0, dv0 = tl.zeros([D], tl.float32), tl.zeros([D], tl.float32)
    for start in range(0, N, BM):
        row = start + tl.arange(0, BM) + CLS
        line = which * T + row
        query = row[:, None] * (3 * W) + d[None, :]
        place = row[:, None] * W + d[None, :]
        q, g, y = tl.load(qkv + query), tl.load(grad + place), tl.load(out + place)
        top = tl.load(norm + line)
        delta = tl.sum(g.to(tl.float32) * y.to(tl.float32), 1) / keep
        # Keys by queries, (N, BM): sums over queries are products of it as it is.
        p = tl.exp2(tl.dot(k, tl.trans(q), input_precision=PRECISION) * scale - top[None, :])
        dp = tl.dot(v, tl.trans(g), input_precision=PRECISION)
        kept = p
        if DROPOUT:
            of_row = tl.load(factors + T + line)
            mask = of_column[:, None] * of_row[None, :] >= lowest
            kept = tl.where(mask, p, 0.0)
        ds = (kept * dp - p * delta[None, :]).to(q.dtype)
        dv += tl.dot(kept.to(g.dtype), g, input_precision=PRECISION)
        dk += tl.dot(ds, q, input_precision=PRECISION)
        dq = tl.dot(tl.trans(ds), k, input_precision=PRECISION)
        if CLS:
            q32, g32 = q.to(tl.float32), g.to(tl.float32)
            p0 = tl.exp2(tl.sum(q32 * k0[None, :], 1) * scale - top)
            dp0, kept0 = tl.sum(g32 * v0[None, :], 1), p0
            if DROPOUT:
                mask0 = of_row * tl.load(factors) >= lowest
                kept0 = tl.where(mask0, p0, 0.0)
            ds0 = kept0 * dp0 - p0 * delta
            dv0 += tl.sum(kept0[:, None] * g32, 0)
            dk0 += tl.sum(ds0[:, None] * q32, 0)
            dq += ds0[:, None] * k0[None, :]
        dq *= natural
        total += tl.sum(dq, 0)
        tl.store(result + query, dq.to(result.dtype.element_ty))
    if CLS:  # the class token's own row
        q0, g0 = tl.load(qkv + d).to(tl.float32), tl.load(grad + d).to(tl.float32)
        line0, delta0 = which * T, tl.sum(g0 * tl.load(out + d).to(tl.float32), 0) / keep
        top0, k32 = tl.load(norm + line0), k.to(tl.float32)
        e = tl.exp2(tl.sum(k32 * q0[None, :], 1) * scale - top0)
        e0 = tl.exp2(tl.sum(k0 * q0, 0) * scale - top0)
        de, de0 = tl.sum(v.to(tl.float32) * g0[None, :], 1), tl.sum(v0 * g0, 0)
        left, left0 = e, e0
        if DROPOUT:
            of_row0 = tl.load(factors + T + line0)
            mask, mask0 = of_row0 * of_column >= lowest, of_row0 * tl.load(factors) >= lowest
            left, left0 = tl.where(mask, e, 0.0), tl.where(mask0, e0, 0.0)
        de, de0 = left * de - e * delta0, left0 * de0 - e0 * delta0
        dv += left[:, None] * g0[None, :]
        dk += de[:, None] * q0[None, :]
        dv0 = (dv0 + left0 * g0) * keep
        dk0 += de0 * q0
        dq0 = (tl.sum(de[:, None] * k32, 0) + de0 * k0) * natural
        total += dq0
        tl.store(result + d, dq0.to(result.dtype.element_ty))
        tl.store(result + d + W, (dk0 * natural).to(result.dtype.element_ty))
        tl.store(result + d + 2 * W, dv0.to(result.dtype.element_ty))
    dk *= natural
    dv *= keep
    tl.store(result + keys, dk.to(result.dtype.element_ty))
    tl.store(result + keys + W, dv.to(result.dtype.element_ty))
    # Sums over the tokens, of which the gradient of a bias is made.
    key_total, value_total = tl.sum(dk, 0), tl.sum(dv, 0)
    if CLS:
        key_total += dk0 * natural
        value_total += dv0
    part = sums + (which // HEADS).to(tl.int64) * (3 * W) + d
    tl.store(part, total)
    tl.store(part + W, key_total)
    tl.store(part + 2 * W, value_total)


def _options(qkv, heads, dropout):
    n, t, width = qkv.shape
    d = width // 3 // heads
    known = {"HEADS": heads, "D": d, "N": t - t % 2, "CLS": t % 2, "DROPOUT": dropout > 0}
    known["PRECISION"] = "tf32" if qkv.dtype in (torch.float16, torch.bfloat16) else "ieee"
    return n, t, d, known, (d**-0.5 * _LOG2E, lowest_kept(dropout), 1 / (1 - dropout), t)


@on_its_device
def attention_forward(qkv, factors, heads, dropout, shape=None):
    """Attention of packed projections.

    Parameters
    ----------
    qkv : Tensor, shape (n, tokens, 3 · width)
        Queries, keys and values, each of all heads in turn; contiguous. The number of tokens is a power of
        two, or one more with a class token in front.
    factors : Tensor of int32, shape (tokens + n · heads · tokens,)
        Of the dropout: odd random numbers of keys, and of all rows of weights; not read without any.
    heads : int
        Number of heads.
    dropout : float
        Probability of dropping a weight.
    shape : (int, int), optional
        Rows at once, and warps.

    Returns
    -------
    out : Tensor, shape (n, tokens, width)
    norm : Tensor of float32, shape (n, heads, tokens)
        log2 of the sum of exponentials of each row.
    """
    n, t, d, known, numbers = _options(qkv, heads, dropout)
    rows, warps = FORWARD if shape is None else shape
    rows = min(rows, known["N"])
    out = qkv.new_empty(n, t, heads * d)
    norm = torch.empty(n, heads, t, dtype=torch.float32, device=qkv.device)
    grid = (n * heads, known["N"] // rows)
    _forward[grid](qkv, out, norm, factors, *numbers, **known, BM=rows, num_warps=warps)
    return out, norm


@on_its_device
def attention_backward(qkv, out, norm, grad, factors, heads, dropout, shape=None):
    """Gradient of the projections from that of the output, `grad`.

    Parameters
    ----------
    qkv, factors, heads, dropout, shape
        As for `attention_forward`.
    out, norm : Tensor
        What it returned.
    grad : Tensor, shape (n, tokens, width)
        Gradient of `out`; contiguous.

    Returns
    -------
    result : Tensor, shape (n, tokens, 3 · width)
    sums : Tensor of float32, shape (n, 3 · width)
        Its sums over the tokens.
    """
    n, _, _, known, numbers = _options(qkv, heads, dropout)
    rows, warps, *stages = BACKWARD if shape is None else shape
    rows, result = min(rows, known["N"]), torch.empty_like(qkv)
    sums = torch.empty(n, qkv.shape[2], dtype=torch.float32, device=qkv.device)
    more = {"num_warps": warps} | ({"num_stages": stages[0]} if stages else {})
    pointers = qkv, out, norm, grad, result, sums, factors
    _backward[(n * heads,)](*pointers, *numbers, **known, BM=rows, TINY=1 / _LOG2E, **more)
    return result, sums

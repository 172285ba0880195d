"""Whole spectra in one pass of a GPU: cleaned, encoded, described, and medians, each row by one program.

They compute what `specvit.network.inputs` and `specvit.network.tensors` state in a few lines of torch, which
read and write the spectra some forty times. `specvit.network.inputs` says when; it imports this, which takes
seconds, where it is needed only.
"""

from __future__ import annotations

import torch

from specvit.network.kerneldevice import compiled, on_its_device, tl, triton

__all__ = ["cleaned", "encoded", "medians", "snr_and_coverage"]


def _launch(kernel, rows, n_pixels, *arguments, **constants):
    block = triton.next_power_of_2(n_pixels)
    kernel[(rows,)](*arguments, n_pixels, N=block, num_warps=8 if block >= 2048 else 4, **constants)


@compiled
def _order(x):
    """Unsigned integers in the order of floats."""
    bits = x.to(tl.uint32, bitcast=True)
    return tl.where(bits >> 31 == 1, bits ^ 0xFFFFFFFF, bits | 0x80000000)


@compiled
def _value(key):
    """The floats of `_order`."""
    return tl.where(key >> 31 == 1, key ^ 0x80000000, key ^ 0xFFFFFFFF).to(tl.float32, bitcast=True)


@compiled
def _median(x, mask):
    """Median of the values where the mask is True, the mean of two if there are two; NaN without any.

    The lower one is found bit by bit: the largest number that at most so many values are smaller than.
    """
    count = tl.sum(mask.to(tl.int32))
    key = tl.where(mask, _order(x), 0xFFFFFFFF)
    rank = tl.maximum(count - 1, 0) // 2
    low, bit = tl.full([], 0, tl.uint32), tl.full([], 0x80000000, tl.uint32)
    for _ in range(32):
        trial = low | bit
        below = tl.sum((key < trial).to(tl.int32))
        low = tl.where(below <= rank, trial, low)
        bit = bit >> 1
    up_to = tl.sum((key <= low).to(tl.int32))
    above = tl.min(tl.where(key > low, key, 0xFFFFFFFF))
    high = tl.where(up_to > count // 2, low, above)
    first = _value(low)
    return tl.where(count > 0, first + 0.5 * (_value(high) - first), float("nan"))


@compiled
def _medians(values, mask, out, stride, n, N: tl.constexpr):
    row, place = tl.program_id(0).to(tl.int64), tl.arange(0, N)
    inside = place < n
    x = tl.load(values + row * stride + place, mask=inside, other=0.0)
    known = tl.load(mask + row * n + place, mask=inside, other=0) != 0
    tl.store(out + row, _median(x, known & inside))


@on_its_device
def medians(values, mask):
    """As `specvit.network.inputs.masked_median`.

    Parameters
    ----------
    values : Tensor of float32, shape (n, n_pixels)
        Finite where `mask` is True.
    mask : Tensor of bool, shape (n, n_pixels)
        True for the pixels that count.

    Returns
    -------
    Tensor, shape (n, 1)
    """
    values = values if values.stride(1) == 1 else values.contiguous()
    out = values.new_empty(len(values), 1)
    given = values, mask.contiguous().view(torch.uint8), out, values.stride(0)
    _launch(_medians, *values.shape, *given)
    return out


@compiled
def _load(flux, ivar, row, n, N: tl.constexpr):
    """Flux, inverse variance and where both can be used: numbers, the latter positive; else 0."""
    place = tl.arange(0, N)
    f = tl.load(flux + row * n + place, mask=place < n, other=0.0)
    v = tl.load(ivar + row * n + place, mask=place < n, other=0.0)
    good = (v > 0) & (v < float("inf")) & (tl.abs(f) < float("inf"))
    return tl.where(good, f, 0.0), tl.where(good, v, 0.0), good


@compiled
def _cleaned(flux, ivar, out, weight, good, most, low, high, n, N: tl.constexpr):
    row, place = tl.program_id(0).to(tl.int64), tl.arange(0, N)
    f, v, usable = _load(flux, ivar, row, n, N)
    scale = tl.max(tl.abs(f))
    scale = tl.where(scale > 0, scale, 1.0)
    f, v = f / scale, v * scale * scale
    v = tl.where(usable, tl.minimum(tl.maximum(v, low), high), 0.0)
    tl.store(out + row * n + place, f.to(tl.float32), mask=place < n)
    tl.store(weight + row * n + place, v.to(tl.float32), mask=place < n)
    tl.store(good + row, tl.sum(usable.to(tl.int32)))
    tl.store(most + row, tl.sum((usable & (f > 1e-3)).to(tl.int32)))


@on_its_device
def cleaned(flux, ivar, limits):
    """Spectra of order one in float32, bad pixels 0 in both, as `specvit.network.tensors.scaled` has them.

    Parameters
    ----------
    flux, ivar : Tensor of float32 or float64, shape (n, n_pixels)
        Any scale.
    limits : tuple of float
        Between which inverse variances are brought.

    Returns
    -------
    flux, ivar : Tensor of float32, shape (n, n_pixels)
    good, high : Tensor of int32, shape (n,)
        Numbers of usable pixels, and of those whose flux is above a thousandth of the largest.
    """
    flux, ivar = flux.contiguous(), ivar.contiguous()
    out, weight = (torch.empty_like(x, dtype=torch.float32) for x in (flux, ivar))
    counts = torch.empty(2, len(flux), dtype=torch.int32, device=flux.device)
    _launch(_cleaned, *flux.shape, flux, ivar, out, weight, *counts, *limits)
    return out, weight, *counts


@compiled
def _encoded(
    flux, ivar, lsf, sampling, out, valid, size, clip, low, high, n,
    N: tl.constexpr, C: tl.constexpr, LSF: tl.constexpr, SAMPLING: tl.constexpr,
):  # fmt: skip
    row, place = tl.program_id(0).to(tl.int64), tl.arange(0, N)
    f, v, good = _load(flux, ivar, row, n, N)
    level = _median(f, good)
    known = (level > 0) & (level < float("inf"))
    level = tl.where(known, level, 1.0)
    s = level * tl.sqrt(v)
    departure = tl.where(good, f / level - 1, 0.0)
    departure = tl.minimum(tl.maximum(departure, -clip), clip)
    noise = size * s
    weight = 1 - 1 / (1 + noise * noise)
    information = tl.log2(tl.maximum(s, 1e-30)) * 0.30102999566398120
    information = tl.minimum(tl.maximum(information, low), high) - 1
    out += row * C * n + place
    inside = place < n
    tl.store(out, weight * departure / size, mask=inside)
    tl.store(out + n, information, mask=inside)
    if C == 4:
        told = tl.zeros([N], tl.float32)
        if LSF:
            told = tl.load(lsf + row * n + place, mask=inside, other=0.0)
        tl.store(out + 2 * n, tl.where(good, told, 0.0), mask=inside)
        told = tl.zeros([N], tl.float32)
        if SAMPLING:
            told = tl.load(sampling + row * n + place, mask=inside, other=0.0)
        tl.store(out + 3 * n, tl.where(good, told, 0.0), mask=inside)
    tl.store(valid + row, known.to(tl.int8))


@on_its_device
def encoded(flux, ivar, channels, told, constants):
    """As `specvit.network.encode`, for the encodings ``weighted`` and ``instrument``.

    Parameters
    ----------
    flux, ivar : Tensor of float32, shape (n, n_pixels)
        In one unit of the flux; anything where a pixel cannot be used.
    channels : int
        2 or 4.
    told : tuple of two Tensors, shape (n, n_pixels), or None
        The other two channels, line spread function and sampling.
    constants : tuple of float
        Size of features, largest departure, and the range of information.

    Returns
    -------
    x : Tensor of float32, shape (n, channels, n_pixels)
    valid : Tensor of bool, shape (n,)
    """
    flux, ivar = flux.contiguous(), ivar.contiguous()
    told = [None if x is None else x.float().contiguous() for x in told]
    x = flux.new_empty(len(flux), channels, flux.shape[1])
    valid = torch.empty(len(flux), dtype=torch.int8, device=flux.device)
    given = flux, ivar, *(flux if one is None else one for one in told), x, valid, *constants
    asked = {"LSF": told[0] is not None, "SAMPLING": told[1] is not None}
    _launch(_encoded, *flux.shape, *given, C=channels, **asked)
    return x, valid.bool()


@compiled
def _described(flux, ivar, snr, coverage, n, N: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    f, v, good = _load(flux, ivar, row, n, N)
    tl.store(snr + row, _median(f * tl.sqrt(v), good))
    tl.store(coverage + row, tl.sum(good.to(tl.int32)).to(tl.float32) / n)


@on_its_device
def snr_and_coverage(flux, ivar):
    """`specvit.network.median_snr` and the share of pixels that are usable, both (n,), of float32."""
    flux, ivar = flux.contiguous(), ivar.contiguous()
    snr, coverage = flux.new_empty(2, len(flux))
    _launch(_described, *flux.shape, flux, ivar, snr, coverage)
    return snr, coverage

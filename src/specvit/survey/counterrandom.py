"""Normal deviates that are a function of a key and a counter alone, the same on every device."""

from __future__ import annotations

import math

import torch

__all__ = ["counter_bits", "counter_normal"]


def _signed(value):
    """A 64-bit constant as the int64 of the same bits, which is all that torch multiplies on a GPU."""
    return value - (1 << 64) if value >> 63 else value


_INCREMENT = _signed(0x9E3779B97F4A7C15)
_FIRST, _SECOND = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def counter_bits(keys, n):
    """64 random bits for each counter 0 … n − 1 of each key: tensor of int64 and shape (n_keys, n).

    The generator is SplitMix64 (Steele, Lea & Flood 2014, OOPSLA, doi:10.1145/2714064.2660195): a
    bijective mix of key + (counter + 1) times an odd constant, modulo 2⁶⁴. Integer operations only, so a CPU
    and a GPU agree to the bit, and no number depends on how many are drawn together.

    Parameters
    ----------
    keys : tensor of int64, shape (n_keys,)
        Random numbers themselves, as from ``numpy.random.Generator.integers(2**63)``.
    n : int
        Number of counters.
    """
    counter = torch.arange(1, n + 1, dtype=torch.int64, device=keys.device)
    bits = keys[:, None] + counter * _INCREMENT
    bits = (bits ^ _shifted(bits, 30)) * _FIRST
    bits = (bits ^ _shifted(bits, 27)) * _SECOND
    return bits ^ _shifted(bits, 31)


def counter_normal(keys, n):
    """Standard normal deviates, tensor of float32 and shape (n_keys, n), of the same device as `keys`.

    Box & Muller (1958) on two 24-bit fractions of `counter_bits`, so |z| < 5.8. Devices agree to the
    rounding of their logarithms and sines.
    """
    bits = counter_bits(keys, (n + 1) // 2)
    radius = _shifted(bits, 40).add_(1).float().mul_(2**-24).log_().mul_(-2).clamp_min_(0).sqrt_()
    angle = (_shifted(bits, 16) & 0xFFFFFF).float().mul_(2 * math.pi * 2**-24)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], -1).flatten(1)[:, :n]


def _shifted(bits, count):
    """Logical right shift; torch's own extends the sign."""
    return (bits >> count) & ((1 << (64 - count)) - 1)

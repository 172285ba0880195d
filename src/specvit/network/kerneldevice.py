"""Triton, where there is one, and that kernels start on the GPU that their tensors are on."""

from __future__ import annotations

from functools import wraps

import torch

try:
    import triton
    import triton.language as tl
except ImportError:  # which `specvit.network.fastlayers` asks before kernels are used
    triton = tl = None

__all__ = ["compiled", "on_its_device", "tl", "triton"]


def compiled(kernel):
    """``triton.jit`` where there is Triton."""
    return kernel if triton is None else triton.jit(kernel)


def on_its_device(function):
    """A function that starts kernels, called with the GPU of its first tensor as the current one.

    Triton starts them on the current device, wherever their tensors are.
    """

    @wraps(function)
    def called(x, *arguments, **options):
        with torch.cuda.device_of(x):
            return function(x, *arguments, **options)

    return called

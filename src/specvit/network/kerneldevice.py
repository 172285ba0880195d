"""Kernels start on the GPU that their tensors are on."""

from __future__ import annotations

from functools import wraps

import torch

__all__ = ["on_its_device"]


def on_its_device(function):
    """A function that starts kernels, called with the GPU of its first tensor as the current one.

    Triton starts them on the current device, wherever their tensors are.
    """

    @wraps(function)
    def called(x, *arguments, **options):
        with torch.cuda.device_of(x):
            return function(x, *arguments, **options)

    return called

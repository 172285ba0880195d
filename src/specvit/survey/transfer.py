"""Numbers drawn on the CPU, taken to the device together."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["to_device"]


def to_device(numbers, device, exact=()):
    """Tensors of arrays, copied in one piece of each type and without waiting for the device.

    A copy of its own for each of some forty arrays would have the host wait as often, and the device idle.

    Parameters
    ----------
    numbers : dict of str to ndarray
        Floating numbers become float32; whole numbers and booleans stay what they are.
    device : torch.device
        Where the tensors are wanted.
    exact : sequence of str
        Floating numbers that stay float64.

    Returns
    -------
    dict of str to tensor
    """
    groups = {}
    for name, value in numbers.items():
        kind = value.dtype.kind
        dtype = {"b": np.bool_, "i": np.int64}.get(kind, np.float64 if name in exact else np.float32)
        groups.setdefault(dtype, {})[name] = value.astype(dtype)
    tensors = {}
    for arrays in groups.values():
        packed = torch.from_numpy(np.concatenate([value.ravel() for value in arrays.values()]))
        if device.type == "cuda":
            packed = packed.pin_memory().to(device, non_blocking=True)
        parts = packed.split([value.size for value in arrays.values()])
        tensors |= {
            name: part.reshape(value.shape) for (name, value), part in zip(arrays.items(), parts, strict=True)
        }
    return tensors

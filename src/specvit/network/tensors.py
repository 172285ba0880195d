"""Arrays of any scale and precision as tensors that a network takes."""

from __future__ import annotations

import numpy as np
import torch

from specvit.network.inputs import by_rows, usable

__all__ = [
    "MOST_IN_LAYERS",
    "cleaned",
    "device_of",
    "order_one",
    "scaled",
    "spectra_at_once",
    "tensor_of",
]

#: Inverse variances of a flux of order one that float32 holds, with room for what is made of them.
_WEIGHTS = (1e-30, 1e30)
#: Spectra at once on a processor, to save memory, on a GPU, and on one of so many bytes: the
#: host launches as many kernels for a few as for thousands, and must not be what the GPU waits for.
_ON_PROCESSOR, _ON_GPU, _ON_LARGE_GPU, _LARGE = 16, 4096, 32_768, 6e10
#: Most of them in a network's layers at once: their activations take 4 to 8 GiB in half precision.
MOST_IN_LAYERS = 16_384


def device_of(name):
    """Device of a name, where "auto" is a GPU if there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def spectra_at_once(device):
    """How many spectra are worked on at once on a device."""
    device = torch.device(device)
    if device.type != "cuda":
        return _ON_PROCESSOR
    return _ON_LARGE_GPU if torch.cuda.get_device_properties(device).total_memory > _LARGE else _ON_GPU


def tensor_of(x):
    """A tensor of floats in their own precision, without a copy where memory can be shared."""
    if isinstance(x, torch.Tensor):
        return x.detach() if x.dtype in (torch.float32, torch.float64) else x.detach().float()
    native = np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))
    return torch.from_numpy(native if native.flags.writeable else native.copy())


def scaled(flux, ivar):
    """Tensors as `order_one`, in their own precision: list of flux and inverse variance."""
    scale = torch.where(ivar > 0, flux.abs(), 0.0).amax(1, keepdim=True)
    scale = torch.where(scale > 0, scale, 1.0)
    return [flux / scale, torch.where(ivar > 0, (ivar * scale * scale).clamp(*_WEIGHTS), 0.0)]


def cleaned(flux, ivar):
    r"""Flux of order one and its inverse variance in float32, 0 where a pixel cannot be used.

    Parameters
    ----------
    flux, ivar : Tensor of float32 or float64, shape (n, n_pixels)
        Any scale; anything where `ivar` is not positive and finite.

    Returns
    -------
    flux, ivar : Tensor of float32, shape (n, n_pixels)
        The largest \|flux\| is 1.
    good, high : Tensor of int, shape (n,)
        Numbers of pixels that can be used, and of those whose flux is above a thousandth of the largest.
    """
    if kernels := by_rows(flux, ivar, dtypes=(torch.float32, torch.float64)):
        return kernels.cleaned(flux, ivar, _WEIGHTS)
    good = usable(flux, ivar)
    flux, ivar = scaled(torch.where(good, flux, 0.0), torch.where(good, ivar, 0.0))
    return flux.float(), ivar.float(), good.sum(1), (good & (flux > 1e-3)).sum(1)


def order_one(flux, ivar):
    """Flux of order one, which float32 can hold whatever the unit, and its inverse variance.

    Errors beyond what float32 can hold of 1/σ² are brought to its ends: they are as good as 0 or infinite.
    """
    scale = np.max(np.abs(flux), axis=1, where=ivar > 0, initial=0.0)[:, None]
    scale = np.where(scale > 0, scale, 1.0)
    with np.errstate(over="ignore"):
        return flux / scale, np.where(ivar > 0, np.clip(ivar * scale**2, *_WEIGHTS), 0.0)

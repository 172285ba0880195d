"""Arrays of any scale through a network."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["device_of", "order_one", "predict_arrays", "to_device"]

_BATCH = 256
#: Inverse variances of a flux of order one that float32 holds, with room for what is made of them.
_WEIGHTS = (1e-30, 1e30)


def device_of(name):
    """Device of a name, where "auto" is a GPU if there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def to_device(regressor, device):
    """The regressor on `device`, by name."""
    return regressor.to(device_of(device))


def predict_arrays(regressor, flux, ivar, lsf=None, sampling=None):
    """Labels and errors of spectra on the network's pixels.

    Parameters
    ----------
    regressor : LabelRegressor
        The network.
    flux, ivar : ndarray of float64, shape (n, n_pixels)
        Any scale. Rows without information give NaN.
    lsf, sampling : ndarray, shape (n, n_pixels), optional
        For the encoding ``instrument``, see `specvit.network.encode`; the grid's own without them.

    Returns
    -------
    mean, sigma : ndarray of float64, shape (n, n_labels)
    """
    parameter = regressor.label_scale
    if regressor.encoding != "none":
        flux, ivar = order_one(flux, ivar)
    told = (lsf, sampling) if regressor.encoding == "instrument" else (None, None)
    like, rows = {"dtype": parameter.dtype, "device": parameter.device}, []
    for start in range(0, len(flux), _BATCH):
        part = slice(start, start + _BATCH)
        given = (None if x is None else torch.tensor(x[part], **like) for x in (flux, ivar, *told))
        rows.append([x.double().cpu().numpy() for x in regressor.predict(*given)])
    mean, sigma = (np.concatenate(column) for column in zip(*rows, strict=True))
    return mean, sigma


def order_one(flux, ivar):
    """Flux of order one, which float32 can hold whatever the unit, and its inverse variance.

    Errors beyond what float32 can hold of 1/σ² are brought to its ends: they are as good as 0 or infinite.
    """
    scale = np.max(np.abs(flux), axis=1, where=ivar > 0, initial=0.0)[:, None]
    scale = np.where(scale > 0, scale, 1.0)
    with np.errstate(over="ignore"):
        return flux / scale, np.where(ivar > 0, np.clip(ivar * scale**2, *_WEIGHTS), 0.0)

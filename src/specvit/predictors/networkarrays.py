"""Arrays of any scale through a network."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["batch_covariance", "device_of", "order_one", "predict_arrays", "to_device"]

_BATCH = 256
#: Inverse variances of a flux of order one that float32 holds, with room for what is made of them.
_WEIGHTS = (1e-30, 1e30)


def device_of(name):
    """Device of a name, where "auto" is a GPU if there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def to_device(regressor, device):
    """The regressor on `device`, by name."""
    return regressor.to(device_of(device))


def predict_arrays(regressor, flux, ivar, lsf=None, sampling=None, *, covariance=False):
    """Labels and errors of spectra on the network's pixels.

    Parameters
    ----------
    regressor : LabelRegressor
        The network.
    flux, ivar : ndarray of float64, shape (n, n_pixels)
        Any scale. Rows without information give NaN.
    lsf, sampling : ndarray, shape (n, n_pixels), optional
        For the encoding ``instrument``, see `specvit.network.encode`; the grid's own without them.
    covariance : bool
        Whether to return the covariance of the errors instead of σ.

    Returns
    -------
    mean : ndarray of float64, shape (n, n_labels)
    sigma : ndarray of float64, shape (n, n_labels), or (n, n_labels, n_labels) if `covariance`
    """
    parameter = regressor.label_scale
    if regressor.encoding != "none":
        flux, ivar = order_one(flux, ivar)
    told = (lsf, sampling) if regressor.encoding == "instrument" else (None, None)
    predict = regressor.predict_covariance if covariance else regressor.predict
    like, rows = {"dtype": parameter.dtype, "device": parameter.device}, []
    for start in range(0, len(flux), _BATCH):
        part = slice(start, start + _BATCH)
        given = (None if x is None else torch.tensor(x[part], **like) for x in (flux, ivar, *told))
        rows.append([x.double().cpu().numpy() for x in predict(*given)])
    mean, sigma = (np.concatenate(column) for column in zip(*rows, strict=True))
    return mean, sigma


def batch_covariance(regressor, batch):
    """Covariance of the errors of a network's labels, (n, n_labels, n_labels), or None if it predicts none.

    Parameters
    ----------
    regressor : LabelRegressor
        The network.
    batch : SpectrumBatch
        Spectra on its pixels; NaN where they are not usable.
    """
    if not regressor.covariance:
        return None
    rows, k = batch.usable, regressor.n_labels
    covariance = np.full((len(batch), k, k), np.nan)
    if rows.any():
        arrays = (x[rows] for x in (batch.flux, batch.ivar, batch.lsf, batch.sampling))
        covariance[rows] = predict_arrays(regressor, *arrays, covariance=True)[1]
    return covariance


def order_one(flux, ivar):
    """Flux of order one, which float32 can hold whatever the unit, and its inverse variance.

    Errors beyond what float32 can hold of 1/σ² are brought to its ends: they are as good as 0 or infinite.
    """
    scale = np.max(np.abs(flux), axis=1, where=ivar > 0, initial=0.0)[:, None]
    scale = np.where(scale > 0, scale, 1.0)
    with np.errstate(over="ignore"):
        return flux / scale, np.where(ivar > 0, np.clip(ivar * scale**2, *_WEIGHTS), 0.0)

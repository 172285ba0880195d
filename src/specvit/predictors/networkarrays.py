"""Arrays of any scale through a network, on its device."""

from __future__ import annotations

import numpy as np
import torch

from specvit.network.reduced import half_of, reduced
from specvit.network.tensors import MOST_IN_LAYERS, device_of, scaled, spectra_at_once, tensor_of

__all__ = [
    "batch_covariance",
    "predict_arrays",
    "to_device",
]


def to_device(regressor, device, precision="32-true"):
    """The regressor on `device`, by name, in the arithmetic that a `precision` of `LoggEstimator` allows.

    With "auto" in half precision on a GPU only, where it moves log g by 0.001 dex at most: bfloat16, which is
    what processors have, moves single stars by 0.007 dex.
    """
    regressor = regressor.to(device_of(device))
    half = half_of(regressor.label_scale.device)
    mixed = precision in ("bf16-mixed", "16-mixed") or (precision == "auto" and half is torch.float16)
    return reduced(regressor, half if mixed else None)


def predict_arrays(regressor, flux, ivar, lsf=None, sampling=None, *, covariance=False):
    """Labels and errors of spectra on the network's pixels.

    Parameters
    ----------
    regressor : LabelRegressor
        The network.
    flux, ivar : ndarray or Tensor of float32 or float64, shape (n, n_pixels)
        Any scale. Rows without information give NaN.
    lsf, sampling : ndarray or Tensor, shape (n, n_pixels), optional
        For the encoding ``instrument``, see `specvit.network.encode`; the grid's own without them.
    covariance : bool
        Whether to return the covariance of the errors instead of σ.

    Returns
    -------
    mean : ndarray of float64, shape (n, n_labels)
    sigma : ndarray of float64, shape (n, n_labels), or (n, n_labels, n_labels) if `covariance`
    """
    like = {"dtype": regressor.label_scale.dtype, "device": regressor.label_scale.device}
    told, rows = (lsf, sampling) if regressor.encoding == "instrument" else (None, None), []
    predict = regressor.predict_covariance if covariance else regressor.predict
    size = min(spectra_at_once(like["device"]), MOST_IN_LAYERS)
    for start in range(0, len(flux), size):
        part = slice(start, start + size)
        given = [tensor_of(x[part]).to(like["device"]) for x in (flux, ivar)]
        if regressor.encoding != "none":
            given = scaled(*given)
        given += [None if x is None else tensor_of(x[part]) for x in told]
        given = (None if x is None else x.to(**like) for x in given)
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

"""From arrays through the network to labels with units, errors and flags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from specvit.labels import LABELS, label_of
from specvit.predictors.misfit import LARGEST_MISFIT, misfit
from specvit.spectra import Flag, SpectrumBatch

__all__ = ["Predictions", "label_unit", "predict_arrays", "to_device"]

_BATCH = 256
#: A prediction this close to the end of the training range, as a share of it, is flagged.
_EDGE = 0.01
#: Median S/N per pixel below which labels rest on the prior more than on the spectrum.
_LOWEST_SNR = 1.0


def to_device(regressor, device):
    """The regressor on `device`, where "auto" is a GPU if there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return regressor.to(device)


def predict_arrays(regressor, flux, ivar):
    """Labels and errors of spectra on the network's pixels.

    Parameters
    ----------
    regressor : LabelRegressor
    flux, ivar : ndarray of float64, shape (n, n_pixels)
        Any scale. Rows without information give NaN.

    Returns
    -------
    mean, sigma : ndarray of float64, shape (n, n_labels)
    """
    parameter = regressor.label_scale
    if regressor.encoding != "none":
        flux, ivar = order_one(flux, ivar)
    rows = []
    for start in range(0, len(flux), _BATCH):
        pair = (
            torch.tensor(x[start : start + _BATCH], dtype=parameter.dtype, device=parameter.device)
            for x in (flux, ivar)
        )
        rows.append([x.double().cpu().numpy() for x in regressor.predict(*pair)])
    mean, sigma = (np.concatenate(column) for column in zip(*rows, strict=True))
    return mean, sigma


def order_one(flux, ivar):
    """Flux of order one, which float32 can hold whatever the unit, and its inverse variance."""
    scale = np.max(np.abs(flux), axis=1, where=ivar > 0, initial=0.0)[:, None]
    scale = np.where(scale > 0, scale, 1.0)
    return flux / scale, ivar * scale**2


@dataclass(frozen=True)
class Predictions:
    """Labels of the spectra of a batch, as numbers.

    Attributes
    ----------
    names : tuple of str
    mean, sigma : ndarray, shape (n, n_labels)
    batch : SpectrumBatch
        What they were predicted from, its flags completed.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    sigma: np.ndarray
    batch: SpectrumBatch

    @classmethod
    def make(cls, regressor, batch, label_range):
        """Predict the usable spectra of a batch.

        Parameters
        ----------
        regressor : LabelRegressor
        batch : SpectrumBatch
        label_range : dict of str to (float, float)
            Lowest and highest value of each label in training; labels without one are not judged.
        """
        names = tuple(regressor.label_names)
        mean = np.full((len(batch), len(names)), np.nan)
        sigma = mean.copy()
        used = batch.usable
        if used.any():
            mean[used], sigma[used] = predict_arrays(regressor, batch.flux[used], batch.ivar[used])
        for k, name in enumerate(names):
            if name in label_range:
                low, high = label_range[name]
                margin = _EDGE * (high - low)
                outside = (mean[:, k] < low + margin) | (mean[:, k] > high - margin)
                batch.flags[outside] |= int(Flag.OUT_OF_DOMAIN)
        batch.flags[used & ~(batch.snr >= _LOWEST_SNR)] |= int(Flag.LOW_SNR)
        return cls(names, mean, sigma, batch)

    def quantity(self, name):
        """A label and its standard error with units, in the shape of what was given."""
        if name not in self.names:
            raise ValueError(f"{name} is not among the labels {self.names!r}; predict_table gives these")
        k, shape = self.names.index(name), self.batch.shape
        unit, error_unit = label_unit(name)
        return self.mean[:, k].reshape(shape) * unit, self.sigma[:, k].reshape(shape) * error_unit

    def table(self):
        """One row a spectrum: the labels with their errors, S/N, coverage, fit, flags and reasons."""
        from astropy.table import QTable

        table, batch = QTable(), self.batch
        chi2 = np.full(len(batch), np.nan)
        if self.names == LABELS:
            chi2 = misfit(batch.flux, batch.ivar, self.mean, batch.grid)
            batch.flags[chi2 > LARGEST_MISFIT] |= int(Flag.OUT_OF_DOMAIN)
        for k, name in enumerate(self.names):
            unit, error_unit = label_unit(name)
            table[name] = self.mean[:, k] * unit
            table[f"{name}_err"] = self.sigma[:, k] * error_unit
        table["snr"] = self.batch.snr
        table["coverage"] = self.batch.coverage
        table["chi2"] = chi2
        table["flags"] = self.batch.flags
        table["error"] = [reason or "" for reason in self.batch.errors]
        return table


def label_unit(name):
    """Units of a label and of its error, as astropy's: K, dex(cm/s²) and dex, or dex."""
    import astropy.units as u

    label = label_of(name)
    return u.Unit(label.unit), u.Unit(label.error_unit)

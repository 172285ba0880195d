"""`Predictions`: labels of spectra as numbers, and the answers with units that are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from specvit.labels import label_of
from specvit.spectra import SpectrumBatch

__all__ = ["Predictions", "label_unit"]


@dataclass(frozen=True)
class Predictions:
    """All labels of n spectra, as plain numbers.

    Attributes
    ----------
    names : tuple of str
        Labels, as in `specvit.labels`.
    mean, sigma : ndarray of float64, shape (n, n_labels)
        Labels in their units (Teff in K, log g in dex(cm/s²), abundances in dex) and their standard errors.
        NaN where there is no answer; `sigma` also where the predictor gives none.
    shape : tuple of int
        Shape of what was given: ``()`` for one spectrum, that of a cube's image. Rows are in C order.
    batch : SpectrumBatch or None
        What they were predicted from, with the predictor's flags and reasons; None for plain features.
    details : object
        What else a predictor has found; the `TemplateResult` of a `TemplateFit`.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    sigma: np.ndarray
    shape: tuple[int, ...]
    batch: SpectrumBatch | None = None
    details: Any = None

    def __len__(self):
        return len(self.mean)

    def columns(self, names):
        """Mean and σ, both ndarray (n, len(names)), of the labels called `names`."""
        index = [self.names.index(name) for name in names]
        return self.mean[:, index], self.sigma[:, index]

    def numbers(self, names, *, axis):
        """Mean and σ as plain arrays in the shape of what was given.

        Parameters
        ----------
        names : sequence of str
        axis : bool
            Whether there is a last axis of labels; without it `names` has one.

        Returns
        -------
        mean, sigma : ndarray, shape `shape` or `shape` + (len(names),)
        """
        ending = (len(names),) if axis else ()
        return tuple(values.reshape(self.shape + ending) for values in self.columns(names))

    def quantities(self, names, *, axis):
        """Mean and σ with units, in the shape of what was given.

        Parameters
        ----------
        names : sequence of str
        axis : bool
            Whether there are several labels: a dict of them, because units differ.

        Returns
        -------
        mean, sigma : Quantity of shape `shape`, or dict of str to Quantity
            log g as `~astropy.units.Dex`.
        """
        found = {name: self.numbers([name], axis=False) for name in names}
        units = {name: label_unit(name) for name in names}
        mean, sigma = ({name: found[name][k] * units[name][k] for name in names} for k in (0, 1))
        return (mean, sigma) if axis else (mean[names[0]], sigma[names[0]])

    def table(self, **more):
        """One row a spectrum.

        Parameters
        ----------
        **more : array-like of length n
            Further columns.

        Returns
        -------
        `~astropy.table.QTable`
            Each label with ``<label>_err``, ``snr``, ``coverage``, ``resolution``, the further columns,
            ``flags`` and ``error``.
        """
        from astropy.table import QTable

        table = QTable()
        for k, name in enumerate(self.names):
            unit, error_unit = label_unit(name)
            table[name] = self.mean[:, k] * unit
            table[f"{name}_err"] = self.sigma[:, k] * error_unit
        for name in ("snr", "coverage", "resolution"):
            table[name] = getattr(self.batch, name)
        for name, values in more.items():
            table[name] = values
        table["flags"] = self.batch.flags
        table["error"] = [reason or "" for reason in self.batch.errors]
        return table


def label_unit(name):
    """Units of a label and of its error, as astropy's: K, dex(cm/s²) and dex, or dex."""
    import astropy.units as u

    label = label_of(name)
    return u.Unit(label.unit), u.Unit(label.error_unit)

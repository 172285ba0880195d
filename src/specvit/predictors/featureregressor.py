"""`FeatureRegressor`, the base of regressors on features: their training spectra, predictions and σ."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from specvit.network import encode, median_snr
from specvit.predictors.base import Predictor
from specvit.predictors.features import FeatureBatches, ResidualScatter, array_batches, source_batches
from specvit.predictors.parameterrules import check_parameters
from specvit.predictors.trainingarrays import training_arrays
from specvit.predictors.trainingdata import (
    grid_to_learn,
    is_source,
    known_range,
    labels_to_learn,
    simulated_grid,
)
from specvit.survey import Survey

__all__ = ["FeatureRegressor"]

_BATCH = 1000


class FeatureRegressor(Predictor):
    """Base of Ridge and LightGBM, which predict from features and measure σ on held-out spectra.

    A subclass has the parameters `grid`, `labels`, `encoding`, `validation_fraction` and `random_state`, and
    two methods. ``_learn(batches)`` takes ``FeatureBatches`` and returns predictions and truth (n, n_labels)
    and S/N (n,) of the held-out spectra, and the number of spectra used. ``_labels(features)`` takes a tensor
    (m, p) to an ndarray (m, n_labels).

    Examples
    --------
    >>> from specvit.predictors import RidgeEstimator
    >>> issubclass(RidgeEstimator, FeatureRegressor)
    True
    """

    #: Where surveys are simulated and features made for learning.
    _device = "cpu"
    #: Types of the parameters, for `check_parameters`.
    _rules: ClassVar[dict] = {}

    @property
    def label_names(self):
        """Labels that were learned, a tuple of str."""
        check_is_fitted(self)
        return self.label_names_

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        ivar: Any = None,
        medium: Any = None,
        resolution: Any = None,
        on_error: Any = "raise",
        lower_resolution: Any = "raise",
    ) -> Self:
        """Learn labels from spectra.

        Parameters
        ----------
        X : spectra, SpectrumBatch, array-like of shape (n, n_pixels), Survey or SpectrumDataset
            Anything that `predict` takes; or a survey, which must have `n`, or a data set. The spectra of a
            data set are read once, with noise drawn from `random_state`.
        y : array-like, Quantity or table, shape (n,) or (n, n_labels)
            log g in dex(cm/s²), or the columns `labels`; finite. Columns of a table go by their names, units
            are converted, masked values refused. None for a survey or data set.
        ivar : array-like, shape (n, n_pixels), optional
            Inverse variance of an array; 0 masks.
        medium, resolution, lower_resolution
            As for `predict`.
        on_error : {"raise", "nan"}
            Whether a spectrum that cannot be used raises, or is left out.

        Returns
        -------
        self

        Raises
        ------
        SpectrumError
            If a spectrum cannot be used.
        ValueError
            If shapes, grids or labels do not match, a label is not finite, or a parameter is out of range.
        """
        check_parameters(self, self._rules)
        source, seed, plain = is_source(X), self.random_state, self.encoding == "none"
        if source:
            given = {"y": y, "ivar": ivar, "medium": medium, "resolution": resolution}
            grid = simulated_grid(X, self.grid, plain=plain, **given)
            names, offered = labels_to_learn(self.labels, X.label_names), tuple(X.label_names)
            if isinstance(X, Survey) and X.n is None:
                raise ValueError(f"X must be a survey of n stars, as Survey({X.name!r}, n=50_000), got {X!r}")
            n, n_pixels = (X.n, len(X.grid)) if isinstance(X, Survey) else (len(X), X.n_pixels)
            batches, columns = source_batches(X, seed, self._device), None
            index = [offered.index(name) for name in names]
        else:
            grid = grid_to_learn(self.grid, plain)
            options = {"medium": medium, "resolution": resolution}
            options |= {"on_error": on_error, "lower_resolution": lower_resolution}
            flux, weight, y, *_ = training_arrays(self, X, y, grid, ivar=ivar, **options)
            y.check(every=True)
            names, values = y.names, y.values
            (n, n_pixels), index = flux.shape, range(len(names))
            batches = array_batches(flux, weight, values, self._device)
            columns = names if y.axis else None
        learned = FeatureBatches(batches, n, index, self.encoding, self.validation_fraction, seed)
        prediction, truth, snr, used = self._learn(learned)
        residual, variance = prediction - truth, truth.var(0)
        self._scatter = ResidualScatter(residual, snr)
        self.validation_r2_ = 1 - np.square(residual).mean(0) / np.where(variance > 0, variance, np.nan)
        ranges = X.label_range if source else known_range(names, values)
        self.label_range_ = {name: tuple(map(float, ranges[name])) for name in names}
        self.label_names_, self.columns_, self.grid_ = names, columns, grid
        self.n_spectra_, self.n_features_in_ = used, n_pixels
        return self

    def _own_grid(self):
        check_is_fitted(self)
        return self.grid_

    def _label_range(self):
        return self.label_range_

    def _infer(self, flux, ivar):
        mean, snr = np.full((len(flux), len(self.label_names_)), np.nan), np.zeros(len(flux))
        for start in range(0, len(flux), _BATCH):
            rows = slice(start, start + _BATCH)
            f, w = torch.as_tensor(flux[rows]), torch.as_tensor(ivar[rows])
            x, valid = encode(f, w, self.encoding)
            if self.grid_ is not None:
                snr[rows] = median_snr(f, w).numpy()
            if valid.any():
                mean[rows][valid.numpy()] = self._labels(x.flatten(1)[valid])
        return mean, np.where(np.isnan(mean), np.nan, self._scatter(snr))

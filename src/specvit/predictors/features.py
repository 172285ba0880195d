"""Spectra of any kind as batches of features and labels, for estimators that learn from plain numbers."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from specvit.dataset import SpectrumDataset
from specvit.grid import PFS_MR
from specvit.labels import LABELS
from specvit.network import encode, median_snr
from specvit.network.conformal import binned_quantiles, one_sigma_quantile
from specvit.spectra import SpectrumBatch, adapt
from specvit.survey import Survey

__all__ = ["FeatureRegressor", "ResidualScatter", "TrainingSpectra", "holds_spectra", "observed"]

_BATCH = 1000
_MOST_HELD_OUT = 10_000


def observed(X, ivar, n_pixels=None, grid=None):
    """Flux and inverse variance, float64 (n, n_pixels), of arrays, spectra or a `SpectrumBatch`.

    Without `ivar` an array has inverse variance 1 where it is finite. Spectra that cannot be used come
    without information.
    """
    if not isinstance(X, SpectrumBatch) and holds_spectra(X):
        if ivar is not None:
            raise ValueError("ivar is for arrays: spectra bring their own uncertainties")
        X = adapt(X, grid=PFS_MR if grid is None else grid, on_error="nan")
    if isinstance(X, SpectrumBatch):
        flux, weight = X.flux, X.ivar
    else:
        flux = _numbers(X, "X")
        if flux.ndim != 2:
            raise ValueError(f"X must have shape (n, n_pixels), got {flux.shape}")
        weight = np.isfinite(flux).astype(np.float64) if ivar is None else _numbers(ivar, "ivar")
        if weight.shape != flux.shape:
            raise ValueError(f"ivar must have the shape of X {flux.shape}, got {weight.shape}")
    if n_pixels is not None and flux.shape[1] != n_pixels:
        raise ValueError(f"X must have {n_pixels} pixels, as in fit, got {flux.shape[1]}")
    return flux, weight


def holds_spectra(X):
    """Whether `X` is a specutils spectrum or a sequence of them."""
    if isinstance(X, list | tuple) and X:
        X = X[0]
    return hasattr(X, "spectral_axis")


def _numbers(values, name):
    values = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be an array of numbers, got {type(values).__name__}") from error


class TrainingSpectra:
    """One pass over spectra with known labels, some of them held out; iterated over in batches.

    Parameters
    ----------
    X : array-like, spectra, SpectrumBatch, Survey or SpectrumDataset
        A survey must have `n`. A data set is seen once, with noise of `seed`.
    y : array-like, shape (n,) or (n, n_labels)
        None for a survey or a data set.
    ivar : array-like, shape (n, n_pixels), optional
    labels : tuple of str or None
        Wanted of a survey or data set (None: all), or the names of the columns of `y`.
    encoding : str
        See `~specvit.network.encode`; its channels are laid side by side.
    validation_fraction : float
        Share held out, at most 10,000 spectra.
    seed : int
        Of the choice of these.

    Attributes
    ----------
    names : tuple of str
    n, n_pixels : int
    grid : PixelGrid or None
    one_column : bool
        Whether `y` was one-dimensional.
    """

    def __init__(self, X, y, ivar, labels, encoding, validation_fraction, seed, device="cpu"):
        self.encoding, self.device, self.one_column = encoding, torch.device(device), False
        if not 0 < validation_fraction < 1:
            raise ValueError(f"validation_fraction must be between 0 and 1, got {validation_fraction!r}")
        labels = (labels,) if isinstance(labels, str) else labels
        if isinstance(X, Survey | SpectrumDataset):
            self._simulated(X, y, ivar, labels, seed)
        else:
            self._arrays(X, y, ivar, labels)
        held_out = min(int(validation_fraction * self.n), _MOST_HELD_OUT)
        if held_out < 2:
            raise ValueError(
                f"X must hold at least {int(np.ceil(2 / validation_fraction))} spectra, got {self.n}"
            )
        self._held_out = np.zeros(self.n, bool)
        self._held_out[np.random.default_rng(seed).permutation(self.n)[:held_out]] = True

    def _simulated(self, X, y, ivar, labels, seed):
        kind = "survey" if isinstance(X, Survey) else "data set"
        if y is not None or ivar is not None:
            raise ValueError(f"y and ivar must be None for a {kind}, which knows them")
        known = tuple(X.label_names)
        self.names = known if labels is None else tuple(labels)
        if not self.names or set(self.names) - set(known):
            raise ValueError(f"labels must be among {known}, got {self.names!r}")
        self._columns = [known.index(name) for name in self.names]
        self.grid = X.grid
        if isinstance(X, Survey):
            if X.n is None:
                raise ValueError(f"X must be a survey of n stars, as Survey({X.name!r}, n=50_000), got {X!r}")
            self.n, self.n_pixels = X.n, len(X.grid)
            batches = -(-X.n // _BATCH)
            self._source = lambda: islice(X.stream(_BATCH, device=self.device), batches)
        else:
            self.n, self.n_pixels = len(X), X.n_pixels
            self._source = lambda: iter(X.frozen(_BATCH, device=self.device, seed=seed))

    def _arrays(self, X, y, ivar, labels):
        if y is None:
            raise ValueError("y must hold the labels of X: only a Survey or SpectrumDataset knows its own")
        flux, weight = observed(X, ivar)
        self.n, self.n_pixels = flux.shape
        self.grid = X.grid if isinstance(X, SpectrumBatch) else (PFS_MR if holds_spectra(X) else None)
        y = _numbers(getattr(y, "value", y), "y")
        if y.ndim not in (1, 2) or len(y) != self.n:
            raise ValueError(f"y must have shape ({self.n},) or ({self.n}, n_labels), got {y.shape}")
        if not np.isfinite(y).all():
            raise ValueError("y must be finite")
        self.one_column = y.ndim == 1
        y = y.reshape(self.n, -1)
        if labels is None:
            known = {1: ("logg",), len(LABELS): LABELS}
            labels = known.get(y.shape[1], tuple(f"y{k}" for k in range(y.shape[1])))
        if len(labels) != y.shape[1]:
            raise ValueError(f"labels must name the {y.shape[1]} columns of y, got {labels!r}")
        self.names, self._columns = tuple(labels), list(range(y.shape[1]))

        def source():
            for start in range(0, self.n, _BATCH):
                rows = slice(start, start + _BATCH)
                yield tuple(torch.as_tensor(a[rows], device=self.device) for a in (flux, weight, y))

        self._source = source

    def __iter__(self):
        """Yield (features (m, p), labels (m, n_labels), snr (m,), held_out (m,)) of the usable spectra."""
        start = 0
        for flux, ivar, labels in self._source():
            x, valid = encode(flux, ivar, self.encoding)
            chosen = torch.as_tensor(self._held_out[start : start + len(flux)], device=valid.device)
            start += len(flux)
            snr = median_snr(flux, ivar)
            yield x.flatten(1)[valid], labels[:, self._columns][valid].double(), snr[valid], chosen[valid]


class FeatureRegressor(RegressorMixin, BaseEstimator):
    """What regressors on features of pixels share: predictions, and σ from held-out residuals.

    A subclass has the parameter `encoding`, sets in `fit` the attributes that `predict` reads here, and
    has ``_labels(features)``, from features (m, p), a float64 tensor, to labels, an ndarray (m, n_labels).
    """

    def predict(self, X, return_std=False, *, ivar=None):
        """Labels of spectra.

        Parameters
        ----------
        X : array-like (n, n_pixels), SpectrumBatch or specutils spectra
        return_std : bool
            Also return σ: for each label the 68 % half-width of held-out residuals at the spectrum's
            observed S/N (of all of them if there is no `ivar`).
        ivar : array-like, shape (n, n_pixels), optional

        Returns
        -------
        mean : ndarray, shape (n,) or (n, n_labels)
            One-dimensional for one label. NaN for a spectrum without a positive median flux.
        sigma : ndarray
            If `return_std`.
        """
        check_is_fitted(self)
        flux, weight = observed(X, ivar, self.n_features_in_, self.grid_)
        mean, snr = np.full((len(flux), len(self.label_names)), np.nan), np.full(len(flux), np.nan)
        for start in range(0, len(flux), _BATCH):
            rows = slice(start, start + _BATCH)
            f, w = torch.as_tensor(flux[rows]), torch.as_tensor(weight[rows])
            x, valid = encode(f, w, self.encoding)
            snr[rows] = median_snr(f, w).numpy()
            if valid.any():
                mean[rows][valid.numpy()] = self._labels(x.flatten(1)[valid])
        sigma = np.where(np.isnan(mean), np.nan, self._scatter(snr))
        if self._one_column:
            mean, sigma = mean[:, 0], sigma[:, 0]
        return (mean, sigma) if return_std else mean

    def _learned(self, spectra, residual, truth, snr, n):
        """Keep what both fits end with: σ, R² on the held-out spectra, and what was learned from."""
        self._scatter = ResidualScatter(residual, snr)
        variance = truth.var(0)
        self.validation_r2_ = 1 - np.square(residual).mean(0) / np.where(variance > 0, variance, np.nan)
        self.n_spectra_, self.n_features_in_ = n, spectra.n_pixels
        self.label_names, self.grid_ = spectra.names, spectra.grid
        self._one_column = spectra.one_column or len(spectra.names) == 1


class ResidualScatter:
    """σ of predictions as a function of the observed S/N, from held-out residuals.

    In bins of S/N of equal numbers, σ is the 68.27 % quantile of |residual| (split conformal
    prediction: Papadopoulos et al. 2002; Lei et al. 2018); in between it is interpolated in log S/N.

    Parameters
    ----------
    residual : ndarray, shape (n, n_labels)
    snr : ndarray, shape (n,)
    min_count, most_bins : int
        Fewest spectra in a bin, and most bins (`~specvit.network.conformal.binned_quantiles`).
    """

    def __init__(self, residual, snr, *, min_count=200, most_bins=12):
        size = np.abs(residual)
        self.overall = one_sigma_quantile(size)
        nodes, self.sigma = binned_quantiles(size, snr, min_count=min_count, max_points=most_bins)
        self.log_snr = np.log(nodes)

    def __call__(self, snr):
        """σ, shape (n, n_labels); the overall one where the S/N is not positive, NaN where it is NaN."""
        out = np.tile(self.overall, (len(snr), 1))
        good = snr > 0
        if len(self.log_snr):
            for k in range(out.shape[1]):
                out[good, k] = np.interp(np.log(snr[good]), self.log_snr, self.sigma[:, k])
        out[np.isnan(snr)] = np.nan
        return out

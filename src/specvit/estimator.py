"""`LoggEstimator`: surface gravities from spectra, with scikit-learn's manners."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from specvit.fitting import fit_arrays, fit_survey, label_columns, new_regressor
from specvit.grid import PFS_MR
from specvit.prediction import Predictions, predict_arrays, to_device
from specvit.spectra import adapt
from specvit.weights import load_weights, save_weights

__all__ = ["LoggEstimator"]


class LoggEstimator(RegressorMixin, BaseEstimator):
    """Surface gravity, and what comes with it, from optical spectra of cool stars.

    With bundled weights it predicts at once, without `fit`; `fit` then fine-tunes them. With
    ``weights=None`` it learns from nothing, on spectra, arrays or a simulated `~specvit.Survey`.

    Parameters
    ----------
    weights : str, path-like or None
        Bundled weights (``"pfs-mr"``: robust, for real stars; ``"paper"``: for the idealised survey
        of that name), a file from `save`, or None to start from random ones.
    grid : PixelGrid, optional
        Pixels of the network; that of the weights, or PFS MR where there are none.
    labels : tuple of str, optional
        Names of the columns of `y`, among them "logg". By default ``("logg",)``, or all the labels
        of a survey.
    encoding : {"weighted", "median", "none"}
        What the network sees of a spectrum; ``"none"`` takes any features, unscaled.
    tokenizer, patch_size, position, width, depth, heads, dropout
        Shape of the network, see `~specvit.network.ViTConfig`; without effect where weights are given.
    loss : {"gaussian_nll", "l1", "mse", "huber"}
        Only ``"gaussian_nll"`` learns a σ for each star; the others are given one σ for all.
    epochs : int
        Times that each spectrum is seen.
    batch_size : int
    learning_rate : float, optional
        Peak of the cosine schedule; by default 5e-4 from random weights, 5e-5 for fine-tuning.
    weight_decay, gradient_clip : float
    ema_decay : float, optional
        Decay of the moving average of the weights that is kept.
    validation_fraction : float
        Share of the spectra kept from training to calibrate σ and for early stopping; none is kept
        of fewer than 100 spectra.
    patience : int, optional
        Stop after so many epochs without a lower validation loss.
    precision : {"auto", "32-true", "64-true", "bf16-mixed", "16-mixed"}
    device : str
        "auto" is a GPU where there is one.
    random_state : int, RandomState or None
    progress : bool
        Show a progress bar while training.
    checkpoint_dir : path-like, optional
        Where training leaves its checkpoints; a fit with the same folder takes up the last one.

    Attributes
    ----------
    regressor_ : LabelRegressor
        The fitted network.
    history_ : dict
        Losses and metrics by step.
    n_features_in_ : int
        Pixels of the spectra.

    Examples
    --------
    >>> from specvit import LoggEstimator, example_spectrum
    >>> logg, sigma = LoggEstimator().predict(example_spectrum(), return_std=True)
    >>> abs(logg.value - 2.2) < 3 * sigma.value
    True
    """

    def __init__(
        self,
        weights="pfs-mr",
        *,
        grid=None,
        labels=None,
        encoding="weighted",
        tokenizer="local",
        patch_size=32,
        position="learned",
        width=256,
        depth=6,
        heads=4,
        dropout=0.0,
        loss="gaussian_nll",
        epochs=20,
        batch_size=256,
        learning_rate=None,
        weight_decay=0.01,
        gradient_clip=0.5,
        ema_decay=None,
        validation_fraction=0.1,
        patience=None,
        precision="auto",
        device="auto",
        random_state=None,
        progress=False,
        checkpoint_dir=None,
    ):
        self.weights = weights
        self.grid = grid
        self.labels = labels
        self.encoding = encoding
        self.tokenizer = tokenizer
        self.patch_size = patch_size
        self.position = position
        self.width = width
        self.depth = depth
        self.heads = heads
        self.dropout = dropout
        self.loss = loss
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.ema_decay = ema_decay
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.progress = progress
        self.checkpoint_dir = checkpoint_dir

    # -- learning ----------------------------------------------------------------------------------

    def fit(self, X, y=None, *, ivar=None, medium=None, resolution=None):
        """Learn labels from spectra; with `weights`, fine-tune these.

        Parameters
        ----------
        X : spectra, array-like of shape (n, n_pixels), or Survey
            Whatever `predict` takes, or a simulated survey, of which every batch is made anew.
        y : array-like or Quantity, shape (n,) or (n, n_labels)
            log g in dex(cm/s²), or the columns `labels`, NaN where unknown. None for a survey.
        ivar : array-like, shape (n, n_pixels), optional
            Inverse variance of `X` where that is an array.
        medium, resolution
            As for `predict`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a spectrum cannot be used, or `y` does not match.
        """
        base, grid, record = (None, self.grid, {}) if self.weights is None else load_weights(self.weights)
        if base is not None and self.grid not in (None, grid):
            raise ValueError(f"grid must be that of the weights, {grid!r}, got {self.grid!r}")
        known = None if base is None else base.label_names
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._many_outputs = False
        if hasattr(X, "stream"):
            if y is not None:
                raise ValueError("y must be None for a survey, which knows its labels")
            grid = grid or X.grid
            if X.grid != grid:
                raise ValueError(f"grid must be that of the survey, {X.grid!r}, got {grid!r}")
            names = known or tuple(self.labels or X.label_names)
            label_range = {name: X.label_range[name] for name in names}
        else:
            grid = grid or PFS_MR
            flux, weight, y = self._training_arrays(X, y, ivar, grid, medium, resolution)
            self._many_outputs = y.ndim == 2
            names, values = label_columns(y, self.labels, known)
            label_range = {n: (np.nanmin(v), np.nanmax(v)) for n, v in zip(names, values.T, strict=True) if np.isfinite(v).any()}
        generic = self._takes_features()
        if base is None:
            n_pixels = self.n_features_in_ if generic else len(grid)
            base = new_regressor(self, names, n_pixels, None if generic else grid.wave, seed)
        fine_tuning = known is not None
        if hasattr(X, "stream"):
            self.n_features_in_ = len(grid)
            self.history_ = fit_survey(self, base, X, names, seed, fine_tuning=fine_tuning)
        else:
            self.history_ = fit_arrays(self, base, flux, weight, values, seed, fine_tuning=fine_tuning)
        self.regressor_, self.grid_ = base, None if generic else grid
        self.record_ = {
            "survey": repr(X) if hasattr(X, "stream") else None,
            "fine_tuned_from": record or None,
            "seed": seed,
            "label_range": {name: [float(low), float(high)] for name, (low, high) in label_range.items()},
        }
        return self

    def _training_arrays(self, X, y, ivar, grid, medium, resolution):
        """Flux and inverse variance, float64 (n, n_pixels), and y as numbers."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None."
            )
        y = getattr(y, "value", y)
        if self._takes_features():
            X, y = validate_data(
                self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", multi_output=True, y_numeric=True
            )
            return X, np.isfinite(X).astype(np.float64), y
        batch = adapt(X, ivar=ivar, grid=grid, medium=medium, resolution=resolution)
        y = np.asarray(y, dtype=np.float64)
        if y.ndim not in (1, 2) or len(y) != len(batch):
            raise ValueError(f"y must have shape ({len(batch)},) or ({len(batch)}, n_labels), got {y.shape}")
        self.n_features_in_ = len(grid)
        return batch.flux, batch.ivar, y

    def _takes_features(self):
        return self.weights is None and self.encoding == "none"

    # -- predicting --------------------------------------------------------------------------------

    def predict(
        self, X, return_std=False, *, ivar=None, medium=None, resolution=None, on_error="raise", lower_resolution="raise"
    ):
        """Surface gravity.

        Parameters
        ----------
        X : specutils.Spectrum, list, SpectrumCollection, or array-like of shape (n, n_pixels)
            Spectra of any axis and unit (see `~specvit.spectra.adapt`), or fluxes on the grid.
        return_std : bool
            Also return the standard error.
        ivar : array-like, shape (n, n_pixels), optional
            Inverse variance, for arrays.
        medium : {"air", "vacuum"}, optional
            Medium of the wavelengths, where the spectrum does not say; vacuum if nobody does.
        resolution : float or array-like, optional
            Resolving power λ/FWHM of the spectra, where they do not say.
        on_error : {"raise", "nan"}
            What an unusable spectrum gives.
        lower_resolution : {"raise", "flag"}
            What to do with spectra of lower resolution than the network's grid.

        Returns
        -------
        logg : `~astropy.units.Dex` or ndarray
            For spectra, of their shape (a scalar for one), in dex(cm/s²); for arrays plain floats,
            shape (n,), or (n, n_labels) where `fit` was given such a `y`.
        sigma : Quantity or ndarray
            Standard error in dex, if `return_std`.

        Raises
        ------
        SpectrumError
            If a spectrum cannot be used: which one, and which rule.
        NotFittedError
            If there are neither weights nor a fit.
        """
        if self._generic():
            check_is_fitted(self)
            X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
            mean, sigma = predict_arrays(self._ready()[0], X, np.isfinite(X).astype(np.float64))
            return self._select(mean, sigma, return_std)
        predictions = self._predict(X, ivar, medium, resolution, on_error, lower_resolution)
        if _is_array(X):
            return self._select(predictions.mean, predictions.sigma, return_std)
        logg, sigma = predictions.quantity("logg")
        return (logg, sigma) if return_std else logg

    def predict_table(self, X, *, ivar=None, medium=None, resolution=None, on_error="nan", lower_resolution="raise"):
        """All labels with their errors, and what is to be known of each spectrum.

        Parameters
        ----------
        X, ivar, medium, resolution, lower_resolution
            As for `predict`.
        on_error : {"nan", "raise"}
            By default an unusable spectrum gives a row of NaN with its flag and the reason.

        Returns
        -------
        `~astropy.table.QTable`
            Each label with ``<label>_err``; ``snr``, the median signal-to-noise ratio per pixel;
            ``coverage``, the share of the grid's pixels with information; ``flags``, a sum of
            `~specvit.spectra.Flag`; ``error``, why a spectrum was not used.
        """
        if self._generic():
            raise ValueError("predict_table needs spectra: this estimator was fitted on plain features")
        return self._predict(X, ivar, medium, resolution, on_error, lower_resolution).table()

    def score(self, X, y, sample_weight=None, **kwargs):
        """Coefficient of determination R² of `predict`; keywords are passed on to it."""
        prediction = self.predict(X, **kwargs)
        return r2_score(
            getattr(y, "value", y), getattr(prediction, "value", prediction), sample_weight=sample_weight
        )

    def _predict(self, X, ivar, medium, resolution, on_error, lower_resolution):
        regressor, grid, record = self._ready()
        batch = adapt(
            X,
            ivar=ivar,
            grid=grid,
            medium=medium,
            resolution=resolution,
            on_error=on_error,
            lower_resolution=lower_resolution,
        )
        return Predictions.make(regressor, batch, record.get("label_range", {}))

    def _select(self, mean, sigma, return_std):
        """The columns that `predict` gives for arrays."""
        if not getattr(self, "_many_outputs", False):
            names = self._ready()[0].label_names
            column = names.index("logg") if "logg" in names else 0
            mean, sigma = mean[:, column], sigma[:, column]
        return (mean, sigma) if return_std else mean

    def _generic(self):
        return self._takes_features() if not hasattr(self, "regressor_") else self.grid_ is None

    def _ready(self):
        """Network on its device, grid and record: the fitted ones, or those of the weights."""
        if hasattr(self, "regressor_"):
            return to_device(self.regressor_, self.device), self.grid_, self.record_
        if self.weights is None:
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate "
                "arguments before using this estimator, or give it weights."
            )
        regressor, grid, record = load_weights(self.weights)
        return to_device(regressor, self.device), grid, record

    # -- keeping -----------------------------------------------------------------------------------

    def save(self, path):
        """Write the network to a safetensors file that `load`, or `weights`, takes."""
        regressor, grid, record = self._ready()
        save_weights(path, regressor, grid=grid, record=record)

    @classmethod
    def load(cls, path, **params):
        """Estimator with the network of a file from `save`; `params` as for the constructor."""
        regressor, grid, record = load_weights(path)
        estimator = cls(weights=str(path), **params)
        estimator.regressor_, estimator.grid_, estimator.record_ = regressor, grid, record
        estimator.history_, estimator.n_features_in_ = {}, regressor.config.n_pixels
        return estimator

    def __sklearn_is_fitted__(self):
        return self.weights is not None or hasattr(self, "regressor_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags


def _is_array(X):
    """Whether `X` holds numbers and not spectra."""
    first = X[0] if isinstance(X, list | tuple) and len(X) else X
    return not hasattr(first, "spectral_axis")

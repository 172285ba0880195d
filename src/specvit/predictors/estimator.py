"""`LoggEstimator`: surface gravities from spectra, with scikit-learn's manners."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted, validate_data

from specvit.predictors.learning import fit, takes_features
from specvit.predictors.prediction import Predictions, predict_arrays, to_device
from specvit.spectra import adapt
from specvit.weights import load_weights, save_weights

__all__ = ["LoggEstimator"]


class LoggEstimator(RegressorMixin, BaseEstimator):
    """Surface gravity, and what comes with it, from optical spectra of cool stars.

    With bundled weights it predicts at once, without `fit`; `fit` then fine-tunes them. With
    ``weights=None`` it learns from nothing, on spectra, arrays, a simulated `~specvit.Survey` or a
    `~specvit.dataset.SpectrumDataset` on disk.

    Parameters
    ----------
    weights : str, path-like or None
        Bundled weights (``"pfs-mr"``: robust, for real stars; ``"paper"``: for the idealised survey
        of that name), a file from `save`, or None to start from random ones.
    grid : PixelGrid, optional
        Pixels of the network; that of the weights, or PFS MR where there are none.
    labels : tuple of str, optional
        Names of the columns of `y`, among them "logg"; or those wanted of a survey or data set. By
        default ``("logg",)``, or all the labels of a survey or data set.
    encoding : {"weighted", "median", "none"}
        What the network sees of a spectrum; ``"none"`` takes any features, unscaled.
    tokenizer, patch_size, position, width, depth, heads, dropout
        Shape of the network, see `~specvit.network.ViTConfig`; without effect where weights are given.
    loss : {"gaussian_nll", "l1", "mse", "huber"}
        Only ``"gaussian_nll"`` learns a σ for each star; the others are given one σ for all.
    epochs : int
        Times that each spectrum is seen. 100,000 spectra are an epoch of a survey without end.
    batch_size : int
        Spectra in a step, of each device.
    learning_rate : float, optional
        Peak of the cosine schedule; by default 5e-4 from random weights, 5e-5 for fine-tuning.
    weight_decay, gradient_clip : float
    ema_decay : float, optional
        Decay of the moving average of the weights that is kept.
    validation_fraction : float
        Share of the spectra kept from training to calibrate σ and for early stopping; none is kept
        of fewer than 100 spectra, and at most 20,000 of a data set. Surveys simulate others for it.
    patience : int, optional
        Stop after so many epochs without a lower validation loss.
    precision : {"auto", "32-true", "64-true", "bf16-mixed", "16-mixed"}
    device : str
        "auto" is a GPU where there is one.
    devices : int
        Processes that fit together, each on its own device; for more than one the script is to be started
        with ``torchrun --standalone --nproc-per-node=N``. All end with the same network. Then
        `random_state` must be an integer.
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
    >>> bool(abs(logg.value - 2.2) < 3 * sigma.value)
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
        devices=1,
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
        self.devices = devices
        self.random_state = random_state
        self.progress = progress
        self.checkpoint_dir = checkpoint_dir

    # -- learning ----------------------------------------------------------------------------------

    def fit(self, X, y=None, *, ivar=None, medium=None, resolution=None, validation=None):
        """Learn labels from spectra; with `weights`, fine-tune these.

        Parameters
        ----------
        X : spectra, array-like of shape (n, n_pixels), Survey or SpectrumDataset
            Whatever `predict` takes; or a simulated survey, of which every batch is made anew; or a data
            set on disk, which is read in pieces and shuffled, in constant memory, with new noise for each
            spectrum each time.
        y : array-like or Quantity, shape (n,) or (n, n_labels)
            log g in dex(cm/s²), or the columns `labels`, NaN where unknown. None for a survey or data set.
        ivar : array-like, shape (n, n_pixels), optional
            Inverse variance of `X` where that is an array.
        medium, resolution
            As for `predict`.
        validation : SpectrumDataset, optional
            For early stopping and σ, with frozen noise, instead of a part of the data set `X`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a spectrum cannot be used, `y`, `labels` or `grid` does not match, or the files of a data set
            do not tell its grid.
        TypeError
            If `validation` is given for anything but a data set.
        """
        outcome = fit(self, X, y, ivar=ivar, medium=medium, resolution=resolution, validation=validation)
        self.regressor_, self.history_ = outcome.regressor, outcome.history
        self.grid_, self.record_ = outcome.grid, outcome.record
        self.n_features_in_, self._many_outputs = outcome.n_features, outcome.many_outputs
        return self

    # -- predicting --------------------------------------------------------------------------------

    def predict(
        self,
        X,
        return_std=False,
        *,
        ivar=None,
        medium=None,
        resolution=None,
        on_error="raise",
        lower_resolution="raise",
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
            shape (n,) (or () for one spectrum), with a last axis of labels where the `y` of `fit` had one.
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
            if not (ivar is None and medium is None and resolution is None):
                raise ValueError("ivar, medium and resolution are for spectra, not for plain features")
            X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
            mean, sigma = predict_arrays(self._ready()[0], X, np.isfinite(X).astype(np.float64))
            return self._select(mean, sigma, return_std, (len(X),))
        predictions = self._predict(X, ivar, medium, resolution, on_error, lower_resolution)
        if _is_array(X):
            return self._select(predictions.mean, predictions.sigma, return_std, predictions.batch.shape)
        logg, sigma = predictions.quantity("logg")
        return (logg, sigma) if return_std else logg

    def predict_table(
        self, X, *, ivar=None, medium=None, resolution=None, on_error="nan", lower_resolution="raise"
    ):
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
            ``coverage``, the share of the grid's pixels with information; ``chi2``, the reduced χ² of the
            spectrum against the synthetic one of its labels (`~specvit.predictors.misfit.misfit`);
            ``flags``, a sum of `~specvit.spectra.Flag`; ``error``, why a spectrum was not used.
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

    def _select(self, mean, sigma, return_std, shape):
        """The columns that `predict` gives for arrays, in the shape of what was given."""
        if not getattr(self, "_many_outputs", False):
            names = self._ready()[0].label_names
            column = names.index("logg") if "logg" in names else 0
            mean, sigma = mean[:, column], sigma[:, column]
        mean, sigma = (x.reshape(shape + x.shape[1:]) for x in (mean, sigma))
        return (mean, sigma) if return_std else mean

    def _generic(self):
        return takes_features(self) if not hasattr(self, "regressor_") else self.grid_ is None

    def _ready(self):
        """Network on its device, grid and record: the fitted ones, or those of the weights."""
        if hasattr(self, "regressor_"):
            return to_device(self.regressor_, self.device), self.grid_, self.record_
        if self.weights is None:
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate "
                "arguments before using this estimator, or give it weights."
            )
        if getattr(self, "_loaded", (None,))[0] != self.weights:  # once, and again if `weights` is set anew
            self._loaded = (self.weights, *load_weights(self.weights))
        _, regressor, grid, record = self._loaded
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
    if isinstance(X, list | tuple) or (isinstance(X, np.ndarray) and X.dtype == object and X.ndim):
        X = X[0] if len(X) else X
    return not hasattr(X, "spectral_axis")

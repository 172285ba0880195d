"""`LoggEstimator`: surface gravities from spectra, with the interface of scikit-learn."""

from __future__ import annotations

from dataclasses import fields

from sklearn.exceptions import NotFittedError

from specvit.dataset import SpectrumDataset
from specvit.predictors import afterfork  # noqa: F401  (a forked child gets one thread)
from specvit.predictors.arraypath import floats_in_pieces
from specvit.predictors.base import Predictor
from specvit.predictors.learning import ArraySource, FitConfig, fit_network, simulated_source
from specvit.predictors.networkarrays import batch_covariance, predict_arrays, to_device
from specvit.predictors.networkchoices import NetworkChoices
from specvit.predictors.parameterrules import NETWORK, check_parameters
from specvit.predictors.plainfeatures import feature_names, take_features
from specvit.predictors.trainingarrays import training_arrays
from specvit.predictors.trainingdata import grid_to_learn, is_source, simulated_grid
from specvit.spectra.rules import ANY_INSTRUMENT, ONE_INSTRUMENT
from specvit.weights import load_weights, save_weights

__all__ = ["LoggEstimator"]


class LoggEstimator(Predictor):
    """Surface gravity and other labels of cool stars from optical spectra, by a Vision Transformer.

    With bundled weights it predicts without `fit`; `fit` then fine-tunes them. With ``weights=None`` `fit`
    trains a new network on spectra, arrays, a simulated `~specvit.Survey` or a
    `~specvit.dataset.SpectrumDataset` on disk.

    Parameters
    ----------
    weights : str, path-like or None
        Bundled weights (``"any"``: for real stars and any spectrograph; ``"paper"``: for the idealised
        survey of that name), a file from `save`, or None to start from random ones.
    grid : PixelGrid, optional
        Pixels of the network. By default those of the weights, of the survey or data set, or PFS MR.
    labels : str or sequence of str, optional
        Labels that `predict` gives, that `fit` learns of a survey or data set, and names of the columns of
        `y`; in any spelling, as ``"log g"``. By default `predict` gives log g, and `fit` learns all.
    encoding : {"weighted", "instrument", "median", "none"}, optional
        Form in which the network gets spectra, see `specvit.network.encode`; ``"instrument"`` tells it line
        spread function and native pixels, too; ``"none"`` takes any features, unscaled. By default
        "weighted". This and the following parameters, up to `loss`, describe the network: by default that of
        the weights, and without weights the bundled one's. A value that contradicts the weights raises, in
        `predict` as in `fit`.
    tokenizer, patch_size : {"local", "conv1d", "sliding_window"}, int, optional
        How windows of pixels become tokens, and pixels in a window; by default "local" and 64.
    position : str, optional
        How the network is told the place of a token, see `~specvit.network.ViTConfig`; by default "learned".
    width, depth, heads : int, optional
        Length of a token, by default 256 (layers within are four times as wide); number of layers, by
        default 6; attention heads of a layer, by default 4.
    dropout : float, optional
        Share of activations dropped in training; by default 0, because simulated noise never repeats.
    loss : {"gaussian_nll", "l1", "mse", "huber"}, optional
        Only ``"gaussian_nll"``, the default, learns a σ for each star. With the others σ is calibrated and
        depends on the S/N only. `specvit.network.losses` compares them.
    epochs : int
        Times that each spectrum is seen; 100,000 spectra are an epoch of an endless survey.
    batch_size : int
        Spectra in a step, for each device.
    learning_rate : float, optional
        Peak of the cosine schedule; by default 5e-4 from random weights, 5e-5 for fine-tuning.
    weight_decay, gradient_clip : float, float or None
        Decay of matrices in AdamW, and largest norm of the gradient.
    ema_decay : float, optional
        Decay of a moving average of the weights, which then is the result; by default none is taken.
    validation_fraction : float
        Share of the spectra that is held out to calibrate σ and for early stopping: none of fewer than
        100 spectra, and at most 20,000 of a data set. For a survey others are simulated.
    patience : int, optional
        Epochs without a lower validation loss after which to stop; by default all `epochs` are run.
    precision : {"auto", "32-true", "64-true", "bf16-mixed", "16-mixed"}
        Arithmetic, see `specvit.network.TrainingConfig`; `predict`: half if mixed, or "auto" on a GPU.
    device : str
        Where to train and predict; "auto" is a GPU where there is one.
    devices : int
        GPUs that `predict` and `predict_table` share arrays out among. `fit` takes as many processes, each
        on its own device, started with ``torchrun --standalone --nproc-per-node=N``; all end with the same
        network. `random_state` must then be an integer.
    random_state : int, RandomState or None
        Seed of `fit`: first weights, order of the spectra, choice of held-out spectra. With an integer a fit
        can be repeated. None draws a seed from NumPy's global generator; ``record_["seed"]`` holds it.
    progress : bool, optional
        Whether to show how far training has come, and predictions that take some time; by default on a
        terminal only.
    checkpoint_dir : path-like, optional
        Folder for checkpoints: an interrupted fit that is repeated goes on where it stopped. Each fit has a
        subfolder, named by a fingerprint of all it depends on, from which `random_state` None then follows.

    Attributes
    ----------
    regressor_, grid_ : LabelRegressor, PixelGrid or None
        The fitted network and its pixels (None for plain features). `fit` and `load` set these two and all
        others that end in an underscore; with `weights`, `predict` works without them.
    history_ : dict of str to list
        Losses and metrics by step; empty after `load`.
    record_ : dict
        How the network was made, and ``label_range``, beyond which labels are flagged; in files of `save`.
    n_features_in_, feature_names_in_ : int, ndarray of str
        Number of pixels; names of plain features, of a data frame.
    label_names, output_names : tuple of str
        Labels of the network, as in `predict_table`, and those that `predict` gives.

    See Also
    --------
    RidgeEstimator, LightGBMEstimator, TemplateFit : Others; `specvit.assess.evaluate` compares them.

    Notes
    -----
    `predict` returns what fits its input. For spectra (`~specutils.Spectrum`, list,
    `~specutils.SpectrumList`, `~specutils.SpectrumCollection`, cube, array of objects,
    `~specvit.SpectrumBatch`) it returns quantities of their shape, log g as `~astropy.units.Dex`; for arrays
    (n, n_pixels) of NumPy or torch, floats (n,). Several `labels` give a dict of quantities, or floats with a
    last axis of labels. `predict_table` returns a `~astropy.table.QTable` of all labels for either, with
    ``flags``, sums of `~specvit.spectra.Flag`: ``Flag.ALARMS`` say that an answer is not to be trusted.

    Advantages: the most accurate, with a σ each. Disadvantages: training takes a GPU; labels of faint
    stars are biased towards the middle of the training range.

    Examples
    --------
    >>> from specvit import LoggEstimator, example_spectrum
    >>> logg, sigma = LoggEstimator().predict(example_spectrum(), return_std=True)
    >>> bool(abs(logg.value - 2.2) < 3 * sigma.value)
    True
    """

    def __init__(
        self,
        weights="any",
        *,
        grid=None,
        labels=None,
        encoding=None,
        tokenizer=None,
        patch_size=None,
        position=None,
        width=None,
        depth=None,
        heads=None,
        dropout=None,
        loss=None,
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
        progress=None,
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

    def fit(
        self,
        X,
        y=None,
        *,
        ivar=None,
        medium=None,
        resolution=None,
        on_error="raise",
        lower_resolution=None,
        validation=None,
    ):
        """Learn labels from spectra; with `weights`, fine-tune them.

        Parameters
        ----------
        X : spectra, array-like of shape (n, n_pixels), Survey or SpectrumDataset
            Anything that `predict` takes; or a survey, which is simulated batch by batch; or a data set on
            disk, which is read in pieces and shuffled, in constant memory, with new noise for each spectrum
            each time.
        y : array-like, Quantity or table, shape (n,) or (n, n_labels)
            log g in dex(cm/s²), or the columns `labels`, NaN where unknown. Columns of a table go by their
            names, units are converted, masked values refused. None for a survey or data set.
        ivar : array-like, shape (n, n_pixels), optional
            Inverse variance of `X` where that is an array.
        medium, resolution, lower_resolution
            As for `predict`.
        on_error : {"raise", "nan"}
            Whether a spectrum that cannot be used raises, or is left out.
        validation : SpectrumDataset, optional
            Held-out spectra for early stopping and σ; by default a part of the data set `X`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a spectrum cannot be used (its resolution is lower than the grid's), `y`, `labels` or `grid`
            does not match, a parameter contradicts the weights, or a data set does not tell its grid.
        TypeError
            If `validation` is given for anything but a data set.
        """
        choices, (base, grid, record) = self._values(NetworkChoices), (None, self.grid, {})
        if self.weights is not None:
            base, grid, record = load_weights(self.weights)
            choices.check_against(self.weights, base, grid, self.grid)
        config = self._values(FitConfig, seed=FitConfig.seed_of(self.random_state, self.devices))
        config.take_device()
        plain, known = choices.plain if base is None else grid is None, base and base.label_names
        if validation is not None and not isinstance(X, SpectrumDataset):
            raise TypeError("validation must be None unless X is a SpectrumDataset: it is held out of X")
        columns, drawn = None, self.random_state is None
        given = {"ivar": ivar, "medium": medium, "resolution": resolution}
        if is_source(X):
            grid = simulated_grid(X, grid, plain=plain, y=y, **given)
            config = config.guarded(vars(choices), base, grid, X, validation, self.labels, drawn_seed=drawn)
            source = simulated_source(X, validation, self.labels, known, config, grid=grid)
        else:
            grid = grid_to_learn(grid, plain)
            told = (choices if base is None else base).encoding == "instrument"
            given |= {"on_error": on_error, **(ANY_INSTRUMENT if told else ONE_INSTRUMENT)}
            given |= {} if lower_resolution is None else {"lower_resolution": lower_resolution}
            flux, weight, y, *instrument = training_arrays(self, X, y, grid, known=known, **given)
            columns = list(y.names) if y.axis else None
            arrays = flux, weight, y.check().names, y.values, *(instrument if told else ())
            config = config.guarded(vars(choices), base, grid, *arrays, drawn_seed=drawn)
            source = ArraySource(*arrays, known=known, grid=grid)
        outcome = fit_network(source, config, choices, base=base, earlier=record)
        self.regressor_, self.history_, self.record_ = outcome.regressor, outcome.history, outcome.record
        self.record_ |= {"columns": columns, "features": feature_names(self, grid)}
        self.grid_, self.n_features_in_ = grid, source.n_pixels
        return self

    def _values(self, cls, **more):
        """A configuration from the parameters of its fields' names, and `more`."""
        check_parameters(self, NETWORK)
        return cls(**{f.name: getattr(self, f.name) for f in fields(cls) if f.name not in more}, **more)

    @property
    def label_names(self):
        """Labels of the network, a tuple of str."""
        return tuple(self._ready()[0].label_names)

    @property
    def columns_(self):
        """Names of the columns of a two-dimensional `y` of the fit, a tuple of str; None otherwise."""
        return tuple(self._ready()[2].get("columns") or ()) or None

    def _own_grid(self):
        return self._ready()[1]

    def _label_range(self):
        return self._ready()[2].get("label_range", {})

    def _instrument_rules(self):
        return ANY_INSTRUMENT if self._ready()[0].encoding == "instrument" else ONE_INSTRUMENT

    def _infer(self, *arrays):
        return predict_arrays(self._network(), *arrays)

    def _network(self):
        return to_device(self._ready()[0], self.device, self.precision)

    def _found(self, X, **options):
        found = floats_in_pieces(self, X, **options)
        return super()._found(X, **options) if found is None else found

    def _infer_batch(self, batch, rows):
        return self._infer(batch.flux[rows], batch.ivar[rows], batch.lsf[rows], batch.sampling[rows])

    def _covariance(self, batch, details):
        return batch_covariance(to_device(self._ready()[0], self.device), batch)

    def _source_name(self):
        return super()._source_name() if self.weights is None else str(self.weights)

    def _ready(self):
        """Network, grid and record: the fitted ones, or those of the weights."""
        choices = self._values(NetworkChoices)
        if hasattr(self, "regressor_"):
            return self.regressor_, self.grid_, self.record_
        if self.weights is None:
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate "
                "arguments before using this estimator, or give it weights."
            )
        if getattr(self, "_loaded", (None,))[0] != self.weights:  # once, and again if `weights` is set anew
            self._loaded = (self.weights, *load_weights(self.weights))
            take_features(self, *self._loaded[1:])
        choices.check_against(*self._loaded[:3], self.grid)
        return self._loaded[1:]

    def save(self, path):
        """Write the network to the safetensors file `path`, which `load` and the parameter `weights` read."""
        regressor, grid, record = self._ready()
        save_weights(path, regressor, grid=grid, record=record)

    @classmethod
    def load(cls, path, **params):
        """Estimator with the network of a file from `save`.

        Parameters
        ----------
        path : path-like
            The file.
        **params : object
            Parameters, as for the constructor.

        Returns
        -------
        LoggEstimator
            Fitted, its `weights` the file.
        """
        estimator = cls(weights=str(path), **params)
        estimator.regressor_, estimator.grid_, estimator.record_ = estimator._ready()
        estimator.history_, estimator.n_features_in_ = {}, estimator.regressor_.config.n_pixels
        return estimator

    def __sklearn_is_fitted__(self):
        return self.weights is not None or hasattr(self, "regressor_")

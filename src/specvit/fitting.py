"""What `LoggEstimator.fit` does between its arguments and the trained network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from specvit import __version__
from specvit.grid import PFS_MR, PixelGrid
from specvit.network import LabelRegressor, TrainingConfig, ViTConfig, train
from specvit.network.calibration import calibrate
from specvit.network.feed import ShuffledArrays
from specvit.prediction import order_one, to_device
from specvit.simulate import SpectrumDataset, Survey
from specvit.spectra import adapt
from specvit.weights import load_weights

__all__ = ["Outcome", "fit", "takes_features"]

_FEWEST_TO_SPLIT = 100  # below this every spectrum is trained on, and σ is not calibrated
_SURVEY_EPOCH = 100_000  # spectra called an epoch of a survey without end
_CALIBRATION_STARS = 20_000  # or as many as the survey has, if fewer


@dataclass(frozen=True)
class Outcome:
    """What a fit leaves behind.

    Attributes
    ----------
    regressor : LabelRegressor
    grid : PixelGrid or None
        None where plain features were fitted.
    history, record : dict
    n_features : int
    many_outputs : bool
        Whether `y` had two dimensions.
    """

    regressor: LabelRegressor
    grid: PixelGrid | None
    history: dict
    record: dict
    n_features: int
    many_outputs: bool


def takes_features(estimator):
    """Whether the estimator is for plain features and not for spectra."""
    return estimator.weights is None and estimator.encoding == "none"


def fit(estimator, X, y, *, ivar, medium, resolution):
    """Fit the estimator's network; arguments as for `LoggEstimator.fit`, returns an `Outcome`."""
    base, grid, earlier = (None, estimator.grid, {})
    if estimator.weights is not None:
        base, grid, earlier = load_weights(estimator.weights)
        if estimator.grid not in (None, grid):
            raise ValueError(f"grid must be that of the weights, {grid!r}, got {estimator.grid!r}")
    known = None if base is None else base.label_names
    seed = int(check_random_state(estimator.random_state).randint(2**31 - 1))
    simulated = isinstance(X, Survey)
    if isinstance(X, SpectrumDataset):
        raise TypeError(
            "X must be spectra, arrays or a Survey; a SpectrumDataset is trained on with "
            "specvit.network.train, which takes its stream()"
        )
    if simulated:
        if y is not None:
            raise ValueError("y must be None for a survey, which knows its labels")
        if grid not in (None, X.grid):
            raise ValueError(f"grid must be that of the survey, {X.grid!r}, got {grid!r}")
        grid = X.grid
        names = known or tuple(estimator.labels or X.label_names)
        label_range = {name: X.label_range[name] for name in names}
    else:
        grid = PFS_MR if grid is None else grid
        flux, weight, y = _arrays(estimator, X, y, ivar, grid, medium, resolution)
        names, values = label_columns(y, estimator.labels, known)
        label_range = _ranges(names, values)
    n_features = len(grid) if simulated else flux.shape[1]
    if takes_features(estimator):
        grid = None
    regressor = base or new_regressor(estimator, names, n_features, grid, seed)
    fine_tuning = base is not None
    if simulated:
        history = fit_survey(estimator, regressor, X, names, seed, fine_tuning=fine_tuning)
    else:
        history = fit_arrays(estimator, regressor, flux, weight, values, seed, fine_tuning=fine_tuning)
    record = {
        "survey": repr(X) if simulated else None,
        "fine_tuned_from": earlier or None,
        "seed": seed,
        "specvit": __version__,
        "torch": torch.__version__,
        "label_range": label_range,
    }
    return Outcome(regressor, grid, history, record, n_features, not simulated and y.ndim == 2)


def _arrays(estimator, X, y, ivar, grid, medium, resolution):
    """Flux and inverse variance, float64 (n, n_pixels), and y as numbers."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    y = getattr(y, "value", y)
    if takes_features(estimator):
        X, y = validate_data(
            estimator,
            X,
            y,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            multi_output=True,
            y_numeric=True,
        )
        return X, np.isfinite(X).astype(np.float64), y
    batch = adapt(X, ivar=ivar, grid=grid, medium=medium, resolution=resolution)
    y = np.asarray(y, dtype=np.float64)
    if y.ndim not in (1, 2) or len(y) != len(batch):
        raise ValueError(f"y must have shape ({len(batch)},) or ({len(batch)}, n_labels), got {y.shape}")
    return batch.flux, batch.ivar, y


def _ranges(names, values):
    """Lowest and highest known value of each label."""
    known = np.isfinite(values).any(0)
    return {
        name: [float(np.nanmin(column)), float(np.nanmax(column))]
        for name, column, any_known in zip(names, values.T, known, strict=True)
        if any_known
    }


def label_columns(y, labels, known):
    """Names of the columns of `y` and `y` as (n, n_labels) float64.

    Parameters
    ----------
    y : ndarray, shape (n,) or (n, n_labels)
    labels : tuple of str or None
        Names asked for; None is ``("logg",)`` for one column and `known` for as many as these.
    known : tuple of str or None
        Labels of the network to be fine-tuned; others are filled with NaN.

    Raises
    ------
    ValueError
        If names and columns do not match, or a name is unknown to the network.
    """
    y = np.asarray(y, dtype=np.float64)
    columns = y[:, None] if y.ndim == 1 else y
    n = columns.shape[1]
    if labels is None:
        defaults = {1: ("logg",)} | ({len(known): known} if known else {})
        labels = defaults.get(n, tuple(f"y{k}" for k in range(n)))
    labels = (labels,) if isinstance(labels, str) else tuple(labels)
    if len(labels) != n:
        raise ValueError(f"labels must name the {n} columns of y, got {labels!r}")
    if not np.isfinite(columns).any(0).all():
        raise ValueError("y must hold a finite value for every label, got a column without any")
    if known is None:
        return labels, columns
    unknown = set(labels) - set(known)
    if unknown:
        raise ValueError(f"labels must be among those of the weights, {known!r}, got {sorted(unknown)}")
    filled = np.full((len(columns), len(known)), np.nan)
    filled[:, [known.index(name) for name in labels]] = columns
    return tuple(known), filled


def new_regressor(estimator, names, n_pixels, grid, seed):
    """An untrained network of the shape that the estimator's parameters describe."""
    config = ViTConfig.default(
        n_pixels=n_pixels,
        tokenizer=estimator.tokenizer,
        patch_size=estimator.patch_size,
        position=estimator.position,
        width=estimator.width,
        depth=estimator.depth,
        heads=estimator.heads,
        mlp=4 * estimator.width,
        dropout=estimator.dropout,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LabelRegressor.build(
            config,
            names,
            encoding=estimator.encoding,
            heteroscedastic=estimator.loss == "gaussian_nll",
            wavelength=None if grid is None else grid.wave,
        )


def _config(estimator, steps_per_epoch, fine_tuning, validates, seed):
    steps = max(1, estimator.epochs * steps_per_epoch)
    peak = estimator.learning_rate or (5e-5 if fine_tuning else 5e-4)
    return TrainingConfig(
        loss=estimator.loss,
        max_steps=steps,
        learning_rate=peak,
        min_learning_rate=peak / 100,
        warmup_steps=min(1000, steps // 10),
        weight_decay=estimator.weight_decay,
        gradient_clip=estimator.gradient_clip,
        precision=estimator.precision,
        ema_decay=estimator.ema_decay,
        patience=estimator.patience if validates else None,
        val_every_steps=min(steps_per_epoch, steps),
        seed=seed,
    )


def _train(estimator, regressor, batches, config, validation):
    return train(
        regressor,
        batches,
        config,
        val_batches=validation,
        checkpoint_dir=estimator.checkpoint_dir,
        resume="last" if estimator.checkpoint_dir else None,
        progress=estimator.progress,
    )


def fit_arrays(estimator, regressor, flux, ivar, labels, seed, *, fine_tuning):
    """Train on arrays (n, n_pixels), (n, n_pixels), (n, n_labels), calibrate, and return the history."""
    if regressor.encoding != "none":
        flux, ivar = order_one(flux, ivar)
    if not fine_tuning:
        regressor.fit_label_scaling(torch.tensor(labels))
    regressor = to_device(regressor, estimator.device)
    if estimator.precision == "64-true":
        regressor.double()
    like = regressor.label_scale
    tensors = [torch.tensor(x, dtype=like.dtype) for x in (flux, ivar, labels)]
    order = np.random.default_rng(seed).permutation(len(flux))
    n_validation = int(estimator.validation_fraction * len(flux)) if len(flux) >= _FEWEST_TO_SPLIT else 0
    chosen = [torch.as_tensor(np.sort(rows)) for rows in (order[n_validation:], order[:n_validation])]
    batches = ShuffledArrays(*(x[chosen[0]] for x in tensors), batch_size=estimator.batch_size, seed=seed)
    validation = None
    if n_validation:
        held_out = [x[chosen[1]].split(max(256, estimator.batch_size)) for x in tensors]
        validation = [tuple(x.to(like.device) for x in batch) for batch in zip(*held_out, strict=True)]
    config = _config(estimator, len(batches), fine_tuning, validation is not None, seed)
    history = _train(estimator, regressor, batches, config, validation)
    if validation:
        calibrate(regressor, validation)
    return history


def fit_survey(estimator, regressor, survey, names, seed, *, fine_tuning):
    """Train on a survey simulated as training goes, calibrate, and return the history."""
    columns = [survey.label_names.index(name) for name in names]
    if not fine_tuning:
        regressor.fit_label_scaling(survey.draw(10_000, stream=2**40).labels[:, columns])
    regressor = to_device(regressor, estimator.device)
    device, size = regressor.label_scale.device, estimator.batch_size
    stream = _Columns(survey.stream(size, device=device), columns)
    per_epoch = -(-(survey.n or _SURVEY_EPOCH) // size)
    validation = _Draws(survey, columns, device, first=2**41, n=2_000)
    config = _config(estimator, per_epoch, fine_tuning, True, seed)
    history = _train(estimator, regressor, stream, config, validation)
    stars = min(_CALIBRATION_STARS, max(1_000, survey.n or _CALIBRATION_STARS))
    calibrate(regressor, _Draws(survey, columns, device, first=2**42, n=stars))
    return history


class _Columns:
    """A survey's stream with the chosen labels only."""

    def __init__(self, stream, columns):
        self.stream, self.columns = stream, columns
        self.set_step = stream.set_step

    def __iter__(self):
        for flux, ivar, labels in self.stream:
            yield flux, ivar, labels[:, self.columns]


class _Draws:
    """`n` spectra of a survey from stream `first` on, beyond those of training; the same each time."""

    def __init__(self, survey, columns, device, first, n, size=500):
        self.survey, self.columns, self.device = survey, columns, device
        self.first, self.n, self.size = first, n, size

    def __iter__(self):
        for start in range(0, self.n, self.size):
            batch = self.survey.draw(
                min(self.size, self.n - start), stream=self.first + start // self.size, device=self.device
            )
            yield batch.flux, batch.ivar, batch.labels[:, self.columns]

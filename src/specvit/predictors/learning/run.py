"""One fit: the source of its spectra, the network, training, calibration, and the record of it all."""

from __future__ import annotations

import numbers
from dataclasses import dataclass

import torch
from sklearn.utils import check_random_state

from specvit import __version__
from specvit.dataset import SpectrumDataset
from specvit.grid import PFS_MR, PixelGrid
from specvit.network import LabelRegressor, TrainingConfig, ViTConfig, train
from specvit.network.conformal import calibrate
from specvit.network.processes import own_device, process_rank
from specvit.predictors.learning.inmemory import ArraySource
from specvit.predictors.learning.sources import DatasetSource, SurveySource
from specvit.predictors.prediction import to_device
from specvit.survey import Survey
from specvit.weights import load_weights

__all__ = ["Outcome", "fit", "takes_features"]


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


def fit(estimator, X, y, *, ivar, medium, resolution, validation):
    """Fit the estimator's network; arguments as for `LoggEstimator.fit`, returns an `Outcome`."""
    _check_processes(estimator)
    base, grid, earlier = (None, estimator.grid, {})
    if estimator.weights is not None:
        base, grid, earlier = load_weights(estimator.weights)
        if estimator.grid not in (None, grid):
            raise ValueError(f"grid must be that of the weights, {grid!r}, got {estimator.grid!r}")
    seed = int(check_random_state(estimator.random_state).randint(2**31 - 1))
    source = _source(
        estimator, X, y, ivar, medium, resolution, validation, base and base.label_names, grid, seed
    )
    plain = takes_features(estimator)
    grid = None if plain else source.grid
    regressor = base or _new_regressor(estimator, source.names, source.n_pixels, grid, seed)
    regressor = to_device(regressor, estimator.device)
    if base is None:
        regressor.fit_label_scaling(source.scaling_labels(regressor.label_scale.device))
    if estimator.precision == "64-true":
        regressor.double()
    feed = source.feed(estimator, regressor, seed)
    history = train(
        regressor,
        feed.train,
        _config(estimator, feed, seed),
        val_batches=feed.validation,
        checkpoint_dir=estimator.checkpoint_dir,
        resume="last" if estimator.checkpoint_dir else None,
        devices=estimator.devices,
        progress=estimator.progress,
    )
    if feed.calibration is not None:
        calibrate(regressor, feed.calibration)
    record = {
        "survey": None,
        **source.record,
        "fine_tuned_from": earlier or None,
        "seed": seed,
        "specvit": __version__,
        "torch": torch.__version__,
        "label_range": source.label_range,
    }
    return Outcome(regressor, grid, history, record, source.n_pixels, source.many_outputs)


def _check_processes(estimator):
    """Each of several processes takes the device of its own, and must draw the same random numbers."""
    process_rank(estimator.devices)
    if estimator.devices == 1:
        return
    if not isinstance(estimator.random_state, numbers.Integral):
        raise ValueError(
            "random_state must be an integer where devices > 1, so that all processes hold out the same "
            f"spectra, got {estimator.random_state!r}"
        )
    if estimator.device in ("auto", "cuda") and torch.cuda.is_available():
        own_device("cuda")  # to which "cuda" refers from now on


def _source(estimator, X, y, ivar, medium, resolution, validation, known, grid, seed):
    """What `X` means: the object that gives batches."""
    plain = takes_features(estimator)
    if validation is not None and not isinstance(X, SpectrumDataset):
        raise TypeError("validation must be None unless X is a SpectrumDataset: spectra are held out of X")
    if not isinstance(X, Survey | SpectrumDataset):
        return ArraySource(
            estimator,
            X,
            y,
            ivar,
            known=known,
            grid=PFS_MR if grid is None else grid,
            medium=medium,
            resolution=resolution,
            plain=plain,
        )
    kind = "survey" if isinstance(X, Survey) else "data set"
    given = {"y": y, "ivar": ivar, "medium": medium, "resolution": resolution}
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} must be None for a {kind}, which knows its own")
    if X.grid is not None and grid not in (None, X.grid):
        raise ValueError(f"grid must be that of the {kind}, {X.grid!r}, got {grid!r}")
    if isinstance(X, Survey):
        return SurveySource(X, estimator.labels, known)
    if not isinstance(validation, SpectrumDataset | None):
        raise TypeError(f"validation must be a SpectrumDataset, got {type(validation).__name__}")
    return DatasetSource(
        X,
        validation,
        estimator.labels,
        known,
        fraction=estimator.validation_fraction,
        seed=seed,
        plain=plain,
    )


def _new_regressor(estimator, names, n_pixels, grid, seed):
    """An untrained network of the shape that the estimator's parameters describe."""
    config = ViTConfig(
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


def _config(estimator, feed, seed):
    """Configuration of a training of so many epochs, validated after each."""
    per_epoch = feed.steps_per_epoch(estimator.batch_size, estimator.devices)
    steps = max(1, estimator.epochs * per_epoch)
    peak = estimator.learning_rate or (5e-4 if estimator.weights is None else 5e-5)
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
        patience=None if feed.validation is None else estimator.patience,
        val_every_steps=min(per_epoch, steps),
        seed=seed,
    )

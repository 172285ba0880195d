"""One fit: a source of spectra, a network, training, calibration, and the record of it all."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from specvit import __version__
from specvit.network import LabelRegressor, train
from specvit.network.conformal import calibrate, forget_errors
from specvit.network.fastlayers import can_compile
from specvit.predictors.networkarrays import to_device

__all__ = ["Outcome", "fit_network"]


@dataclass(frozen=True)
class Outcome:
    """What a fit leaves behind.

    Attributes
    ----------
    regressor : LabelRegressor
        The trained network.
    history : dict
        Losses and metrics by step.
    record : dict
        How it came about, in plain JSON types.
    """

    regressor: LabelRegressor
    history: dict
    record: dict


def fit_network(source, config, choices, *, base=None, earlier=None):
    """Train a network.

    Parameters
    ----------
    source : Source
        Where spectra and labels come from.
    config : FitConfig
        How long, how fast, where.
    choices : NetworkChoices
        Shape of a new network, and the loss.
    base : LabelRegressor, optional
        A network to be fine-tuned, which is changed; by default a new one.
    earlier : dict, optional
        The record of `base`.

    Returns
    -------
    Outcome

    Notes
    -----
    What is fine-tuned for some of its labels gives the others, too, but no σ of them: nothing was held out
    that tells how far they moved. Their range stays that of `base`.
    """
    new = base is None
    regressor = choices.build(source.names, source.n_pixels, source.grid, config.seed) if new else base
    regressor = to_device(regressor, config.device)
    if new:
        regressor.fit_label_scaling(source.scaling_labels(regressor.label_scale.device))
    if config.precision == "64-true":
        regressor.double()
    feed = source.feed(regressor, config)
    loss = choices.loss_for(regressor, earlier or {})
    history = train(
        regressor,
        feed.train,
        config.training(feed, loss, new=new, compile=can_compile(regressor.label_scale.device)),
        val_batches=feed.validation,
        checkpoint_dir=config.checkpoint_dir,
        resume="last" if config.checkpoint_dir else None,
        devices=config.devices,
        progress=config.progress,
    )
    if feed.calibration is not None:
        calibrate(regressor, feed.calibration)
    forget_errors(regressor, keep=source.label_range)
    earlier_range = {} if new else (earlier or {}).get("label_range", {})
    record = {
        "survey": None,
        **source.record,
        "fine_tuned_from": earlier or None,
        "loss": loss,
        "seed": config.seed,
        "specvit": __version__,
        "torch": torch.__version__,
        "label_range": {**earlier_range, **source.label_range},
        "labels_learned": list(source.label_range),
    }
    return Outcome(regressor, history, record)

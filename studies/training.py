"""One configuration of a network: its training, from a checkpoint where there is one, and its row."""

from __future__ import annotations

import contextlib
import time

import numpy as np
import torch
from torch import nn

from specvit.grid import PFS_MR
from specvit.labels import LABELS
from specvit.network import LabelRegressor, TrainingConfig, ViTConfig, train
from specvit.network.losses import pointwise_loss
from specvit.survey import Survey
from specvit.survey.storedstars import StoredStars
from specvit.survey.streams import SCALING
from studies.plainnetworks import PLAIN_NETWORKS
from studies.scoring import score

__all__ = ["build_regressor", "first_gradient_norm", "survey_of", "train_network", "training_batches"]

_FEW = 256  # spectra of the first gradient, as in a batch of the reference
_CURVE = 40  # points of the training loss that are kept
_LARGER = 30  # positions of σ = 0.02 become those of tokens of torch's initialisation
_FIRST_SEED = 100  # of the surveys that are trained on, so that none is that of the test stars
_stored = {}  # the last stored stars: configurations that follow each other often share them


def survey_of(configuration, n=None):
    """The survey that a `configuration` trains on, of `n` stars."""
    velocity = configuration.velocity or None
    return Survey("paper", n=n, seed=_FIRST_SEED + configuration.seed, velocity=velocity)


class _Columns:
    """Batches of a stream with the labels that are learned, in their order."""

    def __init__(self, stream, labels):
        self.stream, self.columns = stream, [LABELS.index(name) for name in labels]

    def set_step(self, step):
        self.stream.set_step(step)

    def __iter__(self):
        for flux, ivar, labels in self.stream:
            yield flux, ivar, labels[:, self.columns]


def training_batches(configuration, device):
    """The stream of batches (flux, ivar, labels) of a `configuration` on a `device`."""
    if configuration.spectra is None:
        stream = survey_of(configuration).stream(configuration.batch_size, device=device)
    else:
        key = configuration.spectra, configuration.seed, configuration.velocity, str(device)
        if key not in _stored:
            _stored.clear()  # before the next are made: two sets may not fit
            _stored[key] = StoredStars(survey_of(configuration), configuration.spectra, device=device)
        stream = _stored[key].stream(
            configuration.batch_size, seed=configuration.seed, noise_level=configuration.noise_level
        )
    return _Columns(stream, configuration.labels)


@torch.no_grad()
def _as_torch_makes_them(module):
    """Let the matrices of `module` be those that torch makes by default, biases included."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv1d):
            part.reset_parameters()
    weight = getattr(module, "weight", None)
    if isinstance(weight, nn.Parameter) and weight.ndim == 3:  # of LocalTokenizer
        bound = weight.shape[1] ** -0.5
        weight.uniform_(-bound, bound)


def build_regressor(configuration):
    """An untrained `LabelRegressor` as a `configuration` asks for, its labels not scaled yet."""
    plain = PLAIN_NETWORKS.get(configuration.method)
    shape = configuration.shape if plain is None else ViTConfig(width=8, heads=1, depth=1, mlp=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(configuration.seed)
        regressor = LabelRegressor.build(
            shape,
            configuration.labels,
            encoding=configuration.encoding,
            label_scaling=configuration.label_scaling,
            heteroscedastic=configuration.loss == "gaussian_nll",
            covariance=configuration.covariance,
            wavelength=PFS_MR.wave if shape.position == "pipe" else None,
        )
        if plain is not None:
            regressor.network = plain(regressor.config)
        else:
            _initialise(regressor.network, configuration.initialisation)
    return regressor


@torch.no_grad()
def _initialise(network, kind):
    """Change the first weights of a transformer to one of `studies.configuration.INITIALISATIONS`."""
    if kind == "all" or kind.startswith("tokenizer"):
        _as_torch_makes_them(network if kind == "all" else network.tokenizer)
    if kind.endswith("unit positions"):
        network.position.table.normal_()
        network.cls.normal_()
    elif kind.endswith("positions"):
        network.position.table.mul_(_LARGER)


def _training_config(configuration, compiled):
    steps, minutes = configuration.steps, configuration.minutes
    return TrainingConfig(
        loss=configuration.loss,
        max_steps=steps,
        learning_rate=configuration.learning_rate,
        min_learning_rate=1e-6,
        warmup_steps=int(steps * configuration.warmup),
        weight_decay=0.01,
        gradient_clip=0.5,
        precision=configuration.precision,
        val_every_steps=max(1, int(steps / max(1.0, minutes))),  # a checkpoint about every minute
        log_every_steps=min(50, steps),
        compile=compiled,
        seed=configuration.seed,
    )


def first_gradient_norm(regressor, batch, loss):
    """Norm of the gradient of all parameters at the first step, on one batch (flux, ivar, labels)."""
    flux, ivar, labels = (tensor[:_FEW] for tensor in batch)
    x, valid = regressor.encode(flux, ivar)
    heads = regressor.heads(x)
    target = (labels - regressor.label_centre) / regressor.label_scale
    values = pointwise_loss(loss, heads.mean, heads.log_sigma, target, 0.5)
    values[valid].mean().backward()
    gradients = [p.grad for p in regressor.parameters() if p.grad is not None]
    norm = torch.stack([gradient.double().norm() for gradient in gradients]).norm()
    regressor.zero_grad(set_to_none=True)
    return float(norm)


def _thinned(history):
    steps = history.get("step", [])
    chosen = sorted({int(k) for k in np.linspace(0, len(steps) - 1, _CURVE)}) if steps else []
    return {name: [round(history[name][k], 5) for k in chosen] for name in ("step", "train_loss")}


def train_network(configuration, *, device, checkpoints=None, deadline=None, compiled=False):
    """Train and test a network.

    Parameters
    ----------
    configuration : Configuration
        What is trained.
    device : torch.device
        Where.
    checkpoints : Path, optional
        Folder of its checkpoint, from which an interrupted training goes on.
    deadline : float, optional
        Time of the epoch at which training stops, to be resumed by the next call.
    compiled : bool
        Whether the network is compiled.

    Returns
    -------
    dict or None
        Results of the row; None if training was interrupted. A training whose loss was not finite has no
        ``results`` and says so as ``failure``.
    """
    begun = time.monotonic()
    regressor = build_regressor(configuration)
    sample = survey_of(configuration).draw(2000, stream=SCALING).labels
    regressor.fit_label_scaling(sample[:, [LABELS.index(name) for name in configuration.labels]])
    regressor.to(device)
    if configuration.precision == "64-true":
        regressor.double()
    batches = training_batches(configuration, device)
    row = {
        "parameters": regressor.network.n_parameters,
        "first_gradient_norm": first_gradient_norm(regressor, next(iter(batches)), configuration.loss),
    }
    batches.set_step(0)
    drawn = time.monotonic()
    try:
        history = train(
            regressor,
            batches,
            _training_config(configuration, compiled),
            checkpoint_dir=checkpoints,
            resume="last" if checkpoints else None,
            max_minutes=None if deadline is None else max(0.01, deadline - time.time()) / 60,
            progress=False,
        )
    except FloatingPointError as error:
        return row | {"failure": str(error), "results": [], "minutes": (time.monotonic() - drawn) / 60}
    steps = history["step"][-1] if history.get("step") else 0
    if steps < configuration.steps:
        return None
    trained = time.monotonic()
    with _fast_float32(device):
        results, correlation = score(
            regressor.predict,
            configuration.labels,
            LABELS,
            configuration.tests,
            configuration.n_test,
            device,
            regressor=regressor,
        )
    return row | {
        "results": results,
        "error_correlation": correlation,
        "minutes": history["time"][-1] / 60,  # of training, those of an interrupted run included
        "minutes_around": (time.monotonic() - trained + drawn - begun) / 60,
        "spectra_per_second": float(np.median(history["spectra_per_second"])),
        "curve": _thinned(history),
    }


@contextlib.contextmanager
def _fast_float32(device):
    """TF32 products on a GPU while predicting, as training has them at least; draws keep their precision."""
    precision = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)

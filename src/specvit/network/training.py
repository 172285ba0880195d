"""Training of a `LabelRegressor` on any stream of batches, through Lightning."""

from __future__ import annotations

import contextlib
import logging
import warnings
from dataclasses import asdict, dataclass

import torch

from specvit.checks import check_choice, check_integer, check_number, from_known_fields
from specvit.network.checkpoints import check_checkpoint, checkpoint_to_resume
from specvit.network.feed import BatchStream, Reiterable, share
from specvit.network.losses import LOSSES
from specvit.network.processes import process_rank

__all__ = ["TrainingConfig", "train"]

PRECISIONS = ("auto", "32-true", "64-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True)
class TrainingConfig:
    """How a regressor is trained.

    Parameters
    ----------
    loss : {"gaussian_nll", "l1", "mse", "huber"}
        ``gaussian_nll`` needs a heteroscedastic regressor, the others one that is not. Their advantages and
        disadvantages stand in `specvit.network.losses`.
    beta : float
        β of the weighted likelihood (see `specvit.network.losses.gaussian_nll`), 0 to 1.
    max_steps : int
        Optimiser steps of the whole run; the learning rate ends there.
    learning_rate, min_learning_rate : float
        Peak and end of the schedule.
    warmup_steps : int
        Steps of linear rise; fewer than `max_steps`.
    weight_decay : float
        Weight decay of AdamW, of matrices only: biases, norms, class token and positions do not decay.
    betas : (float, float)
        Decay rates of the moments in AdamW.
    gradient_clip : float or None
        Largest norm of the gradient.
    precision : {"auto", "32-true", "64-true", "bf16-mixed", "16-mixed"}
        ``auto``: 64-true for a float64 regressor, else bf16-mixed where the GPU has it, else 32-true.
    ema_decay : float or None
        Decay of the moving average of the weights; None keeps none.
    patience : int or None
        Stop after this many validations without a lower loss.
    val_every_steps : int
        Steps between validations, and between checkpoints.
    log_every_steps : int
        Steps between records of the training loss (each makes the host wait for the device once).
    compile : bool
        Compile encoding, network and loss with `torch.compile`; on a single GPU a step of training becomes
        CUDA graphs, for each batch size its own, whose memory stays taken until `train` ends.
    seed : int
        Seed of torch's global generator, which dropout and some batches draw from.

    See Also
    --------
    train : Takes one.

    Examples
    --------
    >>> TrainingConfig(max_steps=2000, warmup_steps=100).learning_rate
    0.0003
    """

    loss: str = "gaussian_nll"
    beta: float = 0.5
    max_steps: int = 10_000
    learning_rate: float = 3e-4
    min_learning_rate: float = 1e-5
    warmup_steps: int = 0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    gradient_clip: float | None = 1.0
    precision: str = "auto"
    ema_decay: float | None = None
    patience: int | None = None
    val_every_steps: int = 500
    log_every_steps: int = 50
    compile: bool = False
    seed: int = 0

    def __post_init__(self):
        check_choice("loss", self.loss, LOSSES)
        check_choice("precision", self.precision, PRECISIONS)
        check_number("beta", self.beta, 0, 1)
        for name in ("max_steps", "val_every_steps", "log_every_steps"):
            check_integer(name, getattr(self, name), 1)
        for name in ("warmup_steps", "seed"):
            check_integer(name, getattr(self, name), 0)
        if self.warmup_steps >= self.max_steps:
            raise ValueError(
                f"warmup_steps must be less than max_steps={self.max_steps}, got {self.warmup_steps}"
            )
        check_number("learning_rate", self.learning_rate, 0, open_minimum=True)
        check_number("min_learning_rate", self.min_learning_rate, 0, self.learning_rate)
        check_number("weight_decay", self.weight_decay, 0)
        object.__setattr__(self, "betas", tuple(self.betas))  # JSON gives a list
        if len(self.betas) != 2:
            raise ValueError(f"betas must be two numbers, got {self.betas!r}")
        for value in self.betas:
            check_number("betas", value, 0, 1, open_maximum=True)
        if self.gradient_clip is not None:
            check_number("gradient_clip", self.gradient_clip, 0, open_minimum=True)
        if self.ema_decay is not None:
            check_number("ema_decay", self.ema_decay, 0, 1, open_maximum=True)
        if self.patience is not None:
            check_integer("patience", self.patience, 1)

    def to_dict(self):
        """Plain-Python description from which `from_dict` rebuilds an equal configuration."""
        return {**asdict(self), "betas": list(self.betas)}

    @classmethod
    def from_dict(cls, description):
        """The configuration of a `description`; an unknown key raises, and the nearest known one is named."""
        return from_known_fields(cls, description)


def resolve_precision(precision, parameter):
    """Lightning's name of a `precision`; ``auto`` depends on device and type of the weights `parameter`."""
    if precision == "16-mixed" and parameter.device.type == "cpu":
        raise ValueError("precision='16-mixed' needs a GPU; on the CPU use '32-true' or 'bf16-mixed'")
    if precision != "auto":
        return precision
    if parameter.dtype == torch.float64:
        return "64-true"
    return "bf16-mixed" if parameter.device.type == "cuda" and torch.cuda.is_bf16_supported() else "32-true"


@contextlib.contextmanager
def _surroundings(seed, device):
    """Seeded torch, fast float32 products and a silent Lightning; all as it was afterwards."""
    loggers = [
        logging.getLogger(f"lightning.{name}")
        for name in (
            "pytorch.utilities.rank_zero",
            "fabric.utilities.rank_zero",
            "fabric.utilities.distributed",
        )
    ]
    levels, matmul = [logger.level for logger in loggers], torch.get_float32_matmul_precision()
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else [], device_type="cuda"),
        warnings.catch_warnings(),
    ):
        # Advice on loaders and devices, and deprecations inside Lightning: nothing a caller could act on.
        warnings.filterwarnings("ignore", module="lightning")
        torch.manual_seed(seed)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        if device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            torch.set_float32_matmul_precision(matmul)


@contextlib.contextmanager
def _compiled_whole(distributed):
    """Let DistributedDataParallel have the network compiled in one piece.

    It would be cut at the gradient buckets, for their exchange to overlap with the rest of the backward
    pass. For a few tens of megabytes that gains less than the cuts cost.
    """
    if not distributed:
        yield
        return
    import torch._dynamo

    with torch._dynamo.config.patch(optimize_ddp=False):
        yield


def train(
    regressor,
    train_batches,
    config,
    *,
    val_batches=None,
    checkpoint_dir=None,
    resume=None,
    max_minutes=None,
    devices=1,
    progress=True,
):
    """Train `regressor` in place, on the device where it is.

    Parameters
    ----------
    regressor : LabelRegressor
        Its label scaling must have been set.
    train_batches : iterable of (flux, ivar, labels)
        Tensors of shapes (n, n_pixels), (n, n_pixels), (n, n_labels), on any device; labels in
        physical units, NaN where unknown. A finite iterable is repeated;
        `specvit.network.feed.BatchStream` says what makes a stream resumable.
    config : TrainingConfig
        Loss, schedule and the other settings.
    val_batches : re-iterable of batches, optional
        Batches for validation, every `val_every_steps` and at the end; averaged weights are used if
        `ema_decay` is set.
    checkpoint_dir : path, optional
        Folder of ``last.ckpt``, written after every validation and at the end, and of ``best.ckpt``. Without
        it nothing is written.
    resume : None, "last" or path
        Checkpoint to continue from: same schedule, step count, optimiser, averages and random state. Only the
        length of the run may be another. Whether the batches are the same, the caller must know. "last"
        starts anew where there is none.
    max_minutes : float, optional
        Stop after this long, with a validation and a checkpoint.
    devices : int
        Processes that train together, each on a device of its own, as torchrun has started them (see
        Notes).
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    dict of lists
        ``step``, ``train_loss`` (mean since the last record), ``lr``, ``spectra_per_second`` and
        ``time`` (s) per record; ``val_step``, ``val_loss`` and, per label, ``val_r2_<label>`` and
        ``val_mae_<label>`` per validation. ``val_loss`` of ``gaussian_nll`` is without β.

    Raises
    ------
    FloatingPointError
        If the training loss is no longer finite.
    ValueError
        If the checkpoint to resume is damaged, foreign, or of another network or configuration.

    Notes
    -----
    Afterwards the regressor is in eval mode on its original device and holds, with `patience`, the
    weights of the lowest validation loss; otherwise the averaged weights where `ema_decay` is set;
    otherwise the last ones. Torch's global random state is left as it was.

    With ``devices=N`` every process of ``torchrun --standalone --nproc-per-node=N script.py`` calls this,
    with its regressor (equal everywhere: that of the first is what counts) on its own device, see
    `specvit.network.processes.own_device`. Each reads its part of the batches, ``train_batches.part(rank,
    N)``, so one step sees N of them; the loss is the mean over all. Validation is shared too, the first
    process writes the checkpoints, and all return with the same weights and metrics. N processes must
    resume the checkpoint of N.

    Examples
    --------
    A network that learns how deep a line is, in a second:

    >>> from specvit.network import LabelRegressor, TrainingConfig, ViTConfig
    >>> depth = torch.rand(256, 1)
    >>> flux = 1 - depth * torch.exp(-((torch.arange(64) - 32.0) ** 2) / 20)
    >>> batch = flux, torch.full_like(flux, 1e4), depth
    >>> config = ViTConfig(n_pixels=64, patch_size=8, width=16, depth=1, heads=2, mlp=16)
    >>> regressor = LabelRegressor.build(config, "depth")
    >>> regressor.fit_label_scaling(depth)
    >>> settings = TrainingConfig(max_steps=20, learning_rate=3e-3, warmup_steps=5)
    >>> history = train(regressor, [batch], settings, progress=False)
    >>> history["step"][-1]
    20
    """
    parameter = next(regressor.parameters())
    device, dtype = parameter.device, parameter.dtype
    needs_sigma = config.loss == "gaussian_nll"
    if needs_sigma != regressor.heteroscedastic:
        raise ValueError(
            f"loss={config.loss!r} needs heteroscedastic={needs_sigma}, got a regressor with "
            f"heteroscedastic={regressor.heteroscedastic}"
        )
    if config.patience is not None and val_batches is None:
        raise ValueError("patience needs val_batches, which early stopping watches")
    if max_minutes is not None:
        check_number("max_minutes", max_minutes, 0, open_minimum=True)
    precision = resolve_precision(config.precision, parameter)
    rank = process_rank(devices)
    if devices > 1 and device.type == "cuda" and device.index != rank:
        raise ValueError(f"regressor must be on cuda:{rank}, the device of this process, got {device}")
    checkpoint = checkpoint_to_resume(resume, checkpoint_dir)
    if checkpoint is not None:
        check_checkpoint(checkpoint, regressor, config)

    import lightning.pytorch as pl  # seconds to import, and needed here only
    from lightning.pytorch.strategies import DDPStrategy

    from specvit.network.callbacks import make_callbacks
    from specvit.network.lightningmodule import LabelModule

    validates = val_batches is not None
    stream = BatchStream(share(train_batches, rank, devices), config.max_steps)
    validation = Reiterable(val_batches, rank, devices) if validates else None
    callbacks, recorder = make_callbacks(
        config,
        validates=validates,
        checkpoint_dir=checkpoint_dir,
        max_minutes=max_minutes,
        progress=progress,
    )
    own = 1 if device.index is None or device.type == "cpu" else [device.index]
    ddp = DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)  # buffers do not change
    # Every process has its own dropout.
    with _surroundings(config.seed + rank, device), _compiled_whole(config.compile and devices > 1):
        trainer = pl.Trainer(
            accelerator={"cuda": "gpu"}.get(device.type, device.type),
            devices=own if devices == 1 else devices,
            strategy="auto" if devices == 1 else ddp,
            use_distributed_sampler=False,
            precision=precision,
            max_epochs=-1,
            max_steps=config.max_steps,
            gradient_clip_val=config.gradient_clip,
            val_check_interval=config.val_every_steps if validates else None,
            check_val_every_n_epoch=None if validates else 1,
            limit_val_batches=None if validates else 0,
            num_sanity_val_steps=0,
            inference_mode=False,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=checkpoint_dir is not None,
            enable_progress_bar=progress,
            enable_model_summary=False,
        )
        module = LabelModule(regressor.train(), config, stream)
        if config.compile:
            # Not of several processes: graphs beside the exchange of gradients were not tried.
            module.compile_step(graphs=device.type == "cuda" and devices == 1)
        try:
            trainer.fit(module, stream, validation, ckpt_path=checkpoint, weights_only=True)
        finally:
            regressor.to(device=device, dtype=dtype).eval()
            module.release_graphs()
    if recorder.best_state is not None:
        regressor.load_state_dict(recorder.best_state)
    return recorder.history

"""`FitConfig`: how a network is fitted, whatever the spectra."""

from __future__ import annotations

import numbers
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from sklearn.utils import check_random_state

from specvit.checks import check_integer, check_number
from specvit.network import TrainingConfig
from specvit.network.processes import own_device, process_rank
from specvit.paths import user_path
from specvit.predictors.learning.fingerprints import fingerprint
from specvit.progress import on_terminal

__all__ = ["FitConfig"]

#: Peak of the learning rate from random weights and for fine-tuning.
_LEARNING_RATES = {True: 5e-4, False: 5e-5}
#: Steps from which on half a minute for `torch.compile` is less than what it saves on a GPU.
_WORTH_COMPILING = 5_000
#: What may change between the parts of a fit that is interrupted: where it is done, and what is shown.
_INCIDENTAL = ("device", "devices", "progress", "checkpoint_dir")


@dataclass(frozen=True)
class FitConfig:
    """How a network is fitted.

    Attributes
    ----------
    epochs, batch_size, learning_rate, weight_decay, gradient_clip, ema_decay, patience
        As for `~specvit.LoggEstimator`.
    validation_fraction, precision, device, devices, progress, checkpoint_dir
        As for `~specvit.LoggEstimator`.
    seed : int
        Seed of first weights, order of spectra, dropout, and the choice of held-out spectra.
    """

    epochs: int = 20
    batch_size: int = 256
    learning_rate: float | None = None
    weight_decay: float = 0.01
    gradient_clip: float | None = 0.5
    ema_decay: float | None = None
    validation_fraction: float = 0.1
    patience: int | None = None
    precision: str = "auto"
    device: str = "auto"
    devices: int = 1
    progress: bool | None = None
    checkpoint_dir: str | Path | None = None
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "progress", bool(on_terminal(self.progress)))
        for name in ("epochs", "batch_size", "devices"):
            check_integer(name, getattr(self, name), 1)
        check_number("validation_fraction", self.validation_fraction, 0, 1, open_maximum=True)

    @staticmethod
    def seed_of(random_state, devices):
        """Seed of a fit by `devices` processes from scikit-learn's `random_state`.

        Raises
        ------
        ValueError
            If several processes could not agree on it.
        """
        if devices > 1 and not isinstance(random_state, numbers.Integral):
            raise ValueError(
                "random_state must be an integer where devices > 1, so that all processes hold out the same "
                f"spectra, got {random_state!r}"
            )
        return int(check_random_state(random_state).randint(2**31 - 1))

    def guarded(self, *parts, drawn_seed):
        """The configuration with a checkpoint folder of its own for this one fit.

        Parameters
        ----------
        *parts : object
            All else that determines the fit: spectra, labels, the network it starts from (see `fingerprint`).
        drawn_seed : bool
            Whether the seed was drawn at random: it then follows from all the rest instead, so that a fit
            that is continued holds out the same spectra.

        Returns
        -------
        FitConfig
            Itself without `checkpoint_dir`.
        """
        if self.checkpoint_dir is None:
            return self
        left_out = (*_INCIDENTAL, "seed") if drawn_seed else _INCIDENTAL
        settings = {name: value for name, value in asdict(self).items() if name not in left_out}
        of_this_fit = fingerprint(settings, *parts)
        seed = int(of_this_fit[:7], 16) if drawn_seed else self.seed
        return replace(self, seed=seed, checkpoint_dir=user_path(self.checkpoint_dir) / of_this_fit)

    def take_device(self):
        """Of several processes each takes the device of its own, to which "cuda" refers from then on.

        Raises
        ------
        ValueError
            If the script was not started for so many processes.
        """
        process_rank(self.devices)
        if self.devices > 1 and self.device in ("auto", "cuda") and torch.cuda.is_available():
            own_device("cuda")

    def training(self, feed, loss, *, new, compile=False):
        """The `TrainingConfig` of a training of so many epochs, validated after each.

        Parameters
        ----------
        feed : Feed
            Where batches come from.
        loss : str
            Name of the loss.
        new : bool
            Whether the network starts from random weights.
        compile : bool
            Whether steps may be compiled; they are where there are so many that it pays.
        """
        per_epoch = feed.steps_per_epoch(self.batch_size, self.devices)
        steps = max(1, self.epochs * per_epoch)
        peak = _LEARNING_RATES[new] if self.learning_rate is None else self.learning_rate
        return TrainingConfig(
            loss=loss,
            max_steps=steps,
            learning_rate=peak,
            min_learning_rate=peak / 100,
            warmup_steps=min(1000, steps // 10),
            weight_decay=self.weight_decay,
            gradient_clip=self.gradient_clip,
            precision=self.precision,
            ema_decay=self.ema_decay,
            patience=None if feed.validation is None else self.patience,
            val_every_steps=min(per_epoch, steps),
            compile=compile and steps >= _WORTH_COMPILING,
            seed=self.seed,
        )

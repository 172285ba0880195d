"""Callbacks of training: averaging, records, the best weights, checkpoints, progress."""

from __future__ import annotations

import time

import torch
from lightning.pytorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    TQDMProgressBar,
    WeightAveraging,
)
from torch.optim.swa_utils import get_ema_multi_avg_fn

from specvit.network.schedule import ema_decay, learning_rate
from specvit.paths import user_path

__all__ = ["Averaging", "Checkpoints", "Progress", "Recorder", "TimeLimit", "make_callbacks"]


class Averaging(WeightAveraging):
    """Exponential moving average of the weights, used in validation and in the result.

    Lightning's own `EMAWeightAveraging` goes tensor by tensor and reads a counter from the device,
    for which the host waits at every step. Here one fused operation updates all tensors, with a decay
    that warms up (`specvit.network.schedule.ema_decay`); copies, swaps and checkpoints are Lightning's.
    """

    def __init__(self, decay):
        super().__init__(use_buffers=False)
        self.decay = decay

    def on_train_start(self, trainer, pl_module):
        average = self._average_model.module
        if trainer.global_step == 0:  # of several processes all begin with the weights of the first
            average.load_state_dict(pl_module.state_dict())
        # Collected once: going through all modules takes as long as the update.
        self._averaged, self._current = list(average.parameters()), list(pl_module.parameters())

    def on_train_batch_end(self, trainer, pl_module, *args):
        update = get_ema_multi_avg_fn(ema_decay(trainer.global_step, self.decay))
        update(self._averaged, self._current, None)
        self._latest_update_step = trainer.global_step

    def on_train_epoch_end(self, trainer, pl_module):
        pass

    def on_train_end(self, trainer, pl_module):
        pass

    def on_fit_end(self, trainer, pl_module):
        # Here rather than in on_train_end, which a resumed run with no steps left never reaches.
        self._copy_average_to_current(pl_module)


class Recorder(Callback):
    """History of the run and, where wanted, a copy of the weights that validated best.

    It stands before `Averaging`, so that the averaged weights are still in place when it looks.
    """

    def __init__(self, config, keep_best):
        self.config, self.keep_best = config, keep_best
        self.history = {}
        self.best_loss, self.best_state = float("inf"), None
        self.improved = False
        self._start_interval(None)

    def _start_interval(self, now):
        self._loss, self._steps, self._spectra, self._since = 0.0, 0, 0, now

    def _append(self, record):
        for name, value in record.items():
            self.history.setdefault(name, []).append(value)

    def on_train_start(self, trainer, pl_module):
        now = time.monotonic()
        self._origin = now - (self.history["time"][-1] if self.history.get("time") else 0.0)
        self._start_interval(now)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        # The sum stays on the device: reading it is what would make the host wait.
        self._loss = self._loss + outputs["loss"].detach()
        self._steps += 1
        self._spectra += len(batch[0])
        step = trainer.global_step
        if trainer.is_last_batch:
            trainer.should_stop = True  # makes Lightning validate once more, whatever the interval
        if step % self.config.log_every_steps and not trainer.should_stop:
            return
        # The mean over processes; each of them comes here at the same steps.
        loss, spectra = self._over_processes(trainer, self._loss / self._steps / trainer.world_size)
        if not loss < float("inf"):
            raise FloatingPointError(
                f"the training loss is {loss} at step {step}: lower learning_rate "
                f"({self.config.learning_rate:g}), or use precision='32-true'"
            )
        now = time.monotonic()
        self._append(
            {
                "step": step,
                "train_loss": loss,
                "lr": learning_rate(step - 1, self.config),
                "spectra_per_second": spectra / max(now - self._since, 1e-9),
                "time": now - self._origin,
            }
        )
        self._start_interval(now)

    def _over_processes(self, trainer, loss):
        """Sums of the loss and of the number of spectra, as floats."""
        if trainer.world_size == 1:
            return float(loss), self._spectra
        return trainer.strategy.reduce(
            torch.stack([loss.double(), loss.new_tensor(self._spectra, dtype=torch.float64)]), reduce_op="sum"
        ).tolist()

    def on_validation_epoch_end(self, trainer, pl_module):
        metrics = pl_module.validation_metrics()
        pl_module.log("val_loss", metrics["val_loss"], logger=False)
        self._append({"val_step": trainer.global_step, **metrics})
        self.improved = metrics["val_loss"] < self.best_loss
        if self.improved:
            self.best_loss = metrics["val_loss"]
            if self.keep_best:
                state = pl_module.regressor.state_dict()
                self.best_state = {name: value.detach().cpu().clone() for name, value in state.items()}

    def on_validation_end(self, trainer, pl_module):
        if self._steps == 0:
            self._since = time.monotonic()  # the next interval's speed leaves validation out

    def state_dict(self):
        return {"history": self.history, "best_loss": self.best_loss, "best_state": self.best_state}

    def load_state_dict(self, state_dict):
        self.history = state_dict["history"]
        self.best_loss, self.best_state = state_dict["best_loss"], state_dict["best_state"]


class Checkpoints(Checkpoint):
    """``last.ckpt`` after every validation (or every `val_every_steps`) and at the end; ``best.ckpt``."""

    def __init__(self, directory, config, recorder, validates):
        self.directory, self.config = user_path(directory), config
        self.recorder, self.validates = recorder, validates

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        due = trainer.global_step % self.config.val_every_steps == 0 or trainer.should_stop
        if due and not self.validates:  # with validation the checkpoint waits for its outcome
            self._save(trainer, "last.ckpt")

    def on_validation_end(self, trainer, pl_module):
        self._save(trainer, "last.ckpt")
        if self.recorder.improved:
            self._save(trainer, "best.ckpt")

    def _save(self, trainer, name):
        # Of several processes the first writes, but the others must come here too.
        trainer.save_checkpoint(self.directory / name, weights_only=False)


class TimeLimit(Callback):
    """Time limit of one call of `train`; a resumed run has the full time again.

    Of several processes the first one's clock decides for all, at the steps of the records only: for
    its answer the others would have to wait at every step.
    """

    def __init__(self, minutes, config):
        self.seconds, self.config = 60 * minutes, config

    def on_train_start(self, trainer, pl_module):
        self._end = time.monotonic() + self.seconds

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.world_size > 1 and trainer.global_step % self.config.log_every_steps:
            return
        if trainer.strategy.broadcast(time.monotonic() >= self._end):
            trainer.should_stop = True


class Progress(TQDMProgressBar):
    """Progress over all steps of the run, with the latest record beside it."""

    def __init__(self, config, recorder):
        super().__init__(refresh_rate=max(1, config.log_every_steps // 5))
        self.config, self.recorder = config, recorder

    @property
    def total_train_batches(self):
        return self.config.max_steps

    def get_metrics(self, trainer, pl_module):
        names = [
            name for name in self.recorder.history if name.startswith(("train_loss", "val_loss", "val_r2"))
        ]
        return {name: f"{self.recorder.history[name][-1]:.4g}" for name in names}


def make_callbacks(config, *, validates, checkpoint_dir, max_minutes, progress):
    """The callbacks of a run in the order that they depend on, and the recorder among them."""
    recorder = Recorder(config, keep_best=validates and config.patience is not None)
    callbacks = []
    if max_minutes is not None:
        callbacks.append(TimeLimit(max_minutes, config))
    callbacks.append(recorder)
    if config.ema_decay is not None:
        callbacks.append(Averaging(config.ema_decay))
    if validates and config.patience is not None:
        callbacks.append(EarlyStopping("val_loss", patience=config.patience, verbose=False))
    if progress:
        callbacks.append(Progress(config, recorder))
    if checkpoint_dir is not None:
        callbacks.append(Checkpoints(checkpoint_dir, config, recorder, validates))
    return callbacks, recorder

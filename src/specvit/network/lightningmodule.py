"""The Lightning module: how a `LabelRegressor` is optimised and validated."""

from __future__ import annotations

import copy
import gc
import threading

import lightning.pytorch as pl
import torch

from specvit.network.losses import correlation_nll, pointwise_loss
from specvit.network.schedule import learning_rate

__all__ = ["LabelModule", "parameter_groups"]


def parameter_groups(module, weight_decay):
    """Two groups for AdamW: matrices, which decay, and the rest, which does not.

    Biases, norms, the class token and learned positions have no reason to be small.
    """
    decay, keep = [], []
    for name, parameter in module.named_parameters():
        matrix = parameter.ndim >= 2 and not name.endswith(("position.table", "bias"))
        (decay if matrix else keep).append(parameter)
    return [{"params": decay, "weight_decay": weight_decay}, {"params": keep, "weight_decay": 0.0}]


class LabelModule(pl.LightningModule):
    """Training of a regressor on batches (flux, ivar, labels) or (flux, ivar, labels, lsf, sampling).

    A batch holds tensors of shapes (n, n_pixels), (n, n_pixels) and (n, n_labels); labels are in
    physical units and NaN where unknown. Spectra without a scale and unknown labels carry no loss. With
    several processes the loss is the mean over the known labels of all their batches together, however
    unevenly these are spread: the gradient is that of one process with the joint batch.

    Parameters
    ----------
    regressor : LabelRegressor
        The network to be trained.
    config : TrainingConfig
        Loss and schedule.
    stream : BatchStream or None
        Told the step when a checkpoint is resumed.
    """

    def __init__(self, regressor, config, stream=None):
        super().__init__()
        self.regressor = regressor
        self.config = config
        self._stream = stream
        self._sums = None
        self._random_state = None
        self._graphs = False

    def __deepcopy__(self, memo):
        # Weight averaging copies the module: the data feed, which may own a simulator, stays behind.
        return type(self)(copy.deepcopy(self.regressor, memo), self.config)

    def _outputs(self, batch):
        """`Heads`, target in units of the label scale, and which of its values count: (n, n_labels)."""
        flux, ivar, labels, *instrument = batch
        regressor = self.regressor
        x, valid = regressor.encode(flux, ivar, *instrument)
        heads = regressor.heads(x)
        # In the labels' own precision, so that a large centre does not cost digits.
        target = (labels - regressor.label_centre) / regressor.label_scale
        known = torch.isfinite(target) & valid[:, None]
        return heads, torch.where(known, target, 0.0).to(heads.mean.dtype), known

    def compile_step(self, *, graphs):
        """Encoding, network and loss in one piece by `torch.compile`, for training and for validation.

        With `graphs` that for training becomes CUDA graphs: a step of a small network takes less time than
        its hundreds of kernels take to be launched one by one. Only in the main thread, however: older
        versions of torch keep what they know of graphs with the thread that imported them, and fail in any
        other.
        """
        self._graphs = graphs and threading.current_thread() is threading.main_thread()
        self._summed = torch.compile(self._summed, mode="reduce-overhead" if self._graphs else None)
        self._standardised = torch.compile(self._standardised)

    def release_graphs(self):
        """Let go of CUDA graphs and of the memory that they work in, as much as a step takes.

        Torch keeps what it compiled with the function of this class, not with the module: until the process
        ends that memory would be out of reach of all else, such as predictions.
        """
        if self._graphs:
            from torch._dynamo.eval_frame import remove_from_cache

            remove_from_cache(LabelModule._summed)
            gc.collect()  # compiled code refers to itself

    def _standardised(self, batch):
        return self._outputs(batch)

    def _summed(self, batch):
        """Sum of the loss over known labels, and their number."""
        heads, target, known = self._outputs(batch)
        loss = self._loss(heads, target, known, self.config.beta)
        return torch.where(known, loss, 0.0).sum(), known.sum()

    def _loss(self, heads, target, known, beta):
        """Loss per spectrum and label, (n, n_labels)."""
        loss = pointwise_loss(self.config.loss, heads.mean, heads.log_sigma, target, beta)
        if heads.factor is None:
            return loss
        # A spectrum whose labels are not all known tells nothing of correlations here.
        joint = correlation_nll(*heads, target, beta)
        return loss + torch.where(known.all(dim=1, keepdim=True), joint, 0.0)

    def training_step(self, batch, batch_idx):
        """Mean loss of the batch; of several processes, w times its share in the loss of all w batches.

        The factor undoes that gradients are averaged over the processes.
        """
        total, count = self._summed(batch)
        if self.trainer.world_size == 1:
            return total / count.clamp_min(1)
        torch.distributed.all_reduce(count)  # queued on the device: the host does not wait
        return total * (self.trainer.world_size / count.clamp_min(1))

    def on_validation_epoch_start(self):
        """Forget the last validation."""
        exact = torch.float32 if self.device.type == "mps" else torch.float64
        # Zero also where a process has no batch of its own.
        self._sums = torch.zeros(6, self.regressor.n_labels, dtype=exact, device=self.device)

    def validation_step(self, batch, batch_idx):
        """Add the batch to the sums from which the metrics of the whole set are made."""
        heads, target, known = self._standardised(batch)
        # β reweights gradients; as a score it would reward claiming a small σ.
        loss, error = self._loss(heads, target, known, 0.0), heads.mean - target
        terms = [torch.ones_like(target), loss, target, target.square(), error.square(), error.abs()]
        exact = self._sums.dtype
        self._sums += torch.stack([torch.where(known, term, 0.0).to(exact).sum(dim=0) for term in terms])

    def validation_metrics(self):
        """``val_loss``, and per label ``val_r2_…`` and ``val_mae_…`` (physical units), as floats."""
        sums = self.trainer.strategy.reduce(self._sums, reduce_op="sum").cpu()  # (6, n_labels)
        if not sums[0].any():
            raise ValueError("val_batches must yield at least one batch with a known label, got none")
        count, loss, first, second, squares, absolute = sums
        scale = self.regressor.label_scale.cpu()
        r2 = 1 - squares / (second - first.square() / count)
        mae = absolute / count * scale
        metrics = {"val_loss": float(loss.sum() / count.sum())}
        for index, name in enumerate(self.regressor.label_names):
            metrics[f"val_r2_{name}"] = float(r2[index])
            metrics[f"val_mae_{name}"] = float(mae[index])
        return metrics

    def configure_optimizers(self):
        """AdamW with a linear warm-up and a cosine to the least learning rate, per step."""
        config = self.config
        # The fused kernel does its own unscaling, with which clipping under float16 does not agree.
        fused = self.device.type == "cuda" and config.precision != "16-mixed"
        groups = parameter_groups(self.regressor, config.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=1.0, betas=config.betas, fused=fused)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, config))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        """Clip the norm of the gradient here: Lightning refuses to beside a fused optimiser under bfloat16.

        That rule is meant for float16, whose scaled gradients only the optimiser can unscale; there the
        optimiser is not fused and Lightning clips.
        """
        if self.config.precision == "16-mixed":
            super().clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val is not None:
            parameters = [one for group in optimizer.param_groups for one in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def on_save_checkpoint(self, checkpoint):
        """Keep the regressor's description and all random states, so that a resumed run is the same run."""
        checkpoint["specvit_regressor"] = self.regressor.to_dict()
        checkpoint["specvit_config"] = self.config.to_dict()
        state = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        states = [state]
        if self.trainer.world_size > 1:
            states = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(states, state)
        checkpoint["specvit_random_states"] = states

    def on_load_checkpoint(self, checkpoint):
        """Take up batches and random state of a checkpoint, see `specvit.network.checkpoints`."""
        states, world_size = checkpoint["specvit_random_states"], self.trainer.world_size
        if len(states) == world_size:
            self._random_state = states[self.trainer.global_rank]
        elif checkpoint["global_step"] < self.config.max_steps:  # a finished run goes on nowhere
            raise ValueError(
                f"devices must be {len(states)}, as in the run that the checkpoint to resume is of, "
                f"got {world_size}"
            )
        if self._stream is not None:
            self._stream.start = checkpoint["global_step"]

    def on_train_start(self):
        """Put the random state of a resumed run in place."""
        if self._random_state is not None:
            torch.set_rng_state(self._random_state["cpu"].cpu())
            if "cuda" in self._random_state and self.device.type == "cuda":
                torch.cuda.set_rng_state(self._random_state["cuda"].cpu(), self.device)
            self._random_state = None

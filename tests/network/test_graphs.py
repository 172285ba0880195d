"""Training as CUDA graphs, which need a GPU: beside the same steps without, resumed, and in memory."""

import gc
import threading
from itertools import pairwise

import pytest
import torch

from specvit.network import LabelRegressor, TrainingConfig, ViTConfig, train
from specvit.network.dropout import Dropout
from specvit.network.lightningmodule import LabelModule

DEVICE = "cuda"
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.filterwarnings("ignore"),  # torch's own, about the rates of its compiler
]


def batch(step, n):
    """Spectra of a step whose labels are means of them, one label unknown."""
    generator = torch.Generator().manual_seed(step)
    flux = 1 + 0.1 * torch.randn(n, 1024, generator=generator)
    labels = torch.stack([flux[:, :99].mean(1), flux[:, 99:].std(1)], 1)
    labels[0, 1] = torch.nan
    return [x.to(DEVICE) for x in (flux, torch.full_like(flux, 100.0), labels)]


class Batches:
    """Of two sizes, from the number of the step alone."""

    def __init__(self):
        self.step = 0

    def set_step(self, step):
        self.step = step

    def __iter__(self):
        while True:
            yield batch(self.step, 192 if self.step % 5 == 4 else 256)
            self.step += 1


def regressor(**more):
    torch.manual_seed(0)
    size = {"n_pixels": 1024, "width": 64, "depth": 2, "heads": 4, "mlp": 128}
    made = LabelRegressor.build(ViTConfig.reference(**size), ("a", "b"), **more).to(DEVICE)
    made.set_label_scaling([1.0, 0.1], [0.01, 0.003])
    return made


def weights(network):
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach()


def trained(steps=12, made=None, precision="bf16-mixed", **more):
    """Weights after training with averages and validation between the steps, and all losses."""
    made = regressor() if made is None else made
    rate = {"learning_rate": 1e-3, "min_learning_rate": 1e-3, "gradient_clip": 0.5}
    config = TrainingConfig(
        max_steps=steps,
        compile=True,
        ema_decay=0.9,
        val_every_steps=4,
        log_every_steps=1,
        precision=precision,
        **rate,
    )
    validation = [batch(98, 100), batch(99, 37)]
    history = train(made, Batches(), config, val_batches=validation, progress=False, **more)
    return weights(made), torch.tensor(history["train_loss"] + history["val_loss"])


def relative(found, expected, begin):
    return ((found - expected).norm() / (expected - begin).norm()).item()


def test_replayed_dropout_draws_anew():
    """Warmed up, recorded and replayed twice: binomial in each row and column, and other than the last."""
    layer = Dropout(0.1)

    def dropped(x):
        return layer(x)

    call = torch.compile(dropped, mode="reduce-overhead")
    ones = torch.ones(256, 65, 64, device=DEVICE)
    masks = [(call(ones) == 0).flatten(0, 1).double() for _ in range(4)]
    for mask in masks:
        for dim in (0, 1):
            n = mask.shape[dim]
            assert ((mask.mean(dim) - 0.1) / (0.09 / n) ** 0.5).abs().max() < 7.5
    for before, after in pairwise(masks):
        assert abs((before * after).mean() - 0.01) < 0.002


def test_steps_are_those_without_graphs(monkeypatch):
    begin, (found, losses) = weights(regressor()), trained()
    compile_step = LabelModule.compile_step
    monkeypatch.setattr(LabelModule, "compile_step", lambda self, *, graphs: compile_step(self, graphs=False))
    expected, plain = trained()
    assert relative(found, expected, begin) < 0.05
    torch.testing.assert_close(losses, plain, rtol=0.02, atol=0.02)


def test_a_resumed_training_is_the_whole_one(tmp_path):
    begin, (whole, _) = weights(regressor()), trained()
    trained(steps=8, checkpoint_dir=tmp_path)
    resumed, _ = trained(checkpoint_dir=tmp_path, resume="last")
    assert relative(resumed, whole, begin) < 0.05


def test_float16_and_correlations():
    _, losses = trained(made=regressor(covariance=True), precision="16-mixed")
    assert losses.isfinite().all()


def test_training_in_a_thread():
    losses = []
    thread = threading.Thread(target=lambda: losses.append(trained()[1]))
    thread.start()
    thread.join()
    assert losses[0].isfinite().all()


def test_no_memory_is_kept():
    # What libraries keep for themselves stays; graphs, of 20 MB at least, would be added by each training.
    reserved = []
    for _ in range(3):
        trained()
        gc.collect()
        torch.cuda.empty_cache()
        reserved.append(torch.cuda.memory_reserved())
    assert reserved[2] - reserved[0] < 2e7, reserved

"""A trained regressor with more inputs and outputs says at first what it said before."""

import numpy as np
import pytest
import torch

from specvit.network import LabelRegressor, TrainingConfig, ViTConfig, train
from specvit.network.extension import extend_regressor

CONFIG = ViTConfig(n_pixels=64, width=16, depth=1, heads=2, mlp=32)
LABELS = ("a", "b", "c")


@pytest.fixture
def old():
    torch.manual_seed(1)
    regressor = LabelRegressor.build(CONFIG, LABELS)
    regressor.set_label_scaling([1.0, 2.0, 3.0], [0.5, 0.5, 2.0])
    return regressor.eval()


@pytest.fixture
def spectra():
    generator = torch.Generator().manual_seed(2)
    flux = 1 + 0.1 * torch.randn(6, 64, generator=generator)
    ivar = torch.full((6, 64), 400.0)
    ivar[:, 40:50] = 0
    return flux, ivar


def test_the_same_answers_whatever_the_instrument(old, spectra):
    new = extend_regressor(old, encoding="instrument", covariance=True).eval()
    told = torch.rand(6, generator=torch.Generator().manual_seed(3))
    for before, after in zip(old.predict(*spectra), new.predict(*spectra, told, told), strict=True):
        torch.testing.assert_close(before, after)
    _, covariance = new.predict_covariance(*spectra, told, told)
    torch.testing.assert_close(covariance, torch.diag_embed(old.predict(*spectra)[1].square()))


def test_the_new_parts_are_trained(old, spectra):
    new = extend_regressor(old, encoding="instrument", covariance=True)
    labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(4))
    told = torch.ones(6)
    batch = (*spectra, labels, told, told)
    train(new, [batch], TrainingConfig(max_steps=5, learning_rate=1e-2), progress=False)
    assert new.network.tokenizer.weight[:, 64:].abs().max() > 0
    assert new.network.head.weight[6:].abs().max() > 0
    plain = new.predict(*spectra)[0]
    assert not torch.allclose(plain, new.predict(*spectra, told, told)[0])


def test_what_would_be_lost_is_refused(old):
    new = extend_regressor(old, encoding="instrument", covariance=True)
    for changes in ({"encoding": "weighted"}, {"covariance": False}, {"encoding": "median"}):
        with pytest.raises(ValueError, match="must keep"):
            extend_regressor(new, **changes)
    shared = LabelRegressor.build(
        ViTConfig.reference(n_pixels=64, width=16, depth=1, heads=2, mlp=32), LABELS
    )
    with pytest.raises(ValueError, match="conv1d"):
        extend_regressor(shared, encoding="instrument")


def test_correlations_are_learned():
    """Two labels whose errors cannot be known apart: correlation 0.8 of all spectra alike."""
    generator = torch.Generator().manual_seed(7)

    def batch(n):
        shared = torch.randn(n, 2, generator=generator) @ torch.tensor([[1.0, 0.8], [0.0, 0.6]])
        flux = 1 + 0.05 * torch.randn(n, 64, generator=generator)
        return flux, torch.full((n, 64), 400.0), shared

    torch.manual_seed(0)
    regressor = LabelRegressor.build(CONFIG, ("a", "b"), covariance=True)
    config = TrainingConfig(max_steps=150, learning_rate=3e-3, beta=0.5)
    train(regressor, [batch(256) for _ in range(20)], config, progress=False)
    flux, ivar, _ = batch(200)
    _, covariance = regressor.predict_covariance(flux, ivar)
    sigma = covariance.diagonal(dim1=1, dim2=2).sqrt()
    correlation = (covariance[:, 0, 1] / sigma[:, 0] / sigma[:, 1]).numpy()
    assert np.median(correlation) == pytest.approx(0.8, abs=0.06)


def test_a_run_on_instruments_is_taken_up_exactly(old, tmp_path):
    """Five-part batches: four steps and four more are eight, to the bit."""

    class Batches:
        step = 0

        def set_step(self, step):
            self.step = step

        def __iter__(self):
            while True:
                generator = torch.Generator().manual_seed(self.step)
                self.step += 1
                flux = 1 + 0.1 * torch.randn(16, 64, generator=generator)
                told = torch.rand(2, 16, 64, generator=generator)
                labels = torch.randn(16, 3, generator=generator)
                yield flux, torch.full_like(flux, 100.0), labels, *told

    config = TrainingConfig(max_steps=8, val_every_steps=4, ema_decay=0.9)
    validation = [next(iter(Batches()))]
    results = []
    for stops in ((8,), (4, 8)):
        directory = tmp_path / str(len(stops))
        for stop in stops:
            regressor = extend_regressor(old, encoding="instrument", covariance=True)
            batches = Batches()
            if stop < 8:
                batches = _Ending(batches, stop)
            train(
                regressor,
                batches,
                config,
                val_batches=validation,
                checkpoint_dir=directory,
                resume="last",
                progress=False,
            )
        results.append(regressor.state_dict())
    assert all(torch.equal(results[0][name], value) for name, value in results[1].items())


class _Ending:
    """The first so many batches: a run that is interrupted."""

    def __init__(self, batches, stop):
        self.batches = iter(batches)
        self.stop = stop

    def __iter__(self):
        for _ in range(self.stop):
            yield next(self.batches)
        self.stop = 0

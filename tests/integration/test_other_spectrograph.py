"""The documented example at small size: another instrument, from its pixels to predictions."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from specvit import Emulator, LoggEstimator, PixelGrid, Survey
from specvit.spectra import SpectrumError
from specvit.stars import regrid_emulator
from specvit.survey import LabelPrior, SNRNoise
from specvit.survey.streams import EVALUATION

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "plot_06_own_spectrograph.py"
WINDOWS = [(7590.0, 7700.0), (8120.0, 8350.0)]


@pytest.fixture(scope="module")
def survey():
    grid = PixelGrid.from_resolving_power(7100, 8850, 2500, name="low resolution")
    return Survey(
        "low resolution",
        n=1000,
        seed=1,
        prior=LabelPrior((4000, 6000), (1, 5), (-1, 0.3), (-0.1, 0.4), (-0.3, 0.3)),
        noise=SNRNoise((20, 200)),
        emulator=regrid_emulator(Emulator.load(), grid),
        masked=WINDOWS,
    )


@pytest.fixture(scope="module")
def estimator(survey):
    shape = {"width": 32, "depth": 1, "heads": 2, "patch_size": 64, "batch_size": 32}
    return LoggEstimator(
        weights=None, labels=("logg",), epochs=4, learning_rate=3e-3, device="cpu", random_state=0, **shape
    ).fit(survey)


def test_the_survey_is_as_described(survey):
    batch = survey.draw(200)
    assert batch.flux.shape == (200, 1378)
    assert (batch.snr >= 19.9).all() and (batch.snr <= 200.1).all() and batch.snr.std() > 40
    lost = (batch.ivar == 0).all(0).numpy()
    wave = survey.grid.wave
    inside = np.any([(wave > low) & (wave < high) for low, high in WINDOWS], axis=0)
    assert lost[inside].all() and lost.sum() <= inside.sum() + 4  # pixels that the windows' ends cut
    sigma = batch.noiseless_sigma
    assert torch.allclose(sigma.min(1).values, sigma.max(1).values)


def test_an_estimator_learns_it(survey, estimator):
    stars = survey.draw(400, stream=EVALUATION)
    truth = stars.labels[:, 1].numpy()
    logg, sigma = estimator.predict(stars.flux.numpy(), ivar=stars.ivar.numpy(), return_std=True)
    assert np.isfinite(logg).all() and (sigma > 0).all()
    assert 1 - np.mean((logg - truth) ** 2) / truth.var() > 0.5
    # Masked windows are not looked at.
    flux = stars.flux.numpy().copy()
    flux[stars.ivar.numpy() == 0] = 1e6
    assert estimator.predict(flux, ivar=stars.ivar.numpy()) == pytest.approx(logg, abs=1e-5)


def test_its_weights_know_the_grid_and_the_survey(survey, estimator, tmp_path):
    estimator.save(tmp_path / "other.safetensors")
    again = LoggEstimator.load(tmp_path / "other.safetensors", device="cpu")
    assert again.grid_ == survey.grid and again.record_["survey"] == repr(survey)
    with pytest.raises((ValueError, SpectrumError), match="1378"):
        again.predict(np.ones((2, 4096)))


def test_it_is_what_the_example_does():
    """Same instrument, noise and windows; the example itself is run by the documentation's build."""
    source = EXAMPLE.read_text(encoding="utf-8")
    ast.parse(source)
    for text in (
        "PixelGrid.from_resolving_power(7100, 8850, 2500",
        "noise=SNRNoise((20, 200))",
        "masked=[(7590, 7700), (8120, 8350)]",
    ):
        assert text in source

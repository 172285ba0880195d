"""The model of lines that spectra are held against, beside the emulator smoothed and shifted exactly."""

import numpy as np
import pytest
import torch

from specvit.assess.scene import STARS, Scene
from specvit.constants import SPEED_OF_LIGHT
from specvit.honesty.examination import examine
from specvit.honesty.linemodel import LineModel
from specvit.stars import Emulator, LineCalibration


@pytest.fixture(scope="module")
def emulator():
    return Emulator.load()


@pytest.fixture(scope="module")
def model(emulator):
    return LineModel(emulator)


def test_the_emulators_spectra_are_not_kept(model, emulator):
    """Not by a view of no elements either, which would keep all of the memory that it is a view of."""
    copied = model.emulator
    assert emulator.components.nbytes > 5e6 and emulator.pixel_components.numel() == 120 * 4096
    for name in ("mean", "components"):
        assert getattr(copied, name).nbytes == 0 and getattr(copied, name).base is None
    assert copied.pixel_components.untyped_storage().nbytes() == 0


@pytest.mark.parametrize("coarse", [1, 2])
def test_transforms_are_sums_over_the_spectra(emulator, coarse):
    """By the definition of a Fourier sum, at some of the frequencies."""
    model = LineModel(emulator, coarse=coarse)
    spectra = emulator.components[[0, 61, 119]].astype(float)
    step = np.diff(np.log(emulator.wave)).mean()
    kept = model.components[[0, 61, 119]].reshape(3, -1, 2).numpy() * 2 * coarse
    for k in (0, 7, 400, 1100):
        wave = np.exp(-1j * float(model.frequency[k]) * step * np.arange(emulator.wave.size))
        exact = spectra @ wave
        scale = np.abs(spectra).sum(1)
        assert (np.abs(kept[:, k] @ [1, 1j] - exact) < 1e-4 * scale).all()


def depths(model, labels, velocity=0.0, width=0.0, lsf=None):
    """n − 1 with width the variance in ln λ beyond the line spread function."""
    labels = model.tensor([labels])
    shift = model.tensor([np.log1p(velocity / SPEED_OF_LIGHT)])
    blur = model.blur(None if lsf is None else model.tensor(lsf)[None])
    return model.observe(model.depths(labels), shift, model.tensor([width]), blur)


@pytest.mark.parametrize("star", STARS)
@pytest.mark.parametrize("velocity", [0.0, -480.0, 333.0])
def test_shifted_lines_are_those_of_the_emulator(model, star, velocity):
    """An independent path: a sparse matrix of Gaussians on wavelengths instead of Fourier space."""
    inner = slice(150, -150)  # 500 km/s from the ends
    exact = Scene(STARS[star], 30).lines(velocity=velocity)[inner]
    found = 1 + depths(model, STARS[star], velocity)[0][0].numpy()[inner]
    np.testing.assert_allclose(found, exact, atol=2e-3)


@pytest.mark.parametrize("factor", [1.3, 2.0, 4.0])
def test_wider_line_spread_functions(model, factor):
    """Told per pixel, of constant FWHM in Å: the variance in ln λ changes along the spectrum."""
    scene = Scene(STARS["giant"], 30)
    width = factor * np.linspace(0.9, 1.1, scene.wave.size)
    exact = scene.lines(width=width)[200:-200]
    found = 1 + depths(model, STARS["giant"], lsf=np.log2(width))[0][0].numpy()[200:-200]
    assert np.abs(found - exact).max() < 0.02 * (1 - exact).max()


def test_derivatives_are_finite_differences(model):
    labels, step = STARS["dwarf"], 2e-6
    _, by_shift, by_width = depths(model, labels, 30.0, model.unit)
    ends = [depths(model, labels, 30.0 + sign * step * SPEED_OF_LIGHT, model.unit)[0] for sign in (1, -1)]
    moved = 2 * step / (1 + 30.0 / SPEED_OF_LIGHT)
    difference = (ends[0] - ends[1])[0] / moved
    assert float((by_shift[0] - difference).norm() / difference.norm()) < 0.03
    change = 0.02 * model.unit
    ends = [depths(model, labels, 30.0, model.unit + sign * change)[0] for sign in (1, -1)]
    difference = (ends[0] - ends[1])[0] / (2 * change)
    assert float((by_width[0] - difference).norm() / difference.norm()) < 0.05


def test_slopes_by_labels_are_finite_differences(model, emulator):
    labels = torch.tensor([STARS["giant"]])
    slopes = model.depth_slopes(labels)
    zero = torch.zeros(1)
    found = model.observe_many(slopes, zero, zero, model.blur())[0]
    for k, step in enumerate((40.0, 0.08, 0.06, 0.04, 0.04)):
        ends = [emulator.normalised(labels + sign * step * torch.eye(5)[k])[0] for sign in (1, -1)]
        exact = (ends[0] - ends[1]) / (2 * step)
        assert float((found[k] - exact).norm() / exact.norm()) < 0.05


def test_the_calibration_changes_lines_as_the_emulators_own(emulator):
    labels = torch.tensor([STARS["dwarf"]])
    calibrated = LineModel(emulator, LineCalibration.load())
    zero = torch.zeros(1)
    depths = calibrated.depths(labels)
    found = calibrated.observe(depths, zero, zero, calibrated.blur(), derivatives=False)[0]
    exact = emulator.calibrated().normalised(labels)[0] - 1
    plain = emulator.normalised(labels)[0] - 1
    assert float((found - exact).norm() / (plain - exact).norm()) < 0.15


@pytest.mark.parametrize("star", STARS)
def test_velocities_are_unbiased_on_stars_of_the_same_library(emulator, star):
    """Without noise. Of stars of the library before its calibration, which moves lines, it is 0.12 km/s."""
    labels = torch.tensor([STARS[star]])
    flux = emulator.calibrated().normalised(labels)[0].numpy()[None]
    errors = np.array([[40, 0.1, 0.05, 0.05, 0.05]])
    model = LineModel(emulator, LineCalibration.load())
    found = examine(model, flux, np.full_like(flux, 300.0**2), labels.numpy(), errors)
    assert abs(found.velocity[0]) < 0.03

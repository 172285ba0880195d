"""Emulated spectra and their derivatives against central differences and the emulator itself."""

import numpy as np
import pytest
import torch

from specvit.grid import PFS_MR
from specvit.stars import Emulator
from specvit.stars.starlight import Starlight, jacobian
from specvit.survey import Survey

STEPS = [0.5, 1e-3, 1e-3, 1e-3, 1e-3]


@pytest.fixture(scope="module")
def bundled():
    return Emulator.load()


@pytest.fixture(scope="module")
def labels():
    return torch.as_tensor(Survey("paper").prior.sample(3, np.random.default_rng(2)))


@pytest.mark.parametrize("max_velocity", [None, 30.0])
def test_derivatives_against_central_differences(bundled, labels, max_velocity):
    starlight = Starlight(bundled, max_velocity=max_velocity)
    velocity = None if max_velocity is None else torch.tensor([-20.0, 3.0, 29.0], dtype=torch.float64)
    _, derivative = starlight.derivatives(labels, velocity)
    steps = STEPS + ([] if velocity is None else [0.02])
    assert derivative.shape == (3, len(steps), len(PFS_MR)) and derivative.dtype == torch.float64
    for k, step in enumerate(steps):
        shift = torch.zeros(5, dtype=torch.float64)
        shift[k : k + 1] = step if k < 5 else 0
        kick = 0 if velocity is None or k < 5 else step
        high, low = (
            starlight.flux(labels + s * shift, None if velocity is None else velocity + s * kick)
            for s in (1, -1)
        )
        difference = (high - low) / (2 * step)
        error = (difference - derivative[:, k]).abs().max() / derivative[:, k].abs().max()
        assert error < 1e-4, f"parameter {k}"


def test_the_flux_is_the_emulators(bundled, labels):
    starlight = Starlight(bundled, centre=torch.tensor([4000.0, 2.0, 0.0, 0.0, 0.0]))
    emulator = Emulator.load().double()
    expected = emulator.normalised(labels) * emulator.continuum(labels)
    for flux in (starlight.flux(labels), starlight.derivatives(labels)[0]):
        torch.testing.assert_close(flux * torch.exp(starlight.level), expected, rtol=1e-12, atol=0)
    # A given centre is where the flux is of order one.
    there = starlight.flux(torch.tensor([[4000.0, 2.0, 0.0, 0.0, 0.0]], dtype=torch.float64))
    assert 0.3 < there.median() < 1
    assert bundled.label_range.dtype == torch.float32  # the emulator given is left as it was


def test_the_chain_rule_is_automatic_differentiation(bundled, labels):
    starlight = Starlight(bundled)
    _, direct = jacobian(lambda x: bundled.double()(x) * torch.exp(-starlight.level), labels)
    derivative = starlight.derivatives(labels)[1].mT
    scale = direct.abs().amax(1, keepdim=True)
    assert ((derivative - direct) / scale).abs().max() < 1e-10


def test_jacobian_of_any_model():
    x = torch.tensor([[0.3, 2.0], [1.0, -1.0]], dtype=torch.float64)
    value, derivative = jacobian(lambda v: torch.stack([v[:, 0] * v[:, 1], v[:, 1] ** 3, v[:, 0]], 1), x)
    np.testing.assert_allclose(value[0], [0.6, 8.0, 0.3])
    np.testing.assert_allclose(derivative[0], [[2.0, 0.3], [0.0, 12.0], [1.0, 0.0]])
    with torch.no_grad():  # whoever asks needs no gradients for themselves
        torch.testing.assert_close(jacobian(lambda v: v**2, x)[1][1], torch.diag(2 * x[1]))

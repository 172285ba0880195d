"""Stars that troubles are tried on, beside the emulator's own smoothing and Doppler's formula."""

import numpy as np
import pytest
import torch

from specvit.assess.scene import STARS, Scene
from specvit.grid import PFS_MR, PixelGrid


def test_at_rest_on_its_own_pixels_it_is_the_emulators(emulator):
    labels = STARS["giant"]
    exact = emulator.normalised(torch.tensor([labels]))[0].numpy()
    np.testing.assert_allclose(Scene(labels, 30).lines()[30:-30], exact[30:-30], atol=3e-3)


def test_a_velocity_moves_lines_by_dopplers_formula():
    scene, velocity = Scene(STARS["dwarf"], 30), 250.0
    moved, inner = scene.lines(velocity=velocity), slice(200, -200)
    still = np.interp(PFS_MR.wave / (1 + velocity / 299_792.458), PFS_MR.wave, scene.lines())
    assert np.abs(moved - still)[inner].max() < 0.02 and np.abs(moved - scene.lines())[inner].max() > 0.3


def test_wider_lines_keep_their_equivalent_width():
    scene = Scene(STARS["giant"], 30)
    narrow, wide = scene.lines(), scene.lines(width=3.0)
    assert (1 - wide).sum() == pytest.approx((1 - narrow).sum(), rel=0.01)
    assert (1 - wide).max() < 0.8 * (1 - narrow).max()


def test_noise_goes_with_the_root_of_the_flux():
    light = np.linspace(1, 3, 101)
    sigma = Scene(STARS["giant"], 40).sigma(light)
    assert np.median(light / sigma) == pytest.approx(40)
    assert sigma[-1] / sigma[0] == pytest.approx(3**0.5)


def test_any_pixels_and_numbers_do():
    edges = np.arange(8400.0, 8800.0, 1.4)
    grid = PixelGrid(edges, (edges[1:] + edges[:-1]) / 2 / 2000 / 2.3548)
    scene = Scene(np.array(STARS["m-giant"]), 30, grid)  # NumPy's numbers, of double precision
    assert scene.light().shape == (len(grid),) and scene.lines().min() > 0.2
    assert np.median(scene.continuum) == pytest.approx(1)

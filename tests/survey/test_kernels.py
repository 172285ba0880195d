"""Line profiles against quadrature, closed forms and the adapter's resampler."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from specvit.grid import PFS_MR, PixelGrid, Resampler, matching_sigma, native_edges
from specvit.survey.kernels import Smoother, rotation_transform


@pytest.mark.parametrize("limb", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("u", [0.0, 0.7, 4.0, 20.0])
def test_transform_of_rotation(u, limb):
    """Against the integral of Gray's profile."""

    def profile(x):
        disc = 2 * (1 - limb) * np.sqrt(1 - x * x) + 0.5 * np.pi * limb * (1 - x * x)
        return disc / (np.pi * (1 - limb / 3))

    expected, _ = quad(lambda x: profile(x) * np.cos(u * x), -1, 1, limit=200)
    assert rotation_transform(u, limb) == pytest.approx(expected, abs=2e-6)


def smoothed(sigma, rotation=(0.0, 0.0, 0.0), centre=300.0, n=600, own=1.5):
    """Fine samples, their positions in pixels, and the depth of a Gaussian line of width `own`, smoothed."""
    smoother = Smoother(n, torch.device("cpu"))
    x = torch.arange(n, dtype=torch.float64)
    line = torch.exp(-0.5 * ((x - centre) / own) ** 2)
    variance = torch.tensor([sigma], dtype=torch.float32).square()
    fine = smoother((1 - line)[None].float(), variance, torch.tensor([rotation], dtype=torch.float32))
    position = np.arange(fine.shape[1]) / 2 - smoother.margin
    return position, 1 - fine[0].double().numpy()


def test_a_gaussian_becomes_a_broader_one():
    position, depth = smoothed((4.0, 4.0, 4.0))
    width = np.hypot(4.0, 1.5)
    expected = 1.5 / width * np.exp(-0.5 * ((position - 300) / width) ** 2)
    np.testing.assert_allclose(depth, expected, atol=3e-6)


@pytest.mark.parametrize("centre", [60.0, 150.0, 450.0, 540.0])
def test_a_width_that_grows_along_the_spectrum(centre):
    """Quadratic interpolation between three kernels; widths grow by a quarter, as those of constant R do."""
    ends = (4.0, 4.5, 5.0)
    position, depth = smoothed(ends, centre=centre)
    width = np.hypot(4 + centre / 599, 1.5)
    expected = 1.5 / width * np.exp(-0.5 * ((position - centre) / width) ** 2)
    np.testing.assert_allclose(depth, expected, atol=6e-3 * expected.max())


def test_rotation_has_its_variance():
    """Of a profile of half-width v: v² (1/4 − ε/20·…) by quadrature."""
    limb, v = 0.5, 12.0
    position, depth = smoothed((0.0, 0.0, 0.0), (v, v, v))
    expected, _ = quad(
        lambda x: x * x * (2 * (1 - limb) * np.sqrt(1 - x * x) + 0.5 * np.pi * limb * (1 - x * x)), -1, 1
    )
    expected = v * v * expected / (np.pi * (1 - limb / 3)) + 1.5**2
    near = np.abs(position - 300) < 40
    weight = depth[near] / depth[near].sum()
    assert weight @ (position[near] - 300) ** 2 == pytest.approx(expected, rel=2e-3)
    assert depth.sum() / 2 == pytest.approx(1.5 * np.sqrt(2 * np.pi), rel=1e-4)


@pytest.mark.parametrize("power", [9000.0, 20000.0])
def test_noise_of_smoothed_spectra_is_correlated_as_the_adapter_makes_it(power):
    """Variance over native variance, and the correlation of neighbours, from the resampler's own matrix."""
    middle = 7975.0
    grid = PixelGrid.linear(
        middle - 50, middle + 50, 234, lsf_sigma=float(np.interp(middle, PFS_MR.wave, PFS_MR.lsf_sigma))
    )
    sigma = middle / power / np.sqrt(8 * np.log(2))
    native = native_edges(middle - 70, middle + 70, 0.08)
    kernel = matching_sigma(grid, sigma)
    one = np.ones(native.size - 1)
    out = Resampler(native, grid, kernel)(one, one)
    k, pixel = 117, float(grid.width[0])
    width = float(kernel[k]) / pixel
    gain = 0.08 / pixel / (2 * np.sqrt(np.pi * (width**2 + 1 / 12)))
    assert gain == pytest.approx(out.variance[k], rel=0.02)  # the closed form that the draw uses

    smoother = Smoother(4096, torch.device("cpu"))
    white = torch.randn(64, 4096, generator=torch.Generator().manual_seed(1))
    noise = smoother.correlated(white, torch.full((64,), width)).double().numpy()
    assert noise.var() == pytest.approx(1, abs=0.02)
    for lag in (1, 2):
        expected = out.covariance[lag - 1, k] / out.variance[k]
        assert (noise[:, lag:] * noise[:, :-lag]).mean() == pytest.approx(expected, abs=0.02)

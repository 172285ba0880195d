"""Rebinning on the device against the adapter's own resampler."""

import numpy as np
import pytest
import torch

from specvit.grid import PFS_MR, PixelGrid, Resampler
from specvit.survey.nativepixels import GridEdges, NativePixels

GRIDS = {
    "PFS MR": PFS_MR,
    "growing": PixelGrid(7000 * np.exp(np.linspace(0, 0.1, 501)), 1.2, name="equal in ln λ"),
}


def native_pixels(grid, width, phase, logarithmic):
    """`NativePixels` of some stars, and the finest of their widths."""
    width = torch.tensor(width, dtype=torch.float64)
    edges = GridEdges.of(grid, torch.device("cpu"))
    return NativePixels(
        edges,
        width,
        torch.tensor(phase, dtype=torch.float64),
        torch.tensor(logarithmic),
        NativePixels.counts(edges, float(width.min())),
    )


@pytest.mark.parametrize("lost", [0.0, 0.02, 0.4])
@pytest.mark.parametrize("name", GRIDS)
def test_the_same_as_the_adapter(name, lost, rng=np.random.default_rng(3)):  # noqa: B008
    """Flux, variance, weight and mask, for pixels of half to five times the grid's, equal in λ or ln λ."""
    grid = GRIDS[name]
    step = float(np.median(grid.width))
    native = native_pixels(
        grid,
        [0.5 * step, 0.8 * step, step, 1.7 * step, 1.7 * step, 5.3 * step],
        [0.0, 0.3, 0.0, 0.9, 0.5, 0.25],
        [False, True, False, True, False, True],
    )
    flux = rng.uniform(0.2, 1.5, (6, native.n_native))
    variance = rng.uniform(0.1, 2, flux.shape)
    valid = rng.random(flux.shape) >= lost
    as_float = [torch.tensor(x, dtype=torch.float32) for x in (flux, variance)]
    (mean,), got_variance, weight = native.to_grid(torch.tensor(valid), as_float[:1], as_float[1])
    mean, got_variance, weight = (x.numpy() for x in (mean, got_variance, weight))
    edges = native.edge(torch.arange(native.n_native + 1, dtype=torch.float64)).numpy()
    for k in range(6):
        inside = edges[k, 1:] > grid.edges[0]
        assert inside.all() and edges[k, 0] <= grid.edges[0] and edges[k, -1] >= grid.edges[-1]
        expected = Resampler(edges[k], grid)(flux[k], variance[k], ~valid[k])
        sure = np.abs(expected.coverage - 0.8) > 1e-5  # at the limit itself rounding decides
        np.testing.assert_allclose(weight[k], expected.coverage, atol=1e-6)
        np.testing.assert_array_equal(np.isinf(got_variance[k])[sure], expected.mask[sure])
        good = sure & ~expected.mask
        assert good.mean() > (0.1 if lost > 0.1 else 0.8)
        np.testing.assert_allclose(mean[k][good], expected.flux[good], rtol=1e-5)
        np.testing.assert_allclose(got_variance[k][good], expected.variance[good], rtol=2e-5)


def test_flux_is_conserved():
    """The integral over the grid is that of the native pixels over the same range."""
    native = native_pixels(PFS_MR, [1.1], [0.0], [False])
    flux = torch.rand(1, native.n_native) + 0.5
    one = torch.ones_like(flux)
    (mean,), _, _ = native.to_grid(one.bool(), (flux,), one)
    edges = native.edge(torch.arange(native.n_native + 1, dtype=torch.float64)).clamp_max(PFS_MR.edges[-1])
    expected = float((edges.diff() * flux).sum())
    assert float(mean.double().sum()) * PFS_MR.width[0] == pytest.approx(expected, rel=1e-6)


def test_the_grids_own_pixels_pass_unchanged():
    native = native_pixels(PFS_MR, [PFS_MR.width[0]], [0.0], [False])
    flux = torch.rand(1, native.n_native)
    (mean,), variance, weight = native.to_grid(torch.ones_like(flux).bool(), (flux,), flux)
    torch.testing.assert_close(mean, flux[:, :4096])
    torch.testing.assert_close(variance, flux[:, :4096])
    torch.testing.assert_close(weight, torch.ones(1, 4096))


def test_pixels_are_equal_in_wavelength_or_in_its_logarithm():
    native = native_pixels(PFS_MR, [1.0, 1.0], [0.2, 0.2], [False, True])
    edges = native.edge(torch.arange(1700, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(np.diff(edges[0]), 1, rtol=1e-9)
    np.testing.assert_allclose(np.diff(np.log(edges[1])), 1 / 7975, rtol=1e-9)

"""Cells of instrument, coverage and S/N: interpolation in them, and σ calibrated over them."""

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator
from scipy.stats import chi2
from torch import nn

from specvit.network import LabelRegressor, ViTConfig
from specvit.network.cellcalibration import AXES, calibrate_cells, shrink_correlations
from specvit.network.cells import describe, interpolate_cells
from specvit.network.conformal import predict_batches

CONFIG = ViTConfig(n_pixels=8, width=8, depth=1, heads=2, mlp=8, patch_size=8)


class Fixed(nn.Module):
    """A network whose answer is always 0 ± 1 of two labels, correlated by `off`/√(1 + off²)."""

    def __init__(self, off=0.0):
        super().__init__()
        self.off = off

    def forward(self, x):
        out = torch.zeros(len(x), 5)
        out[:, 4] = self.off
        return out


def regressor(off=0.0):
    made = LabelRegressor.build(CONFIG, ("a", "b"), encoding="instrument", covariance=True).eval()
    made.network = Fixed(off)
    return made


def test_interpolation_is_scipys():
    rng = np.random.default_rng(0)
    axes = [np.sort(rng.random(k)) for k in (4, 3, 5)]
    table = rng.random((4, 3, 5, 2))
    points = rng.random((3, 50)) * 1.4 - 0.2  # beyond the ends, too
    clipped = [np.clip(x, axis[0], axis[-1]) for x, axis in zip(points, axes, strict=True)]
    expected = RegularGridInterpolator(axes, table)(np.array(clipped).T)
    got = interpolate_cells(
        [torch.tensor(x) for x in points], [torch.tensor(x) for x in axes], torch.tensor(table)
    )
    np.testing.assert_allclose(got, expected)


def test_an_axis_of_one_node_does_not_matter():
    got = interpolate_cells(
        [torch.tensor([7.0, -7.0]), torch.tensor([0.5, 0.25])],
        [torch.zeros(1), torch.tensor([0.0, 1.0])],
        torch.tensor([[[1.0], [2.0]]]),
    )
    torch.testing.assert_close(got, torch.tensor([[1.5], [1.25]]))


def test_a_spectrum_is_described_by_what_is_usable():
    flux, ivar = torch.full((2, 8), 2.0), torch.full((2, 8), 25.0)
    ivar[0, 4:] = 0
    flux[1, :2] = torch.nan
    lsf = torch.arange(8.0).expand(2, -1)
    snr, width, coverage = describe(flux, ivar, lsf)
    torch.testing.assert_close(snr, torch.tensor([10.0, 10.0]))
    torch.testing.assert_close(width, torch.tensor([1.5, 4.5]))
    torch.testing.assert_close(coverage, torch.tensor([0.5, 0.75]))
    assert not describe(flux, ivar)[1].any()


def batches(n, seed, correlation=0.0):
    """Errors that are a smooth function of line spread function, coverage and S/N: (batch, σ) pairs."""
    rng = np.random.default_rng(seed)
    lsf, log_snr = rng.uniform(0, 2, n), rng.uniform(np.log10(1.5), np.log10(400), n)
    n_seen = rng.integers(1, 9, n)
    size = np.exp(0.5 * lsf - 0.4 * log_snr - 0.3 * np.log(n_seen / 8))
    error = rng.normal(size=(n, 2))
    error[:, 1] = correlation * error[:, 0] + np.sqrt(1 - correlation**2) * error[:, 1]
    ivar = np.where(np.arange(8) < n_seen[:, None], 10 ** (2 * log_snr)[:, None], 0)
    tensors = (np.ones((n, 8)), ivar, error * size[:, None] * [1, 2], lsf, np.zeros(n))
    return tuple(torch.as_tensor(x, dtype=torch.float32) for x in tensors), size


@pytest.fixture(scope="module")
def calibrated():
    made = regressor()
    calibrate_cells(made, [batches(60_000, 0)[0]])
    return made


def test_coverage_is_nominal_in_every_corner(calibrated):
    batch, _ = batches(60_000, 1)
    mean, sigma, labels, snr = predict_batches(calibrated, [batch])
    inside = np.abs(labels - mean) < sigma
    lsf, coverage = batch[3].numpy(), (batch[1] > 0).float().mean(1).numpy()
    assert inside.mean() == pytest.approx(0.6827, abs=0.01)
    for low_lsf in (True, False):
        for low_coverage in (True, False):
            for low_snr in (True, False):
                cell = ((lsf < 1) == low_lsf) & ((coverage <= 0.5) == low_coverage) & ((snr < 25) == low_snr)
                assert cell.sum() > 2000
                np.testing.assert_allclose(inside[cell].mean(0), 0.6827, atol=0.03)


def test_factors_are_the_errors_that_there_are(calibrated):
    batch, size = batches(2000, 2)
    _, sigma, _, _ = predict_batches(calibrated, [batch])
    ratio = sigma / (size[:, None] * [1, 2])
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
    assert np.quantile(abs(np.log(ratio)), 0.95) < 0.25


def test_the_calibration_is_kept_with_the_state(calibrated):
    again = regressor()
    again.load_state_dict(calibrated.state_dict())
    assert again.calibration_factor.shape == (*map(len, AXES.values()), 2)
    batch, _ = batches(10, 3)
    assert torch.equal(
        again.predict(*batch[:2], *batch[3:])[1], calibrated.predict(*batch[:2], *batch[3:])[1]
    )


@pytest.mark.parametrize(("true", "shrinkage"), [(0.9, 0.0), (0.5, None), (0.0, 1.0)])
def test_correlations_that_are_not_there_are_taken_away(true, shrinkage):
    """Predicted 0.9: the region of 68 % holds as many after shrinking."""
    rng = np.random.default_rng(5)
    error = rng.normal(size=(40_000, 2))
    error[:, 1] = true * error[:, 0] + np.sqrt(1 - true**2) * error[:, 1]
    correlation = np.broadcast_to([[1, 0.9], [0.9, 1]], (40_000, 2, 2))
    share = shrink_correlations(error, correlation)
    if shrinkage is not None:
        assert share == pytest.approx(shrinkage, abs=0.1)
    shrunk = correlation[0] * (1 - share) + np.eye(2) * share
    distance = np.einsum("ni,ij,nj->n", error, np.linalg.inv(shrunk), error)
    assert (distance < chi2(2).ppf(0.6826895)).mean() == pytest.approx(0.6827, abs=0.012)


def test_the_covariance_has_the_calibrated_sigma_on_its_diagonal(calibrated):
    made = regressor(off=1.0)
    made.set_calibration([10.0], [[2.0, 3.0]])
    batch, _ = batches(4, 6)
    mean, covariance = made.predict_covariance(*batch[:2], *batch[3:])
    _, sigma = made.predict(*batch[:2], *batch[3:])
    torch.testing.assert_close(sigma[:, 1] / sigma[:, 0], torch.full((4,), 1.5))
    off = 10 * np.tanh(0.1)  # bounded softly to ±10
    r = off / np.hypot(1, off)
    unit = torch.tensor([[1, r], [r, 1]], dtype=torch.float32)
    torch.testing.assert_close(covariance, sigma[:, :, None] * unit * sigma[:, None, :])
    assert not mean.any()
    with pytest.raises(ValueError, match="covariance=True"):
        LabelRegressor.build(CONFIG, ("a", "b")).predict_covariance(*batch[:2])

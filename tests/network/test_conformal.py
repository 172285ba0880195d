"""Calibration of σ, and the local tokenizer's independence of neighbours."""

import numpy as np
import pytest
import torch
from torch import nn

from specvit.network import SpectrumViT, ViTConfig
from specvit.network.conformal import binned_quantiles, calibrate, one_sigma_quantile, predict_batches
from specvit.network.regressor import LabelRegressor

CONFIG = ViTConfig(n_pixels=8, width=8, depth=1, heads=2, mlp=8, patch_size=8)


class Fixed(nn.Module):
    """A network whose answer is always 0 ± 1."""

    def forward(self, x):
        return torch.zeros(len(x), 4)


@pytest.fixture
def regressor():
    regressor = LabelRegressor.build(CONFIG, ("a", "b")).eval()
    regressor.network = Fixed()
    return regressor


def batches(n, seed, sizes):
    """Truth with a scatter of `sizes` (S/N of 5 and of 50) for each label."""
    rng = np.random.default_rng(seed)
    for snr, size in zip((5.0, 50.0), sizes, strict=True):
        labels = torch.as_tensor(rng.normal(size=(n, 2)) * size, dtype=torch.float32)
        yield torch.ones(n, 8), torch.full((n, 8), snr**2), labels


def test_coverage_is_nominal_at_every_snr(regressor):
    sizes = np.array([[3.0, 0.5], [0.2, 2.0]])
    calibrate(regressor, batches(5000, 0, sizes))
    for fresh, size in zip(batches(5000, 1, sizes), sizes, strict=True):
        mean, sigma, labels, _ = predict_batches(regressor, [fresh])
        assert sigma[0] == pytest.approx(size, rel=0.05)
        assert np.mean(np.abs(labels - mean) <= sigma, axis=0) == pytest.approx(0.6827, abs=0.02)


def test_unknown_labels_are_left_out(regressor):
    def holes():
        for flux, ivar, labels in batches(3000, 0, np.full((2, 2), 2.0)):
            labels[::2, 0] = torch.nan
            yield flux, ivar, labels

    calibrate(regressor, holes())
    sigma = regressor.predict(torch.ones(1, 8), torch.full((1, 8), 25.0))[1]
    assert sigma.numpy() == pytest.approx(2.0, rel=0.05)


def test_few_spectra_give_one_factor(regressor):
    calibrate(regressor, batches(50, 0, np.full((2, 2), 3.0)))
    assert regressor.calibration_factor.shape == (1, 2)


class TestBins:
    def test_quantiles_of_a_gaussian_are_its_sigma(self):
        """σ = 3 / S/N: the 68.27 % quantile of |Gaussian| is σ, up to the bins' width and their noise."""
        rng = np.random.default_rng(0)
        snr = np.exp(rng.uniform(0, 3, 60_000))
        size = np.abs(rng.standard_normal((60_000, 2))) * np.array([3.0, 6.0]) / snr[:, None]
        nodes, quantile = binned_quantiles(size, snr, min_count=1000, max_points=12)
        assert len(nodes) == 12 and (np.diff(nodes) > 0).all()
        assert quantile == pytest.approx(np.array([3.0, 6.0]) / nodes[:, None], rel=0.05)

    def test_unknown_rows_and_columns(self):
        size = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan], [9.0, 9.0], [9.0, 9.0]])
        nodes, quantile = binned_quantiles(size, np.array([5.0, 5, 5, 0, np.nan]), min_count=1, max_points=9)
        assert nodes.tolist() == [5.0]  # bins of one S/N are one
        assert quantile[0, 0] == pytest.approx(1 + 2 * 0.682689492) and np.isnan(quantile[0, 1])

    def test_nothing_known(self):
        nodes, quantile = binned_quantiles(np.full((3, 2), np.nan), np.ones(3), min_count=1, max_points=9)
        assert nodes.shape == (0,) and quantile.shape == (0, 2)
        assert np.isnan(one_sigma_quantile(np.full((3, 2), np.nan))).all()


class TestLocalTokenizer:
    @pytest.fixture
    def network(self):
        torch.manual_seed(0)
        return SpectrumViT(
            ViTConfig(n_pixels=70, in_channels=2, patch_size=8, stride=6, width=16, depth=1, heads=2, mlp=16)
        ).double()

    def test_each_window_has_its_own_matrix(self, network):
        x = torch.randn(3, 2, 70, dtype=torch.float64)
        tokens, tokenizer = network.tokenizer(x), network.tokenizer
        padded = nn.functional.pad(x, (0, tokenizer.padding))
        for k in range(tokens.shape[1]):
            window = padded[:, :, 6 * k : 6 * k + 8].flatten(1)
            torch.testing.assert_close(tokens[:, k], window @ tokenizer.weight[k] + tokenizer.bias[k])

    def test_equal_matrices_make_it_the_shared_map(self, network):
        config = ViTConfig.from_dict(network.config.to_dict() | {"tokenizer": "sliding_window"})
        shared = SpectrumViT(config).double()
        with torch.no_grad():
            network.tokenizer.weight.copy_(
                shared.tokenizer.linear.weight.T.expand_as(network.tokenizer.weight)
            )
        x = torch.randn(3, 2, 70, dtype=torch.float64)
        torch.testing.assert_close(network.tokenizer(x), shared.tokenizer(x))

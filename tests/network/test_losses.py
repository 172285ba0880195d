import math

import pytest
import torch
import torch.nn.functional as F

from specvit.network.losses import gaussian_nll, masked_mean, pointwise_loss

MEAN, LOG_SIGMA, TARGET = torch.randn(
    3, 50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
)


def test_likelihood_is_torch_s():
    expected = F.gaussian_nll_loss(MEAN, TARGET, (2 * LOG_SIGMA).exp(), full=True, eps=0, reduction="none")
    torch.testing.assert_close(gaussian_nll(MEAN, LOG_SIGMA, TARGET), expected)


def test_beta_scales_by_sigma_without_a_gradient_through_the_weight():
    mean, log_sigma = MEAN.clone().requires_grad_(), LOG_SIGMA.clone().requires_grad_()
    gaussian_nll(mean, log_sigma, TARGET, beta=1.0).sum().backward()
    # at β = 1 the mean has the gradient of half the squared error, whatever σ is
    torch.testing.assert_close(mean.grad, MEAN - TARGET)
    residual = ((TARGET - MEAN) / LOG_SIGMA.exp()).square()
    torch.testing.assert_close(log_sigma.grad, (2 * LOG_SIGMA).exp() * (1 - residual))
    half = gaussian_nll(MEAN, LOG_SIGMA, TARGET, beta=0.5)
    torch.testing.assert_close(half, LOG_SIGMA.exp() * gaussian_nll(MEAN, LOG_SIGMA, TARGET))


@pytest.mark.parametrize(
    ("name", "reference"), [("l1", F.l1_loss), ("mse", F.mse_loss), ("huber", F.huber_loss)]
)
def test_point_losses_are_torch_s(name, reference):
    torch.testing.assert_close(pointwise_loss(name, MEAN, None, TARGET).mean(), reference(MEAN, TARGET))


def test_loss_and_sigma_must_fit():
    with pytest.raises(ValueError, match="loss='mse' would leave σ untrained"):
        pointwise_loss("mse", MEAN, LOG_SIGMA, TARGET)
    with pytest.raises(ValueError, match="loss='gaussian_nll' needs a heteroscedastic regressor"):
        pointwise_loss("gaussian_nll", MEAN, None, TARGET)
    with pytest.raises(ValueError, match="did you mean 'l1'"):
        pointwise_loss("l11", MEAN, None, TARGET)


def test_masked_mean():
    assert masked_mean(torch.tensor([1.0, math.nan, 3.0]), torch.tensor([True, False, True])) == 2
    assert masked_mean(torch.tensor([math.nan]), torch.tensor([False])) == 0

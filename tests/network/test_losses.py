import pytest
import torch
import torch.nn.functional as F

from specvit.network.heads import correlation_factor
from specvit.network.losses import correlation_nll, gaussian_nll, pointwise_loss

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


def _factor(n, k, seed=4):
    off = torch.randn(n, k * (k - 1) // 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return correlation_factor(off, k)


def test_marginal_and_correlation_terms_make_the_joint_likelihood():
    """Against torch's multivariate normal of covariance σ K Kᵀ σ."""
    mean, log_sigma, target = torch.randn(
        3, 40, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    factor = _factor(40, 4)
    scale = log_sigma.exp()
    covariance = scale[:, :, None] * (factor @ factor.mT) * scale[:, None, :]
    expected = -torch.distributions.MultivariateNormal(mean, covariance).log_prob(target)
    total = gaussian_nll(mean, log_sigma, target) + correlation_nll(mean, log_sigma, factor, target)
    torch.testing.assert_close(total.sum(1), expected)


def test_correlations_leave_mean_and_sigma_as_they_are():
    mean, log_sigma = MEAN.clone().requires_grad_(), LOG_SIGMA.clone().requires_grad_()
    factor = _factor(50, 2).requires_grad_()
    correlation_nll(mean, log_sigma, factor, TARGET, beta=0.5).sum().backward()
    assert mean.grad is None and log_sigma.grad is None
    assert factor.grad.abs().sum() > 0


def test_a_factor_is_that_of_correlations():
    factor = _factor(20, 5)
    correlation = factor @ factor.mT
    torch.testing.assert_close(correlation.diagonal(dim1=1, dim2=2), torch.ones(20, 5, dtype=torch.float64))
    assert torch.equal(factor, factor.tril())
    assert (torch.linalg.eigvalsh(correlation) > 0).all()
    torch.testing.assert_close(correlation_factor(torch.zeros(1, 10), 5), torch.eye(5)[None])

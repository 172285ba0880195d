"""Networks of labels: all members in one product give the mean of what each of them gives, and its slopes."""

import pytest
import torch

from specvit.stars.labelnetworks import LabelNetworks

LABEL_RANGE = [[4000, 1, -1, 0, 0], [6000, 5, 0, 0.4, 0.3]]


@pytest.fixture(params=[1, 3])
def networks(request):
    torch.manual_seed(3)
    made = LabelNetworks(7, 2, LABEL_RANGE, width=12, members=request.param).double()
    made.set_scales(torch.linspace(0.5, 2, 7), torch.ones(2))
    return made


def labels_of(n):
    low, high = torch.tensor(LABEL_RANGE, dtype=torch.float64)
    return low + (high - low) * torch.rand(n, 5, dtype=torch.float64)


def mean_of_members(networks, labels):
    """By the networks themselves, one after the other."""
    x = networks.scaled(labels)
    return (
        sum(network(x) for network in networks.networks) / len(networks.networks) * torch.linspace(0.5, 2, 7)
    )


@pytest.mark.parametrize("n", [0, 1, 20])
def test_coefficients_and_slopes_are_those_of_the_mean_of_the_members(networks, n):
    labels = labels_of(n).requires_grad_()
    expected = mean_of_members(networks, labels)
    torch.testing.assert_close(networks.coefficients(labels)[0], expected, atol=1e-6, rtol=1e-6)
    slopes = networks.coefficient_slopes(labels.detach())
    assert slopes.shape == (n, 5, 7)
    for k in range(7):  # those of other stars are 0
        (slope,) = torch.autograd.grad(expected[:, k].sum(), labels, retain_graph=True)
        torch.testing.assert_close(slopes[:, :, k], slope, atol=1e-6, rtol=1e-6)


def test_every_weight_has_its_gradient(networks):
    """As of the members one after the other."""
    labels, gradients = labels_of(20), []
    for lines in (networks.coefficients(labels)[0], mean_of_members(networks, labels)):
        networks.zero_grad()
        lines.square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in networks.networks.parameters()])
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)

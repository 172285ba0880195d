"""Attributions against closed forms, finite differences in float64 and PyTorch's own attention."""

import pytest
import torch

from specvit.network import LabelRegressor, ViTConfig
from specvit.network.attribution import (
    attention_rollout,
    attention_weights,
    gradients,
    integrated_gradients,
    median_response,
    noise_gradients,
)


class Quadratic:
    """A network whose label is known: 2 + 3 (Σ w f² + Σ v f)."""

    training = False
    label_centre, label_scale = torch.tensor([2.0]).double(), torch.tensor([3.0]).double()

    def __init__(self, n_pixels=12):
        generator = torch.Generator().manual_seed(1)
        self.w, self.v = torch.randn(2, n_pixels, generator=generator).double()

    def eval(self):
        return self

    def train(self, mode):
        return self

    def __call__(self, flux, ivar, lsf, sampling):
        return (flux**2 @ self.w + flux @ self.v)[:, None], None


@pytest.fixture
def spectra():
    generator = torch.Generator().manual_seed(2)
    flux = 1 + 0.1 * torch.randn(3, 12, generator=generator).double()
    return flux, torch.full_like(flux, 400.0)


def test_closed_form_of_a_quadratic_label(spectra):
    network, (flux, ivar) = Quadratic(), spectra
    label, slope = gradients(network, flux, ivar, 0)
    torch.testing.assert_close(label, 2 + 3 * (flux**2 @ network.w + flux @ network.v))
    torch.testing.assert_close(slope, 3 * (2 * network.w * flux + network.v))
    start = torch.full_like(flux, 0.5)
    found, difference = integrated_gradients(network, flux, ivar, start, 0, n_steps=2)
    exact = 3 * (network.w * (flux**2 - start**2) + network.v * (flux - start))
    torch.testing.assert_close(found, exact)
    torch.testing.assert_close(difference, exact.sum(1))


@pytest.fixture(params=["mean", "cls"])
def regressor(request):
    torch.manual_seed(0)
    config = ViTConfig(n_pixels=64, patch_size=8, width=16, depth=3, heads=2, mlp=16, pooling=request.param)
    made = LabelRegressor.build(config, ("logg", "teff")).double()
    for parameter in made.parameters():  # large enough for the network not to be linear
        parameter.data *= 6
    made.set_label_scaling([2.0, 4800.0], [1.0, 500.0])
    return made


def test_gradients_are_finite_differences(regressor):
    generator = torch.Generator().manual_seed(2)
    flux = 1 + 0.1 * torch.randn(2, 64, generator=generator).double()
    ivar = torch.full_like(flux, 900.0)
    ivar[:, 10:20] = 0
    _, slope = gradients(regressor, flux, ivar, 1)
    assert (slope[:, 10:20] == 0).all()
    step = 1e-6
    for pixel in (0, 15, 30, 63):
        ends = []
        for sign in (1, -1):
            moved = flux.clone()
            moved[:, pixel] += sign * step
            ends.append(regressor.predict(moved, ivar)[0][:, 1])
        torch.testing.assert_close(slope[:, pixel], (ends[0] - ends[1]) / (2 * step), rtol=1e-4, atol=1e-5)


def test_attributions_are_complete(regressor):
    generator = torch.Generator().manual_seed(3)
    flux = 1 + 0.1 * torch.randn(2, 64, generator=generator).double()
    ivar, start = torch.full_like(flux, 900.0), torch.ones(2, 64).double()
    found, difference = integrated_gradients(regressor, flux, ivar, start, 0, n_steps=200)
    torch.testing.assert_close(found.sum(1), difference, rtol=0.01, atol=1e-4)
    assert difference.abs().min() > 1e-3


def test_attention_is_that_of_the_layers(regressor):
    """The first layer's, from its own parameters; and rows are shares."""
    flux = torch.rand(2, 64).double() + 0.5
    x, _ = regressor.encode(flux, torch.full_like(flux, 900.0))
    found = attention_weights(regressor.network, x)
    config = regressor.config
    assert found.shape == (2, 3, 2, config.sequence_length, config.sequence_length)
    torch.testing.assert_close(found.sum(-1), torch.ones_like(found[..., 0]))
    network, layer = regressor.network, regressor.network.layers[0]
    tokens = network.tokenizer(x)
    if network.cls is not None:
        tokens = torch.cat([network.cls.expand(2, 1, -1), tokens], 1)
    _, own = torch.nn.functional.multi_head_attention_forward(
        layer.norm1(network.position(tokens)).transpose(0, 1),
        *[layer.norm1(network.position(tokens)).transpose(0, 1)] * 2,
        16,
        2,
        layer.attention.qkv.weight,
        layer.attention.qkv.bias,
        None,
        None,
        False,
        0.0,
        layer.attention.out.weight,
        layer.attention.out.bias,
        average_attn_weights=False,
    )
    torch.testing.assert_close(found[:, 0], own)


def test_attention_of_many_spectra_is_that_of_each(regressor):
    """On a processor a layer is given a few at once."""
    x = torch.randn(21, 2, 64, dtype=torch.float64)
    found = attention_weights(regressor.network, x)
    each = torch.cat([attention_weights(regressor.network, one[None]) for one in x])
    assert found.shape[:3] == (21, 3, 2)
    torch.testing.assert_close(found, each)


def test_rollout_of_known_maps():
    still = torch.eye(3).expand(1, 2, 1, 3, 3)
    torch.testing.assert_close(attention_rollout(still), torch.full((1, 3), 1 / 3))
    # Every token looks at the last one: after two layers half of a half is left elsewhere.
    last = torch.zeros(1, 2, 1, 3, 3)
    last[..., 2] = 1
    torch.testing.assert_close(attention_rollout(last), torch.tensor([[1 / 12, 1 / 12, 10 / 12]]))
    torch.testing.assert_close(attention_rollout(last, "cls"), torch.tensor([[0.0, 1.0]]))


def test_the_median_follows_noise_as_it_does_in_simulations():
    """Stein's lemma: the mean derivative by a pixel is the covariance with its noise over its variance."""
    generator = torch.Generator().manual_seed(4)
    flux = torch.linspace(0.8, 1.2, 301).double()[None]
    sigma = torch.where(torch.arange(301) % 2 == 0, 0.02, 0.06).double()
    noise = torch.randn(40_000, 301, generator=generator, dtype=torch.float64) * sigma
    medians = (flux + noise).median(1).values
    simulated = (medians - medians.mean()) @ noise / len(noise) / sigma**2
    found = median_response(flux, (sigma**-2)[None])[0]
    assert found.sum().item() == pytest.approx(1)
    for kind in (0, 1):  # precise pixels and others, in bins about the median
        for low, high in ((0.9, 0.97), (0.97, 1.03), (1.03, 1.1)):
            chosen = (flux[0] > low) & (flux[0] < high) & (torch.arange(301) % 2 == kind)
            assert found[chosen].sum().item() == pytest.approx(simulated[chosen].sum().item(), abs=0.015)


def test_masked_pixels_do_not_move_the_median():
    flux, ivar = torch.ones(2, 8).double(), torch.full((2, 8), 100.0).double()
    ivar[0, :4] = 0
    flux[0, 0] = torch.nan
    found = median_response(flux, ivar)
    torch.testing.assert_close(found[0], torch.tensor([0, 0, 0, 0, 0.25, 0.25, 0.25, 0.25]).double())


def test_gradients_by_noise_only_spread_the_effect_of_the_level(regressor):
    generator = torch.Generator().manual_seed(5)
    flux = 1 + 0.1 * torch.randn(2, 64, generator=generator).double()
    ivar = torch.full_like(flux, 900.0)
    _, sharp = gradients(regressor, flux, ivar, 0)
    smooth = noise_gradients(regressor, flux, ivar, 0)
    torch.testing.assert_close(sharp.sum(1), smooth.sum(1))
    middle = (flux - flux.quantile(0.5, dim=1, keepdim=True)).abs().argsort(1)[:, :2]
    level = (sharp - smooth).gather(1, middle).sum(1)
    others = (smooth - sharp).scatter(1, middle, 0.0)
    torch.testing.assert_close(others.sum(1), level)
    assert (level.abs() > 1e-3).all() and (others.abs().amax(1) < 0.5 * level.abs()).all()

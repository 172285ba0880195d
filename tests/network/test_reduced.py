"""Half-precision prediction beside the network itself."""

import pytest
import torch

from specvit.network import LabelRegressor, SpectrumViT, ViTConfig
from specvit.network.reduced import ReducedViT, half_of, reduced

SHAPE = {"n_pixels": 256, "patch_size": 16, "width": 128, "depth": 2, "mlp": 256}


@pytest.mark.parametrize("position", ["learned", "rope", "sinusoidal", "none"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_in_float64_it_is_the_network(position, pooling):
    torch.manual_seed(1)
    config = ViTConfig(**SHAPE, position=position, pooling=pooling)
    network = SpectrumViT(config).double().eval()
    x = torch.randn(3, 2, 256, dtype=torch.float64)
    with torch.no_grad():
        expected = network(x)
    torch.testing.assert_close(ReducedViT(network, torch.float64)(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2e-2), (torch.float16, 2e-3)])
def test_half_precision_is_off_by_its_rounding(dtype, tolerance):
    """By no more than some of its units in the last place, and by more than float32 is."""
    torch.manual_seed(2)
    network = SpectrumViT(ViTConfig(**SHAPE)).eval()
    x = torch.randn(8, 2, 256)
    with torch.no_grad():
        expected = network(x)
        off = (ReducedViT(network, dtype)(x) - expected).abs().max() / expected.abs().max()
    assert 1e-6 < off < tolerance


def test_a_regressor_is_reduced_once_and_anew_when_its_weights_change():
    torch.manual_seed(3)
    regressor = LabelRegressor.build(ViTConfig(**SHAPE), ("logg",)).eval()
    first = reduced(regressor, torch.bfloat16)
    assert reduced(regressor, torch.bfloat16) is first and first is not regressor
    flux, ivar = 1 + 0.1 * torch.randn(2, 256), torch.full((2, 256), 100.0)
    before = first.predict(flux, ivar)[0]
    with torch.no_grad():
        regressor.network.layers[0].mlp_in.weight.mul_(3)
    again = reduced(regressor, torch.bfloat16)
    assert again is not first and not torch.equal(again.predict(flux, ivar)[0], before)


def test_what_gains_nothing_or_may_overflow_stays_as_it_is():
    narrow = LabelRegressor.build(ViTConfig(**(SHAPE | {"width": 64})), ("logg",))
    exact = LabelRegressor.build(ViTConfig(**SHAPE), ("logg",)).double()
    plain = LabelRegressor.build(ViTConfig(**SHAPE), ("logg",), encoding="none")
    for regressor in (narrow, exact, plain):
        assert reduced(regressor, torch.bfloat16) is regressor
    assert half_of("cuda") is torch.float16 and half_of("mps") is None

import math

import pytest
import torch

from specvit.network import SpectrumViT, ViTConfig
from specvit.network.positions import POSITIONS, rotate, token_wavelengths

CONFIG = {"n_pixels": 64, "patch_size": 8, "width": 32, "depth": 1, "heads": 4, "mlp": 32}


def position(name, wavelength=None, **changes):
    return POSITIONS[name](ViTConfig.reference(position=name, **{**CONFIG, **changes}), wavelength)


def test_rope_products_depend_on_the_difference_of_indices_only():
    rope = position("rope", pooling="mean", n_pixels=800)
    q, k = torch.randn(2, 8)
    q = rotate(q.expand(1, 1, 100, 8), rope.rotation())[0, 0]
    k = rotate(k.expand(1, 1, 100, 8), rope.rotation())[0, 0]
    products = q @ k.T  # (100, 100)
    for offset in (-7, 0, 1, 40):
        diagonal = products.diagonal(offset)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-4)
    assert products.diagonal(0)[0] != products.diagonal(1)[0]


def test_rope_leaves_the_class_token_and_the_length_of_vectors():
    rope = position("rope")
    x = torch.randn(1, 4, 9, 8)
    turned = rotate(x, rope.rotation())
    assert torch.equal(turned[:, :, 0], x[:, :, 0])
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))


def test_sinusoidal_closed_form():
    table = position("sinusoidal", width=36).table
    assert table.shape == (9, 36)
    assert table[5, 4].item() == pytest.approx(math.sin(5 * 10_000 ** (-4 / 36)), abs=1e-6)
    assert table[5, 5].item() == pytest.approx(math.cos(5 * 10_000 ** (-4 / 36)), abs=1e-6)


def test_pipe_is_a_function_of_wavelength_and_not_of_index():
    wavelength = torch.linspace(5000, 5630, 64, dtype=torch.float64)
    here = position("pipe", wavelength).features
    # the same wavelengths 16 pixels (two tokens) further along another grid
    step = wavelength[1] - wavelength[0]
    longer = torch.cat([wavelength[0] + step * torch.arange(-16, 0), wavelength])
    there = position("pipe", longer, n_pixels=80).features
    torch.testing.assert_close(there[2:], here, rtol=0, atol=1e-5)
    # and the same indices elsewhere in the spectrum differ
    assert (position("pipe", wavelength + 100).features - here).abs().max() > 0.1


def test_pipe_moves_every_token_alike_under_a_doppler_shift():
    wavelength = torch.linspace(5000, 8000, 64, dtype=torch.float64)

    def phase(values):
        sine, cosine = position("pipe", values).features.double().chunk(2, dim=1)
        return torch.complex(cosine, sine)

    turn = phase(wavelength * 1.001) / phase(wavelength)
    torch.testing.assert_close(turn, turn[:1].expand_as(turn), rtol=0, atol=2e-5)


def test_token_wavelengths_leave_the_padding_out():
    config = ViTConfig.reference(**{**CONFIG, "n_pixels": 20})
    assert token_wavelengths(range(100, 120), config).tolist() == [103.5, 111.5, 117.5]


@pytest.mark.parametrize(
    ("wavelength", "message"),
    [
        (None, "position='pipe' needs the wavelengths"),
        (range(1, 64), r"wavelength must have shape \(64,\), got \(63,\)"),
        (range(64), "wavelength must be finite and positive"),
    ],
)
def test_pipe_refuses_bad_wavelengths(wavelength, message):
    with pytest.raises(ValueError, match=message):
        SpectrumViT(ViTConfig.reference(position="pipe", **CONFIG), wavelength)


def test_without_positions_tokens_can_be_exchanged():
    torch.manual_seed(0)
    x = torch.randn(3, 1, 64)
    shuffled = x.view(3, 1, 8, 8)[:, :, torch.randperm(8)].reshape(3, 1, 64)
    for name in ("none", "learned", "rope"):
        network = SpectrumViT(ViTConfig.reference(position=name, **CONFIG)).eval()
        same = torch.allclose(network(x), network(shuffled), atol=1e-6, rtol=1e-4)
        assert same == (name == "none")

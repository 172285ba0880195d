import pytest
import torch

from specvit.network import SpectrumViT, ViTConfig
from specvit.network.tokenizers import normalise_chunks, token_count


def both(**changes):
    networks = []
    for tokenizer in ("conv1d", "sliding_window"):
        torch.manual_seed(3)
        config = ViTConfig.reference(
            n_pixels=70, in_channels=2, patch_size=8, width=32, depth=2, heads=4, mlp=64, tokenizer=tokenizer,
            dropout=0.0, attention_dropout=0.0, **changes,
        )  # fmt: skip
        networks.append(SpectrumViT(config).double())
    return networks


@pytest.mark.parametrize("stride", [None, 8, 5, 1])
@pytest.mark.parametrize("chunk_norm", [False, True])
def test_both_tokenizers_are_the_same_map_from_the_same_start(stride, chunk_norm):
    conv, window = both(stride=stride, chunk_norm=chunk_norm)
    for (name, a), (_, b) in zip(conv.named_parameters(), window.named_parameters(), strict=True):
        assert torch.equal(a.flatten(), b.flatten()), name
    x = torch.randn(4, 2, 70, dtype=torch.float64)
    torch.testing.assert_close(conv(x), window(x), rtol=1e-12, atol=1e-14)
    conv(x).square().sum().backward()
    window(x).square().sum().backward()
    for (name, a), (_, b) in zip(conv.named_parameters(), window.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad.flatten(), b.grad.flatten(), rtol=1e-9, atol=1e-15, msg=name)


@pytest.mark.parametrize("n_pixels", [1, 7, 8, 9, 4096])
@pytest.mark.parametrize("stride", [1, 3, 8])
def test_windows_cover_every_pixel_and_none_is_idle(n_pixels, stride):
    count = token_count(n_pixels, 8, stride)
    assert (count - 1) * stride + 8 >= n_pixels  # the last pixel is seen
    assert count == 1 or (count - 2) * stride + 8 < n_pixels  # and without the last window it is not


def test_overlapping_tokens_are_the_windows_times_the_matrix():
    _, network = both(stride=3)
    x = torch.randn(1, 2, 70, dtype=torch.float64)
    tokens = network.tokenizer(x)
    linear = network.tokenizer.linear
    for token in (0, 1, 20):
        window = x[0, :, 3 * token : 3 * token + 8].flatten()
        torch.testing.assert_close(tokens[0, token], linear.weight @ window + linear.bias)


def test_chunk_normalisation_removes_scale_and_offset():
    windows = torch.randn(2, 1, 5, 16, dtype=torch.float64)
    normal = normalise_chunks(windows)
    torch.testing.assert_close(normal.mean(-1), torch.zeros(2, 1, 5, dtype=torch.float64))
    torch.testing.assert_close(normalise_chunks(100 * windows + 7), normal, rtol=1e-4, atol=1e-4)
    assert normalise_chunks(torch.ones(1, 1, 1, 16)).abs().max() == 0  # a flat window is zero, not NaN

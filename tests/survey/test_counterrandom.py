"""The counter-based generator against its definition and against the distributions it promises."""

import numpy as np
import pytest
import torch
from scipy import stats

from specvit.survey.counterrandom import counter_bits, counter_normal

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")),
]


def splitmix64(state, n):
    """The published algorithm (Vigna's splitmix64.c), number by number, in plain Python integers."""
    numbers = []
    for _ in range(n):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        numbers.append(z ^ (z >> 31))
    return numbers


def keys(n, device="cpu"):
    return torch.as_tensor(np.random.default_rng(3).integers(2**63, size=n), device=device)


@pytest.mark.parametrize("device", DEVICES)
def test_bits_are_those_of_splitmix64(device):
    key = keys(5, device)
    bits = counter_bits(key, 7).cpu().numpy().view(np.uint64)
    expected = [splitmix64(int(k), 7) for k in key.cpu()]
    assert bits.tolist() == expected
    # The first outputs for the seed 1234567, as published with the algorithm.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    first = counter_bits(torch.tensor([1234567], device=device), 3)[0].cpu().numpy().view(np.uint64)
    assert first.tolist() == published


@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree(device):
    torch.testing.assert_close(
        counter_normal(keys(100, device), 333).cpu(), counter_normal(keys(100), 333), rtol=0, atol=2e-6
    )


def test_deviates_are_standard_normal_and_independent():
    z = counter_normal(keys(1000), 1025).double().numpy()
    assert z.shape == (1000, 1025)
    assert stats.kstest(z.ravel(), stats.norm.cdf).pvalue > 1e-3
    assert stats.kstest(z[:, 0], stats.norm.cdf).pvalue > 1e-3
    assert np.abs(z).max() < 5.8 and (np.abs(z) > 4).mean() == pytest.approx(2 * stats.norm.sf(4), rel=0.5)
    for lag in (1, 2, 3):
        assert abs((z[:, lag:] * z[:, :-lag]).mean()) < 4 / z.size**0.5
    assert abs((z[1:] * z[:-1]).mean()) < 4 / z.size**0.5


def test_a_number_depends_on_its_key_and_place_alone():
    key = keys(10)
    assert torch.equal(counter_normal(key, 100)[3:4, :41], counter_normal(key[3:4], 41))

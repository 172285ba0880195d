"""Fixed weighted sums, against scipy's interpolation, dense matrices and, for the kernel, the plain way."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BarycentricInterpolator, interp1d

from specvit.honesty.sampled import WeightedSums

RNG = np.random.default_rng(5)
POSITION = np.linspace(1.2, 37.9, 28)
VALUES = RNG.standard_normal((2, 3, 41))


def test_lines_are_those_of_scipy():
    exact = interp1d(np.arange(41), VALUES)(POSITION)
    found = WeightedSums.linear(POSITION)(torch.as_tensor(VALUES, dtype=torch.float32))
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_cubics_go_through_four_samples():
    found = WeightedSums.cubic(POSITION)(torch.as_tensor(VALUES[0, 0], dtype=torch.float32)).numpy()
    for place, got in zip(POSITION, found, strict=True):
        around = int(place) + np.arange(-1, 3)
        assert got == pytest.approx(BarycentricInterpolator(around, VALUES[0, 0, around])(place), abs=1e-5)


@pytest.mark.parametrize("kind", ["cubic", "linear"])
def test_the_way_back_is_the_transposed_matrix(kind):
    there = getattr(WeightedSums, kind)(POSITION)
    back, n = there.transposed(41), torch.eye(41)
    matrix = there(n)  # (41, 28): a column each output
    np.testing.assert_allclose(back(torch.eye(28)), matrix.T, atol=1e-7)
    values = torch.as_tensor(RNG.standard_normal(28), dtype=torch.float32)
    np.testing.assert_allclose(back(values), matrix @ values, atol=1e-5)


@pytest.mark.kernels
def test_the_kernel_gives_the_same_sums(interpreted):
    interpreted("""
import numpy as np, torch
from specvit.honesty.samplekernel import weighted_sums
from specvit.honesty.sampled import WeightedSums
values = torch.randn(2, 3, 4, 3000)
for values in (values, values[:, 1], values[:, :, 2], values[0, 0, 0], values[..., ::2].transpose(0, 1)):
    n = values.shape[-1]
    for kind in (WeightedSums.cubic, WeightedSums.linear):
        sums = kind(np.linspace(1.5, n - 3, 1100))
        for one, given in ((sums, values), (sums.transposed(n), values[..., :1100])):
            found = weighted_sums(given, one.index, one.weights)
            assert found.shape == one(given).shape and (found - one(given)).abs().max() < 1e-5
""")

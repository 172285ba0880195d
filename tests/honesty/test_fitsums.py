"""Sums over pixels, against loops."""

import numpy as np
import pytest
import torch

from specvit.honesty.fitsums import bin_sums, line_scatter, masked_median, smoothed, solved

RNG = np.random.default_rng(8)
BIN = 4


def tensor(values):
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)


def test_columns_of_zeros_get_no_weight():
    columns = RNG.standard_normal((1, 3, 50))
    columns[0, 1] = 0
    target = RNG.standard_normal((1, 50))
    gram, right = columns @ columns.swapaxes(1, 2), (columns @ target[..., None])[..., 0]
    found = solved(tensor(gram), tensor(right)).numpy()[0]
    exact = np.linalg.lstsq(columns[0, [0, 2]].T, target[0], rcond=None)[0]
    np.testing.assert_allclose(found, [exact[0], 0, exact[1]], atol=1e-5)


def test_medians_and_means_leave_bad_pixels_out():
    values, good = RNG.standard_normal((4, 31)), RNG.random((4, 31)) < 0.7
    good[3] = False
    found = masked_median(tensor(values), torch.as_tensor(good)).numpy()
    for row, seen, got in zip(values[:3], good[:3], found[:3], strict=True):
        assert np.median(row[seen]) == pytest.approx(got, abs=1e-6)
    assert found[3] == 1
    smooth = smoothed(tensor(values), torch.as_tensor(good)).numpy()
    for i, j in np.ndindex(3, 31):
        near = slice(max(j - 1, 0), j + 2)
        seen = values[i, near][good[i, near]]
        assert smooth[i, j] == pytest.approx(seen.mean() if seen.size else 1, abs=1e-6)


def test_bins_of_independent_noise_have_its_variance():
    noise = RNG.standard_normal((2, 40_003))
    good = np.ones(noise.shape, bool)
    good[0, 5] = False
    sums, whole = bin_sums(tensor(noise), torch.as_tensor(good), BIN)
    assert sums.shape == (2, 40_003 // BIN) and not whole[0, 5 // BIN] and int((~whole).sum()) == 1
    assert sums.numpy().std() == pytest.approx(1, abs=0.02)
    assert sums[1, 0].item() == pytest.approx(noise[1, :BIN].sum() / BIN**0.5, abs=1e-5)


def test_scatter_sees_noise_and_no_slope():
    noise, slope = 0.3 * RNG.standard_normal((1, 20_000)), np.linspace(0, 50, 20_000)
    good = torch.ones(1, 20_000, dtype=bool)
    assert line_scatter(tensor(noise + slope), good, 3).item() == pytest.approx(0.3, rel=0.04)
    assert line_scatter(tensor(noise[:, :30]), good[:, :30], 3).item() == 1  # too few to say

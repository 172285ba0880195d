"""Fluxes and errors of any size, brought to what single precision holds, and how many at once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from specvit.honesty.examination import _at_once
from specvit.network.tensors import cleaned, order_one, spectra_at_once

GB = 1e9


@pytest.mark.parametrize("scale", [1e-100, 1e-17, 1.0, 1e100])
@pytest.mark.parametrize("relative_err", [1e-30, 1e-2, 1e30])
def test_any_scale_is_held_by_single_precision(scale, relative_err):
    flux = scale * np.linspace(0.5, 1, 50)[None]
    ivar = np.full(flux.shape, (relative_err * scale) ** -2.0)
    ivar[0, :7] = 0
    found, weight = order_one(flux, ivar)
    np.testing.assert_allclose(found[0], np.linspace(0.5, 1, 50))
    single = weight.astype(np.float32)
    assert (single[0, :7] == 0).all() and (single[0, 7:] > 0).all() and np.isfinite(single).all()
    if relative_err == 1e-2:
        np.testing.assert_allclose(single[0, 7:], 1e4, rtol=1e-6)


@pytest.fixture
def gpu_of(monkeypatch):
    """A GPU of so many bytes, as torch would describe it."""

    def make(size):
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=size)
        )
        return torch.device("cuda", 0)

    return make


def model_on(device, coarse):
    return SimpleNamespace(mean=SimpleNamespace(device=device), coarse=coarse)


def test_a_large_gpu_gets_more_spectra_at_once_and_a_processor_few(gpu_of):
    assert spectra_at_once("cpu") == _at_once(model_on(torch.device("cpu"), 1)) == 16
    large = gpu_of(80 * GB)
    assert spectra_at_once(large) == _at_once(model_on(large, 2)) == 32_768
    assert _at_once(model_on(large, 1)) == 8192


@pytest.mark.parametrize("size", [4 * GB, 12 * GB, 24 * GB, 48 * GB, 140 * GB])
@pytest.mark.parametrize("coarse", [1, 2])
def test_fits_take_a_quarter_of_the_memory_at_most(gpu_of, size, coarse):
    n = _at_once(model_on(gpu_of(size), coarse))
    assert 64 <= n <= spectra_at_once("cuda:0") and n * 2e6 / coarse**2 <= size / 4


def test_spectra_are_cleaned():
    flux = np.array([[1.0, -4.0, np.nan, 2e-17, np.inf], [0, 0, 0, 0, 0], [3e-20, 2e-20, 1e-23, -1e-20, 5.0]])
    ivar = np.array([[4.0, 1.0, 1.0, np.inf, 1.0], [1, 1, 0, 1, -1], [1e40, 1e38, 1e40, np.nan, 0]])
    x, weight, good, high = cleaned(torch.tensor(flux), torch.tensor(ivar))
    assert x.dtype == weight.dtype == torch.float32
    np.testing.assert_allclose(x[0], [0.25, -1, 0, 0, 0])
    np.testing.assert_allclose(weight[0], [64, 16, 0, 0, 0])
    np.testing.assert_allclose(x[2], [1, 2 / 3, 1 / 3000, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(weight[2], [9, 0.09, 9, 0, 0], rtol=1e-6)
    assert good.tolist() == [2, 3, 3] and high.tolist() == [1, 0, 2]

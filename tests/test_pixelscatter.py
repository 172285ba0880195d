"""Noise from the scatter of pixels: against the distribution of Gaussian noise, and what lines leave."""

import numpy as np
import pytest
import torch

from specvit.pixelscatter import WINDOW, scatter_of_differences, windows


@pytest.mark.parametrize("spacing", [1, 3])
def test_the_median_is_the_standard_deviation_of_gaussian_noise(spacing):
    noise = 0.7 * np.random.default_rng(0).standard_normal((50, 4000))
    assert np.median(scatter_of_differences(noise, spacing), axis=1).mean() == pytest.approx(0.7, rel=0.01)


def test_noise_of_a_given_shape():
    """Half of the pixels ten times as noisy: every difference is measured by the noise of its own pixels."""
    shape = np.where(np.arange(4000) % 100 < 50, 1.0, 10.0)
    noise = 0.3 * shape * np.random.default_rng(1).standard_normal((50, 4000))
    found = scatter_of_differences(noise, shape=shape)
    assert np.median(found, axis=1).mean() == pytest.approx(0.3, rel=0.01)
    assert np.median(found, axis=0) == pytest.approx(0.3, rel=1.0)  # and so it is at the edges between them


def test_a_cubic_leaves_nothing():
    x = np.linspace(-1, 1, 300)
    assert np.abs(scatter_of_differences(5 + x - 3 * x**2 + 2 * x**3, 2)).max() < 1e-13


def test_a_line_leaves_a_seventh_of_what_it_leaves_in_second_differences():
    """Lines of 3 pixels FWHM, against DER_SNR's (2 f_i − f_(i−2) − f_(i+2)) / √6: rms over places."""
    x = np.arange(4000)
    centres = np.arange(20, 3980, 40.37)  # every position on the pixels
    flux = 1 - 0.5 * np.exp(-0.5 * ((x[:, None] - centres) / (3 / 2.3548)) ** 2).sum(1)
    second = 1.482602 * np.abs(2 * flux[2:-2] - flux[:-4] - flux[4:]) / 6**0.5
    ratio = np.sqrt(np.mean(scatter_of_differences(flux) ** 2) / np.mean(second**2))
    assert ratio == pytest.approx(1 / 7, rel=0.1)


def test_torch_and_numpy_have_the_same_numbers():
    rng = np.random.default_rng(2)
    flux, shape = rng.standard_normal((3, 50)), 1 + rng.random(50)
    for arguments in ((flux,), (flux, 2), (flux, 1, shape)):
        tensors = [torch.as_tensor(x) if isinstance(x, np.ndarray) else x for x in arguments]
        np.testing.assert_allclose(
            scatter_of_differences(*tensors).numpy(), scatter_of_differences(*arguments)
        )


def test_windows_are_the_pixels_of_a_difference():
    values = np.arange(12)
    found = windows(values, 2)
    assert len(found) == WINDOW == 5
    assert [part[1] for part in found] == [1, 3, 5, 7, 9]
    assert windows(values, 3) == [] or len(windows(values, 3)[0]) == 0
    assert windows(np.arange(4)) == []

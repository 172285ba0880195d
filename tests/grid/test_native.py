"""Native pixels and what is told of them."""

import numpy as np
import pytest

from specvit.grid import PFS_MR, PixelGrid, native_edges, relative_lsf, relative_sampling, unseen_ends


def test_equal_steps_in_wavelength():
    np.testing.assert_allclose(native_edges(7000, 7002, 0.5), [7000, 7000.5, 7001, 7001.5, 7002])


def test_equal_steps_in_velocity():
    edges = native_edges(7000, 9000, 69.0, "km/s")
    np.testing.assert_allclose(np.diff(edges) / edges[:-1] * 299_792.458, 69.0)
    assert edges[0] == 7000 and edges[-2] < 9000 <= edges[-1] * (1 + 1e-12)


@pytest.mark.parametrize("arguments", [(0, 10, 1), (10, 5, 1), (5, 10, 0), (5, 10, 1, "pixels")])
def test_what_makes_no_pixels_is_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        native_edges(*arguments)


def test_a_spectrum_twice_as_broad_is_one():
    grid = PixelGrid.linear(7000, 7100, 50, lsf_sigma=3.0)
    np.testing.assert_allclose(relative_lsf(6.0, grid), 1)
    np.testing.assert_allclose(relative_sampling(8.0, grid), 2)


def test_what_is_sharper_or_finer_is_at_the_limit():
    np.testing.assert_array_equal(relative_lsf(0.1, PFS_MR), 0)
    np.testing.assert_array_equal(relative_sampling(0.01, PFS_MR), -1)


def test_ends_are_left_out_of_spectra_that_are_less_sharp():
    """Three σ of the kernel between the line spread functions, and nothing for 0.4 pixels or less."""
    grid = PixelGrid.linear(7000, 7100, 50, lsf_sigma=3.0)  # pixels of 2 Å
    np.testing.assert_allclose(unseen_ends(np.array([0.0, 0.26, 0.27, 4.0]), grid), [0, 0, 0.81, 12])

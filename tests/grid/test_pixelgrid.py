"""Grids of constant resolving power, against what that means."""

import numpy as np
import pytest

from specvit.grid import PixelGrid


@pytest.mark.parametrize("sampling", [2.0, 2.5, 3.7])
def test_constant_resolving_power(sampling):
    """λ/FWHM is the same in all pixels, and so is FWHM over pixel; the ends are those asked for."""
    grid = PixelGrid.from_resolving_power(7100, 8850, 2500, pixels_per_fwhm=sampling, medium="air", name="R")
    assert (grid.edges[0], grid.edges[-1], grid.medium, grid.name) == (7100, 8850, "air", "R")
    np.testing.assert_allclose(grid.resolving_power, 2500, rtol=1e-12)
    per_fwhm = grid.wave / 2500 / grid.width
    np.testing.assert_allclose(per_fwhm, per_fwhm[0], rtol=1e-9)
    assert sampling <= per_fwhm[0] * (1 + 1e-9) < sampling * (1 + 2 / len(grid)) * (1 + 1e-6)


def test_as_many_pixels_as_fit_exactly_are_not_one_more():
    n, power = 1000, 2500.0
    high = 7000 * np.exp(n / (power * 2.0))
    assert len(PixelGrid.from_resolving_power(7000, high, power, pixels_per_fwhm=2.0)) == n


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((7100, 8850, 0), "resolving_power must be positive and finite, got 0"),
        ((7100, 8850, np.nan), "resolving_power must be positive and finite, got nan"),
        ((8850, 7100, 2500), "low must be below high, got 8850 and 7100"),
        ((-1, 7100, 2500), "low must be positive and finite, got -1"),
    ],
)
def test_what_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        PixelGrid.from_resolving_power(*arguments)
    with pytest.raises(ValueError, match="pixels_per_fwhm must be positive"):
        PixelGrid.from_resolving_power(7100, 8850, 2500, pixels_per_fwhm=-1)

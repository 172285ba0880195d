"""Interpolation between knots, on a processor and by gathering as on a GPU."""

import numpy as np
import pytest
import torch

from specvit.survey.imperfections import gathered, upsample


@pytest.mark.parametrize("interpolate", [gathered, upsample])
@pytest.mark.parametrize("n_knots", [2, 12, 1026])
def test_straight_lines_between_equally_spaced_knots(interpolate, n_knots, rng=np.random.default_rng(1)):  # noqa: B008
    knots = rng.standard_normal((3, 2, n_knots)).astype(np.float32)
    found = interpolate(torch.as_tensor(knots), 4096)
    place = np.linspace(0, n_knots - 1, 4096)
    expected = [np.interp(place, np.arange(n_knots), one) for one in knots.reshape(6, -1)]
    np.testing.assert_allclose(found.numpy().reshape(6, -1), expected, atol=2e-6)

"""Fluxes and errors of any size, brought to what single precision holds."""

import numpy as np
import pytest

from specvit.network.tensors import order_one


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

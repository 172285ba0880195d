"""Fluxes and errors of any size, brought to what single precision holds."""

import numpy as np
import pytest

from specvit.predictors.networkarrays import order_one


@pytest.mark.parametrize("scale", [1e-200, 1e-17, 1.0, 1e200])
@pytest.mark.parametrize("relative_err", [1e-40, 1e-2, 1e40])
def test_any_scale_is_held_by_single_precision(scale, relative_err):
    flux = scale * np.linspace(0.5, 1, 50)[None]
    with np.errstate(all="ignore"):
        ivar = np.minimum((relative_err * scale) ** -2.0, 1e300) * np.ones_like(flux)
    ivar[0, :7] = 0
    if not ivar.any():
        pytest.skip("double precision does not hold it")
    found, weight = order_one(flux, ivar)
    np.testing.assert_allclose(found[0], np.linspace(0.5, 1, 50))
    single = weight.astype(np.float32)
    assert (single[0, :7] == 0).all() and (single[0, 7:] > 0).all() and np.isfinite(single).all()
    if scale == 1.0 and relative_err == 1e-2:
        np.testing.assert_allclose(single[0, 7:], 1e4, rtol=1e-6)

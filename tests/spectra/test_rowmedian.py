"""Medians of rows beside NumPy's."""

import numpy as np

from specvit.spectra.rowmedian import row_medians


def test_each_row_has_the_median_of_its_good_pixels():
    rng = np.random.default_rng(0)
    values, good = rng.standard_normal((1100, 31)), rng.random((1100, 31)) < rng.random((1100, 1))
    good[3], values[5] = False, np.nan
    good[5] = False
    expected = [np.median(v[g]) if g.any() else np.nan for v, g in zip(values, good, strict=True)]
    np.testing.assert_array_equal(row_medians(values, good), expected)
    assert row_medians(values[:0], good[:0]).shape == (0,)

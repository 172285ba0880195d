"""What is known of spectra, row by row."""

from dataclasses import fields, replace

import numpy as np

from specvit.honesty.findings import Findings


def test_nothing_is_nan_throughout():
    found = Findings.nothing(3)
    assert all(
        np.isnan(getattr(found, f.name)).all() and len(getattr(found, f.name)) == 3 for f in fields(found)
    )


def test_rows_are_put_where_they_belong():
    found, other = Findings.nothing(4), Findings.nothing(2)
    other = replace(other, velocity=np.array([5.0, -7.0]), misfit=np.array([1.0, 2.0]))
    found.put([3, 1], other)
    assert found.velocity[[3, 1]].tolist() == [5, -7] and np.isnan(found.velocity[[0, 2]]).all()
    assert found.misfit[[3, 1]].tolist() == [1, 2] and np.isnan(found.chi2).all()

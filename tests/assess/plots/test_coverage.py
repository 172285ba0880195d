"""Calibration curves and PIT histograms of predictions whose errors are known."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy.special import ndtri

from specvit.assess import plots

mpl.use("agg")


def test_coverage(predictions, ax, lines):
    plots.plot_calibration(predictions, ax=ax)
    drawn = lines(ax)
    for name, own in predictions.groupby("predictor"):
        z = np.abs(own["truth"] - own["prediction"]) / own["sigma"]
        found = drawn[name][:, 1]
        np.testing.assert_allclose(found[50], np.mean(z <= ndtri(0.75)))
    assert found[50] < 0.3  # the overconfident
    band = ax.collections[0].get_paths()[0]
    assert all(band.contains_point(point) for point in drawn["honest"][20:81:20])


def test_pit(predictions, ax):
    plots.plot_calibration(predictions, "pit", bins=10, ax=ax)
    honest, overconfident = (patch.get_data().values for patch in ax.patches if hasattr(patch, "get_data"))
    for density in (honest, overconfident):
        assert density.sum() == pytest.approx(10)  # integrates to one
    assert np.abs(honest - 1).max() < 0.45  # 4 σ of 60 counts is 0.5
    assert overconfident[[0, -1]].min() > 2  # U-shaped
    with pytest.raises(ValueError, match="kind must be 'coverage' or 'pit', got 'qq'"):
        plots.plot_calibration(predictions, "qq", ax=ax)
    with pytest.raises(ValueError, match="finite sigma for 'logg'"):
        plots.plot_calibration(predictions.assign(sigma=np.nan), ax=ax)

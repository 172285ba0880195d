"""Figures of a star's limit and of a network's reasons: what is drawn is the data."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from specvit import LoggEstimator, Survey
from specvit.assess import plots
from specvit.limits import pixel_information, star_limit
from specvit.predictors import explain

mpl.use("agg")


def test_star_limit():
    limit = star_limit({"teff": 4500, "logg": 2.0, "mh": -0.3}, instrument="Gaia RVS", given={"teff": 40})
    axes = plots.plot_star_limit(limit, labels=["log g", "cm"], figure=Figure(layout="constrained"))
    assert len(axes) == 3 and "0." in axes[1].get_ylabel()
    information, flux = pixel_information(limit.survey, limit.labels, snr=50, given=limit.priors)
    density = information / np.diff(limit.survey.grid.edges)
    np.testing.assert_allclose(axes[1].patches[0].get_data().values, density / density.max(), rtol=1e-9)
    np.testing.assert_allclose(axes[0].get_lines()[0].get_ydata(), flux / np.median(flux), rtol=1e-9)
    with pytest.raises(ValueError, match="labels must be among"):
        plots.plot_star_limit(limit, labels="age")


def test_explanation():
    batch = Survey("paper", seed=2).draw(2, magnitude=21.0)
    found = explain(LoggEstimator(), batch.flux.numpy(), ivar=batch.ivar.numpy(), n_steps=4)
    axes = plots.plot_explanation(found, star=1, bin_width=10.0, figure=Figure(layout="constrained"))
    up, down = (patch.get_data().values for patch in axes[1].patches)
    assert (up + down).sum() == pytest.approx(found.attribution[1].sum(), rel=1e-6)
    noise = axes[2].patches[0].get_data().values
    assert np.sqrt(np.sum(noise**2)) == pytest.approx(found.noise_error[1], rel=1e-6)
    information = axes[4].patches[0].get_data().values * 10.0
    assert information.sum() == pytest.approx(found.information[1].sum(), rel=1e-6)
    both = plots.plot_explanation(found, figure=Figure(layout="constrained"))
    assert "2 stars" in both[0].texts[-1].get_text()
    with pytest.raises(ValueError, match="star must be one with an answer of the 2, got 7"):
        plots.plot_explanation(found, star=7)

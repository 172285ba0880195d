"""The figure of one prediction shows the spectrum, the model and the residuals that were computed."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from specvit import example_spectrum
from specvit.assess import plots
from specvit.predictors import fitted_spectrum

mpl.use("agg")


@pytest.fixture(scope="module")
def fit():
    return fitted_spectrum(example_spectrum(), mask=(7500, 7550))


def test_what_is_drawn(fit):
    figure = Figure(layout="constrained", figsize=(7, 4.9))
    axes = plots.plot_fit(fit, figure=figure)
    assert len(axes) == 5
    data, model = axes[0].get_lines()[:2]
    shown = np.where(fit.used, fit.spectrum.flux.value, np.nan)
    np.testing.assert_array_equal(data.get_ydata(), shown[np.isfinite(fit.model.flux.value)])
    np.testing.assert_array_equal(model.get_ydata(), fit.model.flux.value[np.isfinite(fit.model.flux.value)])
    residual = (fit.spectrum.flux.value - fit.model.flux.value) / fit.spectrum.uncertainty.array
    np.testing.assert_allclose(axes[1].get_lines()[0].get_ydata()[fit.used], residual[fit.used], rtol=1e-6)
    words = figure.get_suptitle()
    mean, sigma = fit.predictions.columns(["logg"])
    assert f"= {mean[0, 0]:.2f} ± {sigma[0, 0]:.2f}" in words and "simulated K giant" in words
    names = {text.get_text() for text in axes[0].texts}
    assert {"Ca II", "Na I", "Mg I", "Fe I", "Ti I", "K I"} <= names
    # Masked pixels are shaded, from the middle between pixels to the next.
    ends = [patch.get_x() for patch in axes[1].patches]
    assert min(abs(end - 7500) for end in ends) < 0.5


def test_a_fit_is_not_fitted_again(fit):
    with pytest.raises(TypeError, match="has its labels already"):
        plots.plot_fit(fit, medium="air")


def test_lines_are_in_vacuum():
    lines = [wave for _, waves in plots.GRAVITY_LINES for wave in waves]
    # The triplet in vacuum (Na I and Mg I too, as in `information.LINES`).
    for wave in (8500.36, 8544.44, 8664.52, 8185.51, 8197.08, 8809.18):
        assert min(abs(wave - one) for one in lines) < 0.015

"""Predictions and residuals, star by star: what is drawn is the data."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from specvit.assess import plots

mpl.use("agg")


def test_predictions(predictions, ax):
    before = predictions.copy()
    predictions.loc[3, "prediction"] = np.nan
    own = predictions[predictions["predictor"] == "honest"].dropna(subset="prediction")
    plots.plot_predictions(predictions, predictor="honest", ax=ax)
    assert ax.collections[0].get_array().sum() == len(own) == 599
    residual = own["prediction"] - own["truth"]
    spread = np.sum((own["truth"] - own["truth"].mean()) ** 2)
    (text,) = ax.texts
    assert f"= {1 - np.sum(residual**2) / spread:.3f}" in text.get_text()
    assert f"= {residual.abs().mean():.3f} dex" in text.get_text()
    assert ax.get_xlim() == ax.get_ylim()
    assert before.drop(index=3).equals(predictions.drop(index=3))
    with pytest.raises(ValueError, match=r"predictor must be one of .*: there are several"):
        plots.plot_predictions(predictions, ax=ax)
    with pytest.raises(ValueError, match=r"predictor must be one of .* got 'ViT'"):
        plots.plot_predictions(predictions, predictor="ViT", ax=ax)


@pytest.mark.parametrize("draw", [plots.plot_predictions, plots.plot_residuals])
def test_every_cell_is_whole(predictions, draw):
    """Hexagons about the outermost stars lie within the frame."""
    own = predictions[predictions["predictor"] == "honest"]
    ax = Figure().subplots()
    draw(own, ax=ax, **({} if draw is plots.plot_predictions else {"against": "magnitude"}))
    cells = ax.collections[0]
    corners = cells.get_offsets()[:, None] + cells.get_paths()[0].vertices
    for k, (low, high) in enumerate((ax.get_xlim(), ax.get_ylim())):
        assert corners[..., k].min() >= low and corners[..., k].max() <= high


def test_residuals(predictions, ax, lines):
    own = predictions[predictions["predictor"] == "honest"]
    residual = own["prediction"] - own["truth"]
    assert plots.plot_residuals(own, against="magnitude", ax=ax) is ax
    drawn = lines(ax)
    expected = residual.groupby(own["magnitude"]).median()
    np.testing.assert_allclose(drawn["median"], np.stack([expected.index, expected], 1))
    expected = residual.groupby(own["magnitude"]).quantile(0.1587)
    np.testing.assert_allclose(drawn["16 %, 84 %"][:, 1], expected)
    axes = Figure().subplots(2, 3)
    assert plots.plot_residuals(own, ax=axes).tolist() == axes.ravel().tolist()
    teff = lines(axes[0, 0])["median"]
    assert len(teff) == 12  # groups of 50
    first = own["teff"].to_numpy().argsort()[:50]
    np.testing.assert_allclose(teff[0, 1], np.median(residual.to_numpy()[first]))
    with pytest.raises(ValueError, match="ax must hold 6 Axes, one for each of against, got 1"):
        plots.plot_residuals(own, ax=ax)
    with pytest.raises(ValueError, match=r"lacks \['age'\]"):
        plots.plot_residuals(own, against="age", ax=ax)
    with pytest.raises(ValueError, match="against must name at least one column"):
        plots.plot_residuals(own, against=[], ax=ax)

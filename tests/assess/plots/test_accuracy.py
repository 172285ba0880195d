"""R² against magnitude, S/N and training size: what is drawn is the data, on the Axes given."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from specvit.assess import plots

mpl.use("agg")


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_r2_against_magnitude(table, ax, scale, lines):
    before, settings = table.copy(), dict(mpl.rcParams)
    assert plots.plot_r2(table, scale=scale, ax=ax) is ax
    pd.testing.assert_frame_equal(table, before)
    assert dict(mpl.rcParams) == settings
    drawn = lines(ax)
    r2 = table[table["by"] == "magnitude"].pivot(index="low", columns="predictor", values="r2")
    for name in r2:
        np.testing.assert_array_equal(drawn[name], np.stack([r2.index, r2[name]], 1))
    bars = next(bars for bars in ax.containers if bars.get_label() == "Ridge")
    low, high = np.array(bars.lines[2][0].get_segments())[:, :, 1].T
    np.testing.assert_allclose(high - low, 0.02)
    # The excluded region begins at the Bayes limit and reaches beyond the top of the Axes.
    (region,) = ax.collections[:1]
    corners = region.get_paths()[0].vertices
    limit = np.interp(corners[:, 0], r2.index, r2["Bayes limit"])
    np.testing.assert_allclose(np.min(corners[:, 1] - limit), 0, atol=1e-12)
    assert corners[:, 1].max() >= ax.get_ylim()[1]
    # Every predictor is inside; what is far below, and no ceiling, does not stretch the axis.
    low, high = ax.get_ylim()
    assert -0.25 <= low < 0.66 - 0.01 and high > 0.9926
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {*r2, "excluded"}
    ax.figure.canvas.draw()


def test_r2_against_snr_takes_bins_where_there_are_some(table, ax, lines):
    plots.plot_r2(table, "snr", ax=ax)
    drawn = lines(ax)
    np.testing.assert_allclose(drawn["ViT"][:, 0], 1.1 * np.array([4.4, 10.8, 24]))
    np.testing.assert_allclose(drawn["ViT"][:, 1], np.array([0.83, 0.96, 0.98]) - 0.01)
    np.testing.assert_allclose(drawn["Ridge"], [[4.4, 0.66], [10.8, 0.82], [24, 0.86]])
    assert ax.get_xscale() == "log"


def test_r2_rejects_what_it_cannot_draw(table, ax):
    with pytest.raises(ValueError, match=r"table must be a DataFrame .* lacks \['r2_err'\]"):
        plots.plot_r2(table.drop(columns="r2_err"), ax=ax)
    with pytest.raises(ValueError, match="by must be 'magnitude' or 'snr', got 'teff'"):
        plots.plot_r2(table, "teff", ax=ax)
    with pytest.raises(ValueError, match="scale must be 'linear' or 'log', got 'cubic'"):
        plots.plot_r2(table, scale="cubic", ax=ax)
    with pytest.raises(ValueError, match=r"label must be one of \['logg'\], got 'mh'"):
        plots.plot_r2(table, label="mh", ax=ax)
    with pytest.raises(ValueError, match="must have rows binned by 'magnitude'"):
        plots.plot_r2(table[table["by"] == "overall"], ax=ax)
    with pytest.raises(ValueError, match="at least one row"):
        plots.plot_r2(table[:0], ax=ax)
    with pytest.raises(TypeError, match="ax must be matplotlib Axes, got str"):
        plots.plot_r2(table, ax="left")


def test_a_figure_of_its_own(table):
    import matplotlib.pyplot as plt

    ax = plots.plot_r2(table)
    try:
        assert ax.figure.number in plt.get_fignums()
        assert ax.figure.get_size_inches()[0] == pytest.approx(3.4)
    finally:
        plt.close(ax.figure)


@pytest.mark.parametrize("by", ["magnitude", "snr"])
def test_the_legend_covers_no_curve(table, by):
    import matplotlib.pyplot as plt

    ax = plots.plot_r2(table, by)
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1 - 1
    assert ax.get_legend().get_window_extent().y1 <= ax.figure.bbox.y1
    plt.close(ax.figure)


def test_scaling(ax, lines):
    sizes, values = [50_000, 200_000, 1_000_000], {"ViT": [0.43, 0.67, 0.71], "Ridge": [0.44, 0.47, 0.5]}
    common = {"label": "logg", "by": "overall", "r2_err": 0.01}
    rows = [
        common | {"predictor": name, "kind": "predictor", "n_train": n, "r2": r2}
        for name, own in values.items()
        for n, r2 in zip(sizes, own, strict=True)
    ]
    limit = common | {"predictor": "Bayes limit", "kind": "limit", "n_train": np.nan, "r2": 0.9}
    table = pd.DataFrame([*rows[::-1], limit])
    assert plots.plot_scaling(table, ax=ax) is ax
    drawn = lines(ax)
    for name, own in values.items():
        np.testing.assert_array_equal(drawn[name], np.stack([sizes, own], 1))
    assert set(drawn["Bayes limit"][:, 1]) == {0.9} and ax.get_ylim()[1] > 0.9
    with pytest.raises(ValueError, match="their n_train positive"):
        plots.plot_scaling(table.assign(n_train=np.nan), ax=ax)


def test_cross_noise(ax):
    levels, values = [0.5, 1.0, 2.0], np.array([[0.9, 0.7, 0.3], [0.8, 0.85, 0.5], [0.6, 0.65, 0.6]])
    table = pd.DataFrame(
        [
            {"trained": a, "tested": b, "r2": values[i, j]}
            for i, a in enumerate(levels)
            for j, b in enumerate(levels)
        ]
    )
    assert plots.plot_cross_noise(table.sample(frac=1, random_state=1), ax=ax) is ax
    np.testing.assert_array_equal(ax.images[0].get_array(), values)
    texts = {text.get_position(): text for text in ax.texts}
    assert texts[2, 0].get_text() == "0.30"  # tested at the third level, trained at the first
    bold = {position for position, text in texts.items() if text.get_fontweight() == "bold"}
    assert bold == {(0, 0), (1, 1), (2, 2)}
    with pytest.raises(ValueError, match="finite r2 for each pair"):
        plots.plot_cross_noise(table[1:], ax=ax)
    with pytest.raises(ValueError, match="some are there twice"):
        plots.plot_cross_noise(pd.concat([table, table]), ax=ax)

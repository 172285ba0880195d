"""Figures: what is drawn is the data, on the Axes given, and nothing else is touched."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.special import ndtri

from specvit.assess import plots
from specvit.assess.figures import draw_summary, report_figures, save_figure
from specvit.assess.plots.information import LINES
from specvit.grid import air_to_vacuum
from specvit.labels import LABELS
from specvit.limits import pixel_information
from specvit.survey import Survey

mpl.use("agg")

MAGNITUDES = [20.0, 21.0, 22.0]
R2 = {
    "ViT": ("predictor", [0.98, 0.96, 0.83]),
    "Ridge": ("predictor", [0.86, 0.82, 0.66]),
    "Bayes limit": ("limit", [0.9926, 0.9657, 0.8365]),
    "1 - CRLB/Var (mean)": ("limit", [0.99, 0.95, -np.inf]),
}


@pytest.fixture
def ax():
    """Axes outside pyplot: there is nothing to close."""
    return Figure().subplots()


@pytest.fixture
def table():
    rows = []
    for name, (kind, values) in R2.items():
        common = {"predictor": name, "kind": kind, "label": "logg", "r2_err": 0.01, "n": 100, "unusable": 0}
        for magnitude, snr, r2 in zip(MAGNITUDES, (24.0, 10.8, 4.4), values, strict=True):
            bins = {"low": magnitude, "high": magnitude, "centre": magnitude, "snr": snr, "r2": r2}
            rows.append(common | bins | {"by": "magnitude"})
            if name == "ViT":
                rows.append(common | bins | {"by": "snr", "centre": 1.1 * snr, "r2": r2 - 0.01})
        overall = {"low": np.nan, "high": np.nan, "centre": np.nan, "snr": 10.0, "by": "overall"}
        rows.append(common | overall | {"r2": np.mean(values)})
    return pd.DataFrame(rows).sample(frac=1, random_state=0)  # in no order


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    n = 600
    truth = {name: rng.uniform(0, 1, n) for name in LABELS} | {"logg": rng.uniform(1, 5, n)}
    frames = []
    for name, scale in (("honest", 1.0), ("overconfident", 0.4)):
        sigma = rng.uniform(0.1, 0.4, n)
        prediction = truth["logg"] + sigma * rng.standard_normal(n)
        columns = {"star": np.arange(n), "magnitude": rng.choice(MAGNITUDES, n), "snr": 10.0}
        columns |= {"truth": truth["logg"], "prediction": prediction, "sigma": scale * sigma}
        frames.append(pd.DataFrame({"predictor": name, "label": "logg"} | columns | truth))
    return pd.concat(frames, ignore_index=True)


def lines(ax):
    """Curves by their names in the legend: dict of str to (n, 2)."""
    found = {line.get_label(): line.get_xydata() for line in ax.get_lines()}
    return found | {bars.get_label(): bars.lines[0].get_xydata() for bars in ax.containers}


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_r2_against_magnitude(table, ax, scale):
    before, settings = table.copy(), dict(mpl.rcParams)
    assert plots.plot_r2(table, scale=scale, ax=ax) is ax
    pd.testing.assert_frame_equal(table, before)
    assert dict(mpl.rcParams) == settings
    drawn = lines(ax)
    for name, (_, values) in R2.items():
        np.testing.assert_array_equal(drawn[name], np.stack([MAGNITUDES, values], 1))
    bars = next(bars for bars in ax.containers if bars.get_label() == "Ridge")
    low, high = np.array(bars.lines[2][0].get_segments())[:, :, 1].T
    np.testing.assert_allclose(high - low, 0.02)
    # The excluded region begins at the Bayes limit and reaches beyond the top of the Axes.
    (region,) = ax.collections[:1]
    corners = region.get_paths()[0].vertices
    limit = np.interp(corners[:, 0], MAGNITUDES, R2["Bayes limit"][1])
    np.testing.assert_allclose(np.min(corners[:, 1] - limit), 0, atol=1e-12)
    assert corners[:, 1].max() >= ax.get_ylim()[1]
    # Every predictor is inside; what is far below, and no ceiling, does not stretch the axis.
    low, high = ax.get_ylim()
    assert -0.25 <= low < 0.66 - 0.01 and high > 0.9926
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {*R2, "excluded"}
    ax.figure.canvas.draw()


def test_r2_against_snr_takes_bins_where_there_are_some(table, ax):
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


def test_scaling(ax):
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


def test_learning_curve(ax):
    step, val_step = np.arange(50, 1001, 50), np.array([250, 500, 750, 1000])
    history = {
        "step": step.tolist(),
        "train_loss": (1 / step).tolist(),
        "val_step": val_step.tolist(),
        "val_loss": [0.9, 0.5, 0.4, 0.6],
        "val_r2_logg": [0.1, 0.5, 0.7, 0.6],
    }
    plots.plot_learning_curve(history, ax=ax)
    drawn = lines(ax)
    np.testing.assert_array_equal(drawn["training"], np.stack([step, 1 / step], 1))
    np.testing.assert_array_equal(drawn["validation"][:, 1], history["val_loss"])
    assert ax.get_lines()[-1].get_xydata().tolist() == [[750, 0.4]]  # the ring
    other = Figure().subplots()
    plots.plot_learning_curve({"a": history, "b": history}, "val_r2_logg", ax=other)
    np.testing.assert_array_equal(lines(other)["b"][:, 1], history["val_r2_logg"])
    assert other.get_lines()[1].get_xydata().tolist() == [[750, 0.7]]
    assert other.get_ylabel() == r"validation $R^2$ of $\log\,g$"
    with pytest.raises(ValueError, match=r"history of 'b' must have .* lacks \['val_mae_mh'\]"):
        plots.plot_learning_curve({"b": history}, "val_mae_mh", ax=ax)


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


def test_residuals(predictions, ax):
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


def test_coverage(predictions, ax):
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


@pytest.fixture(scope="module")
def survey():
    return Survey("paper")


def test_information(survey, ax):
    star = [4500.0, 2.0, -0.4, 0.1, 0.0]
    information, flux = pixel_information(survey, star, 21.5)
    assert plots.plot_information(survey, star, 21.5, ax=ax) is ax
    np.testing.assert_allclose(ax.get_lines()[0].get_xydata()[:, 1], flux / np.median(flux))
    (below,) = (other for other in ax.figure.axes if other is not ax)
    np.testing.assert_allclose(
        below.patches[0].get_data().values, information / np.diff(survey.grid.edges), rtol=1e-12
    )
    with pytest.raises(ValueError, match=r"label must be one of .* got 'age'"):
        plots.plot_information(survey, star, 21.5, label="age", ax=ax)
    with pytest.raises(ValueError, match="survey must have no imperfections"):
        plots.plot_information(Survey("pfs-mr"), star, 21.5, ax=ax)
    with pytest.raises(ValueError, match="not known, got 'logg'"):
        plots.plot_information(survey, star, 21.5, known=("logg",), ax=ax)


def test_lines_are_at_their_vacuum_wavelengths():
    """From the wavelengths in air of the NIST database."""
    air = [7664.90, 7698.96, 8183.26, 8194.82, 8498.02, 8542.09, 8662.14, 8806.76]
    np.testing.assert_allclose(
        [x for places in LINES.values() for x in places], air_to_vacuum(air), atol=0.02
    )


def test_files_of_figures_are_reproducible(table, tmp_path):
    first, again = (save_figure(draw_summary(table), tmp_path / name, ("svg", "png")) for name in "ab")
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_figures_of_a_report_draw(table, predictions):
    table["predictor"] = table["predictor"].replace({"ViT": "honest", "Ridge": "overconfident"})
    stems = []
    for figure, stem, caption in report_figures(table, predictions, "logg"):
        figure.canvas.draw()
        stems.append(stem)
        assert "log g" in caption
    assert stems == ["r2", "predictions", "residuals1", "residuals2", "calibration"]

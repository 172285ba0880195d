"""Predicted against literature: what is drawn is the data, on the Axes given."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from specvit.assess import compare_with_literature, plots

mpl.use("agg")


@pytest.fixture
def stars():
    rng = np.random.default_rng(0)
    known = {"logg": rng.uniform(1, 5, 12), "logg_err": [0.2] * 11 + [np.nan]}
    predicted = {"logg": known["logg"] + rng.normal(0, 0.3, 12), "logg_err": np.full(12, 0.1)}
    predicted["logg"][0] = np.nan
    groups = ["giant"] * 5 + ["dwarf"] * 6 + [None]
    return compare_with_literature(predicted, known, groups, return_stars=True)[1]


def test_both_panels(stars):
    settings, before = dict(mpl.rcParams), stars.copy()
    pair = Figure().subplots(2, 1)
    upper, lower = plots.plot_literature(stars, ax=pair)
    assert upper is pair[0] and lower is pair[1] and dict(mpl.rcParams) == settings
    assert stars.equals(before)
    for panel in (upper, lower):
        assert len(panel.containers) == 3
    drawn = {bars.get_label(): bars for bars in upper.containers}
    assert list(drawn) == ["giant (4)", "dwarf (6)", "others (1)"]
    own = stars[stars["group"] == "dwarf"]
    np.testing.assert_array_equal(
        drawn["dwarf (6)"].lines[0].get_xydata(), own[["literature", "predicted"]].to_numpy()
    )
    (segments,) = [np.array(line.get_segments()) for line in lower.containers[1].lines[2]]
    np.testing.assert_allclose(np.ptp(segments[:, :, 1], 1), 2 * np.hypot(0.1, 0.2))
    np.testing.assert_allclose(segments[:, :, 1].mean(1), own["predicted"] - own["literature"])
    middle = lower.get_lines()[1:]
    medians = [line.get_ydata()[0] for line in middle if len(line.get_ydata()) == 2]
    assert np.median(own["predicted"] - own["literature"]) in medians
    assert upper.get_xlim() == lower.get_xlim()
    assert "Delta" in lower.get_ylabel() and "dex" in upper.get_ylabel()


def test_without_groups_and_what_is_refused(stars):
    plain = stars.drop(columns="group")
    upper, _ = plots.plot_literature(plain, ax=Figure().subplots(2, 1))
    assert upper.get_legend() is None and len(upper.containers) == 1
    with pytest.raises(ValueError, match="label must be one of"):
        plots.plot_literature(stars, label="teff")
    with pytest.raises(ValueError, match="prediction of 'logg' for at least one star"):
        plots.plot_literature(stars.assign(predicted=np.nan))
    with pytest.raises(ValueError, match="it lacks \\['survey'\\]"):
        plots.plot_literature(stars, by="survey")
    with pytest.raises(ValueError, match="ax must hold two Axes"):
        plots.plot_literature(stars, ax=Figure().subplots())

"""Figures of studies: what is drawn, and that no line or point hides behind another."""

import numpy as np
import pandas as pd
import pytest

from studies.configuration import Configuration
from studies.figures import draw
from studies.study import Picture, Study

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """A function that draws a picture of rows (name, x, R²) and gives the figure."""
    from matplotlib.figure import Figure

    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: kept.append(self))

    def figure(picture, rows, reference=()):
        average = pd.DataFrame(rows, columns=["name", "x", "r2"])
        average = average.assign(r2_err=0.01, label="logg", test="paper", condition=np.nan)
        study = Study("s", "S", "?", {"a": [Configuration()]}, picture, reference=reference)
        draw(study, average, tmp_path / "s.svg")
        return kept.pop()

    return figure


def lines(axes):
    """Lines of an axis that have a name."""
    named = {one.get_label(): one[0] for one in axes.containers}
    return named | {one.get_label(): one for one in axes.get_lines() if not one.get_label().startswith("_")}


def test_a_variant_of_a_series_has_its_colour_and_is_dashed(drawn):
    rows = [(name, x, 0.5) for name in ("1", "2", "1, noise told") for x in (1.0, 2.0)]
    found = lines(drawn(Picture("x", "name"), rows).axes[0])
    assert found["1"].get_color() == found["1, noise told"].get_color() != found["2"].get_color()
    assert found["1"].get_linestyle() == "-" and found["1, noise told"].get_linestyle() == "--"


def test_few_sizes_have_a_tick_each_and_the_reference_stands_beside(drawn):
    sizes = (5_000.0, 50_000.0, 1_000_000.0)
    rows = [(name, x, 0.8) for name in ("ViT", "MLP") for x in sizes]
    reference = ({"name": "ViT", "x": 50_000, "r2": 0.4}, {"name": "ViT", "x": 1_000_000, "r2": 0.7})
    axes = drawn(Picture("x", "name", log=True), rows, reference).axes[0]
    assert [one.get_text() for one in axes.get_xticklabels()] == ["5,000", "50,000", "1,000,000"]
    assert not axes.get_xticks(minor=True).size
    beside = lines(axes)["ViT: the reference's"]
    assert list(beside.get_ydata()) == [0.4, 0.7]
    assert beside.get_color() == lines(axes)["ViT"].get_color()
    texts = [one.get_text() for one in axes.get_legend().get_texts()]
    assert texts == ["ViT", "ViT: the reference's", "MLP"]


def test_what_has_no_place_on_the_axis_is_a_line_across(drawn):
    rows = [("ViT", 1e4, 0.8), ("ViT", 1e5, 0.8), ("limit", np.nan, 0.9)]
    axes = drawn(Picture("x", "name", log=True), rows).axes[0]
    assert list(lines(axes)["limit"].get_ydata()) == [0.9, 0.9]
    assert [one.get_text() for one in axes.get_legend().get_texts()] == ["ViT", "limit"]


def test_points_of_one_word_do_not_hide_each_other(drawn):
    rows = [(name, x, 0.8) for name in ("standard", "minmax") for x in ("l1", "mse")]
    axes = drawn(Picture("x", "name"), rows).axes[0]
    first, second = (lines(axes)[name].get_xdata() for name in ("standard", "minmax"))
    assert (np.abs(first - second) > 0.1).all() and np.allclose((first + second) / 2, [0, 1])
    assert [one.get_text() for one in axes.get_xticklabels()] == ["l1", "mse"]


def test_a_floor_keeps_the_others_apart(drawn):
    rows = [("good", 1.0, 0.9), ("good", 2.0, 0.8), ("bad", 1.0, -3.0), ("bad", 2.0, -9.0)]
    bottom, top = drawn(Picture("x", "name", floor=0.4), rows).axes[0].get_ylim()
    assert bottom == 0.4 and 0.9 < top < 0.95


def test_panels_share_out_the_names_and_cut_none(drawn):
    rows = [(name, 0.0, 0.8) for name in "abcde"]
    figure = drawn(Picture("name", panels=(("a", "b"), ("c", "d", "e"), ("not run",))), rows)
    assert [len(axes.get_yticks()) for axes in figure.axes] == [2, 3]
    for axes in figure.axes:
        assert axes.get_ylim() == (len(axes.get_yticks()) - 0.5, -0.5)


def test_the_reference_stands_beside_in_a_list(drawn):
    rows = [(name, 0.0, 0.8) for name in "ab"]
    reference = ({"name": "b", "r2": 0.6}, {"name": "not run", "r2": 0.1}, {"name": "a", "gradient": 5.0})
    (axes,) = drawn(Picture("name"), rows, reference).axes
    beside = axes.get_lines()[-1]
    assert list(beside.get_xdata()) == [0.6] and list(beside.get_ydata()) == ["b"]
    assert axes.get_xlabel() and beside.get_markerfacecolor() == "none"


def test_the_legend_says_what_its_names_are(drawn):
    rows = [(name, x, 0.8) for name in ("1", "2") for x in (1.0, 2.0)]
    (axes,) = drawn(Picture("x", "name", series_label="noise in training"), rows).axes
    assert axes.get_legend().get_title().get_text() == "noise in training"

"""The law of size."""

import numpy as np
import pandas as pd
import pytest

from studies.law import draw_law, fit_law, law_table

LIMIT = 0.9


def made(a=0.4, b=0.7, scatter=0.0):
    parameters, seen = (x.ravel() for x in np.meshgrid([1e5, 3e5, 1e6, 3e6], [1e6, 3e6, 1e7]))
    distance = 5 * parameters**-a + 200 * seen**-b
    return parameters, seen, LIMIT - distance * np.exp(scatter * np.random.default_rng(0).normal(size=12))


def test_the_law_that_made_the_values_is_found():
    law = fit_law(*made(), LIMIT)
    assert law["a"][0] == pytest.approx(0.4, rel=1e-4) and law["b"][0] == pytest.approx(0.7, rel=1e-4)
    assert law["log_a"][0] == pytest.approx(np.log(5), abs=1e-3)


def test_errors_of_the_exponents_cover_the_truth():
    law = fit_law(*made(scatter=0.02), LIMIT)
    for name, truth in (("a", 0.4), ("b", 0.7)):
        value, err = law[name]
        assert 0 < err < 0.5 and abs(value - truth) < 3 * err


@pytest.mark.parametrize("change", [lambda x: x[:4], lambda x: np.where(x == x[0], 1, x)])
def test_a_law_needs_enough_trainings_below_the_limit(change):
    parameters, seen, r2 = made()
    r2 = change(r2)
    with pytest.raises(ValueError, match="r2 must be"):
        fit_law(parameters[: len(r2)], seen[: len(r2)], r2 if len(r2) < 5 else r2 + (r2 == 1), LIMIT)


@pytest.fixture
def table():
    """Tidy table of twelve trainings, one of another network, and the limit."""
    parameters, seen, r2 = made()
    every = {"label": "logg", "test": "paper", "condition": np.nan}
    names = [str(k) for k in range(len(r2))]
    own = pd.DataFrame({"name": names, "parameters": parameters, "spectra_seen": seen, "r2": r2})
    own = own.assign(network="compact", **every)
    other = own[:1].assign(network="reference", r2=0.1)
    limit = pd.DataFrame([{"name": "Bayes limit", "network": "compact", "r2": LIMIT} | every])
    return pd.concat([own, other, limit], ignore_index=True)


def test_the_law_is_told_with_the_limit_that_it_was_fitted_to(table):
    law = law_table(table).set_index("quantity")["value"]
    assert law["R² at the limit"] == "0.9000" and law["exponent of parameters"].startswith("0.400")


def test_seeds_of_one_shape_are_no_further_points_of_the_law(table):
    off = np.where(table.index % 2, 1.05, 0.95)  # of the law, so that its exponents have errors
    once = table.assign(r2=LIMIT - (LIMIT - table["r2"]) * off)
    assert law_table(pd.concat([once] * 3, ignore_index=True)).equals(law_table(once))


def test_trainings_and_law_are_drawn_below_the_limit(table, tmp_path, monkeypatch):
    figures = pytest.importorskip("matplotlib.figure")
    kept = []
    monkeypatch.setattr(figures.Figure, "savefig", lambda self, *_, **__: kept.append(self))
    draw_law(table, tmp_path / "law.svg")
    across, along = kept.pop().axes
    for axes, expected in (
        (across, lambda n: 5 * n**-0.4 + 200 * 1e6**-0.7),
        (along, lambda d: 5 * 1e5**-0.4 + 200 * d**-0.7),
    ):
        points, law = axes.get_lines()
        assert len(points.get_xdata()) == (4 if axes is across else 3)
        for line in (points, law):
            assert line.get_ydata() == pytest.approx(expected(line.get_xdata()), rel=1e-4)


def test_too_few_trainings_have_no_law(table, tmp_path):
    few = table[table["name"].isin(["0", "1", "Bayes limit"])]
    draw_law(few, tmp_path / "law.svg")
    assert law_table(few).empty and not list(tmp_path.iterdir())

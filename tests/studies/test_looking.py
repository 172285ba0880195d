"""What a network looks at: shares of lines and rank correlations of made-up measures."""

import numpy as np
import pytest

from specvit.assess.plots.information import LINES
from specvit.grid import PFS_MR
from studies.looking import MEASURES, WINDOW, line_shares, rank_correlations


def spread(values):
    return values / values.sum(1, keepdims=True)


def measures(**made):
    rng = np.random.default_rng(0)
    base = spread(np.repeat(rng.gamma(1.0, size=(1, 128)), WINDOW, 1).repeat(6, 0))
    return dict.fromkeys(("information", *MEASURES), base) | made


def test_a_measure_that_is_equal_everywhere_has_the_share_of_the_pixels():
    flat = np.full((5, 4096), 1 / 4096)
    table = line_shares(PFS_MR.wave, {"attention": flat}).set_index("line")
    assert table["attention"].to_numpy() == pytest.approx(table["pixels"].to_numpy())
    width = 8.0 * len(LINES["Ca II"]) / (1750 / 4096)
    assert table.loc["Ca II", "pixels"] * 4096 == pytest.approx(width, abs=len(LINES["Ca II"]))


def test_a_measure_of_one_line_is_counted_for_it_alone():
    one = np.zeros((2, 4096))
    one[:, np.abs(PFS_MR.wave - LINES["Mg I"][0]).argmin()] = 1
    table = line_shares(PFS_MR.wave, {"x": one}).set_index("line")
    assert table.loc["Mg I", "x"] == 1 and table["x"].sum() == 1


def test_ranks_of_like_opposite_and_unlike_measures():
    base = measures()["information"]
    shuffled = np.repeat(np.random.default_rng(1).permutation(base[:, ::WINDOW].T).T, WINDOW, 1)
    given = measures(**{"attention": spread(base.max() * 1.01 - base), "sensitivity": shuffled})
    found = rank_correlations(given)
    assert found["integrated gradients"][0] == pytest.approx(1)
    assert found["attention"][0] == pytest.approx(-1)
    assert abs(found["sensitivity"][0]) < 4 / 128**0.5

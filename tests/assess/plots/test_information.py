"""The information in each pixel sums to that of the spectrum, and is drawn as it is."""

from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest

from specvit.assess import plots
from specvit.assess.plots.information import LINES
from specvit.grid import air_to_vacuum
from specvit.limits import pixel_information
from specvit.survey import Survey

mpl.use("agg")


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


@pytest.mark.parametrize("width", [3.4, 7.0])
def test_names_of_axes_are_beside_their_numbers(survey, width):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 2.8), layout="constrained")
    ax = plots.plot_information(survey, [4500.0, 2.0, -0.4, 0.1, 0.0], 21.5, ax=figure.subplots())
    figure.draw_without_rendering()
    (below,) = (other for other in figure.axes if other is not ax)
    for axes in (ax, below):
        name = axes.yaxis.label.get_window_extent()
        for number in axes.get_yticklabels():
            assert not name.overlaps(number.get_window_extent())
        assert name.x0 >= 0 and name.x1 <= figure.bbox.x1
    numbers = [one.get_window_extent() for one in ax.get_xticklabels()]
    assert not any(a.overlaps(b) for a, b in pairwise(numbers))


def test_lines_are_at_their_vacuum_wavelengths():
    """From the wavelengths in air of the NIST database."""
    air = [7664.90, 7698.96, 8183.26, 8194.82, 8498.02, 8542.09, 8662.14, 8806.76]
    np.testing.assert_allclose(
        [x for places in LINES.values() for x in places], air_to_vacuum(air), atol=0.02
    )

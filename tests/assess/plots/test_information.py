"""The information in each pixel sums to that of the spectrum, and is drawn as it is."""

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


def test_lines_are_at_their_vacuum_wavelengths():
    """From the wavelengths in air of the NIST database."""
    air = [7664.90, 7698.96, 8183.26, 8194.82, 8498.02, 8542.09, 8662.14, 8806.76]
    np.testing.assert_allclose(
        [x for places in LINES.values() for x in places], air_to_vacuum(air), atol=0.02
    )

"""Statistics of measured velocities, of a predictor whose errors are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from specvit.assess.measuredvelocities import velocity_cells
from specvit.assess.scene import STARS
from specvit.spectra import Flag


class Known:
    """It measures velocities 1 km/s too high, ± 3, with errors of 2; the first is 200 off and alarmed."""

    def predict_labels(self, flux, **given):
        n = len(flux)
        off = 1 + 3 * np.where(np.arange(n) % 2, 1.0, -1.0)
        off[0] = 200.0
        velocity, flags = np.linspace(-500, 500, n) + off, np.zeros(n, int)
        flags[0] = Flag.BAD_FIT
        logg = np.full((n, 1), STARS["giant"][1] + 0.25)
        return SimpleNamespace(
            findings=SimpleNamespace(velocity=velocity, velocity_err=np.full(n, 2.0)),
            batch=SimpleNamespace(flags=flags),
            columns=lambda names: (logg, logg),
        )


def test_failures_count_in_nothing_else():
    [cell] = velocity_cells(Known(), snr=(10,), stars={"giant": STARS["giant"]}, draws=21)
    assert cell.failed == pytest.approx(1 / 21) and cell.alarmed == 1
    assert cell.bias == pytest.approx(1) and cell.logg_bias == pytest.approx(0.25)
    assert cell.scatter == pytest.approx(3 * (20 / 19) ** 0.5)
    assert cell.bias_err == pytest.approx(cell.scatter / 20**0.5)
    assert cell.pull == pytest.approx(((4**2 + 2**2) / 2 / 2**2) ** 0.5)

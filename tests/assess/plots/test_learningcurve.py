"""Learning curves: what is drawn is the history."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from specvit.assess import plots

mpl.use("agg")


def test_learning_curve(ax, lines):
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

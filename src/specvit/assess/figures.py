"""The figures of a report, drawn outside pyplot, and how figures are written to files."""

from __future__ import annotations

import math

import numpy as np

from specvit.assess.plots import plot_calibration, plot_predictions, plot_r2, plot_residuals
from specvit.assess.plots.accuracy import CEILING
from specvit.assess.plots.starbystar import AGAINST
from specvit.assess.plots.style import COLUMN, LEGEND
from specvit.labels import label_of
from specvit.paths import user_path

__all__ = ["draw_summary", "new_figure", "report_figures", "save_figure"]


def draw_summary(table, *, label="logg"):
    """The main figure: R² with limits and peers, against magnitude and against S/N.

    Parameters
    ----------
    table : DataFrame
        Table of `evaluate`.
    label : str
        Name of the label, as in the table.

    Returns
    -------
    matplotlib Figure
        Two panels, the full width of a page; the second logarithmic in 1 − R²; the legend below. Not of
        pyplot, so there is nothing to close.

    Examples
    --------
    >>> from specvit import LoggEstimator, Survey
    >>> from specvit.assess import evaluate
    >>> vit = {"ViT": LoggEstimator(weights="paper")}
    >>> table = evaluate(vit, Survey("paper"), n=24, magnitudes=[20, 21], limits=False, bootstrap=0)
    >>> len(draw_summary(table).axes)
    2
    """
    figure = new_figure((2.06 * COLUMN[0], 1.3 * COLUMN[1]))
    left, right = figure.subplots(1, 2)
    plot_r2(table, "magnitude", label=label, legend=False, ax=left)
    plot_r2(table, "snr", label=label, scale="log", legend=False, ax=right)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, **LEGEND)
    return figure


def save_figure(figure, path, formats=("png",), dpi=200):
    """Write a figure in each of `formats` beside `path`, the same bytes every time; the paths written.

    Examples
    --------
    >>> import tempfile
    >>> figure = new_figure((3.0, 2.0))
    >>> [path.name for path in save_figure(figure, tempfile.mkdtemp() + "/empty", ("png", "pdf"))]
    ['empty.png', 'empty.pdf']
    """
    import matplotlib as mpl

    paths = [user_path(path).with_suffix(f".{form}") for form in formats]
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with mpl.rc_context({"svg.hashsalt": "specvit"}):
        for file in paths:
            figure.savefig(file, dpi=dpi, metadata=dates.get(file.suffix[1:]))
    return paths


def report_figures(part, predictions, label):
    """Figures of one label with stems of their files and captions, one at a time."""
    symbol = label_of(label).plain
    if (part["by"] == "magnitude").any() and (part["by"] == "snr").any():
        caption = f"R² of {symbol} against magnitude and S/N"
        shaded = (part["predictor"] == CEILING).any()
        caption += "; nothing can lie in the shaded region." if shaded else "."
        yield draw_summary(part, label=label), "r2", caption
    if predictions is None:
        return
    own = predictions[(predictions["label"] == label) & np.isfinite(predictions["prediction"])]
    counts = own["predictor"].value_counts()
    peers = [name for name in dict.fromkeys(part["predictor"]) if counts.get(name, 0) > 1]
    peers = [name for name in peers if (part.loc[part["predictor"] == name, "kind"] == "predictor").all()]
    if not peers:
        return
    own = own[own["predictor"].isin(peers)]
    figure = new_figure((3.4 * min(len(peers), 2), 3.0 * math.ceil(len(peers) / 2)))
    axes = np.atleast_1d(figure.subplots(math.ceil(len(peers) / 2), min(len(peers), 2))).ravel()
    for ax, name in zip(axes, peers, strict=False):
        plot_predictions(own, label=label, predictor=name, ax=ax)
        ax.set_title(name, fontsize=8.5)
    for empty in axes[len(peers) :]:
        empty.remove()
    yield figure, "predictions", f"Predicted against true {symbol}."
    for number, name in enumerate(peers):
        figure = new_figure((7.0, 4.4))
        against = [key for key in AGAINST if own[key].notna().all()]
        axes = figure.subplots(2, 3, sharey=True).ravel()
        for empty in axes[len(against) :]:
            empty.remove()
        plot_residuals(own, label=label, predictor=name, against=against, ax=axes[: len(against)])
        yield figure, f"residuals{number + 1}", f"Residuals of {symbol} of {name} against every label."
    if np.isfinite(own["sigma"]).any():
        figure = new_figure((2.06 * COLUMN[0], COLUMN[1]))
        for ax, kind in zip(figure.subplots(1, 2), ("coverage", "pit"), strict=True):
            plot_calibration(own, kind, label=label, ax=ax)
        yield figure, "calibration", f"Are the errors of {symbol} honest? Coverage, and PIT histogram."


def new_figure(size):
    """A matplotlib Figure of `size` inches, (width, height), outside of pyplot: there is nothing to close."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")

"""Figures of single stars: predictions against the truth, and residuals against labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from specvit.assess.metrics import figures_of_merit
from specvit.assess.plots.style import (
    COLUMN,
    DENSITY,
    LEGEND,
    SMALL,
    axis_name,
    choose,
    dress,
    name_axes,
    new_axes,
    require_columns,
)
from specvit.labels import LABELS, label_of

__all__ = ["AGAINST", "plot_predictions", "plot_residuals"]

_COLUMNS = ("predictor", "label", "truth", "prediction")
#: What residuals are drawn against unless said otherwise.
AGAINST = (*LABELS, "magnitude")


def plot_predictions(
    predictions: Any,
    *,
    label: str = "logg",
    predictor: str | None = None,
    colorbar: bool = True,
    ax: Any = None,
) -> Any:
    """Predicted against true label, as the density of stars.

    Parameters
    ----------
    predictions : DataFrame
        Predictions of ``specvit.assess.evaluate(..., return_predictions=True)`` with columns predictor,
        label, truth, prediction. Rows without a finite prediction are left out.
    label : str
        Name of the label, as in the table.
    predictor : str, optional
        May be left out if there is only one.
    colorbar : bool
        Whether to draw a colour bar, which takes room from `ax`.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure of one column.

    Returns
    -------
    matplotlib Axes
        With R², MAE and the number of stars written in the corner.

    Examples
    --------
    .. plot::

        >>> import numpy as np
        >>> import pandas as pd
        >>> from specvit.assess.plots import plot_predictions
        >>> rng = np.random.default_rng(1)
        >>> truth, sigma = rng.uniform(0.5, 5, 4000), rng.uniform(0.05, 0.5, 4000)
        >>> columns = {"predictor": "ViT", "label": "logg", "truth": truth, "sigma": sigma}
        >>> columns["prediction"] = truth + sigma * rng.standard_normal(4000)
        >>> ax = plot_predictions(pd.DataFrame(columns))
    """
    rows, _ = _stars(predictions, label, predictor)
    truth, prediction = rows["truth"].to_numpy(float), rows["prediction"].to_numpy(float)
    ax = new_axes(ax, (COLUMN[0], 3.0))
    both = np.concatenate([truth, prediction])
    low, high = np.min(both), np.max(both)
    pad = 0.02 * (high - low) or 1.0
    low, high = low - pad, high + pad
    cells, frame = _cells(ax, truth, prediction, (low, high, low, high))
    low, high = min(frame), max(frame)
    ax.plot([low, high], [low, high], color="#D55E00", linewidth=0.9, linestyle=(0, (5, 2)), zorder=3)
    figures = figures_of_merit(truth, prediction)
    unit = label_of(label).error_unit
    form = ".0f" if unit == "K" else ".3f"
    ax.text(
        0.04,
        0.96,
        f"$R^2$ = {figures['r2']:.3f}\nMAE = {figures['mae']:{form}} {unit}\n$n$ = {len(rows)}",
        transform=ax.transAxes,
        va="top",
        fontsize=SMALL,
        linespacing=1.3,
        zorder=4,
    )
    ax.set(xlim=(low, high), ylim=(low, high), box_aspect=1)
    name_axes(ax, axis_name(label, "true {}"), axis_name(label, "predicted {}"))
    if colorbar:
        _bar(ax, cells)
    return ax


def plot_residuals(
    predictions: Any,
    *,
    label: str = "logg",
    against: Any = AGAINST,
    predictor: str | None = None,
    ax: Any = None,
) -> Any:
    """Predicted − true label against every label, which shows where it is biased or uncertain.

    Parameters
    ----------
    predictions : DataFrame
        As for `plot_predictions`, with the columns named in `against`.
    label : str
        Label whose residuals are drawn.
    against : str or sequence of str
        Columns for the abscissae: one panel each.
    predictor : str, optional
        May be left out if there is only one.
    ax : matplotlib Axes or array of Axes, optional
        One for each of `against`; by default a new figure with three to a row.

    Returns
    -------
    matplotlib Axes, or ndarray of Axes if `against` is a sequence
        Density of stars in grey; the running median, and the 16 % and 84 % quantiles, over equal
        numbers of stars, or at each value if these are few.

    Examples
    --------
    .. plot::

        >>> import numpy as np
        >>> import pandas as pd
        >>> from specvit.assess.plots import plot_residuals
        >>> rng = np.random.default_rng(1)
        >>> truth, sigma = rng.uniform(0.5, 5, 4000), rng.uniform(0.05, 0.5, 4000)
        >>> columns = {"predictor": "ViT", "label": "logg", "truth": truth, "sigma": sigma}
        >>> columns["prediction"] = truth + sigma * rng.standard_normal(4000)
        >>> columns |= {"logg": truth, "teff": rng.uniform(4000, 6000, 4000)}
        >>> axes = plot_residuals(pd.DataFrame(columns), against=("teff", "logg"))
    """
    single = isinstance(against, str)
    names = (against,) if single else tuple(against)
    if not names:
        raise ValueError("against must name at least one column, got none")
    rows, _ = _stars(predictions, label, predictor)
    require_columns(rows, names, "predictions")
    axes = _panels(ax, len(names))
    residual = (rows["prediction"] - rows["truth"]).to_numpy(float)
    reach = 1.05 * np.quantile(np.abs(residual), 0.995) or 1.0
    for k, (name, panel) in enumerate(zip(names, axes, strict=True)):
        dress(panel)
        x = rows[name].to_numpy(float)
        pad = 0.03 * (np.max(x) - np.min(x)) or 0.5
        low, high = np.min(x) - pad, np.max(x) + pad
        _, frame = _cells(panel, x, residual, (low, high, -reach, reach), cmap="Greys", highest=3.0)
        panel.axhline(0, color="0.2", linewidth=0.6)
        groups = _groups(x)
        centre = [np.median(x[group]) for group in groups]
        low_q, median, high_q = np.array(
            [np.quantile(residual[group], (0.1587, 0.5, 0.8413)) for group in groups]
        ).T
        panel.plot(centre, median, "o-", color="#0072B2", ms=2.5, mew=0, lw=1.1, label="median")
        for quantile, text in ((low_q, "16 %, 84 %"), (high_q, None)):
            panel.plot(centre, quantile, color="#D55E00", lw=0.9, ls=(0, (4, 1.5)), label=text)
        panel.set(xlim=frame[:2], ylim=frame[2:])
        first = not k % 3 or single
        name_axes(panel, axis_name(name), axis_name(label, r"predicted $-$ true {}") if first else "")
    axes[0].legend(loc="upper right", ncols=2, **LEGEND)
    return axes[0] if single else axes


def _stars(predictions, label, predictor):
    require_columns(predictions, _COLUMNS, "predictions")
    rows = choose(predictions, "label", label, "label")
    rows = choose(rows, "predictor", predictor, "predictor")
    usable = rows[np.isfinite(rows["prediction"]) & np.isfinite(rows["truth"])]
    if len(usable) < 2:
        raise ValueError(f"predictions must have at least two finite rows for {label!r}, got {len(usable)}")
    return usable, len(rows) - len(usable)


def _panels(ax, n):
    if ax is not None:
        axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(axes) != n:
            raise ValueError(f"ax must hold {n} Axes, one for each of against, got {len(axes)}")
        return axes
    if n == 1:
        return np.array([new_axes(None)], dtype=object)
    import matplotlib.pyplot as plt

    columns, rows = min(n, 3), -(-n // 3)
    figure, axes = plt.subplots(
        rows, columns, figsize=(7.0, 2.2 * rows), sharey=True, squeeze=False, layout="constrained"
    )
    for empty in axes.ravel()[n:]:
        figure.delaxes(empty)
    return axes.ravel()[:n]


def _groups(x):
    """Indices of about equal numbers of stars in the order of x; of each value if x has few."""
    values, which = np.unique(x, return_inverse=True)
    if len(values) <= 15:
        return [np.flatnonzero(which == k) for k in range(len(values))]
    return np.array_split(np.argsort(x, kind="stable"), int(np.clip(len(x) // 50, 1, 15)))


def _cells(ax, x, y, extent, cmap=DENSITY, highest=1.3):
    """Hexagonal cells coloured by the logarithm of the number of stars in them, and limits that hold them."""
    from matplotlib.colors import LogNorm

    size = int(np.clip(np.sqrt(len(x)) / 1.5, 20, 45))
    cells = ax.hexbin(
        x, y, gridsize=size, extent=extent, mincnt=1, cmap=cmap, linewidths=0.1, edgecolors="face", zorder=1
    )
    counts = cells.get_array()
    top = max(float(counts.max()) if len(counts) else 1.0, 1.0) * highest
    cells.set_norm(LogNorm(vmin=0.3, vmax=max(top, 2.0)))
    # Cells have their centres within the extent: those at its ends reach half a cell beyond.
    ends = np.array(extent, float)
    room = np.repeat((ends[1::2] - ends[::2]) * (0.6 / size, 1.2 / size), 2) * (-1, 1, -1, 1)
    return cells, tuple(ends + room)


def _bar(ax, cells):
    from matplotlib.ticker import FuncFormatter, NullFormatter

    bar = ax.figure.colorbar(cells, ax=ax, pad=0.02, shrink=0.9, format=FuncFormatter(lambda v, _: f"{v:g}"))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.ax.tick_params(which="both", labelsize=SMALL, direction="in", width=0.6)
    bar.set_label("stars in a cell", fontsize=SMALL)
    bar.outline.set_linewidth(0.6)

"""R² against brightness, against the size of the training set, and from noise to noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from specvit.assess.plots.style import (
    EXCLUDED,
    LEGEND,
    POINTS,
    SMALL,
    axis_name,
    choose,
    name_axes,
    new_axes,
    plain_number,
    require_columns,
    styles,
)

__all__ = ["CEILING", "plot_cross_noise", "plot_r2", "plot_scaling"]

#: Limits: their dashes and how they are called in legends.
_LIMITS = {
    "Bayes limit": {"linestyle": "-", "color": "0.0", "linewidth": 1.2},
    "van Trees bound": {"linestyle": (0, (6, 2)), "color": "0.35", "linewidth": 0.9},
    "1 - CRLB/Var (median)": {"linestyle": (0, (1, 1.5)), "color": "0.35", "linewidth": 1.1},
    "1 - CRLB/Var (mean)": {"linestyle": (0, (4, 1.5, 1, 1.5)), "color": "0.55", "linewidth": 0.9},
}
CEILING = "Bayes limit"
_LEGEND_ROW = 0.14  # inches of a row of a legend
_LOWEST = -0.25  # of the R² axis: what is worse than the mean of the labels need not be told apart
_COLUMNS = ("predictor", "kind", "label", "r2", "r2_err")


def plot_r2(
    table: Any,
    by: str = "magnitude",
    *,
    label: str = "logg",
    scale: str = "linear",
    legend: bool = True,
    ax: Any = None,
) -> Any:
    """R² of the predictors against magnitude or S/N, with the limits.

    Parameters
    ----------
    table : DataFrame
        Table of `specvit.assess.evaluate` with columns predictor, kind, label, by, centre, snr, r2, r2_err.
    by : {"magnitude", "snr"}
        Abscissa. With "snr", a predictor or limit that was not binned by S/N is drawn from its magnitude
        bins at the median S/N of each.
    label : str
        Name of the label, as in the table.
    scale : {"linear", "log"}
        Scale of the R² axis; "log" is logarithmic in 1 − R², which tells 0.98 from 0.99.
    legend : bool
        Whether to draw a legend: above the frame of a new figure, or where it covers least of `ax`.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure of one column.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If a column is missing, `by` or `scale` is another word, or `label` has no rows in bins.

    Notes
    -----
    Error bars are the bootstrap standard errors of the table. The region above the Bayes limit, which
    nothing can reach, is shaded. Bounds from the Cramér–Rao inequality are no ceilings for R² and do not
    stretch the axis, which ends at −0.25.

    Examples
    --------
    .. plot::

        >>> import pandas as pd
        >>> from specvit.assess.plots import plot_r2
        >>> measured = {  # some of the page Results
        ...     "ViT paper": ("predictor", (0.992, 0.962, 0.822)),
        ...     "LightGBM": ("predictor", (0.948, 0.895, 0.652)),
        ...     "Bayes limit": ("limit", (0.993, 0.965, 0.832)),
        ... }
        >>> rows = [
        ...     (name, kind, "logg", "magnitude", magnitude, snr, r2, 0.004)
        ...     for name, (kind, values) in measured.items()
        ...     for magnitude, snr, r2 in zip((20, 21, 22), (24.0, 10.8, 4.4), values, strict=True)
        ... ]
        >>> names = ["predictor", "kind", "label", "by", "centre", "snr", "r2", "r2_err"]
        >>> ax = plot_r2(pd.DataFrame(rows, columns=names).assign(low=lambda t: t["centre"]))
    """
    require_columns(table, (*_COLUMNS, "by", "centre", "snr"), "table")
    if by not in ("magnitude", "snr"):
        raise ValueError(f"by must be 'magnitude' or 'snr', got {by!r}")
    if scale not in ("linear", "log"):
        raise ValueError(f"scale must be 'linear' or 'log', got {scale!r}")
    table = choose(table, "label", label, "label")
    series = {name: _series(rows, by) for name, rows in table.groupby("predictor", sort=False)}
    series = {name: rows for name, rows in series.items() if len(rows)}
    if not series:
        raise ValueError(f"table must have rows binned by {by!r} for label {label!r}, it has none")
    new, ax = ax is None, new_axes(ax)
    top = 1.1 if scale == "linear" else 1 - 1e-6
    shown = [0.97]
    for name, rows in series.items():
        if rows["kind"].iloc[0] == "limit":
            ax.plot(rows["x"], rows["r2"], label=name, zorder=1, **_LIMITS.get(name, {"color": "0.5"}))
    if CEILING in series:
        rows = series[CEILING]
        ax.fill_between(rows["x"], rows["r2"], top, label="excluded", **EXCLUDED)
        shown += [rows["r2"].min(), rows["r2"].max()]
    peers = [name for name, rows in series.items() if rows["kind"].iloc[0] != "limit"]
    for name, style in styles(peers).items():
        rows = series[name]
        ax.errorbar(
            rows["x"],
            rows["r2"],
            rows["r2_err"],
            label=name,
            zorder=3,
            **POINTS,
            **style,
        )
        shown += [np.nanmin(rows["r2"] - rows["r2_err"].fillna(0)), rows["r2"].max()]
    lowest = max(np.nanmin(shown), _LOWEST)
    if scale == "log":
        _logarithmic_deficit(ax, lowest, np.nanmax(shown))
    else:
        ax.set_ylim(max(lowest - 0.05 * (1 - lowest), _LOWEST), 1 + 0.03 * (1 - lowest))
    if by == "snr":
        _logarithmic(ax, np.concatenate([rows["x"] for rows in series.values()]))
    else:
        ax.margins(x=0.03)
        ax.locator_params(axis="x", nbins=7, steps=[1, 2, 5, 10])
    name_axes(ax, axis_name(by), f"$R^2$ of {axis_name(label).split(' [')[0]}")
    if legend and new:
        rows = -(-len(ax.get_legend_handles_labels()[0]) // 2)
        width, height = ax.figure.get_size_inches()
        ax.figure.set_size_inches(width, height + _LEGEND_ROW * rows)
        ax.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=2, **LEGEND)
    elif legend:
        ax.legend(loc="best", **LEGEND)
    return ax


def plot_scaling(table: Any, *, label: str = "logg", ax: Any = None) -> Any:
    """R² against the number of spectra trained on.

    Parameters
    ----------
    table : DataFrame
        Rows of `specvit.assess.evaluate` over all magnitudes, with a column ``n_train``: NaN for limits,
        which are drawn as horizontal lines.
    label : str
        Name of the label, as in the table.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure of one column.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    .. plot::

        >>> import pandas as pd
        >>> from specvit.assess.plots import plot_scaling
        >>> rows = [("ViT", "predictor", n, r2) for n, r2 in ((1e4, 0.71), (1e5, 0.83), (1e6, 0.87))]
        >>> rows += [("Bayes limit", "limit", float("nan"), 0.894)]
        >>> table = pd.DataFrame(rows, columns=["predictor", "kind", "n_train", "r2"])
        >>> ax = plot_scaling(table.assign(label="logg", r2_err=0.01))
    """
    require_columns(table, (*_COLUMNS, "n_train"), "table")
    rows = choose(table, "label", label, "label")
    if "by" in rows:
        rows = rows[rows["by"] == "overall"]
    limits, peers = rows[rows["kind"] == "limit"], rows[rows["kind"] != "limit"]
    if not len(peers) or not (peers["n_train"] > 0).all():
        raise ValueError("table must have overall rows of predictors, their n_train positive")
    ax = new_axes(ax)
    for name, style in styles(dict.fromkeys(peers["predictor"])).items():
        part = peers[peers["predictor"] == name].sort_values("n_train")
        ax.errorbar(
            part["n_train"],
            part["r2"],
            part["r2_err"],
            label=name,
            **POINTS,
            **style,
        )
    low, high = ax.get_ylim()
    for _, row in limits.iterrows():
        name = row["predictor"]
        ax.axhline(row["r2"], label=name, zorder=1, **_LIMITS.get(name, {"color": "0.5"}))
        if name == CEILING:
            high = row["r2"] + 0.08 * (row["r2"] - low)
            ax.axhspan(row["r2"], max(high, 1), label="excluded", **EXCLUDED)
    ax.set_ylim(low - 0.3 * (high - low), high)  # room for the legend
    _logarithmic(ax, peers["n_train"])
    name_axes(ax, "spectra in training", f"$R^2$ of {axis_name(label).split(' [')[0]}")
    ax.legend(loc="lower right", ncols=2, **LEGEND)
    return ax


def plot_cross_noise(table: Any, value: str = "r2", *, ax: Any = None) -> Any:
    """R² from noise to noise: trained at one level, tested at another.

    Parameters
    ----------
    table : DataFrame
        Table of `cross_noise_matrix`: a row for each pair of ``trained`` and ``tested``.
    value : str
        Column to show: "r2", or another figure of merit.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure of one column.

    Returns
    -------
    matplotlib Axes
        Each cell bears its value; the best training for each test is in bold type.

    Raises
    ------
    ValueError
        If a column is missing, a pair is missing or there twice, or a value is not finite.

    Examples
    --------
    .. plot::

        >>> import pandas as pd
        >>> from specvit.assess.plots import plot_cross_noise
        >>> rows = [("low", "low", 0.92), ("low", "high", 0.41), ("high", "low", 0.85), ("high", "high", 0.7)]
        >>> ax = plot_cross_noise(pd.DataFrame(rows, columns=["trained", "tested", "r2"]))
    """
    require_columns(table, ("trained", "tested", value), "table")
    if table.duplicated(["trained", "tested"]).any():
        raise ValueError("table must have one row for each pair of trained and tested, some are there twice")
    matrix = table.pivot(index="trained", columns="tested", values=value)
    values = matrix.to_numpy(float)
    if not np.isfinite(values).all():
        raise ValueError(f"table must have a finite {value} for each pair of trained and tested")
    ax = new_axes(ax)
    low = max(values.min(), 0) if value == "r2" else values.min()
    image = ax.imshow(values, cmap="cividis", vmin=low, vmax=max(values.max(), low + 1e-6), aspect="auto")
    best = values.argmax(0) if value == "r2" else np.abs(values).argmin(0)
    for (i, j), number in np.ndenumerate(values):
        red, green, blue, _ = image.to_rgba(number)
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        ax.text(
            j,
            i,
            f"{number:.2f}",
            ha="center",
            va="center",
            fontsize=SMALL,
            color="black" if light else "white",
            fontweight="bold" if best[j] == i else "normal",
        )
    ax.set_xticks(range(values.shape[1]), [_level(x) for x in matrix.columns])
    ax.set_yticks(range(values.shape[0]), [_level(x) for x in matrix.index])
    ax.tick_params(length=0)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.ax.tick_params(labelsize=SMALL, direction="in", width=0.6)
    bar.set_label("$R^2$" if value == "r2" else value, fontsize=SMALL + 1)
    bar.outline.set_linewidth(0.6)
    name_axes(ax, "noise level of the test", "noise level of training")
    return ax


def _level(value):
    return value if isinstance(value, str) else f"{value:g}"


def _series(rows, by):
    """Rows of one predictor in bins, the abscissa in column ``x``, in its order."""
    binned = rows[rows["by"] == by]
    if by == "snr" and not len(binned):
        binned = rows[rows["by"] == "magnitude"]
        return binned.assign(x=binned["snr"]).sort_values("x")
    return binned.assign(x=binned["centre"]).sort_values("x")


def _logarithmic(ax, values):
    """A logarithmic x axis with plain numbers, at as many places as its reach has room for."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    reach = np.nanmax(values) / np.nanmin(values)
    subs = (1.0, 2.0, 3.0, 5.0, 7.0) if reach < 15 else (1.0, 2.0, 5.0) if reach < 200 else (1.0,)
    ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_major_formatter(FuncFormatter(plain_number))
    ax.xaxis.set_minor_locator(LogLocator(subs=range(2, 10)))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _logarithmic_deficit(ax, lowest, highest):
    """An R² axis that is logarithmic in 1 − R², from `lowest` to a little above `highest`."""
    from matplotlib.ticker import FixedLocator, NullLocator

    floor = 1e-9
    ax.set_yscale(
        "function",
        functions=(lambda r2: -np.log10(np.maximum(1 - r2, floor)), lambda y: 1 - 10.0 ** -np.asarray(y)),
    )
    ticks = [0, 0.5, *(1 - k * 10.0**-d for d in range(1, 6) for k in (2, 1, 0.5))]
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.6g}")
    ax.set_ylim(1 - 1.15 * (1 - lowest), 1 - (1 - min(highest, 1 - 1e-4)) / 2)

"""Real stars: predicted against literature, with what is left below."""

from __future__ import annotations

from typing import Any

import numpy as np

from specvit.assess.plots.style import (
    COLUMN,
    LEGEND,
    axis_name,
    choose,
    dress,
    name_axes,
    require_columns,
    styles,
)

__all__ = ["plot_literature"]

_COLUMNS = ("label", "literature", "literature_err", "predicted", "predicted_err")
_DOTS = {"markersize": 3.6, "markeredgewidth": 0, "linestyle": "none", "elinewidth": 0.6}


def plot_literature(
    stars: Any, *, label: str = "logg", by: Any = None, legend: bool = True, ax: Any = None
) -> Any:
    """Predicted against literature labels, star by star with both errors, and the differences below.

    Parameters
    ----------
    stars : DataFrame
        Of ``specvit.assess.compare_with_literature(..., return_stars=True)``: columns label, literature,
        literature_err, predicted, predicted_err. Stars without a prediction are left out; errors that are
        NaN are not drawn.
    label : str
        Name of the label, as in the table.
    by : str, optional
        Column whose groups differ in colour and marker; by default "group", if there is one. Stars of no
        group are the "others".
    legend : bool
        Whether to draw one, with the number of stars of each group.
    ax : sequence of two matplotlib Axes, optional
        The upper and the lower; by default those of a new figure of one column.

    Returns
    -------
    ndarray of Axes, shape (2,)
        Above, the line of equality. Below, predicted − literature with both errors in quadrature, and the
        median of each group as a line across the labels that it spans.

    Raises
    ------
    ValueError
        If a column is missing, `label` is not in the table, or no star has a prediction.

    Examples
    --------
    .. plot::

        >>> import numpy as np
        >>> import pandas as pd
        >>> from specvit.assess.plots import plot_literature
        >>> rng = np.random.default_rng(2)
        >>> literature = rng.uniform(1, 5, 40)
        >>> columns = {"label": "logg", "literature": literature, "literature_err": 0.15}
        >>> columns["predicted_err"] = 0.1
        >>> columns["predicted"] = literature + rng.normal(0, 0.18, 40)
        >>> columns["group"] = np.where(literature < 3.5, "giants", "dwarfs")
        >>> axes = plot_literature(pd.DataFrame(columns))
    """
    require_columns(stars, _COLUMNS if by is None else (*_COLUMNS, by), "stars")
    rows = choose(stars, "label", label, "label")
    rows = rows[np.isfinite(rows["literature"]) & np.isfinite(rows["predicted"])]
    if not len(rows):
        raise ValueError(f"stars must have a prediction of {label!r} for at least one star, got none")
    by = "group" if by is None and "group" in rows else by
    upper, lower = _pair(ax)
    both = np.concatenate(
        [
            (rows[x] + sign * rows[f"{x}_err"].fillna(0)).to_numpy(float)
            for x in ("literature", "predicted")
            for sign in (-1, 1)
        ]
    )
    pad = 0.03 * np.ptp(both) or 1.0
    ends = both.min() - pad, both.max() + pad
    upper.plot(ends, ends, color="0.3", linewidth=0.7, zorder=1)
    lower.axhline(0, color="0.3", linewidth=0.7, zorder=1)
    groups = {"": rows}
    if by is not None:
        known = rows[by].notna() & (rows[by] != "")
        groups = dict(list(rows.groupby(rows[by].where(known, "others"), sort=False)))
    for (name, own), style in zip(groups.items(), styles(groups).values(), strict=True):
        _draw(upper, lower, own, f"{name} ({len(own)})" if by else None, style)
    reach = max(1.08 * _reach(rows), 1e-9)
    upper.set(xlim=ends, ylim=ends)
    lower.set(xlim=ends, ylim=(-reach, reach))
    upper.tick_params(labelbottom=False)
    name_axes(upper, "", axis_name(label, "predicted {}"))
    name_axes(lower, axis_name(label, "{} of the literature"), axis_name(label, r"$\Delta$ {}"))
    upper.figure.align_ylabels([upper, lower])
    if legend and by is not None:
        upper.legend(loc="upper left", **LEGEND | {"handlelength": 1.4})
    return np.array([upper, lower], dtype=object)


def _draw(upper, lower, rows, name, style):
    """One group in both panels."""
    x, y = rows["literature"].to_numpy(float), rows["predicted"].to_numpy(float)
    x_err, y_err = rows["literature_err"].to_numpy(float), rows["predicted_err"].to_numpy(float)
    style = {"color": style["color"], "marker": style["marker"]} | _DOTS
    upper.errorbar(x, y, y_err, x_err, label=name, zorder=3, **style)
    # What is unknown of either error is left out of the bar.
    lower.errorbar(x, y - x, np.hypot(np.nan_to_num(x_err), np.nan_to_num(y_err)), zorder=3, **style)
    middle = np.median(y - x)
    lower.plot([x.min(), x.max()], [middle, middle], color=style["color"], linewidth=1.1, zorder=2)


def _reach(rows):
    """Largest |Δ| with its error bar."""
    bar = np.hypot(rows["literature_err"].fillna(0), rows["predicted_err"].fillna(0))
    return float(((rows["predicted"] - rows["literature"]).abs() + bar).max())


def _pair(ax):
    """Two Axes, one above the other."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(
            2, 1, figsize=(COLUMN[0], 4.3), sharex=True, height_ratios=(3, 1.2), layout="constrained"
        )
    pair = np.asarray(ax, dtype=object).ravel()
    if len(pair) != 2 or not all(hasattr(one, "errorbar") for one in pair):
        raise ValueError(f"ax must hold two Axes, the upper and the lower, got {ax!r}")
    return dress(pair[0]), dress(pair[1])

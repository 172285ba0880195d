"""The figure of a study, from its means and its `Picture`."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["draw"]

_AXES = {"r2": "R² of log g", "mae": "mean absolute error of log g (dex)"}


def _shown(study, average):
    """Rows of log g that the picture shows."""
    picture = study.picture
    rows = average[(average["label"] == "logg") & (average["test"] == picture.test)]
    if picture.condition == "all":
        return rows
    chosen = rows["condition"].isna() if picture.condition is None else rows["condition"] == picture.condition
    return rows[chosen]


def draw(study, average, path):
    """Draw the figure of a study.

    Parameters
    ----------
    study : Study
        Whose picture it is.
    average : pandas.DataFrame
        From `studies.tables.means`.
    path : path
        File to be written, of any format of matplotlib.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    picture, rows = study.picture, _shown(study, average)
    words = not pd.api.types.is_numeric_dtype(rows[picture.x])
    listed = words and picture.series is None  # names are read more easily down the side
    figure = Figure(figsize=(7, 0.25 * len(rows) + 1) if listed else (9, 4.5))
    axes = figure.add_subplot()
    if listed:
        axes.errorbar(rows[picture.figure], rows[picture.x], xerr=rows[f"{picture.figure}_err"], fmt="o")
        axes.invert_yaxis()
        axes.set_xlabel(_AXES[picture.figure])
    else:
        _lines(axes, picture, rows, words)
        axes.set_ylabel(_AXES[picture.figure])
        axes.set_xlabel(picture.x_label or picture.x)
        if picture.log:
            axes.set_xscale("log")
    axes.grid(alpha=0.3)
    figure.tight_layout()
    with rc_context({"svg.hashsalt": study.name}):  # else files differ where pictures do not
        figure.savefig(path, metadata={"Date": None} if str(path).endswith(".svg") else None)


def _lines(axes, picture, rows, words):
    groups = rows.groupby(picture.series, sort=False) if picture.series else [("", rows)]
    for number, (name, part) in enumerate(groups):
        endless = part[picture.x].isna()
        part, without_end = part[~endless], part[endless]
        if not words:
            part = part.sort_values(picture.x)
        error = np.nan_to_num(part[f"{picture.figure}_err"])
        line = {"color": f"C{number}", "label": str(name)}
        if len(part):
            axes.errorbar(
                part[picture.x], part[picture.figure], error, fmt="o" if words else "o-", capsize=2, **line
            )
        for value in without_end[picture.figure]:  # stars without end
            axes.axhline(value, ls=":", lw=1, **(line | ({"label": None} if len(part) else {})))
    if picture.series:
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5))

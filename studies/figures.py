"""The figure of a study, from its means and its `Picture`."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["draw"]

_FEW = 8  # values on a logarithmic axis, of which each has a tick
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
        SVG file to be written.
    """
    from matplotlib.figure import Figure

    from specvit.assess.figures import save_figure

    picture, rows = study.picture, _shown(study, average)
    words = not pd.api.types.is_numeric_dtype(rows[picture.x])
    if words and picture.series is None:  # names are read more easily down the side
        figure = Figure(figsize=(2.8 + 0.075 * rows[picture.x].str.len().max(), 0.22 * len(rows) + 1))
        _list(figure, study, rows)
    else:
        lines = len(rows[picture.series].drop_duplicates()) if picture.series else 0
        figure = Figure(figsize=(5.5, 3.7 + 0.11 * lines))  # narrow, and so legible on a phone
        _plot(figure.add_subplot(), study, rows, words)
    figure.tight_layout()
    save_figure(figure, path, ("svg",))


def _list(figure, study, rows):
    """Names down the side, in panels of their own where the picture has some."""
    picture = study.picture
    theirs = {one["name"]: one[picture.figure] for one in study.reference if picture.figure in one}
    parts = [rows[rows[picture.x].isin(names)] for names in picture.panels] or [rows]
    parts = [part for part in parts if len(part)]
    ratios = {"height_ratios": [len(part) for part in parts]}
    for axes, part in zip(
        figure.subplots(len(parts), squeeze=False, gridspec_kw=ratios)[:, 0], parts, strict=True
    ):
        axes.errorbar(part[picture.figure], part[picture.x], xerr=part[f"{picture.figure}_err"], fmt="o")
        known = [name for name in part[picture.x] if name in theirs]
        axes.plot([theirs[name] for name in known], known, "o", color="C0", mfc="none")
        axes.set_ylim(len(part) - 0.5, -0.5)
        axes.locator_params(axis="x", nbins=5)
        axes.grid(alpha=0.3)
        axes.set_xlabel(_AXES[picture.figure])


def _plot(axes, study, rows, words):
    """A line for each series, or points beside each other where the horizontal axis has words."""
    picture = study.picture
    names = list(rows[picture.series].drop_duplicates()) if picture.series else [""]
    places = list(rows[picture.x].drop_duplicates())
    colours, handles = {}, []
    for number, name in enumerate(names):
        part = rows[rows[picture.series] == name] if picture.series else rows
        # "1, noise told" has the colour of "1", dashed.
        like = [one for one in names if str(name).startswith(f"{one}, ")]
        colour = colours[name] = colours.get(like[0]) if like else f"C{len(set(colours.values()))}"
        line = {"color": colour, "ls": "--" if like else "-", "label": str(name)}
        endless = part[picture.x].isna()
        part, without_end = part[~endless], part[endless]
        x = part[picture.x] if words else (part := part.sort_values(picture.x))[picture.x]
        if words:  # neighbours do not hide each other
            x = [places.index(one) + 0.16 * (number - (len(names) - 1) / 2) for one in x]
            line["ls"] = ""
        for value in without_end[picture.figure]:  # stars without end
            handle = axes.axhline(value, color=colour, ls=":", lw=1.5, label=str(name))
        if len(part):
            error = np.nan_to_num(part[f"{picture.figure}_err"])
            handle = axes.errorbar(x, part[picture.figure], error, marker="o", capsize=2, **line)
        handles += [handle, *_beside(axes, study, name, colour)]
    if words:
        axes.set_xticks(range(len(places)), places)
        axes.margins(x=0.1)
    axes.set_ylabel(_AXES[picture.figure])
    axes.set_xlabel(picture.x_label or picture.x)
    if picture.log:
        axes.set_xscale("log")
        values = sorted(rows[picture.x].dropna().unique())
        if len(values) <= _FEW:
            axes.set_xticks(values, [f"{value:,.0f}" for value in values], fontsize="x-small")
            axes.minorticks_off()
    if picture.floor is not None:
        top = rows[picture.figure].max()
        axes.set_ylim(picture.floor, top + 0.05 * (top - picture.floor))
    axes.grid(alpha=0.3)
    if picture.series:
        below = {"loc": "upper center", "bbox_to_anchor": (0.45, -0.16), "ncols": 2, "frameon": False}
        axes.legend(
            handles=handles, title=picture.series_label or None, fontsize="small", handlelength=3, **below
        )


def _beside(axes, study, name, colour):
    """The reference's values of a series, where it has some along the horizontal axis."""
    x, y = study.picture.x, study.picture.figure
    own = [one for one in study.reference if one.get(study.picture.series) == name and x in one and y in one]
    if not own:
        return []
    line = {"color": colour, "ls": ":", "marker": "o", "mfc": "none", "label": f"{name}: the reference's"}
    return axes.plot([one[x] for one in own], [one[y] for one in own], **line)

"""One look for all figures: sizes, colours, markers, names of axes; and the checks of what is drawn."""

from __future__ import annotations

from specvit.labels import label_of

__all__ = [
    "COLUMN",
    "DENSITY",
    "EXCLUDED",
    "LEGEND",
    "POINTS",
    "SMALL",
    "TEXT",
    "axis_name",
    "choose",
    "dress",
    "name_axes",
    "new_axes",
    "plain_number",
    "require_columns",
    "styles",
]

#: Width and height in inches of a figure of one column.
COLUMN = (3.4, 2.7)
TEXT, SMALL = 8.5, 7.5  # points: axis names; everything else
LEGEND = {"fontsize": 7, "frameon": False, "handlelength": 2.6, "labelspacing": 0.3, "borderaxespad": 0.6}
#: Points with error bars, joined by lines.
POINTS = {"markersize": 3.8, "markeredgewidth": 0, "linewidth": 1, "elinewidth": 0.8}
#: Colour map of counts: one hue, dark where there are many; read alike in grey and by the colour-blind.
DENSITY = "Blues"
#: What no estimator reaches.
EXCLUDED = {"facecolor": "0.88", "edgecolor": "none", "zorder": 0}

#: Okabe & Ito (2008), the darker ones first; the yellow is too light for lines.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (9, 2)), (0, (3, 2)))

#: What figures are drawn against beside labels: symbol and unit.
_OTHERS = {"magnitude": ("magnitude", "AB"), "snr": ("median S/N per pixel", "")}


def new_axes(ax, size=COLUMN):
    """`ax`, or new Axes in a new pyplot figure, dressed."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=size, layout="constrained")
    elif not hasattr(ax, "plot"):
        raise TypeError(f"ax must be matplotlib Axes, got {type(ax).__name__}")
    return dress(ax)


def dress(ax):
    """Ticks inside on all sides, thin lines, small numbers."""
    ax.tick_params(which="both", direction="in", top=True, right=True, labelsize=SMALL, width=0.6)
    for spine in ax.spines.values():
        spine.set_linewidth(0.6)
    return ax


def name_axes(ax, x, y):
    """Write the names of both axes."""
    ax.set_xlabel(x, fontsize=TEXT)
    ax.set_ylabel(y, fontsize=TEXT)


def axis_name(name, what="{}"):
    """Name of a label or other column with its unit; `what` is filled with the symbol."""
    symbol, unit = _OTHERS.get(name) or (label_of(name).tex, label_of(name).error_unit)
    return what.format(symbol) + (f" [{unit}]" if unit else "")


def plain_number(value, _position=None):
    """Text of a number on an axis: 20, 50k, 1M; a matplotlib tick formatter."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def styles(names):
    """Colour, marker and dashes for each name, in the order given: dict of str to dict."""
    return {
        name: {
            "color": _COLOURS[i % len(_COLOURS)],
            "marker": _MARKERS[i % len(_MARKERS)],
            "linestyle": _DASHES[i % len(_DASHES)],
        }
        for i, name in enumerate(names)
    }


def require_columns(table, columns, argument):
    """Raise ValueError if the table lacks columns or has no rows."""
    missing = [name for name in columns if name not in getattr(table, "columns", ())]
    if missing:
        raise ValueError(
            f"{argument} must be a DataFrame with the columns {tuple(columns)}; it lacks {missing}"
        )
    if not len(table):
        raise ValueError(f"{argument} must have at least one row, got none")


def choose(table, column, value, argument):
    """Rows whose `column` is `value`, at least one; None: the only value there is."""
    there = list(dict.fromkeys(table[column]))
    if value is None and len(there) > 1:
        raise ValueError(f"{argument} must be one of {there}: there are several")
    value = there[0] if value is None else value
    if value not in there:
        raise ValueError(f"{argument} must be one of {there}, got {value!r}")
    return table[table[column] == value]

"""Draw what to expect of any spectrograph: the error of log g against resolving power, window and S/N.

usage: python scripts/make_instrument_figure.py WEIGHTS [--label logg] [--out docs/results/any_spectrograph]

The numbers are those in the record of the weights, ``figures["any"]``: `specvit.assess.instrumentcells` on
stars of the survey ``pfs-mr``, written when the weights were trained.
"""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from specvit.assess.figures import save_figure
from specvit.assess.plots.style import LEGEND, POINTS, SMALL, axis_name, name_axes, new_axes, styles
from specvit.weights import load_weights


def cells_of(record, label):
    """One row a cell: resolving_power, window, snr, and the rms error of the label."""
    rows = record.get("figures", {}).get("any")
    if not rows:
        raise ValueError(
            'weights must have figures["any"] in their record: cells of instruments, there are none'
        )
    return pd.DataFrame(
        {
            "resolving_power": row["resolving_power"],
            "window": f"{row['low']:.0f}–{row['high']:.0f} Å",
            "snr": row["snr"],
            "rmse": row[label]["rmse"],
        }
        for row in rows
    )


def draw(cells, label):
    """A panel for each S/N, a line for each window."""
    levels = sorted(cells["snr"].unique())
    figure = Figure(figsize=(3.4 * len(levels), 2.7), layout="constrained")
    panels = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
    look = styles(dict.fromkeys(cells["window"]))
    for ax, snr in zip(panels, levels, strict=True):
        new_axes(ax)
        ax.set(xscale="log", yscale="log")
        for window, style in look.items():
            own = cells[(cells["snr"] == snr) & (cells["window"] == window)].sort_values("resolving_power")
            ax.plot(own["resolving_power"], own["rmse"], label=window, **style, **_points())
        powers = sorted(cells["resolving_power"].unique())
        ax.set_xticks(powers, [f"{power:.0f}" for power in powers])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        marks = [tick for tick in (0.05, 0.1, 0.2, 0.3, 0.5, 1) if tick < 1.2 * cells["rmse"].max()]
        ax.set_yticks([tick for tick in marks if tick > 0.8 * cells["rmse"].min()])
        ax.text(
            0.96, 0.94, f"S/N {snr:.0f}", transform=ax.transAxes, ha="right", va="top", fontsize=SMALL + 1
        )
        name_axes(ax, "resolving power", axis_name(label, "rms error of {}") if ax is panels[0] else "")
    panels[0].legend(loc="lower left", **LEGEND)
    return figure


def _points():
    return {key: value for key, value in POINTS.items() if key != "elinewidth"}


def main():
    """Read, draw, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights")
    parser.add_argument("--label", default="logg")
    parser.add_argument("--out", type=Path, default=Path("docs/results/any_spectrograph"))
    arguments = parser.parse_args()
    cells = cells_of(load_weights(arguments.weights)[2], arguments.label)
    save_figure(draw(cells, arguments.label), arguments.out, ("svg",))


if __name__ == "__main__":
    main()

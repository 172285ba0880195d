"""Draw what to expect of any spectrograph: the error of log g against resolving power, window and S/N.

usage: python scripts/make_instrument_figure.py WEIGHTS [--limits docs/results/cell_limits.csv]
           [--out docs/results/any_spectrograph]

The numbers are those in the record of the weights, ``figures["any"]``: `specvit.assess.instrumentcells` on
stars of the survey ``pfs-mr``, written when the weights were trained. With the table of
``scripts/preset_limits.py --cells`` the Bayes limit of the same cells, without the errors of lines and
calibration that the network is tested with, is drawn in thin lines.
"""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from specvit.assess.figures import save_figure
from specvit.assess.plots.style import LEGEND, POINTS, SMALL, axis_name, name_axes, new_axes, styles
from specvit.weights import load_weights

LABEL = "logg"


def cells_of(record):
    """One row a cell: resolving_power, window, snr, and the rms error of log g."""
    rows = record.get("figures", {}).get("any")
    if not rows:
        raise ValueError(
            'weights must have figures["any"] in their record: cells of instruments, there are none'
        )
    return pd.DataFrame(
        {
            "resolving_power": row["resolving_power"],
            "window": window_of(row),
            "snr": row["snr"],
            "rmse": row[LABEL]["rmse"],
        }
        for row in rows
    )


def window_of(row):
    """Text of a window of wavelengths."""
    return f"{row['low']:.0f}–{row['high']:.0f} Å"


def limits_of(path):
    """The same of the Bayes limits in a file."""
    table = pd.read_csv(path)
    return table.assign(window=[window_of(row) for _, row in table.iterrows()])


def draw(cells, limits=None):
    """A panel for each S/N, a line for each window, thin ones for the limits."""
    levels = sorted(cells["snr"].unique())
    figure = Figure(figsize=(3.4 * len(levels), 2.7), layout="constrained")
    panels = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
    look_of_points = {key: value for key, value in POINTS.items() if key != "elinewidth"}
    shown = cells["rmse"] if limits is None else pd.concat([cells["rmse"], limits["rmse"]])
    look = styles(dict.fromkeys(cells["window"]))
    for ax, snr in zip(panels, levels, strict=True):
        new_axes(ax)
        ax.set(xscale="log", yscale="log")
        for window, style in look.items():
            own = cells[(cells["snr"] == snr) & (cells["window"] == window)].sort_values("resolving_power")
            ax.plot(own["resolving_power"], own["rmse"], label=window, **style, **look_of_points)
            if limits is not None:
                own = limits[(limits["snr"] == snr) & (limits["window"] == window)]
                own = own.sort_values("resolving_power")
                ax.plot(own["resolving_power"], own["rmse"], **style | {"marker": ""}, linewidth=0.6)
        powers = sorted(cells["resolving_power"].unique())
        ax.set_xticks(powers, [f"{power:.0f}" for power in powers])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        marks = [tick for tick in (0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1) if tick < 1.2 * shown.max()]
        ax.set_yticks([tick for tick in marks if tick > 0.8 * shown.min()])
        ax.text(
            0.96, 0.94, f"S/N {snr:.0f}", transform=ax.transAxes, ha="right", va="top", fontsize=SMALL + 1
        )
        name_axes(ax, "resolving power", axis_name(LABEL, "rms error of {}") if ax is panels[0] else "")
    panels[0].legend(loc="lower left", **LEGEND)
    return figure


def main():
    """Read, draw, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights")
    parser.add_argument("--limits", type=Path, help="the Bayes limit of the cells")
    parser.add_argument("--out", type=Path, default=Path("docs/results/any_spectrograph"))
    arguments = parser.parse_args()
    limits = None if arguments.limits is None else limits_of(arguments.limits)
    figure = draw(cells_of(load_weights(arguments.weights)[2]), limits)
    save_figure(figure, arguments.out, ("svg",))


if __name__ == "__main__":
    main()

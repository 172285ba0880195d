"""Draw what the campaign of troubles and the measured velocities have found.

usage: python scripts/make_honesty_figure.py [--results docs/results] [--out docs/results/honesty]

The numbers are those of ``scripts/honesty_tables.py``: honesty.csv and velocities.csv in that folder.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from specvit.assess.figures import save_figure
from specvit.assess.plots.style import LEGEND

SMALLEST = 0.01  # dex: smaller errors are drawn here


def draw(cells, velocities):
    """Error of log g against share that is told; scatter and stated error of velocities against S/N."""
    figure = Figure(figsize=(8.0, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    cells = cells[cells["error"].notna()]
    silent = cells["silent"] > 0.5
    for name, rows, look in (
        ("trouble", ~silent & ~cells["harmless"], {"marker": "o", "color": "tab:blue", "alpha": 0.35}),
        ("harmless", ~silent & cells["harmless"], {"marker": "s", "color": "tab:green", "alpha": 0.6}),
        ("silently wrong", silent, {"marker": "x", "color": "tab:red"}),
    ):
        some = cells[rows]
        left.scatter(np.maximum(some["error"].abs(), SMALLEST), some["told"], s=12, label=name, **look)
    left.set(xscale="log", xlabel="|Δ log g| (dex)", ylabel="share told")
    left.legend(**LEGEND | {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 3})
    for k, (star, rows) in enumerate(velocities.groupby("star", sort=False)):
        right.plot(rows["snr"], rows["scatter"], "o", color=f"C{k}", label=star)
        right.plot(rows["snr"], rows["scatter"] / rows["pull"], "-", lw=1, color=f"C{k}")
    right.set(xscale="log", yscale="log", xlabel="S/N per pixel", ylabel="error of velocity (km/s)")
    right.set_xticks(velocities["snr"].unique())
    right.set_yticks([0.3, 1, 3])
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    right.legend(**LEGEND)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/honesty"))
    args = parser.parse_args()
    tables = (pd.read_csv(args.results / name) for name in ("honesty.csv", "velocities.csv"))
    save_figure(draw(*tables), args.out, ("svg",))


if __name__ == "__main__":
    main()

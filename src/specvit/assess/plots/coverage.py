"""Figures of calibration: probability integral transforms, and coverage against nominal."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from specvit.assess.plots.style import LEGEND, choose, name_axes, new_axes, require_columns, styles

__all__ = ["plot_calibration"]


def plot_calibration(
    predictions: Any, kind: str = "coverage", *, label: str = "logg", bins: int = 20, ax: Any = None
) -> Any:
    """Calibration of the predicted σ, taken as those of Gaussians.

    Parameters
    ----------
    predictions : DataFrame
        Columns predictor, label, truth, prediction, sigma. Predictors without a finite σ are left
        out.
    kind : {"coverage", "pit"}
        "coverage": fraction of the truths inside central intervals, against the nominal one; above the
        diagonal σ is too large. "pit": histogram of Φ((truth − prediction)/σ), which is flat for
        honest errors, U-shaped for σ too small and humped for σ too large
        (Gneiting, Balabdaoui & Raftery 2007, J. R. Stat. Soc. B 69, 243).
    label : str
        Name of the label, as in the table.
    bins : int
        Number of bins of the histogram.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure of one column.

    Returns
    -------
    matplotlib Axes
        The grey band holds an honest predictor's value in 95 % of samples of this size (of the
        smallest, if they differ), at each abscissa.

    Examples
    --------
    .. plot::

        >>> import numpy as np
        >>> import pandas as pd
        >>> from specvit.assess.plots import plot_calibration
        >>> rng = np.random.default_rng(1)
        >>> truth, sigma = rng.uniform(0.5, 5, 4000), rng.uniform(0.05, 0.5, 4000)
        >>> columns = {"predictor": "ViT", "label": "logg", "truth": truth, "sigma": sigma}
        >>> columns["prediction"] = truth + sigma * rng.standard_normal(4000)
        >>> bold = columns | {"predictor": "too bold", "sigma": 0.6 * sigma}
        >>> ax = plot_calibration(pd.concat([pd.DataFrame(columns), pd.DataFrame(bold)]))
    """
    require_columns(predictions, ("predictor", "label", "truth", "prediction", "sigma"), "predictions")
    if kind not in ("coverage", "pit"):
        raise ValueError(f"kind must be 'coverage' or 'pit', got {kind!r}")
    rows = choose(predictions, "label", label, "label")
    scores = {}
    for name, part in rows.groupby("predictor", sort=False):
        z = ((part["truth"] - part["prediction"]) / part["sigma"]).to_numpy(float)
        z = z[np.isfinite(z)]
        if len(z):
            scores[name] = z
    if not scores:
        raise ValueError(f"predictions must have a finite sigma for {label!r} from at least one predictor")
    n = min(map(len, scores.values()))
    ax = new_axes(ax)
    if kind == "coverage":
        _coverage(ax, scores, n)
    else:
        _pit(ax, scores, n, bins)
    return ax


def _coverage(ax, scores, n):
    nominal = np.linspace(0, 1, 101)
    band = binom.ppf([[0.025], [0.975]], n, nominal) / n
    ax.fill_between(nominal, *band, color="0.8", linewidth=0, label="95 % if honest")
    ax.plot([0, 1], [0, 1], color="0.3", linewidth=0.6)
    for name, style in styles(scores).items():
        found = [np.mean(np.abs(scores[name]) <= reach) for reach in ndtri((1 + nominal) / 2)]
        ax.plot(
            nominal,
            found,
            label=name,
            linewidth=1.1,
            markersize=3.5,
            markeredgewidth=0,
            markevery=10,
            **style,
        )
    ax.set(xlim=(0, 1), ylim=(0, 1))
    name_axes(ax, "nominal probability of the interval", "fraction of stars inside")
    ax.legend(loc="upper left", **LEGEND)


def _pit(ax, scores, n, bins):
    edges = np.linspace(0, 1, bins + 1)
    low, high = binom.ppf([0.025, 0.975], n, 1 / bins) * bins / n
    ax.axhspan(low, high, color="0.8", linewidth=0, label="95 % if honest")
    ax.axhline(1, color="0.3", linewidth=0.6)
    highest = high
    for name, style in styles(scores).items():
        density, _ = np.histogram(ndtr(scores[name]), edges, density=True)
        ax.stairs(
            density,
            edges,
            label=name,
            linewidth=1.2,
            baseline=None,
            color=style["color"],
            linestyle=style["linestyle"],
        )
        highest = max(highest, density.max())
    ax.set(xlim=(0, 1), ylim=(0, highest * (1.1 + 0.09 * (len(scores) + 1))))  # room for the legend
    name_axes(ax, r"$\Phi\,[(\mathrm{truth} - \mathrm{prediction})/\sigma]$", "density")
    ax.legend(loc="upper left", **LEGEND)

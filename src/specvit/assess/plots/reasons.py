"""A figure of what a network's answer rests on, beside the information that the spectrum holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specvit.assess.plots.information import mark_lines
from specvit.assess.plots.style import SMALL, TEXT, dress
from specvit.labels import label_of

if TYPE_CHECKING:
    from specvit.predictors import Explanation

__all__ = ["plot_explanation"]

_SIZE, _HEIGHTS = (7.0, 5.2), (1.6, 1, 1, 1, 1)
_COLOURS = {"up": "#D55E00", "down": "#0072B2", "sensitivity": "#009E73", "attention": "#CC79A7"}


def plot_explanation(
    explanation: Explanation,
    *,
    star: int | None = None,
    bin_width: float = 4.0,
    lines: Any = None,
    figure: Any = None,
) -> Any:
    """What made an answer what it is: attribution, sensitivity and attention, over the Fisher information.

    Parameters
    ----------
    explanation : Explanation
        What `~specvit.predictors.explain` returns.
    star : int, optional
        Which of several stars. By default the one, or else the population: the mean flux and attention, the
        root mean square of attribution, and the quadratic means of sensitivity and information.
    bin_width : float
        Å over which attributions and information are summed, so that a line is one bar.
    lines : dict of str to sequence of float, optional
        Lines to mark: names and vacuum wavelengths in Å. By default strong ones of cool stars.
    figure : matplotlib Figure, optional
        Where to draw; by default in a new figure of two columns.

    Returns
    -------
    ndarray of matplotlib Axes, shape (5,)
        Flux in units of its median; integrated gradients, in the label's unit; σ of the label that the noise
        of a bin makes, as the network propagates it; the share of the attention; Fisher information.

    Raises
    ------
    ValueError
        If there is no such star, or none with an answer.

    Examples
    --------
    .. plot::

        >>> from specvit import LoggEstimator, example_spectrum
        >>> from specvit.assess.plots import plot_explanation
        >>> from specvit.predictors import explain
        >>> axes = plot_explanation(explain(LoggEstimator(), example_spectrum(), n_steps=8))
        >>> len(axes)
        5
    """
    rows = np.flatnonzero(np.isfinite(explanation.difference))
    if star is not None:
        rows = rows[rows == star]
    if not len(rows):
        raise ValueError(f"star must be one with an answer of the {len(explanation)}, got {star!r}")
    one, label, grid = len(rows) == 1, label_of(explanation.label), explanation.grid
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots(5, sharex=True, height_ratios=_HEIGHTS)
    figure.get_layout_engine().set(hspace=0.01, h_pad=0.015)
    edges = np.arange(grid.edges[0], grid.edges[-1] + bin_width, bin_width)
    place = np.digitize(grid.wave, edges) - 1

    def binned(values):
        return np.stack([np.bincount(place, row, len(edges) - 1) for row in np.nan_to_num(values)])

    flux = np.where(explanation.ivar[rows] > 0, explanation.flux[rows], np.nan)
    seen = np.isfinite(flux).any(0)
    flux = np.divide(
        np.nansum(flux, 0), np.isfinite(flux).sum(0), out=np.full(seen.shape, np.nan), where=seen
    )
    axes[0].plot(grid.wave, flux, color="0.15", linewidth=0.5)
    low, high = np.nanpercentile(flux, [0.2, 99.8])
    axes[0].set_ylim(low - 0.08 * (high - low), high + 0.35 * (high - low))
    attribution = binned(explanation.attribution[rows])
    shown = attribution[0] if one else np.sqrt(np.mean(attribution**2, 0))
    for sign, colour in ((1, _COLOURS["up"]), (-1, _COLOURS["down"])):
        axes[1].stairs(np.maximum(sign * shown, 0) * sign, edges, fill=True, color=colour)
    noise = np.sqrt(binned(explanation.sensitivity[rows] ** 2))
    axes[2].stairs(np.sqrt(np.mean(noise**2, 0)), edges, color=_COLOURS["sensitivity"], linewidth=0.7)
    attention = explanation.attention[rows].mean(0) * len(grid)
    axes[3].stairs(attention, grid.edges, color=_COLOURS["attention"], linewidth=0.9)
    known = np.isfinite(explanation.information[rows]).all(1)
    if known.any():
        information = binned(explanation.information[rows][known]).mean(0) / bin_width
        axes[4].stairs(information, edges, color="0.15", linewidth=0.7)
    unit = label.error_unit
    names = (
        r"$F_\lambda$ / median",
        f"{'attribution' if one else 'attribution,' + chr(10) + 'rms'} [{unit}]",
        f"σ by noise\n[{unit}]",
        "attention\n/ mean",
        f"information\n[{unit}" + r"$^{-2}\,\mathrm{\AA}^{-1}$]",
    )
    for ax, name in zip(axes, names, strict=True):
        dress(ax).set_ylabel(name, fontsize=SMALL)
        ax.set_xlim(grid.edges[0], grid.edges[-1])
        if ax is not axes[0]:
            low, high = ax.get_ylim()
            ax.set_ylim(low if low < 0 else 0, high)
            ax.axhline(0, color="0.5", linewidth=0.5)
    mark_lines(axes[0], grid.edges, lines)
    mean, sigma = (x[rows[0]] for x in explanation.predictions.columns([explanation.label]))
    form = f".{label.decimals}f"
    text = (
        f"{label.tex} = {mean[0]:{form}} ± {sigma[0]:{form}} {unit}"
        if one
        else f"{len(rows)} stars, {label.tex}"
    )
    axes[0].text(0.01, 0.05, text, transform=axes[0].transAxes, fontsize=SMALL)
    axes[-1].set_xlabel(r"vacuum wavelength [$\mathrm{\AA}$]", fontsize=TEXT)
    figure.align_ylabels(axes)
    return axes

"""One figure of what a star's spectrum can tell: the spectrum, and for each label where it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from specvit.assess.plots.information import mark_lines
from specvit.assess.plots.style import SMALL, TEXT, dress, styles
from specvit.labels import label_of, label_tuple
from specvit.limits.pixels import pixel_information

if TYPE_CHECKING:
    from specvit.limits import StarLimit

__all__ = ["plot_star_limit"]

_WIDTH, _SPECTRUM, _ROW = 7.0, 1.7, 0.62  # inches


def plot_star_limit(
    limit: StarLimit,
    *,
    labels: str | Sequence[str] | None = None,
    star: int = 0,
    lines: Any = None,
    figure: Any = None,
) -> Any:
    """The spectrum of a star, and below it for each label the information per Å, with the σ that it makes.

    Parameters
    ----------
    limit : StarLimit
        What `~specvit.limits.star_limit` returns.
    labels : str or sequence of str, optional
        Labels to show; by default all.
    star : int
        Which of several stars.
    lines : dict of str to sequence of float, optional
        Lines to mark: names and vacuum wavelengths in Å. By default strong ones of cool stars.
    figure : matplotlib Figure, optional
        Where to draw; by default in a new figure of two columns.

    Returns
    -------
    ndarray of matplotlib Axes
        That of the spectrum, in units of its median and without noise; then one for each label: its
        `~specvit.limits.pixel_information` per Å, relative to the highest, all other labels being known as
        well as the priors of `limit` say.

    Raises
    ------
    ValueError
        If a label is unknown.

    Examples
    --------
    .. plot::

        >>> from specvit.assess.plots import plot_star_limit
        >>> from specvit.limits import star_limit
        >>> axes = plot_star_limit(star_limit({"teff": 4500, "logg": 2.0, "mh": -0.3}, instrument="Gaia RVS"))
        >>> len(axes)
        6
    """
    names = label_tuple(limit.label_names if labels is None else labels, among=limit.label_names)
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(_WIDTH, _SPECTRUM + _ROW * len(names)), layout="constrained")
    ratios = [_SPECTRUM / _ROW, *[1] * len(names)]
    axes = figure.subplots(1 + len(names), sharex=True, height_ratios=ratios, squeeze=False)[:, 0]
    figure.get_layout_engine().set(hspace=0.01, h_pad=0.015)
    survey, edges = limit.survey, np.asarray(limit.survey.grid.edges)
    brightness = {k: float(np.atleast_1d(x)[star if np.ndim(x) else 0]) for k, x in limit.brightness.items()}
    stars, sigma = (np.atleast_2d(x) for x in (limit.labels, limit.sigma))
    look = styles(names)
    for ax, name in zip(axes[1:], names, strict=True):
        options = {"label": name, "given": limit.priors, **brightness}
        information, flux = pixel_information(survey, stars[star], **options)
        density = information / np.diff(edges)
        dress(ax).stairs(density / density.max(), edges, color=look[name]["color"], linewidth=0.6)
        ax.set_ylim(0, 1.15)
        ax.set_yticks([])
        label = label_of(name)
        value = f"{sigma[star, limit.label_names.index(name)]:.{max(label.decimals, 0)}f} {label.error_unit}"
        ax.set_ylabel(
            f"{label.tex}\n± {value}",
            fontsize=SMALL,
            rotation=0,
            ha="right",
            va="center",
            color=look[name]["color"],
        )
    top = dress(axes[0])
    shown = np.where(survey.used_pixels, flux / np.median(flux), np.nan)
    top.plot(survey.grid.wave, shown, color="0.15", linewidth=0.5)
    low, high = np.nanmin(shown), np.nanmax(shown)
    top.set_ylim(low - 0.04 * (high - low), high + 0.28 * (high - low))
    top.set_ylabel(r"$F_\lambda$ / median", fontsize=SMALL)
    mark_lines(top, edges, lines)
    for ax in axes:
        ax.set_xlim(edges[0], edges[-1])
        for first, last in survey.masked:
            ax.axvspan(
                max(first, edges[0]), min(last, edges[-1]), facecolor="0.93", edgecolor="none", zorder=0
            )
    axes[-1].set_xlabel(r"vacuum wavelength [$\mathrm{\AA}$]", fontsize=TEXT)
    return axes

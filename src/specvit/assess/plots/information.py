"""A figure that shows which wavelengths hold the information about a label."""

from __future__ import annotations

from typing import Any

import numpy as np

from specvit.assess.plots.style import SMALL, axis_name, dress, name_axes, new_axes
from specvit.labels import label_of
from specvit.limits.pixels import pixel_information

__all__ = ["LINES", "mark_lines", "plot_information"]

#: Strong atomic lines of cool stars: vacuum wavelengths in Å (NIST Atomic Spectra Database, in air: K I
#: 7664.90, 7698.96; Na I 8183.26, 8194.82; Ca II 8498.02, 8542.09, 8662.14; Mg I 8806.76).
LINES = {
    "K I": (7667.01, 7701.08),
    "Na I": (8185.51, 8197.08),
    "Ca II": (8500.36, 8544.44, 8664.52),
    "Mg I": (8809.18,),
}


def plot_information(
    survey: Any,
    labels: Any,
    magnitude: float | None = None,
    *,
    snr: float | None = None,
    label: str = "logg",
    known: Any = (),
    lines: Any = None,
    ax: Any = None,
) -> Any:
    """A spectrum, and below it the Fisher information about a label per Å, the other labels unknown.

    Parameters
    ----------
    survey : Survey
        A survey without imperfections and with noise.
    labels : array-like, shape (5,)
        Labels of the star.
    magnitude, snr : float, optional
        Brightness of the star, as for `Survey.observe`.
    label : str
        The label that the information is about.
    known : sequence of str
        As for `~specvit.limits.pixel_information`, where the definition is.
    lines : dict of str to sequence of float, optional
        Lines to mark: names and vacuum wavelengths in Å. By default strong ones of cool stars.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure of two columns.

    Returns
    -------
    matplotlib Axes
        The spectrum's, in units of its median; the information has the scale on the right, whose Axes
        is among ``ax.figure.axes``. Both are noiseless.

    Examples
    --------
    .. plot::

        >>> from specvit import Survey
        >>> from specvit.assess.plots import plot_information
        >>> ax = plot_information(Survey("paper"), [4700, 2.2, -0.4, 0.15, -0.05], 20.5)
    """
    information, flux = pixel_information(survey, labels, magnitude, snr=snr, label=label, known=known)
    wave, edges = np.asarray(survey.grid.wave), np.asarray(survey.grid.edges)
    density = information / np.diff(edges)
    ax = new_axes(ax, (7.0, 2.8))
    below = dress(ax.twinx())
    # The spectrum has the upper part, the information the lower.
    flux = flux / np.median(flux)
    ax.plot(wave, flux, color="0.15", linewidth=0.5)
    lowest, highest = flux.min(), flux.max()
    ax.set_ylim(lowest - 0.75 * (highest - lowest), highest + 0.16 * (highest - lowest))
    below.stairs(density, edges, color="#0072B2", linewidth=0.7, fill=False)
    below.set_ylim(0, 2.65 * density.max())
    ax.set_xlim(edges[0], edges[-1])
    mark_lines(ax, edges, lines)
    ax.tick_params(right=False)
    below.tick_params(left=False, top=False, colors="#0072B2")
    for axes, scale in ((ax, (lowest, highest)), (below, (0, density.max()))):
        ticks = [tick for tick in axes.get_yticks() if scale[0] - 1e-9 <= tick <= 1.05 * scale[1]]
        axes.set_yticks(ticks)
    name_axes(ax, r"vacuum wavelength [$\mathrm{\AA}$]", r"$F_\lambda$ / median")
    unit = label_of(label).error_unit
    below.set_ylabel(
        f"information on {axis_name(label).split(' [')[0]}\n" + rf"[{unit}$^{{-2}}\,\mathrm{{\AA}}^{{-1}}$]",
        fontsize=SMALL,
        color="#0072B2",
    )
    # Beside the numbers, whatever the width: distances in inches, as shares of the Axes.
    width = ax.get_position().width * ax.figure.get_size_inches()[0]
    ax.yaxis.set_label_coords(-0.33 / width, 0.68)
    below.yaxis.set_label_coords(1 + 0.27 / width, 0.21)
    ax.locator_params(axis="x", nbins=max(3, int(width / 0.55)))
    return ax


def mark_lines(ax, edges, lines=None):
    """Mark lines at the top of `ax`: those of `lines` between the first and the last of `edges`."""
    from matplotlib.transforms import ScaledTranslation

    for name, places in (LINES if lines is None else lines).items():
        inside = [place for place in places if edges[0] < place < edges[-1]]
        for points, text in ((-14, None), (-3, name)):
            # A distance in points from the frame, whatever the height of the Axes.
            shift = ScaledTranslation(0, points / 72, ax.figure.dpi_scale_trans)
            place = ax.get_xaxis_transform() + shift
            if text is None:
                ax.plot(inside, np.ones(len(inside)), "|", color="#D55E00", markersize=5, transform=place)
            elif inside:
                middle, room = np.median(inside), 0.03 * (edges[-1] - edges[0])
                side = (
                    "right" if middle > edges[-1] - room else "left" if middle < edges[0] + room else "center"
                )
                options = {"ha": side, "va": "top", "fontsize": SMALL, "color": "#D55E00"}
                ax.text(middle, 1, text, transform=place, **options)

"""Figures of many predictions in files: one a star, in a folder or in one PDF."""

from __future__ import annotations

import re
from pathlib import Path

from specvit.assess.plots.fit import plot_fit
from specvit.paths import user_path

__all__ = ["save_fits"]

_SIZE, _DPI = (7.0, 4.9), 150


def save_fits(path, spectra, estimator=None):
    """Draw `plot_fit` of spectra one after the other, so that memory does not grow with their number.

    Parameters
    ----------
    path : path-like
        A folder, made if need be, for a PNG file a star; or a file that ends in .pdf, for a page a star,
        which is replaced if it exists.
    spectra : iterable of (str, Spectrum, dict)
        Name, spectrum, and arguments of `plot_fit` that are stated of it.
    estimator : Predictor, optional
        As for `plot_fit`.

    Returns
    -------
    dict of str to str
        Names of spectra that have no figure, and why.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    path = user_path(path)
    pages = PdfPages(path) if path.suffix.lower() == ".pdf" else None
    if pages is None:
        path.mkdir(parents=True, exist_ok=True)
    left_out, taken = {}, set()
    try:
        for name, spectrum, stated in spectra:
            figure = Figure(figsize=_SIZE, layout="constrained")
            FigureCanvasAgg(figure)
            try:
                plot_fit(spectrum, estimator, figure=figure, **stated)
            except (TypeError, ValueError) as error:
                left_out[name] = str(error)
                continue
            figure.text(0.995, 0.003, name, ha="right", va="bottom", fontsize=5, color="0.4")
            if pages is None:
                figure.savefig(path / f"{_file_name(name, taken)}.png", dpi=_DPI)
            else:
                pages.savefig(figure)
    finally:
        if pages is not None:
            pages.close()
    return left_out


def _file_name(name, taken):
    """Name of a file for a spectrum, another one than those `taken`, to which it is added."""
    stem, index = re.fullmatch(r"(.*?)((?:\[\d+\])?)", str(name)).groups()
    wanted = re.sub(r"[^\w.+-]+", "_", Path(stem).stem) + index.replace("[", "_").rstrip("]")
    free, k = wanted, 1
    while free in taken:
        k += 1
        free = f"{wanted}-{k}"
    taken.add(free)
    return free

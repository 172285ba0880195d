"""Figures of many predictions in files: one a star, in a folder or in one PDF."""

from __future__ import annotations

import re
from pathlib import Path

from specvit.assess.plots.fit import plot_fit
from specvit.paths import user_path

__all__ = ["check_place", "save_fits"]

_SIZE, _DPI = (7.0, 4.9), 150
#: Ends of names that are files of one figure, in the formats that matplotlib writes.
_OTHERS = (".gif", ".bmp", ".html", ".fits", ".csv", ".txt")  # meant as files, and no folders
_IMAGES = (".png", ".svg", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".eps", ".ps")


def save_fits(path, spectra, estimator=None):
    """Draw `plot_fit` of spectra one after the other, so that memory does not grow with their number.

    Parameters
    ----------
    path : path-like
        A folder, made if need be, for a PNG file a star; a file that ends in .pdf, for a page a star; or one
        that ends as an image does (.png, .svg, .jpg …), for one star, the next ones going to ``name-2.png``
        and so on beside it. Files that exist are replaced.
    spectra : iterable of (str, Spectrum, dict)
        Name, spectrum, and arguments of `plot_fit` that are stated of it.
    estimator : Predictor, optional
        As for `plot_fit`.

    Returns
    -------
    dict of str to str
        Names of spectra that have no figure, and why.

    Raises
    ------
    FileNotFoundError
        If the folder of a file does not exist.

    Examples
    --------
    >>> import tempfile
    >>> from specvit import example_spectrum
    >>> folder = tempfile.mkdtemp()
    >>> save_fits(folder, [("star", example_spectrum(), {})])  # no star without a figure
    {}
    >>> [path.name for path in Path(folder).iterdir()]
    ['star.png']
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    path = check_place(path)
    pages = PdfPages(path) if path.suffix.lower() == ".pdf" else None
    image = _is_image(path)
    if pages is None and not image:
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
            if pages is not None:
                pages.savefig(figure)
            elif image:
                figure.savefig(path.with_name(_file_name(path.name, taken) + path.suffix), dpi=_DPI)
            else:
                figure.savefig(path / f"{_file_name(name, taken)}.png", dpi=_DPI)
    finally:
        if pages is not None:
            pages.close()
    return left_out


def check_place(path):
    """The path that figures go to, refused if it is a file of another kind, or in a folder that is not there.

    Examples
    --------
    >>> check_place("figures").name
    'figures'
    """
    path = user_path(path)
    if path.suffix.lower() in _OTHERS and not path.is_dir():
        raise ValueError(f"figures: must be a folder, or end in .pdf, {', '.join(_IMAGES)}, got {path}")
    is_file = path.suffix.lower() == ".pdf" or _is_image(path)
    if is_file and not path.parent.is_dir():
        raise FileNotFoundError(f"figures: the folder {path.parent} of {path.name} does not exist")
    return path


def _is_image(path):
    """Whether a path is that of one figure: it ends as an image does, and is no folder."""
    return path.suffix.lower() in _IMAGES and not path.is_dir()


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

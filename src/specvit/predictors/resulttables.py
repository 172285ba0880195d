"""Tables of results: what their columns mean, and files of them that keep the units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specvit.labels import LABELS, label_of
from specvit.paths import user_path

if TYPE_CHECKING:
    from os import PathLike

    from astropy.table import QTable

__all__ = ["describe_columns", "honesty_columns", "read_table", "write_table"]

#: What columns are, beside labels and their errors: description and format.
_COLUMNS = {
    "file": ("file, and the spectrum in one with several", None),
    "snr": ("median signal-to-noise ratio per pixel of the grid", ".2f"),
    "coverage": ("share of the pixels of the grid with information", ".4f"),
    "resolution": ("resolving power that was stated or assumed", ".0f"),
    "name": ("name of the spectrum, where its file has one", None),
    "velocity": ("radial velocity", ".2f"),
    "velocity_err": ("standard error of the radial velocity", ".2f"),
    "broadening": ("sigma of a Gaussian beyond the line spread function", ".2f"),
    "broadening_err": ("standard error of the broadening", ".2f"),
    "dilution": ("share of the light without lines", ".4f"),
    "dilution_err": ("standard error of the dilution", ".4f"),
    "chi2": ("reduced chi square against the synthetic spectrum of the labels", ".4f"),
    "flags": ("sum of specvit.spectra.Flag", None),
    "error": ("why there is no answer", None),
}
_WORDS = {
    "teff": "effective temperature",
    "logg": "log10 of the surface gravity in cm/s2",
    "mh": "metallicity [M/H]",
    "alpham": "[alpha/M]",
    "cm": "[C/M]",
}
#: Digits after the point, far below any error: text files have as many.
_DIGITS = {"K": ".1f", "dex": ".4f"}
#: Formats of files by suffix, and what astropy needs to be told to write and to read them.
_FORMATS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    ".ecsv": ("ascii.ecsv", {}, {}),
    ".fits": ("fits", {}, {}),
    ".fit": ("fits", {}, {}),
    ".vot": ("votable", {}, {}),
    ".xml": ("votable", {}, {}),
    ".h5": ("hdf5", {"path": "specvit", "serialize_meta": True}, {"path": "specvit"}),
    ".hdf5": ("hdf5", {"path": "specvit", "serialize_meta": True}, {"path": "specvit"}),
    ".parquet": ("parquet", {}, {}),
    ".csv": ("ascii.csv", {}, {}),
}
#: Standards that know no dex: there the description says it, and `read_table` restores the unit by the name.
_WITHOUT_DEX = ("fits", "votable", "ascii.csv")


def describe_columns(table: QTable) -> QTable:
    """Write descriptions and formats into the columns of a table of results, which is returned."""
    for name in table.colnames:
        label = name.removesuffix("_err")
        if label in LABELS:
            form = _DIGITS[label_of(label).error_unit]
            text = _WORDS[label] if label == name else f"standard error of the {_WORDS[label]}"
        elif name in _COLUMNS:
            text, form = _COLUMNS[name]
        else:
            continue
        table[name].info.description = text
        if form is not None:
            table[name].info.format = form
    return table


def honesty_columns(findings):
    """Columns of a table, dict of str to Quantity or ndarray (n,).

    ``velocity``, ``velocity_err`` and ``broadening``, ``broadening_err`` (σ of a Gaussian beyond the LSF)
    in km/s; ``dilution``, ``dilution_err``, the share of the light without lines; ``chi2``.
    """
    from astropy import units as u

    f, unit = findings, u.km / u.s
    width, low, high = (
        f.lsf * np.sqrt(np.maximum(f.broadening + sign * f.broadening_err, 0)) for sign in (0, -1, 1)
    )
    return {
        "velocity": f.velocity * unit,
        "velocity_err": f.velocity_err * unit,
        "broadening": width * unit,
        "broadening_err": (high - low) / 2 * unit,
        "dilution": f.dilution,
        "dilution_err": f.dilution_err,
        "chi2": f.chi2,
    }


def write_table(table: QTable, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Write a table of results so that `read_table` finds the same columns, numbers and units.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Of `Predictor.predict_table`, or such tables stacked.
    path : str or path-like
        Its suffix says the format: .ecsv, .fits, .vot or .xml (VOTable), .h5 or .hdf5, .parquet (which needs
        pyarrow), .csv.
    overwrite : bool
        Whether to replace a file that is there.

    Raises
    ------
    OSError
        If the file is there, and `overwrite` is not set.
    ValueError
        If the suffix is another.

    Notes
    -----
    FITS and VOTable know no unit dex. There such columns have none, and descriptions that say it. Numbers are
    written in full, whatever the formats of the columns.

    Examples
    --------
    >>> import tempfile
    >>> from specvit import LoggEstimator, example_spectrum
    >>> table = LoggEstimator().predict_table(example_spectrum())
    >>> path = tempfile.mkdtemp() + "/labels.fits"
    >>> write_table(table, path)
    >>> read_table(path)["logg"].unit
    Unit("dex(cm / s2)")
    """
    path, (form, options, _) = user_path(path), _format_of(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; overwrite=True replaces it")
    table = table.copy()
    for name in table.colnames:
        column = table[name]
        column.info.format = None
        if form in _WITHOUT_DEX and "dex" in str(column.unit or ""):
            about = f"{column.info.description or name} [dex]"
            table[name] = np.asarray(getattr(column, "value", column))
            table[name].info.description = about
        if form == "fits" and table[name].dtype.kind == "U":  # astropy would encode as ASCII, and fail
            table[name] = np.char.encode(np.asarray(table[name]), "utf-8", "backslashreplace")
    if form == "hdf5":
        path.unlink(missing_ok=True)  # astropy's own overwriting leaves the other tables of a file
    table.write(path, format=form, overwrite=overwrite, **options)


def read_table(path: str | PathLike[str]) -> QTable:
    """Read a file that `write_table` wrote, with its units.

    Parameters
    ----------
    path : str or path-like
        The file; its suffix says the format.

    Returns
    -------
    `~astropy.table.QTable`

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or its suffix is unknown.

    Examples
    --------
    >>> import tempfile
    >>> from specvit import LoggEstimator, example_spectrum
    >>> path = tempfile.mkdtemp() + "/labels.ecsv"
    >>> write_table(LoggEstimator().predict_table(example_spectrum()), path)
    >>> read_table(path)["teff"].unit
    Unit("K")
    """
    import astropy.units as u
    from astropy.table import QTable

    form, _, options = _format_of(path)
    table = QTable.read(user_path(path), format=form, **options)
    for name in table.colnames:
        column, label = table[name], name.removesuffix("_err")
        if hasattr(column, "mask"):
            kind = column.dtype.kind
            filled = column.filled(np.nan if kind == "f" else "" if kind in "SUO" else 0)
            table[name] = column = getattr(filled, "unmasked", filled)
        if column.dtype.kind in "SO":
            table[name] = [x.decode() if isinstance(x, bytes) else str(x) for x in column]
        elif label in LABELS:
            known = label_of(label)
            unit = u.Unit(known.unit if label == name else known.error_unit)
            table[name] = np.asarray(getattr(column, "value", column), np.float64) * unit
    return describe_columns(table)


def _format_of(path):
    suffix = user_path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(f"path must end in one of {', '.join(_FORMATS)}, got {str(path)!r}")
    return _FORMATS[suffix]

"""Tables on disk made of parts: checked before the work, text in constant memory, all formats by suffix."""

from __future__ import annotations

import io
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from specvit.predictors.resulttables import describe_columns, write_table
from specvit.spectra import Flag

__all__ = ["TEXT_FORMATS", "as_columns", "as_table", "check_table_path", "text_of", "write_joined"]

_SUFFIXES = (".ecsv", ".csv", ".fits", ".fit", ".vot", ".xml", ".h5", ".hdf5", ".parquet")
#: Formats of text that can be written row after row: suffix -> astropy's name.
TEXT_FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv"}
#: What was assumed: key of the metadata -> flag, and what was taken for granted.
_ASSUMED = {
    "MEDIUM": (Flag.MEDIUM_ASSUMED, "vacuum"),
    "RESOLVE": (Flag.RESOLUTION_ASSUMED, "column resolution"),
    "NOISE": (Flag.NO_UNCERTAINTY, "from scatter"),
}


def check_table_path(path, overwrite=False):
    """Raise OSError, ValueError or ImportError unless a table can be written there.

    Parameters
    ----------
    path : pathlib.Path
        The file that is wanted.
    overwrite : bool
        Whether one that is there may be replaced.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"output must end in one of {', '.join(_SUFFIXES)}, got {str(path)!r}")
    if path.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise ImportError(f"{path}: Parquet needs the package pyarrow, which is not installed")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; overwrite replaces it")
    if not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise PermissionError(f"{path}: no permission to write there")


def as_columns(table):
    """The columns of a table as plain arrays, by name."""
    columns = {name: np.asarray(getattr(table[name], "value", table[name])) for name in table.colnames}
    return {name: x.astype(str) if x.dtype.kind == "O" else x for name, x in columns.items()}


def as_table(columns, like):
    """A table of plain arrays, with the units and descriptions of the table `like`."""
    from astropy.table import QTable

    table = QTable(meta=dict(like.meta))
    for name in like.colnames:
        unit = getattr(like[name], "unit", None)
        table[name] = columns[name] if unit is None else columns[name] * unit
    return describe_columns(table)


def write_joined(path, parts, like):
    """Write the table of all parts.

    Parameters
    ----------
    path : pathlib.Path
        The file; its suffix says the format.
    parts : callable
        Gives an iterator over the parts, dicts of column name to ndarray.
    like : `~astropy.table.QTable`
        A table with the columns and units.

    Notes
    -----
    Text is written part after part, as UTF-8, in constant memory; the other formats in one piece, 300 bytes a
    row.
    """
    like = like.copy()
    like.meta |= _assumed(parts)
    if path.suffix.lower() in TEXT_FORMATS:
        with open(path, "w", encoding="utf-8", newline="") as file:
            for number, columns in enumerate(parts()):
                file.write(text_of(as_table(columns, like), path.suffix.lower(), header=number == 0))
            if file.tell() == 0:
                file.write(text_of(like[:0], path.suffix.lower()))
        return
    gathered = {name: [] for name in like.colnames}
    for columns in parts():
        for name in gathered:
            gathered[name].append(columns[name])
    whole = {name: np.concatenate(x) if x else np.asarray(like[name][:0]) for name, x in gathered.items()}
    write_table(as_table(whole, like), Path(path), overwrite=True)


def text_of(table, suffix, header=True):
    """A table as text, with or without the lines above the first row; numbers in full."""
    table, text = table.copy(), io.StringIO()
    for name in table.colnames:
        table[name].info.format = None
    table.write(text, format=TEXT_FORMATS[suffix])
    lines = text.getvalue()
    if header:
        return lines
    rows = io.StringIO(lines, newline="")
    skipped = rows.readline()
    while skipped.startswith("#"):
        skipped = rows.readline()
    return rows.read()


def _assumed(parts):
    """Metadata of what was assumed for how many of all."""
    total, counts = 0, dict.fromkeys(_ASSUMED, 0)
    for columns in parts():
        total += len(columns["flags"])
        for key, (flag, _) in _ASSUMED.items():
            counts[key] += int((columns["flags"] & int(flag) > 0).sum())
    said = {key: f"{_ASSUMED[key][1]}, assumed for {count} of {total}" for key, count in counts.items()}
    return {key: said[key] if counts[key] else "stated" for key in said}

"""Reading of spectra from files, and which files an argument means."""

from __future__ import annotations

import argparse
import glob
import re
from pathlib import Path

from specvit.cli.common import one_line
from specvit.paths import user_path

__all__ = [
    "READING",
    "Example",
    "chosen_columns",
    "expand",
    "files_with_velocities",
    "mask_bits",
    "read_spectrum",
]

#: Options that say how files are read, as `read_spectrum` takes them.
READING = ("format", "columns", "wave_unit", "flux_unit", "damage")

_ORDER = ("wave", "flux", "err", "mask")


def read_spectrum(
    path, *, format=None, columns=None, wave_unit=None, flux_unit="erg / (s cm2 Angstrom)", damage=None
):
    """Read the spectrum or spectra in a file, as `specvit.spectra.readers.read` does.

    Parameters
    ----------
    path : str or path-like
        The file.
    format : str, optional
        Name of a reader.
    columns : dict, optional
        Columns of a table by their role.
    wave_unit, flux_unit : str, optional
        Units for tables that state none.
    damage : sequence of str, optional
        Names of mask bits of PFS that mean a lost pixel.

    Returns
    -------
    `~specutils.Spectrum` or `~specutils.SpectrumList`

    Raises
    ------
    OSError, ValueError
        If the file cannot be read as a spectrum; the message names the file, in one line.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/star.csv"
    >>> with open(path, "w") as file:
    ...     _ = file.write("wavelength,flux,error\\n")
    ...     _ = file.writelines(f"{8400 + k},{1 + 0.01 * k},0.1\\n" for k in range(100))
    >>> read_spectrum(path).shape
    (100,)
    """
    from specutils import SpectrumList

    from specvit.spectra.readers import read

    units = {"wave_unit": wave_unit, "flux_unit": flux_unit}
    try:
        found = read(path, format=format, columns=columns, damage=damage, **units)
    except FileNotFoundError:
        raise
    except Exception as error:  # readers of every kind, on files of every kind
        reason = one_line(error)
        raise ValueError(reason if reason.startswith(str(path)) else f"{path}: {reason}") from error
    return found[0] if len(found) == 1 else SpectrumList(found)


def expand(arguments):
    """The files that arguments mean.

    Parameters
    ----------
    arguments : sequence of str
        Paths; patterns with ``*``, ``?`` or ``[…]``; folders, for the files in them; ``@LIST``, a file with
        one of these a line, relative to the folder of the list if it is not found from here.

    Returns
    -------
    list of str
        In the order given, those of a pattern or folder sorted.

    Raises
    ------
    FileNotFoundError
        If a file, folder or list is not there, or nothing matches a pattern. Of files in a list, if none is
        there: else those that are missing are told of when they are read.
    """
    files = []
    for argument in arguments:
        path = user_path(argument)
        if path.is_file():
            files.append(str(path))
        elif path.is_dir():
            inside = sorted(
                str(one) for one in path.iterdir() if one.is_file() and not one.name.startswith(".")
            )
            if not inside:
                raise FileNotFoundError(f"{argument}: no file in this folder")
            files += inside
        elif str(argument).startswith("@"):
            files += _listed(user_path(str(argument)[1:]))
        elif glob.has_magic(str(path)):
            matches = sorted(glob.glob(str(path), recursive=True))
            matches = [match for match in matches if Path(match).is_file()]
            if not matches:
                raise FileNotFoundError(f"{argument}: no file matches")
            files += matches
        else:
            raise FileNotFoundError(f"{argument}: no such file")
    return files


def _listed(path):
    """The files of a list."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of files")
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    lines = [_beside(path, line) for line in lines if line and not line.startswith("#")]
    gone = [
        line for line in lines if not (line.startswith("@") or glob.has_magic(line) or Path(line).exists())
    ]
    if gone and len(gone) == len(lines):
        raise FileNotFoundError(f"{gone[0]}: no such file, nor is any other of the list {path}")
    # A file that is missing among others costs its own row, as one that cannot be read.
    return _some(path, [file for line in lines for file in ([line] if line in gone else expand([line]))])


def _some(listing, files):
    """The files of a list that has some."""
    if not len(files):
        raise FileNotFoundError(f"{listing}: no file in this list")
    return files


def _beside(listing, line):
    """A path in a list: from here, or if it is not there from the folder of the list."""
    line = str(user_path(line)) if line.startswith("~") else line
    here = Path(line).exists() or line.startswith("@") or Path(line).is_absolute()
    return line if here else str(listing.parent / line)


def files_with_velocities(arguments, velocity=None):
    """The files that arguments mean, with what a table among them says of each.

    Parameters
    ----------
    arguments : sequence of str
        As for `expand`. ``@TABLE`` may also be a table (text with a line of names, ECSV, FITS, VOTable) with
        the columns ``file`` or ``path`` and, if you like, ``velocity`` in km/s and ``name``.
    velocity : float or str, optional
        Of all files, or the name of the column.

    Returns
    -------
    `~astropy.table.QTable`
        With ``file`` and, where a table has them, ``velocity`` and ``name``.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is not there, or the column is in no table.
    """
    from astropy.table import QTable

    from specvit.stream.opening import files_of

    paths, velocities, names = [], [], []
    for argument in arguments:
        table = _table_of_files(user_path(argument[1:])) if argument.startswith("@") else None
        column = velocity if isinstance(velocity, str) else None
        if table is None:
            found, their_names, theirs = expand([argument]), None, None
        else:
            found, their_names, theirs = files_of(table, None, column)
            listing = user_path(argument[1:])
            found = _some(listing, [_beside(listing, one) for one in found])
        paths += found
        velocities += [float("nan")] * len(found) if theirs is None else list(theirs)
        names += [""] * len(found) if their_names is None else their_names
    if isinstance(velocity, str) and all(v != v for v in velocities):
        raise ValueError(f"--velocity {velocity}: no number, and no @TABLE with a column of this name")
    files = QTable({"file": paths})
    if any(v == v for v in velocities) or isinstance(velocity, float):
        files["velocity"] = velocities if not isinstance(velocity, float) else [velocity] * len(paths)
    if any(names):
        files["name"] = names
    return files


def _table_of_files(path):
    """A table, if a list of files is one: then it has a column of them."""
    from astropy.table import Table

    from specvit.stream.opening import PATH_COLUMNS

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of files")
    if path.suffix.lower() in (".fits", ".fit", ".vot", ".xml", ".parquet"):
        return Table.read(path)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    words = [word.strip(' "').lower() for word in re.split(r"[,;|\s]+", first.strip())]
    if not set(words) & set(PATH_COLUMNS) or user_path(first.strip()).exists():
        return None
    return Table.read(lines, format="ascii")


class Example:
    """The example as a source of `specvit.stream.predict_stream`."""

    column, unit, total, batch_size, named, own_axis = "file", "spectra", 1, 1, True, True

    def fingerprint(self):
        """What tells it from other sources."""
        return ["example"]

    def pieces(self, first=0):
        """The one piece, unless there was one."""
        from specvit.example import example_spectrum
        from specvit.stream.pieces import Block, Piece

        block = Block([example_spectrum()], 1, places=["example"], names=[""])
        if first == 0:
            yield Piece(0, 1, lambda adapt: adapt(block))


def chosen_columns(text):
    """Type of ``--columns``: ``wave=NAME,flux=NAME,err=NAME``, or names of wavelength, flux, error, mask."""
    parts = [part.strip() for part in text.split(",")]
    pairs = [part.partition("=") for part in parts]
    if all(sign for _, sign, _ in pairs):
        return {role.strip(): name.strip() for role, _, name in pairs}
    if any(sign for _, sign, _ in pairs) or not 2 <= len(parts) <= len(_ORDER):
        raise argparse.ArgumentTypeError(f"must be ROLE=NAME,… or two to four names, got {text}")
    return dict(zip(_ORDER, parts, strict=False))


def mask_bits(text):
    """Type of ``--damage``: names of mask bits, or the word none."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"must be NAME,… or none, got {text!r}")
    return () if names == ("none",) else names

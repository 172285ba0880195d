"""Reading of spectra from files, and which files an argument means."""

from __future__ import annotations

import argparse
import glob
from pathlib import Path

from specvit.cli.common import one_line
from specvit.paths import user_path

__all__ = ["chosen_columns", "expand", "read_spectrum"]

_ORDER = ("wave", "flux", "err", "mask")


def read_spectrum(path, *, format=None, columns=None, wave_unit=None, flux_unit="erg / (s cm2 Angstrom)"):
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

    Returns
    -------
    `~specutils.Spectrum` or `~specutils.SpectrumList`

    Raises
    ------
    OSError, ValueError
        If the file cannot be read as a spectrum; the message names the file, in one line.
    """
    from specutils import SpectrumList

    from specvit.spectra.readers import read

    try:
        found = read(path, format=format, columns=columns, wave_unit=wave_unit, flux_unit=flux_unit)
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
        If a file, folder or list is not there, or nothing matches a pattern.
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
            if not matches:
                raise FileNotFoundError(f"{argument}: no file matches")
            files += [match for match in matches if Path(match).is_file()]
        else:
            raise FileNotFoundError(f"{argument}: no such file")
    return files


def _listed(path):
    """The files of a list."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of files")
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    found = []
    for line in lines:
        if line and not line.startswith("#"):
            line = str(user_path(line)) if line.startswith("~") else line
            here = Path(line).exists() or line.startswith("@") or Path(line).is_absolute()
            found.append(line if here else str(path.parent / line))
    return expand(found)


def chosen_columns(text):
    """Type of ``--columns``: ``wave=NAME,flux=NAME,err=NAME``, or names of wavelength, flux, error, mask."""
    parts = [part.strip() for part in text.split(",")]
    pairs = [part.partition("=") for part in parts]
    if all(sign for _, sign, _ in pairs):
        return {role.strip(): name.strip() for role, _, name in pairs}
    if any(sign for _, sign, _ in pairs) or not 2 <= len(parts) <= len(_ORDER):
        raise argparse.ArgumentTypeError(f"must be ROLE=NAME,… or two to four names, got {text}")
    return dict(zip(_ORDER, parts, strict=False))

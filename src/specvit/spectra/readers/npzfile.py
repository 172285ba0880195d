"""NumPy archives (.npz): arrays by their names, as columns of tables.

``wave_0``, ``flux_0``, ``wave_1`` … are several spectra.

Medium and resolution: not stated, but for a name as ``wave_air``. Unit: in the name (``wave_nm``), else by
the size of the numbers; relative flux. Lost: NaN, and an array ``mask`` (true is bad) or ``good`` (true is
good).
"""

from __future__ import annotations

import re
import zipfile

import numpy as np

from specvit.spectra.readers.columnroles import find_columns
from specvit.spectra.readers.tablerows import spectra_of_columns

__all__ = ["is_archive", "read_archive"]

_NUMBER = re.compile(r"^(.*?)_?(\d+)$")


def is_archive(source):
    """Whether a file is a NumPy archive with a wavelength and a flux.

    Parameters
    ----------
    source : str, path-like or file-like
        The file.

    Returns
    -------
    bool
    """
    try:
        return any(find_columns(names).complete for names in _groups(_open(source).files).values())
    except ValueError:
        return False


def read_archive(source, *, columns=None, wave_unit=None, flux_unit=None):
    """Read the spectra in a NumPy archive.

    Parameters
    ----------
    source : str, path-like or file-like
        The file.
    columns : dict of str to str, optional
        Arrays by role, as for `find_columns`, then for one spectrum.
    wave_unit, flux_unit : str, optional
        Units of the arrays.

    Returns
    -------
    list of specutils.Spectrum
        In the order of their numbers.

    Raises
    ------
    ValueError
        If it is no archive, or no arrays of it have names of a wavelength and a flux.
    """
    archive = _open(source)
    units = {"wave_unit": wave_unit, "flux_unit": flux_unit}
    if columns:
        return spectra_of_columns(archive.files, lambda name: archive[name], chosen=columns, **units)
    groups = {
        number: names for number, names in _groups(archive.files).items() if find_columns(names).complete
    }
    if not groups:
        groups = {None: {name: name for name in archive.files}}  # whose error has the names
    spectra = []
    for names in groups.values():

        def values(name, names=names):
            return archive[names[name]]

        spectra += spectra_of_columns(list(names), values, **units)
    return spectra


def _open(source):
    if hasattr(source, "seek"):
        source.seek(0)
    try:
        archive = np.load(source, allow_pickle=False)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise ValueError(f"no NumPy archive that can be read: {error}") from None
    if not hasattr(archive, "files"):
        raise ValueError(
            "a NumPy array without wavelengths: put it into a Spectrum, or predict arrays on the grid"
        )
    return archive


def _groups(names):
    """Names of arrays by the number at their end, None without: number -> bare name -> name."""
    groups = {}
    for name in names:
        match = _NUMBER.match(name)
        number, bare = (int(match[2]), match[1]) if match and match[1] else (None, name)
        groups.setdefault(number, {})[bare] = name
    return dict(sorted(groups.items(), key=lambda item: -1 if item[0] is None else item[0]))

"""NumPy archives (.npz): arrays by their names, as columns of tables; and single spectra in .npy files.

``wave_0``, ``flux_0``, ``wave_1`` … are several spectra. An array with names of its fields, or of two to four
rows or columns of which the first rises or falls, is wavelength, flux, error, mask.

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

__all__ = ["is_archive", "read_archive", "single_spectrum"]

_BARE = ("wave", "flux", "err", "mask")
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
    if hasattr(archive, "files"):
        if not archive.files or not all(name in archive for name in archive.files):
            raise ValueError("an empty archive")
        inside = [name for name in archive.zip.namelist() if not name.endswith(".npy")]
        if inside:
            raise ValueError(f"a zip archive of {', '.join(inside[:3])}: unpack it, and give the files in it")
        return archive
    columns = single_spectrum(archive)
    if columns is None:
        raise ValueError(
            f"a NumPy array of shape {archive.shape} without wavelengths: put it into a Spectrum, or predict "
            "arrays on the grid, (n, n_pixels), one file at a time"
        )
    return _Arrays(columns)


class _Arrays(dict):
    """Arrays by name, as an archive has them."""

    @property
    def files(self):
        return list(self)


def single_spectrum(array):
    """Columns of an array that is one spectrum.

    Parameters
    ----------
    array : numpy.ndarray
        With named fields; or of shape (2 to 4, npix) or (npix, 2 to 4), of which the first row or column
        rises or falls strictly.

    Returns
    -------
    dict of str to numpy.ndarray, or None
        wave, flux, err, mask; None if it is something else, as fluxes of several spectra.
    """
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    if array.ndim != 2 or not 2 <= min(array.shape) <= len(_BARE) or max(array.shape) <= 2 * len(_BARE):
        return None
    rows = array if array.shape[0] <= len(_BARE) else array.T
    steps = np.diff(np.asarray(rows[0], float))
    if not ((steps > 0).all() or (steps < 0).all()):
        return None
    return dict(zip(_BARE, rows, strict=False))


def _groups(names):
    """Names of arrays by the number at their end, None without: number -> bare name -> name."""
    groups = {}
    for name in names:
        match = _NUMBER.match(name)
        number, bare = (int(match[2]), match[1]) if match and match[1] else (None, name)
        groups.setdefault(number, {})[bare] = name
    return dict(sorted(groups.items(), key=lambda item: -1 if item[0] is None else item[0]))

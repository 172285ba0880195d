"""`open_source`: any source of spectra, by what it is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from specvit.checks import check_integer
from specvit.dataset import SpectrumDataset
from specvit.spectra.kinds import Kind, kind_of
from specvit.stream.arraysources import ArraySource, BatchSource, SpectraSource, stamp
from specvit.stream.filesource import FileSource
from specvit.stream.storedarrays import is_stored, open_stored

__all__ = ["PATH_COLUMNS", "files_of", "open_source"]

#: Read together by default: of files fewer, so that the first are ready soon.
_FILES, _SPECTRA = 32, 256
#: Columns of a table of files, in any case.
PATH_COLUMNS = ("file", "path", "filename", "file_name", "filepath")
_VELOCITY_COLUMNS = ("velocity", "rv", "vrad", "radial_velocity", "v_rad", "vhelio")
_NAME_COLUMNS = ("name", "object", "id", "star", "source_id", "targetid")


def open_source(source, *, ivar=None, wave=None, names=None, velocity=None, batch_size=None, reading=None):
    """Open spectra of any kind for reading in pieces.

    Parameters
    ----------
    source : str, path-like, list of them, table, array, SpectrumDataset, spectra or iterable
        Paths of files (see `specvit.spectra.readers`); a table (astropy's or pandas') with a column ``file``
        or ``path`` and, if you like, ``velocity`` and ``name``; an array (n, n_pixels) of NumPy, a memory
        map, a data set of HDF5 or an array of Zarr; the path of an HDF5 or Zarr file with ``flux`` and, if it
        has them, ``ivar``, ``wave`` and ``name``, or of a ``.npy`` file; a
        `~specvit.dataset.SpectrumDataset`, to which noise is added, the same each time; a
        `~specutils.Spectrum` of any dimensions, `~specutils.SpectrumCollection`, list of spectra or
        `SpectrumBatch`; an iterable of spectra or of batches (flux, ivar) of arrays.
    ivar : array-like, shape (n, n_pixels), optional
        Inverse variance, for arrays.
    wave : array-like or Quantity, shape (n_pixels,), optional
        Wavelengths of the pixels of arrays, plain numbers in Å. Without them the fluxes must be on the
        predictor's grid.
    names : sequence of str, optional
        Names of the objects, one a spectrum; for files, one a file.
    velocity : float, str or array-like, optional
        For files: radial velocity in km/s to remove, one for all or one a file; for a table also the name of
        its column.
    batch_size : int, optional
        Spectra, or files, that are read together and make one part of the table; by default 32 files, 256
        spectra of other sources.
    reading : dict, optional
        Options of `specvit.spectra.readers.read`.

    Returns
    -------
    ArraySource, SpectraSource, BatchSource or FileSource
        With ``pieces(first)``, ``fingerprint()``, ``total`` (None if unknown) and ``unit``.

    Raises
    ------
    TypeError, ValueError, OSError
        If `source` is nothing of the kind, an argument does not go with it, or a file of arrays cannot be
        opened.

    Examples
    --------
    >>> from specvit import Survey
    >>> stars = Survey("paper", seed=1).draw(5, magnitude=20.0)
    >>> source = open_source(stars.flux.numpy(), ivar=stars.ivar.numpy(), batch_size=2)
    >>> source.total, len(list(source.pieces(0)))
    (5, 3)
    """
    if batch_size is not None:
        check_integer("batch_size", batch_size, 1)
    if hasattr(source, "pieces") and hasattr(source, "fingerprint"):
        return source
    arrays = {"ivar": ivar, "wave": wave}
    size = {"batch_size": batch_size or _SPECTRA, "names": names}
    found = files_of(source, names, velocity)
    if found is not None:
        paths, names, velocities = found
        if len(paths) == 1 and is_stored(paths[0]):
            stored = open_stored(paths[0], wave=wave, **size)
            if stored is not None:
                _refuse(velocity=velocity, ivar=ivar, damage=(reading or {}).get("damage"))
                return stored
        _refuse(**arrays)
        size["names"] = names
        size["batch_size"] = batch_size or _FILES
        return FileSource(paths, velocities=velocities, **size, **(reading or {}))
    _refuse(velocity=velocity)
    if isinstance(source, SpectrumDataset):
        _refuse(**arrays, names=names)
        mark = ["dataset", *(stamp(path) for path in source.paths), len(source)]
        batches = source.frozen(size["batch_size"])
        return BatchSource(batches, total=len(source), batch_size=size["batch_size"], mark=mark)
    kind = kind_of(source)
    if kind is not Kind.ARRAY:
        _refuse(**arrays)
        return SpectraSource(source, **size)
    if len(getattr(source, "shape", ())) == 2 or _is_nested(source):
        return ArraySource(source, **arrays, **size)
    if isinstance(source, Iterable) and not hasattr(source, "shape") and not isinstance(source, dict):
        _refuse(**arrays, names=names)
        return BatchSource(source, batch_size=size["batch_size"])
    shape = f" of shape {source.shape}" if hasattr(source, "shape") else ""
    raise TypeError(
        "source must be paths of files, a table of them, an array (n, n_pixels), a SpectrumDataset, spectra "
        f"or an iterable of these, got {type(source).__name__}{shape}"
    )


def _refuse(**arguments):
    """Raise ValueError for the first argument that was given: it does not go with the source."""
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(f"{name} does not go with this source: see specvit.stream.open_source")


def _is_nested(source):
    """Whether a list or tuple is one of rows of numbers."""
    return (
        isinstance(source, list | tuple)
        and len(source) > 0
        and not isinstance(source[0], str | os.PathLike)
        and np.ndim(source[0]) == 1
        and not hasattr(source[0], "spectral_axis")
    )


def files_of(source, names, velocity):
    """Paths, names and velocities in km/s of files, or None if a source is none of files.

    Parameters
    ----------
    source : object
        A path, a list of paths, a table with a column of `PATH_COLUMNS`, or anything else.
    names : sequence of str or None
        Names of the objects.
    velocity : float, str, array-like or None
        Velocities, or for a table the name of their column.

    Raises
    ------
    ValueError
        If a table has no column of paths, or not that of velocities.
    """
    if isinstance(source, str | os.PathLike):
        source = [source]
    columns = getattr(source, "colnames", None) or getattr(source, "columns", None)
    if columns is not None and not hasattr(source, "spectral_axis"):
        return _files_of_table(source, {str(c).lower(): c for c in columns}, names, velocity)
    if not (isinstance(source, list | tuple) and source):
        return None
    if not all(isinstance(one, str | os.PathLike) for one in source):
        return None
    if isinstance(velocity, str):
        raise ValueError(f"velocity must be a number for files without a table, got {velocity!r}")
    return [str(Path(one).expanduser()) for one in source], names, _each(velocity, len(source))


def _files_of_table(table, columns, names, velocity):
    """Those of a table."""
    where = next((columns[name] for name in PATH_COLUMNS if name in columns), None)
    if where is None:
        raise ValueError(
            f"a table of files must have a column called {' or '.join(PATH_COLUMNS)}, got "
            f"{', '.join(map(str, columns.values()))}"
        )
    paths = [str(Path(str(one)).expanduser()) for one in table[where]]
    if names is None:
        which = next((columns[name] for name in _NAME_COLUMNS if name in columns), None)
        names = None if which is None else [str(one) for one in table[which]]
    if velocity is None:
        velocity = next((columns[name] for name in _VELOCITY_COLUMNS if name in columns), None)
    elif isinstance(velocity, str) and velocity.lower() not in columns:
        raise ValueError(f"velocity must be a column of the table, {', '.join(columns)}, got {velocity!r}")
    if isinstance(velocity, str):
        column = table[columns[velocity.lower()]]
        column = column.to_value("km / s") if hasattr(column, "to_value") and column.unit else column
        hidden = np.ma.getmaskarray(np.ma.asarray(column))
        velocity = np.where(hidden, np.nan, np.ma.getdata(np.ma.asarray(column)).astype(float))
    return paths, names, _each(velocity, len(paths))


def _each(velocity, n):
    """One velocity in km/s for each of n files; None if there is none."""
    if velocity is None:
        return None
    velocity = velocity.to_value("km / s") if hasattr(velocity, "to_value") else velocity
    velocity = np.asarray(velocity, float)
    return np.full(n, float(velocity)) if velocity.ndim == 0 else velocity

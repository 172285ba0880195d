"""HDF5 files of a data set: checked when they are opened, read by rows, a few of them known at a time."""

from __future__ import annotations

import itertools
import json
import os
import threading
import weakref
from collections import OrderedDict
from pathlib import Path

import numpy as np

from specvit.dataset.layout import (
    EDGES,
    ERROR,
    FLUX,
    LABEL_COLUMNS,
    LSF,
    MASK,
    NOISELESS_ERROR,
    WAVE,
    find_table,
)
from specvit.dataset.seal import check_region, check_seal

__all__ = ["ShardFile", "ShardFiles", "sound"]

_OPEN_FILES = 64
_TINY = np.nextafter(np.float32(0), np.float32(1))
_TABLE_ROWS = 1024  # read at a time: as many as a chunk of our own tables has
_MOST_PLACES = 512  # filled by one call; systems allow 1024
#: Names in the checksums of what is called otherwise here, where reported errors are stored.
_STORED = {"sigma": "error_noiseless"}


class ShardFile:
    """A file and what is in it.

    HDF5 keeps megabytes of buffers for every file that it holds open, so it opens the file to check it, to
    read the table, and to read arrays that need conversion. Plain arrays are read without it. Several threads
    may read at once. The file is closed when nobody refers to this any longer.

    Parameters
    ----------
    path : str or Path
        Where the file is.
    label_names : sequence of str
        Labels that its table must have.

    Attributes
    ----------
    n, n_pixels : int
        Numbers of spectra and of pixels.
    edges : ndarray, shape (n_pixels + 1,)
        Edges of the pixels in Å.
    lsf_sigma : ndarray, shape (n_pixels,), or None
        Standard deviation of the line spread function in Å; None if the file has none.
    attrs : dict
        ``medium`` and ``name`` of the grid, where the file says.
    has_reported : bool
        Whether the errors a pipeline would report are stored, beside the σ of the noise.
    has_mask : bool
        Whether some pixel may be masked.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is truncated, damaged, not HDF5, or of another layout; the message names file and dataset.
    """

    def __init__(self, path, label_names):
        self.path, self.label_names = Path(path), tuple(label_names)
        self._labels = None
        if self.path.is_file():
            check_seal(self.path)
        with self._hdf5() as file:
            record = file["dataset"].attrs.get("specvit") if "dataset" in file else None
            self._checksums = {} if record is None else json.loads(record).get("checksums", {})
            self._check_arrays(file)
            self._check_wave(file)
            self._check_table(file)
        self._descriptor = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def _hdf5(self):
        import h5py

        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path}: no such file")
        try:
            return h5py.File(self.path, "r")
        except OSError as error:
            raise ValueError(f"{self.path}: truncated, or not an HDF5 file ({error})") from error

    def _dataset(self, file, key, shape=None, kinds="f"):
        import h5py

        found = file.get(key)
        if not isinstance(found, h5py.Dataset):
            raise ValueError(f"{self.path}: has no dataset {key!r}; is it a file of this layout?")
        if found.dtype.kind not in kinds:
            raise ValueError(f"{self.path}: {key!r} must hold numbers, got type {found.dtype}")
        if shape is not None and found.shape != shape:
            raise ValueError(f"{self.path}: {key!r} must have shape {shape}, got {found.shape}")
        return found

    def _check_arrays(self, file):
        flux = self._dataset(file, FLUX)
        if flux.ndim != 2 or 0 in flux.shape:
            raise ValueError(f"{self.path}: {FLUX!r} must have shape (n, n_pixels), got {flux.shape}")
        self.n, self.n_pixels = flux.shape
        self.has_reported, self.has_mask = NOISELESS_ERROR in file, MASK in file
        self._keys = {"flux": FLUX, "sigma": NOISELESS_ERROR if self.has_reported else ERROR}
        if self.has_reported:
            self._keys["error"] = ERROR
        arrays = {name: self._dataset(file, key, flux.shape) for name, key in self._keys.items()}
        if self.has_mask:
            mask = self._dataset(file, MASK, flux.shape, "iub")
            self.has_mask = mask.id.get_storage_size() > 0  # else never written: False everywhere
            self._keys["mask"], arrays["mask"] = MASK, mask
        self._offsets = {name: _offset(name, array) for name, array in arrays.items()}
        self._sizes = {name: array.id.get_storage_size() for name, array in arrays.items()}

    def _check_wave(self, file):
        wave = self._dataset(file, WAVE, (self.n_pixels,))[:].astype(float)
        self.edges = self._dataset(file, EDGES, (self.n_pixels + 1,))[:].astype(float)
        self.lsf_sigma = None
        if LSF in file:
            self.lsf_sigma = self._dataset(file, LSF, (self.n_pixels,))[:].astype(float)
        attrs = file["spectrumdataset"].attrs
        self.attrs = {name: str(attrs[name]) for name in ("medium", "name") if name in attrs}
        if not (np.isfinite(self.edges).all() and self.edges[0] > 0 and (np.diff(self.edges) > 0).all()):
            raise ValueError(f"{self.path}: {EDGES!r} must be finite, positive and strictly increasing")
        slack = 1e-6 * np.diff(self.edges).min()
        if not ((wave > self.edges[:-1] - slack) & (wave < self.edges[1:] + slack)).all():
            raise ValueError(f"{self.path}: {WAVE!r} must lie between {EDGES!r}")

    def _check_table(self, file):
        found, rows = find_table(file, self.path)
        self._columns = {name: (table.name, *where) for name, (table, *where) in found.items()}
        missing = [
            LABEL_COLUMNS[name] for name in self.label_names if LABEL_COLUMNS[name] not in self._columns
        ]
        if missing:
            raise ValueError(f"{self.path}: its table lacks the columns {missing} of the labels")
        if rows != self.n:
            raise ValueError(f"{self.path}: its table has {rows} rows, {FLUX!r} has {self.n} spectra")

    # -- reading ---------------------------------------------------------------------------------------

    def column(self, name):
        """A column of the table, float64 (n,); NaN where the file lacks it."""
        if name not in self._columns:
            return np.full(self.n, np.nan)
        return self._table([name], np.float64)[0]

    def _table(self, names, kind):
        """Columns of the table, (n_columns, n): read whole, a piece at a time."""
        places = [self._columns[name] for name in names]
        values = np.empty((len(names), self.n), kind)
        with self._hdf5() as file:
            tables = {table: file[table] for table, _, _ in places}
            for first in range(0, self.n, _TABLE_ROWS):
                piece = slice(first, min(first + _TABLE_ROWS, self.n))
                read = {table: self._piece(source, piece) for table, source in tables.items()}
                for column, (table, field, k) in zip(values, places, strict=True):
                    rows = read[table] if field is None else read[table][field]
                    column[piece] = rows if k is None else rows[:, k]
        return values

    def _piece(self, source, rows):
        try:
            return source[rows]
        except OSError as error:
            raise ValueError(f"{self.path}: {source.name!r} cannot be read ({error})") from error

    def labels(self, rows):
        """Labels of the rows of these numbers, float32 (n, n_labels); ValueError where one is not finite."""
        if self._labels is None:  # read when they are first needed, and kept: 20 bytes a spectrum
            names = [LABEL_COLUMNS[name] for name in self.label_names]
            self._labels = np.ascontiguousarray(self._table(names, np.float32).T)
        values = self._labels[rows]
        if not np.isfinite(values).all():
            row, k = np.argwhere(~np.isfinite(values))[0]
            column = LABEL_COLUMNS[self.label_names[k]]
            raise ValueError(f"{self.path}: label {column!r} is {values[row, k]} in row {rows[row]}")
        return values

    def read(self, rows, places, out):
        """Read rows of these numbers into the rows `places` of the arrays `out`, unchecked.

        Parameters
        ----------
        rows, places : ndarray of int, shape (m,)
            Neighbours in the file are read in one go, wherever each of them goes.
        out : dict of str to ndarray
            C-contiguous: any of float32 ``flux``, ``sigma`` and (where `has_reported`) ``error``, shape
            (n, n_pixels), a bool ``mask`` (False where the file has none), ``labels`` (n, n_labels).
        """
        bounds = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        runs = [(int(rows[a]), places[a:b]) for a, b in itertools.pairwise(bounds) if b > a]
        converted = []
        for name in out:
            self._compare(name)
        for name, values in out.items():
            if name == "labels":
                values[places] = self.labels(rows)
            elif name == "mask" and not self.has_mask:
                values[places] = False
            elif self._offsets[name] is None:
                converted.append(name)
            else:
                self._read_plain(self._offsets[name], runs, values)
                if name == "mask":
                    values[places] = values[places].view(np.uint8) != 0
        if converted:
            with self._hdf5() as file:
                for name in converted:
                    self._read_converted(file[self._keys[name]], runs, out[name])

    def _compare(self, name):
        """Compare an array with its checksum, if the file has one, when it is first read."""
        expected = self._checksums.pop(_STORED.get(name, name) if self.has_reported else name, None)
        offset = self._offsets.get(name)
        if expected is None or offset is None or (name == "mask" and not self.has_mask):
            return
        if not check_region(self._descriptor, offset, self._sizes[name], expected):
            raise ValueError(f"{self.path}: damaged, {self._keys[name]!r} is not as it was written")

    def _read_plain(self, offset, runs, values):
        """Straight from the file to where it is wanted, without the library and without a copy."""
        size = values.itemsize * self.n_pixels
        memory = memoryview(values.reshape(-1).view(np.uint8))
        for row, places in runs:
            for first in range(0, len(places), _MOST_PLACES):
                starts = (places[first : first + _MOST_PLACES] * size).tolist()
                some, at = [memory[k : k + size] for k in starts], offset + (row + first) * size
                if os.preadv(self._descriptor, some, at) != len(some) * size:  # broken off: row by row
                    for k, place in enumerate(some):
                        if os.preadv(self._descriptor, [place], at + k * size) != size:
                            raise ValueError(f"{self.path}: truncated while it was read")

    def _read_converted(self, source, runs, values):
        for row, places in runs:
            block = self._piece(source, slice(row, row + len(places)))
            values[places] = block != 0 if values.dtype == np.bool_ else block

    def check(self, rows, places, out):
        """Check what `read` has put into `out`, and set what is not finite under the mask to 0 (errors: 1).

        Raises
        ------
        ValueError
            If a flux that is not masked is not finite, or an error not finite and positive. Where errors
            are stored beside the σ of the noise, that may be 0: there is no noise.
        """
        for name in out.keys() - {"labels", "mask"}:
            values = out[name][places]
            wrong, rule = ~np.isfinite(values), "finite"
            if name == "sigma" and self.has_reported:
                wrong, rule = wrong | (values < 0), "finite and not negative"
            elif name != "flux":
                wrong, rule = wrong | (values <= 0), "finite and positive"
            bare = wrong & ~out["mask"][places] if "mask" in out else wrong
            if bare.any():
                k, pixel = np.argwhere(bare)[0]
                raise ValueError(
                    f"{self.path}: {self._keys[name]!r} must be {rule} where it is not masked, "
                    f"got {values[k, pixel]} in row {rows[k]}, pixel {pixel}"
                )
            values[wrong] = 1.0 if name == "error" else 0.0
            out[name][places] = values


def _offset(name, array):
    """Where in the file an array begins that needs no conversion; None for any other."""
    wanted = array.dtype.itemsize == 1 if name == "mask" else array.dtype == np.dtype("<f4") == np.float32
    return array.id.get_offset() if wanted else None


class ShardFiles:
    """Files in order, each opened when needed; the least recently used is forgotten.

    Parameters
    ----------
    paths : list of Path
        The files.
    label_names : tuple of str
        Labels that their tables must have.
    """

    def __init__(self, paths, label_names):
        self.paths, self.label_names = paths, label_names
        self._renew()

    def _renew(self):
        self._open, self._lock, self._process = OrderedDict(), threading.Lock(), os.getpid()

    def __getitem__(self, k):
        if self._process != os.getpid():  # a lock may have been held when the process was forked
            self._renew()
        with self._lock:
            if k not in self._open:
                self._open[k] = ShardFile(self.paths[k], self.label_names)
            self._open.move_to_end(k)
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
            return self._open[k]

    def close(self):
        """Close the open files; they are opened again when needed."""
        self._renew()

    def __getstate__(self):
        return {"paths": self.paths, "label_names": self.label_names}

    def __setstate__(self, state):
        self.__init__(**state)


def sound(out, n, has_reported):
    """Whether the first `n` rows obey the rules of `ShardFile.check`: sums and minima tell it quickly."""
    with np.errstate(over="ignore", invalid="ignore"):
        for name, array in out.items():
            lowest = 0.0 if name == "sigma" and has_reported else _TINY
            for start in range(0, n, 64):
                values = array[start : min(start + 64, n)]
                if not (np.isfinite(values.sum()) and (name == "flux" or values.min() >= lowest)):
                    return False
    return True

"""One HDF5 file of a data set: checked when it is opened, read a range of rows at a time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from specvit.simulate.layout import (
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

__all__ = ["ShardFile", "sound"]

_MOST_PLACES = 512  # in one call; systems allow 1024


class ShardFile:
    """An open file and what is in it.

    Parameters
    ----------
    path : str or Path
    label_names : sequence of str
        Labels that its table must have.

    Attributes
    ----------
    n, n_pixels : int
    edges : ndarray, shape (n_pixels + 1,)
    lsf_sigma : ndarray, shape (n_pixels,), or None
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
        If it is truncated, not HDF5, or of another layout; the message names the file and the dataset.
    """

    def __init__(self, path, label_names):
        import h5py

        self.path, self.label_names, self._descriptor = Path(path), tuple(label_names), None
        if not self.path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        try:
            self.file = h5py.File(path, "r")
        except OSError as error:
            raise ValueError(f"{path}: truncated, or not an HDF5 file ({error})") from error
        try:
            self._check_arrays(h5py)
            self._check_wave()
            self._check_table()
        except Exception:
            self.close()
            raise

        self._labels = None
        self._descriptor = os.open(self.path, os.O_RDONLY)
        plain = {name: a.dtype == np.dtype("<f4") == np.float32 for name, a in self.arrays.items()}
        self._offsets = {name: a.id.get_offset() if plain[name] else None for name, a in self.arrays.items()}

    def close(self):
        """Close the file."""
        self.file.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self):
        if getattr(self, "_descriptor", None) is not None:
            os.close(self._descriptor)

    def _dataset(self, h5py, key, shape=None, kinds="f"):
        found = self.file.get(key)
        if not isinstance(found, h5py.Dataset):
            raise ValueError(f"{self.path}: has no dataset {key!r}; is it a file of this layout?")
        if found.dtype.kind not in kinds:
            raise ValueError(f"{self.path}: {key!r} must hold numbers, got type {found.dtype}")
        if shape is not None and found.shape != shape:
            raise ValueError(f"{self.path}: {key!r} must have shape {shape}, got {found.shape}")
        return found

    def _check_arrays(self, h5py):
        flux = self._dataset(h5py, FLUX)
        if flux.ndim != 2 or 0 in flux.shape:
            raise ValueError(f"{self.path}: {FLUX!r} must have shape (n, n_pixels), got {flux.shape}")
        self.n, self.n_pixels = flux.shape
        self.has_reported, self.has_mask = NOISELESS_ERROR in self.file, MASK in self.file
        sigma = self._dataset(h5py, NOISELESS_ERROR if self.has_reported else ERROR, flux.shape)
        self.arrays = {"flux": flux, "sigma": sigma}
        if self.has_reported:
            self.arrays["error"] = self._dataset(h5py, ERROR, flux.shape)
        if self.has_mask:
            mask = self._dataset(h5py, MASK, flux.shape, "iub")
            self.has_mask = mask.id.get_storage_size() > 0  # else never written: False everywhere
            self.arrays["mask"] = mask
        self.wave = self._dataset(h5py, WAVE, (self.n_pixels,))[:].astype(float)
        self.edges = self._dataset(h5py, EDGES, (self.n_pixels + 1,))[:].astype(float)
        self.lsf_sigma = None
        if LSF in self.file:
            self.lsf_sigma = self._dataset(h5py, LSF, (self.n_pixels,))[:].astype(float)
        attrs = self.file["spectrumdataset"].attrs
        self.attrs = {name: str(attrs[name]) for name in ("medium", "name") if name in attrs}

    def _check_wave(self):
        if not (np.isfinite(self.edges).all() and self.edges[0] > 0 and (np.diff(self.edges) > 0).all()):
            raise ValueError(f"{self.path}: {EDGES!r} must be finite, positive and strictly increasing")
        slack = 1e-6 * np.diff(self.edges).min()
        if not ((self.wave > self.edges[:-1] - slack) & (self.wave < self.edges[1:] + slack)).all():
            raise ValueError(f"{self.path}: {WAVE!r} must lie between {EDGES!r}")

    def _check_table(self):
        self.columns, rows = find_table(self.file, self.path)
        missing = [
            LABEL_COLUMNS[name] for name in self.label_names if LABEL_COLUMNS[name] not in self.columns
        ]
        if missing:
            raise ValueError(f"{self.path}: its table lacks the columns {missing} of the labels")
        if rows != self.n:
            raise ValueError(f"{self.path}: its table has {rows} rows, {FLUX!r} has {self.n} spectra")

    # -- reading ---------------------------------------------------------------------------------------

    def column(self, name, start, stop):
        """A column of the table, float64, rows `start` to `stop`; NaN where the file lacks it."""
        if name not in self.columns:
            return np.full(stop - start, np.nan)
        return self._columns([name], start, stop)[0]

    def _columns(self, names, start, stop):
        read = {}
        for name in names:
            dataset = self.columns[name][0]
            if dataset.name not in read:
                try:
                    read[dataset.name] = dataset[start:stop]
                except OSError as error:
                    raise ValueError(f"{self.path}: {dataset.name!r} cannot be read ({error})") from error
        values = []
        for name in names:
            dataset, field, k = self.columns[name]
            rows = read[dataset.name]
            rows = rows if field is None else rows[field]
            values.append((rows if k is None else rows[:, k]).astype(np.float64))
        return values

    def labels(self, start, stop):
        """Labels of rows `start` to `stop`, float32 (n, n_labels); ValueError where one is not finite."""
        if self._labels is None:  # a table is read whole when it is first needed: 20 bytes a spectrum
            self._labels = np.empty((self.n, len(self.label_names)), np.float32)
            names = [LABEL_COLUMNS[name] for name in self.label_names]
            for first in range(0, self.n, 4096):
                values = self._columns(names, first, min(first + 4096, self.n))
                self._labels[first : first + 4096] = np.stack(values, 1)
        values = self._labels[start:stop]
        if not np.isfinite(values).all():
            row, k = np.argwhere(~np.isfinite(values))[0]
            column = LABEL_COLUMNS[self.label_names[k]]
            raise ValueError(f"{self.path}: label {column!r} is {values[row, k]} in row {start + row}")
        return values

    def read(self, start, stop, out, rows):
        """Read rows `start` to `stop` into given rows of the arrays `out`, unchecked.

        Parameters
        ----------
        start, stop : int
        out : dict of str to ndarray
            float32 ``flux`` and ``sigma``, shape (m, n_pixels), ``error`` where `has_reported`, a bool
            ``mask`` (False where the file has none), ``labels`` (m, n_labels).
        rows : ndarray of int, shape (stop - start,)
            Where each spectrum goes.
        """
        for name in out.keys() - {"labels", "mask"}:
            source, offset = self.arrays[name], self._offsets[name]
            if offset is not None:  # straight from the file to where it is wanted, without a copy
                self._scatter(offset, start, [out[name][row] for row in rows])
                continue
            try:
                out[name][rows] = source[start:stop]
            except OSError as error:
                raise ValueError(f"{self.path}: {source.name!r} cannot be read ({error})") from error
        if "mask" in out:
            out["mask"][rows] = self.arrays["mask"][start:stop] != 0 if self.has_mask else False
        out["labels"][rows] = self.labels(start, stop)

    def _scatter(self, offset, start, places):
        offset += start * 4 * self.n_pixels
        for first in range(0, len(places), _MOST_PLACES):
            some = places[first : first + _MOST_PLACES]
            wanted = len(some) * 4 * self.n_pixels
            if os.preadv(self._descriptor, some, offset) != wanted:
                # A read of 2 GB or more, or one broken off: row by row.
                for row, place in enumerate(some):
                    if os.preadv(self._descriptor, [place], offset + row * place.nbytes) != place.nbytes:
                        raise ValueError(f"{self.path}: truncated while it was read")
            offset += wanted

    def check(self, start, stop, out, rows):
        """Check what `read` has put into `out`, and set what is not finite under the mask to 0 (errors: 1).

        Raises
        ------
        ValueError
            If a flux that is not masked is not finite, or a σ not finite and positive.
        """
        for name in out.keys() - {"labels", "mask"}:
            values = out[name][rows]
            wrong = ~np.isfinite(values)
            if name != "flux":
                wrong |= values <= 0
            bare = wrong & ~out["mask"][rows] if "mask" in out else wrong
            if bare.any():
                row, pixel = np.argwhere(bare)[0]
                rule = "finite" if name == "flux" else "finite and positive"
                raise ValueError(
                    f"{self.path}: {self.arrays[name].name!r} must be {rule} where it is not masked, "
                    f"got {values[row, pixel]} in row {start + row}, pixel {pixel}"
                )
            values[wrong] = 1.0 if name == "error" else 0.0
            out[name][rows] = values


def sound(out, n):
    """Whether the first `n` rows are all finite and errors positive: sums tell it quickly."""
    with np.errstate(over="ignore", invalid="ignore"):
        for name in out.keys() - {"labels", "mask"}:
            for start in range(0, n, 64):
                values = out[name][start : min(start + 64, n)]
                if not (np.isfinite(values.sum()) and (name == "flux" or values.min() > 0)):
                    return False
    return True

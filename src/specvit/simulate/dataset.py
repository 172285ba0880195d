"""Data sets on disk: opened lazily, read by rows, or as batches with noise."""

from __future__ import annotations

import bisect
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specvit.grid import PFS_MR, PixelGrid
from specvit.simulate.diskstream import DatasetStream, FrozenBatches
from specvit.simulate.layout import LABEL_COLUMNS, NOISELESS_ERROR
from specvit.simulate.library import LABELS
from specvit.simulate.shardfile import ShardFile, sound

__all__ = ["SpectrumDataset", "StoredSpectra"]

_OPEN_FILES = 64
_TEMPLATE_ROWS = 1024  # spectra that the common shape of errors is learned from
_FEWEST_FOR_TEMPLATE = 100


@dataclass(frozen=True)
class StoredSpectra:
    """Spectra as they are on disk, float32.

    Attributes
    ----------
    flux : ndarray, shape (n, n_pixels)
        Noiseless flux, of median about 0.5.
    noiseless_sigma : ndarray, shape (n, n_pixels)
        Standard deviation of the noise, in the unit of `flux`. The labels can be read from it at R² of
        0.99: for drawing noise, limits and audits, never for a network.
    error : ndarray, shape (n, n_pixels), or None
        1σ errors estimated from a noisy spectrum, as a pipeline reports them. None in files that lack
        them, as the reference's do.
    mask : ndarray of bool, shape (n, n_pixels)
        True where a pixel is bad.
    labels : ndarray, shape (n, n_labels)
        In the order of `SpectrumDataset.label_names`.

    For a single spectrum the first dimension is missing.
    """

    flux: np.ndarray
    noiseless_sigma: np.ndarray
    error: np.ndarray | None
    mask: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.flux)


class SpectrumDataset:
    """Simulated spectra on disk, in the layout of `write_dataset` and of the reference.

    Parameters
    ----------
    source : str, Path or sequence of them
        A file, files in order, or a folder, all of whose ``.h5`` and ``.hdf5`` files are taken in the
        order of their names (not hidden ones: those are shards being written).
    labels : sequence of str
        Labels wanted, in this order; by default teff, logg, mh, alpham, cm.
    grid : PixelGrid, optional
        Grid of the spectra, for files that hold no line spread function. It must have their edges.

    Attributes
    ----------
    paths : list of Path
    label_names : tuple of str
    n_pixels : int
    grid : PixelGrid or None
        From the file, or PFS MR if the edges are its; None if the files do not say.

    Raises
    ------
    FileNotFoundError
        If there are no such files.
    ValueError
        If a file is truncated, foreign or of another layout, its arrays do not fit each other or the other
        files, or a label is missing. Values are checked when they are read: they must be finite where
        they are not masked. Messages name file and dataset.

    Notes
    -----
    Nothing but shapes and wavelengths is read at first. Accepted are float32 and float64, a missing mask,
    tables of pandas under any key if it is the only one, and files whose ``error`` is the σ of the noise
    (without ``error_noiseless``). From such files, errors for a network are estimated anew from each
    noisy spectrum: see `template`.
    """

    def __init__(self, source, *, labels=LABELS, grid: PixelGrid | None = None):
        self.paths = _paths(source)
        self.label_names = (labels,) if isinstance(labels, str) else tuple(labels)
        unknown = [name for name in self.label_names if name not in LABEL_COLUMNS]
        if unknown or not self.label_names:
            raise ValueError(f"labels must be among {tuple(LABEL_COLUMNS)}, got {self.label_names!r}")
        self._open, self._process, self._template, self._range = OrderedDict(), os.getpid(), None, None
        first = self._file(0)
        self.n_pixels, self.has_reported, self.has_mask = first.n_pixels, first.has_reported, False
        sizes = []
        for k, path in enumerate(self.paths):
            file = self._file(k)
            if not np.array_equal(file.edges, first.edges):
                raise ValueError(f"{path}: 'spectrumdataset/wave_edges' differ from those of {first.path}")
            if file.has_reported != self.has_reported:
                raise ValueError(f"{path}: {NOISELESS_ERROR!r} must be in all files of a set or in none")
            self.has_mask |= file.has_mask
            sizes.append(file.n)
        self._ends = np.cumsum(sizes).tolist()
        self._checked = np.zeros(len(self), np.bool_)
        self.grid = _grid(first, grid)

    def __len__(self):
        return self._ends[-1]

    @property
    def file_sizes(self):
        """Number of spectra in each file."""
        return np.diff([0, *self._ends]).tolist()

    @property
    def label_range(self):
        """Lowest and highest value of each label: dict of str to (float, float). Reads the tables once."""
        if self._range is None:
            low, high = np.inf, -np.inf
            for k, size in enumerate(self.file_sizes):
                for start in range(0, size, 4096):
                    values = self._file(k).labels(start, min(start + 4096, size)).astype(float)
                    low, high = np.minimum(low, values.min(0)), np.maximum(high, values.max(0))
            self._range = {
                name: (float(a), float(b)) for name, a, b in zip(self.label_names, low, high, strict=True)
            }
        return self._range

    @property
    def template(self):
        """Shape of the errors common to all spectra, float32 (n_pixels,), of median 1.

        Where no reported errors are stored, those of a noisy spectrum are its scatter (`scatter`) times
        this. It is the median over up to 1024 spectra of σ relative to each one's median, so what it
        says of a single star is nothing; with fewer than 100 spectra it is 1 everywhere.
        """
        if self._template is None:
            self._template = np.ones(self.n_pixels, np.float32)
            if len(self) >= _FEWEST_FOR_TEMPLATE:
                rows = np.unique(np.linspace(0, len(self) - 1, _TEMPLATE_ROWS).astype(int))
                stored = self[rows]
                sigma = np.where(stored.mask | (stored.noiseless_sigma <= 0), np.nan, stored.noiseless_sigma)
                sigma = sigma[~np.isnan(sigma).all(1)]
                sigma = sigma / np.nanmedian(sigma, axis=1, keepdims=True) if len(sigma) else sigma
                seen = ~np.isnan(sigma).all(0)
                if seen.any():
                    self._template[seen] = np.nanmedian(sigma[:, seen], axis=0)
        return self._template

    def column(self, name):
        """A column of the table, such as ``"mag"`` or ``"snr"``: float64 (n,); NaN where a file lacks it."""
        return np.concatenate([self._file(k).column(name, 0, n) for k, n in enumerate(self.file_sizes)])

    def __getitem__(self, rows):
        """Spectra of an index, a slice or an array of indices or booleans, as `StoredSpectra`."""
        single = isinstance(rows, int | np.integer)
        numbers = np.arange(len(self))[rows]
        numbers = np.atleast_1d(numbers)
        if numbers.ndim != 1:
            raise IndexError(f"rows must be an index, a slice or one-dimensional, got shape {numbers.shape}")
        out = self._buffers(len(numbers), mask=True)
        breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
        runs = [run for run in np.split(numbers, breaks) if len(run)]
        self._read([(int(run[0]), int(run[-1]) + 1) for run in runs], out)
        arrays = {name: out[name][0] if single else out[name] for name in out}
        return StoredSpectra(
            arrays["flux"], arrays["sigma"], arrays.get("error"), arrays["mask"], arrays["labels"]
        )

    def stream(
        self, batch_size, *, device="cpu", seed=0, rank=0, world_size=1, noise_level=1.0, buffer_rows=4096
    ):
        """Shuffled batches (flux, ivar, labels) with fresh noise, without end: see `DatasetStream`."""
        return DatasetStream(
            self,
            batch_size,
            device=device,
            seed=seed,
            rank=rank,
            world_size=world_size,
            noise_level=noise_level,
            buffer_rows=buffer_rows,
        )

    def frozen(self, batch_size, *, device="cpu", seed=42, noise_level=1.0):
        """Batches in order, always with the same noise, for validation and test: see `FrozenBatches`."""
        return FrozenBatches(self, batch_size, device=device, seed=seed, noise_level=noise_level)

    # -- files -----------------------------------------------------------------------------------------

    def _file(self, k):
        """The k-th file, opened when needed; the least recently used is closed."""
        if self._process != os.getpid():  # HDF5 handles do not survive a fork
            self._open, self._process = OrderedDict(), os.getpid()
        if k in self._open:
            self._open.move_to_end(k)
        else:
            self._open[k] = ShardFile(self.paths[k], self.label_names)
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        return self._open[k]

    def _buffers(self, n, *, mask):
        names = ["flux", "sigma"] + ["error"] * self.has_reported
        out = {name: np.empty((n, self.n_pixels), np.float32) for name in names}
        if mask:
            out["mask"] = np.empty((n, self.n_pixels), np.bool_)
        return out | {"labels": np.empty((n, len(self.label_names)), np.float32)}

    def _read(self, pieces, out, order=None):
        """Read pieces (start, stop) of the whole set, one after another, into `out`, and check them.

        Parameters
        ----------
        pieces : list of (int, int)
        out : dict of str to ndarray
            From `_buffers`.
        order : ndarray of int, optional
            Row of `out` for each spectrum; by default they follow each other.

        Returns
        -------
        int
            Number of spectra.
        """
        parts, at = [], 0
        for start, stop in pieces:
            while start < stop:
                k = bisect.bisect_right(self._ends, start)
                first = self._ends[k - 1] if k else 0
                end = min(stop, self._ends[k])
                rows = np.arange(at, at + end - start) if order is None else order[at : at + end - start]
                parts.append((k, start - first, end - first, rows))
                at, start = at + end - start, end
        for k, start, stop, rows in parts:
            self._file(k).read(start, stop, out, rows)
        if not all(self._checked[start:stop].all() for start, stop in pieces):
            if sound(out, at):  # once is enough: the next epoch is read without this
                for start, stop in pieces:
                    self._checked[start:stop] = True
            else:
                for k, start, stop, rows in parts:
                    self._file(k).check(start, stop, out, rows)
        return at

    def close(self):
        """Close the open files; they are opened again when needed."""
        while self._open:
            self._open.popitem()[1].close()

    def __getstate__(self):
        return self.__dict__ | {"_open": OrderedDict(), "_process": None}

    def __repr__(self):
        files = f"{len(self.paths)} file" + "s" * (len(self.paths) > 1)
        return f"SpectrumDataset({len(self)} spectra of {self.n_pixels} pixels in {files})"


def _paths(source):
    if not isinstance(source, str | os.PathLike):
        paths = [Path(path) for path in source]
    elif Path(source).is_dir():
        found = (p for p in Path(source).iterdir() if p.suffix.lower() in (".h5", ".hdf5"))
        paths = sorted(p for p in found if not p.name.startswith("."))
    else:
        paths = [Path(source)]
    if not paths:
        raise FileNotFoundError(f"{source}: has no .h5 or .hdf5 files")
    return paths


def _grid(file, given):
    def fits(grid):
        return grid.edges.shape == file.edges.shape and np.allclose(grid.edges, file.edges, rtol=1e-9, atol=0)

    if given is not None:
        if not fits(given):
            raise ValueError(
                f"{file.path}: 'spectrumdataset/wave_edges' are not those of the grid, {given!r}"
            )
        return given
    if file.lsf_sigma is not None:
        return PixelGrid(file.edges, file.lsf_sigma, **file.attrs)
    return PFS_MR if fits(PFS_MR) else None

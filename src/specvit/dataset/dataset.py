"""`SpectrumDataset`: data sets on disk, read by rows or as batches with noise."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass

import numpy as np

from specvit.dataset.diskstream import DatasetStream, FrozenBatches
from specvit.dataset.layout import LABEL_COLUMNS, NOISELESS_ERROR
from specvit.dataset.rowmap import RowMap
from specvit.dataset.shardfile import ShardFiles, sound
from specvit.grid import PFS_MR, PixelGrid
from specvit.labels import LABELS
from specvit.paths import user_path

__all__ = ["SpectrumDataset", "StoredSpectra"]

_LABEL_ROWS = 16_384  # read at a time
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
        Standard deviation of the noise, in the unit of `flux`. It serves to draw noise, and for limits and
        audits. A network must never see it: labels can be read from it at R² of 0.99.
    error : ndarray, shape (n, n_pixels), or None
        1σ errors estimated from a noisy spectrum, as a pipeline reports them. None in files that lack
        them, as the reference's do.
    mask : ndarray of bool, shape (n, n_pixels)
        True where a pixel is bad.
    labels : ndarray, shape (n, n_labels)
        Labels in the order of `SpectrumDataset.label_names`. For a single spectrum all arrays lack their
        first dimension.

    See Also
    --------
    SpectrumDataset : Gives them for rows of a data set, and has an example.
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
        A file, files in order, or a folder, of which all ``.h5`` and ``.hdf5`` files are taken in the
        order of their names, except hidden ones, which are shards being written.
    labels : sequence of str
        Labels wanted, in this order; by default teff, logg, mh, alpham, cm.
    grid : PixelGrid, optional
        Grid of the spectra, for files that hold no line spread function. Its edges must be those of the
        files.

    Attributes
    ----------
    paths, label_names, n_pixels : list of Path, tuple of str, int
        The files, the labels in the order of their columns, and the number of pixels.
    grid : PixelGrid or None
        Grid that the files state, or PFS MR if the edges are the same; None if the files do not tell.

    Raises
    ------
    FileNotFoundError
        If there are no such files.
    ValueError
        If a file is truncated, foreign or of another layout, its arrays do not fit each other or the other
        files, or a label is missing. Values are checked when they are read: they must be finite where
        they are not masked. Messages name file and dataset.

    See Also
    --------
    write_dataset : Writes one.

    Notes
    -----
    Only shapes and wavelengths are read at first. Numbers may be float32 or float64, the mask may be missing,
    and the table of pandas may have any key if it is the only one. In files without ``error_noiseless``,
    ``error`` is the σ of the noise; errors for a network are then estimated from each noisy spectrum, see
    `template`.

    Examples
    --------
    >>> import tempfile
    >>> from specvit import Survey
    >>> from specvit.dataset import write_dataset
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = write_dataset(Survey("paper"), folder, 8)
    ...     dataset = SpectrumDataset(folder, labels=("logg",))
    ...     train, validation = dataset.split(0.25)
    ...     print(len(train), len(validation), dataset[:3].flux.shape)
    ...     dataset.close()
    6 2 (3, 4096)
    """

    def __init__(self, source, *, labels=LABELS, grid: PixelGrid | None = None):
        self.paths = _paths(source)
        self.label_names = (labels,) if isinstance(labels, str) else tuple(labels)
        unknown = [name for name in self.label_names if name not in LABEL_COLUMNS]
        if unknown or not self.label_names:
            raise ValueError(f"labels must be among {tuple(LABEL_COLUMNS)}, got {self.label_names!r}")
        self._files = ShardFiles(self.paths, self.label_names)
        self._template, self._range = None, None
        first = self._files[0]
        self.n_pixels, self.has_reported, self.has_mask = first.n_pixels, first.has_reported, False
        sizes = []
        for k, path in enumerate(self.paths):
            file = self._files[k]
            if not np.array_equal(file.edges, first.edges):
                raise ValueError(f"{path}: 'spectrumdataset/wave_edges' differ from those of {first.path}")
            if file.has_reported != self.has_reported:
                raise ValueError(f"{path}: {NOISELESS_ERROR!r} must be in all files of a set or in none")
            self.has_mask |= file.has_mask
            sizes.append(file.n)
        self._file_ends = np.cumsum(sizes)
        names = [name for name in self.array_names(noise=True) if name not in ("mask", "labels")]
        self._checked = {name: np.zeros(sum(sizes), np.bool_) for name in names}  # rows known to be sound
        self._rows = RowMap([0], self._file_ends[-1:])
        self.grid = _grid(first, grid)

    def __len__(self):
        return len(self._rows)

    def split(self, validation, seed=0):
        """Two sets without a spectrum in common, which read nothing but their own rows.

        Parameters
        ----------
        validation : float or int
            Size of the second set: a fraction between 0 and 1, or a number of spectra.
        seed : int
            Seed of the places of the pieces that are held out.

        Returns
        -------
        train, validation : SpectrumDataset

        Raises
        ------
        ValueError
            If either set would be empty.

        Notes
        -----
        The set is cut into equal parts, and in each a piece of at most 64 neighbours at a random place is
        held out. So every file has its share, and both sets are read in pieces. Frozen noise and the
        `template` are the same for the parts as for the whole.
        """
        n, counted = len(self), isinstance(validation, int | np.integer)
        wanted = int(validation) if counted else int(validation * n)
        if not 0 < wanted < n:
            raise ValueError(
                "validation must be a fraction or a number of spectra that leaves both sets some of the "
                f"{n}, got {validation!r}"
            )
        train, held_out = self._rows.split(wanted, seed)
        return self._of(train), self._of(held_out)

    def _of(self, rows):
        """The set of these rows, with the same files open."""
        part = copy.copy(self)
        part._rows, part._range = rows, None
        return part

    @property
    def file_sizes(self):
        """Number of spectra in each file that belong to this set."""
        files = np.searchsorted(self._file_ends, self._rows[np.arange(len(self))], "right")
        return np.bincount(files, minlength=len(self.paths)).tolist()

    def read_labels(self):
        """Labels of all spectra, float32 (n, n_labels), from the tables alone: 4 bytes a label."""
        labels = np.empty((len(self), len(self.label_names)), np.float32)
        for first in range(0, len(self), _LABEL_ROWS):
            some = labels[first : first + _LABEL_ROWS]
            self.read_into(np.arange(first, first + len(some)), {"labels": some})
        return labels

    @property
    def label_range(self):
        """Lowest and highest value of each label: dict of str to (float, float). Reads the tables once."""
        if self._range is None:
            labels = self.read_labels()
            limits = zip(self.label_names, labels.min(0).tolist(), labels.max(0).tolist(), strict=True)
            self._range = {name: (low, high) for name, low, high in limits}
        return self._range

    @property
    def template(self):
        """Shape of the errors common to all spectra, float32 (n_pixels,), of median 1.

        Where no reported errors are stored, those of a noisy spectrum are its scatter (`scatter`) times the
        template. It is the median over up to 1024 spectra of σ divided by the median of each, so that it
        says nothing of a single star; with fewer than 100 spectra it is 1 everywhere.
        """
        if self._template is None:
            self._template = np.ones(self.n_pixels, np.float32)
            whole = self._of(RowMap([0], self._file_ends[-1:]))
            if len(whole) >= _FEWEST_FOR_TEMPLATE:
                stored = whole[np.unique(np.linspace(0, len(whole) - 1, _TEMPLATE_ROWS).astype(int))]
                sigma = np.where(stored.mask | (stored.noiseless_sigma <= 0), np.nan, stored.noiseless_sigma)
                sigma = sigma[~np.isnan(sigma).all(1)]
                sigma = sigma / np.nanmedian(sigma, axis=1, keepdims=True) if len(sigma) else sigma
                seen = ~np.isnan(sigma).all(0)
                if seen.any():
                    self._template[seen] = np.nanmedian(sigma[:, seen], axis=0)
        return self._template

    def column(self, name):
        """The column `name` of the table, as ``"mag"``: float64 (n,), NaN where a file lacks it."""
        values = [self._files[k].column(name) for k in range(len(self.paths))]
        return np.concatenate(values)[self._rows[np.arange(len(self))]]

    def __getitem__(self, rows):
        """Spectra of an index, a slice or an array of indices or booleans, as `StoredSpectra`."""
        single = isinstance(rows, int | np.integer)
        numbers = np.arange(len(self))[rows]
        numbers = np.atleast_1d(numbers)
        if numbers.ndim != 1:
            raise IndexError(f"rows must be an index, a slice or one-dimensional, got shape {numbers.shape}")
        names = ["flux", "sigma"] + ["error"] * self.has_reported
        out = {name: np.empty((len(numbers), self.n_pixels), np.float32) for name in names}
        out["mask"] = np.empty((len(numbers), self.n_pixels), np.bool_)
        out["labels"] = np.empty((len(numbers), len(self.label_names)), np.float32)
        self.read_into(numbers, out)
        arrays = {name: out[name][0] if single else out[name] for name in out}
        return StoredSpectra(
            arrays["flux"], arrays["sigma"], arrays.get("error"), arrays["mask"], arrays["labels"]
        )

    def stream(
        self, batch_size, *, device="cpu", seed=0, rank=0, world_size=1, noise_level=1.0, buffer_rows=2048
    ):
        """Shuffled batches (flux, ivar, labels) with new noise, without end.

        Parameters
        ----------
        batch_size, device, seed, rank, world_size, noise_level, buffer_rows
            As for `DatasetStream`.
        """
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
        """Batches in order, always with the same noise, for validation and test.

        `batch_size`, `device`, `seed` and `noise_level` are as for `FrozenBatches`.
        """
        return FrozenBatches(self, batch_size, device=device, seed=seed, noise_level=noise_level)

    # -- files -----------------------------------------------------------------------------------------

    def array_names(self, noise):
        """Names of the arrays that `read_into` fills for batches, with `noise` or without: list of str."""
        names = ["flux"] + ["sigma"] * noise + ["error"] * self.has_reported + ["mask"] * self.has_mask
        return [*names, "labels"]

    def read_into(self, numbers, out, places=None):
        """Read the spectra of these numbers into rows of `out`, and check them.

        `out` is as for `ShardFile.read`. Neighbours in a file should follow each other in `numbers`; `places`
        are their rows in `out`, by default in order.
        """
        rows = self._rows[numbers]
        places = np.arange(len(rows)) if places is None else places
        for k, *where in self._by_file(rows, places):
            self._files[k].read(*where, out)
        unknown = [name for name in out if name in self._checked and not self._checked[name][rows].all()]
        if sound({name: out[name] for name in unknown}, len(rows), self.has_reported):
            for name in unknown:  # once is enough: the next epoch is read without this
                self._checked[name][rows] = True
        else:
            for k, *where in self._by_file(rows, places):
                self._files[k].check(*where, out)

    def rows_on_disk(self, numbers):
        """Numbers in the whole set, all files in order, of spectra `numbers` of this set: ndarray."""
        return self._rows[numbers]

    def _by_file(self, rows, places):
        """Number of each file that some of the rows are in, their numbers there, and their places."""
        files = np.searchsorted(self._file_ends, rows, "right")
        for k in np.unique(files).tolist():
            chosen = np.flatnonzero(files == k)
            yield k, rows[chosen] - (int(self._file_ends[k - 1]) if k else 0), places[chosen]

    def close(self):
        """Close the open files; they are opened again when needed."""
        self._files.close()

    def __repr__(self):
        files = f"{len(self.paths)} file" + "s" * (len(self.paths) > 1)
        part = "" if len(self) == self._file_ends[-1] else f" of {self._file_ends[-1]}"
        return f"SpectrumDataset({len(self)}{part} spectra of {self.n_pixels} pixels in {files})"


def _paths(source):
    if not isinstance(source, str | os.PathLike):
        paths = [user_path(path) for path in source]
    elif user_path(source).is_dir():
        found = (p for p in user_path(source).iterdir() if p.suffix.lower() in (".h5", ".hdf5"))
        paths = sorted(p for p in found if not p.name.startswith("."))
    else:
        paths = [user_path(source)]
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

"""One shard of a data set: spectra brought into the layout, and a file that appears whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specvit import __version__
from specvit.constants import SPEED_OF_LIGHT
from specvit.dataset.layout import ARRAYS, EDGES, LABEL_COLUMNS, LSF, WAVE, create_table, table_dtype
from specvit.dataset.seal import BLOCK, seal

__all__ = [
    "CHUNK",
    "Chunk",
    "Shard",
    "ShardWriter",
    "new_arrays",
    "row_median",
    "row_nanmedian",
    "simulate_chunk",
]

CHUNK = 256  # spectra simulated at a time, each chunk with a stream of its own
_SNR = "median over the pixels that are not masked of flux / error_noiseless"
_TOGETHER = 32  # spectra brought into the layout together: what is needed meanwhile stays in the cache
_LEVEL = 0.5  # median of the noiseless flux of every spectrum


@dataclass(frozen=True)
class Shard:
    """A file of a data set, there or to be written.

    Attributes
    ----------
    path : Path
        Where the file is, or will be.
    first, rows : int
        Number of its first spectrum in the whole set, and how many it has.
    stream : int
        Stream of the survey that its first chunk is drawn from; the others follow.
    record : dict
        Facts about its making that are stored with it, in JSON.
    """

    path: Path
    first: int
    rows: int
    stream: int
    record: dict

    @property
    def chunks(self):
        """Number of chunks."""
        return -(-self.rows // CHUNK)


@dataclass(frozen=True)
class Chunk:
    """Spectra as they are stored.

    Attributes
    ----------
    arrays : dict of str to ndarray
        The arrays of `ARRAYS`, C-contiguous and of the type in the file, shape (n, n_pixels).
    masked : bool
        Whether any pixel is bad.
    table : ndarray of `table_dtype`, shape (n,)
        Labels, magnitudes and other columns of each spectrum.
    """

    arrays: dict
    masked: bool
    table: np.ndarray


def new_arrays(n_pixels):
    """Memory for the arrays of a chunk."""
    kinds = {name: np.bool_ if name == "mask" else np.float32 for name in ARRAYS}
    return {name: np.empty((CHUNK, n_pixels), kind) for name, kind in kinds.items()}


# -- simulation ----------------------------------------------------------------------------------------


def simulate_chunk(survey, shard, k, device, memory):
    """The `Chunk` number `k` of a shard, from the survey's stream that belongs to it, in this `memory`."""
    start = k * CHUNK
    n = min(CHUNK, shard.rows - start)
    batch = survey.draw(n, stream=shard.stream + k, device=device)
    flux, sigma, ivar = (x.cpu().numpy() for x in (batch.noiseless, batch.noiseless_sigma, batch.ivar))
    arrays = {name: values[:n] for name, values in memory.items()}
    bad = np.logical_not(ivar > 0, out=arrays["mask"])
    masked, snr = bool(bad.any()), np.empty(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        for first in range(0, n, _TOGETHER):
            rows = slice(first, min(first + _TOGETHER, n))
            scale = (_LEVEL / row_median(flux[rows])).astype(np.float32)[:, None]
            np.multiply(flux[rows], scale, out=arrays["flux"][rows])
            np.multiply(sigma[rows], scale, out=arrays["error_noiseless"][rows])
            error = np.divide(scale, np.sqrt(ivar[rows]), out=arrays["error"][rows])
            ratio = flux[rows] / sigma[rows]
            if masked:
                unseen = bad[rows]
                error[unseen] = ratio[unseen] = np.nan
                typical = row_nanmedian(error)
                typical[unseen.all(1)] = 1.0
                np.copyto(error, typical[:, None], where=unseen)
                snr[rows] = row_nanmedian(ratio)
            else:
                snr[rows] = row_median(ratio)
    return Chunk(arrays, masked, _table(survey, shard, k, batch, snr))


def row_median(values):
    """Median of each row, as `numpy.median`, which looks for several elements at once and takes longer."""
    half = values.shape[1] // 2
    parts = np.partition(values, half, axis=1)
    middle = parts[:, half]
    if values.shape[1] % 2 == 0:
        middle = (parts[:, :half].max(1) + middle) / 2
    middle[np.isnan(parts[:, half:]).any(1)] = np.nan  # they come last
    return middle


def row_nanmedian(values):
    """Median of each row without its NaN; NaN if nothing is left."""
    rows = (row[~np.isnan(row)] for row in values)
    return np.array([row_median(row[None])[0] if len(row) else np.nan for row in rows], values.dtype)


def _table(survey, shard, k, batch, snr):
    rows = np.zeros(len(snr), table_dtype())
    for name in rows.dtype.names[1:]:
        if rows.dtype[name].kind == "f":
            rows[name] = np.nan
    number = k * CHUNK + np.arange(len(rows))
    rows["index"], rows["id"], rows["random_seed"] = number, shard.first + number, shard.stream + k
    rows["snr"], rows["mag"] = snr, batch.magnitude.cpu().numpy()
    velocity = getattr(batch, "velocity", None)
    rows["redshift"] = 0.0 if velocity is None else velocity.double().cpu().numpy() / SPEED_OF_LIGHT
    conditions = getattr(getattr(survey, "noise", None), "conditions", None) or {}
    if "n_exposures" in conditions:
        rows["exp_count"], rows["exp_time"] = conditions["n_exposures"], 900.0
    for column, condition in (
        ("seeing", "seeing"),
        ("target_zenith_angle", "zenith"),
        ("target_field_angle", "field"),
    ):
        rows[column] = conditions.get(condition, np.nan)
    for name, values in zip(survey.label_names, batch.labels.cpu().numpy().T, strict=True):
        rows[LABEL_COLUMNS[name]], rows[f"{LABEL_COLUMNS[name]}_err"] = values, 0.0
    return rows


# -- the file ------------------------------------------------------------------------------------------


class ShardWriter:
    """A shard while it is written, under a temporary name; a context, which closes the file.

    Parameters
    ----------
    shard : Shard
        The file to be written.
    grid : PixelGrid
        Pixels of the spectra.
    hasher : ThreadPoolExecutor
        A pool of one thread, in which checksums are computed.

    Raises
    ------
    OSError
        If another process is writing the same shard.
    """

    def __init__(self, shard, grid, hasher):
        import h5py

        self.shard, self.grid, self._hasher, self._done = shard, grid, hasher, 0
        self.partial = shard.path.with_name(f".{shard.path.name}.partial")
        try:
            self._file = h5py.File(self.partial, "w", userblock_size=BLOCK)
        except BlockingIOError as error:
            raise self._elsewhere() from error
        shape = (shard.rows, len(grid))
        self._arrays = {
            name: self._file.create_dataset(key, shape, np.bool_ if name == "mask" else np.float32)
            for name, key in ARRAYS.items()
        }
        self._table = create_table(self._file, shard.rows)
        self._sums = {name: hashlib.sha256() for name in (*ARRAYS, "params")}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def _elsewhere(self):
        return OSError(f"{self.partial}: another process is writing this shard")

    def add(self, chunk):
        """Write the next chunk, and hash it meanwhile."""
        hashed = self._hasher.submit(self._hash, chunk)
        rows = slice(self._done, self._done + len(chunk.table))
        for name, array in self._arrays.items():
            if name != "mask" or chunk.masked:  # what is never written takes no space and reads as False
                array.write_direct(chunk.arrays[name], None, rows)
        self._table[rows] = chunk.table
        self._done = rows.stop
        hashed.result()

    def _hash(self, chunk):
        for name, values in chunk.arrays.items():
            self._sums[name].update(values)
        self._sums["params"].update(chunk.table.view(np.uint8))

    def finish(self):
        """Complete and close the file; `publish` then gives it its name.

        Returns
        -------
        int
            A descriptor, which locks the file against other processes as HDF5 does.
        """
        grid, file = self.grid, self._file
        file[WAVE], file[EDGES], file[LSF] = grid.wave, grid.edges, grid.lsf_sigma
        file["spectrumdataset"].attrs.update({"medium": grid.medium, "name": grid.name})
        checksums = {name: total.hexdigest() for name, total in self._sums.items()}
        record = self.shard.record | {"version": __version__, "snr": _SNR, "checksums": checksums}
        file["dataset"].attrs["specvit"] = json.dumps(record)
        stored = [(array.id.get_offset(), array.id.get_storage_size()) for array in self._arrays.values()]
        file.close()
        seal(self.partial, stored)
        descriptor = os.open(self.partial, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise self._elsewhere() from error
        return descriptor

    def publish(self, descriptor):
        """Bring the finished file to the disk, and only then give it its name."""
        try:
            os.fsync(descriptor)
            os.replace(self.partial, self.shard.path)
        finally:
            os.close(descriptor)
        folder = os.open(self.shard.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

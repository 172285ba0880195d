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
from specvit.simulate.layout import ARRAYS, EDGES, LABEL_COLUMNS, LSF, WAVE, create_table, table_dtype
from specvit.simulate.smoothing import SPEED_OF_LIGHT

__all__ = ["CHUNK", "Chunk", "Shard", "ShardWriter", "simulate_chunk"]

CHUNK = 256  # spectra simulated at a time, each chunk with a stream of its own
_SNR = "median over the pixels that are not masked of flux / error_noiseless"
_LEVEL = 0.5  # median of the noiseless flux of every spectrum


@dataclass(frozen=True)
class Shard:
    """A file of a data set, there or to be written.

    Attributes
    ----------
    path : Path
    first, rows : int
        Number of its first spectrum in the whole set, and how many it has.
    stream : int
        Stream of the survey that its first chunk is drawn from; the others follow.
    record : dict
        What it is kept with, in JSON: from what it was made.
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
        Those of `ARRAYS`, C-contiguous and of the type in the file, shape (n, n_pixels). Without ``mask`` no
        pixel is bad.
    table : ndarray of `table_dtype`, shape (n,)
    """

    arrays: dict
    table: np.ndarray


# -- simulation ----------------------------------------------------------------------------------------


def simulate_chunk(survey, shard, k, device):
    """The `Chunk` number `k` of a shard, from the survey's stream that belongs to it."""
    start = k * CHUNK
    n = min(CHUNK, shard.rows - start)
    batch = survey.draw(n, stream=shard.stream + k, device=device)
    flux, sigma, ivar = (x.cpu().numpy() for x in (batch.noiseless, batch.noiseless_sigma, batch.ivar))
    scale = (_LEVEL / np.median(flux, axis=1, keepdims=True)).astype(np.float32)
    bad = ~(ivar > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        error, snr = scale / np.sqrt(ivar), flux / sigma
    if bad.any():
        error[bad] = snr[bad] = np.nan
        seen = ~bad.all(1)
        typical = np.ones((n, 1), np.float32)
        typical[seen] = np.nanmedian(error[seen], axis=1, keepdims=True)
        error = np.where(bad, typical, error)
        median_snr = np.full(n, np.nan)
        median_snr[seen] = np.nanmedian(snr[seen], axis=1)
    else:
        median_snr = np.median(snr, axis=1)
    arrays = {"flux": flux * scale, "error": error, "error_noiseless": sigma * scale}
    arrays = {name: np.ascontiguousarray(values, np.float32) for name, values in arrays.items()}
    if bad.any():
        arrays["mask"] = bad
    return Chunk(arrays, _table(survey, shard, k, batch, median_snr))


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
    grid : PixelGrid

    Raises
    ------
    OSError
        If another process is writing the same shard.
    """

    def __init__(self, shard, grid):
        import h5py

        self.shard, self.grid, self._done = shard, grid, 0
        self.partial = shard.path.with_name(f".{shard.path.name}.partial")
        try:
            self._file = h5py.File(self.partial, "w")
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
        """Write the next chunk."""
        rows = slice(self._done, self._done + len(chunk.table))
        for name, array in self._arrays.items():
            values = chunk.arrays.get(name)
            if values is not None:
                array.write_direct(values, None, rows)
            else:  # no pixel is bad: what is never written takes no space and reads as False
                values = np.zeros((len(chunk.table), len(self.grid)), np.bool_)
            self._sums[name].update(values)
        self._table[rows] = chunk.table
        self._sums["params"].update(chunk.table.view(np.uint8))
        self._done = rows.stop

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
        file.close()
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

"""Writing a survey to disk: shards that appear whole or not at all, and a run that can be taken up again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specvit.simulate.layout import (
    ARRAYS,
    EDGES,
    LABEL_COLUMNS,
    LSF,
    WAVE,
    table_dtype,
    write_table,
)
from specvit.simulate.resume import describe, is_complete

__all__ = ["Progress", "write_dataset"]

_CHUNK = 256  # spectra simulated at a time, each chunk with a stream of its own
_LEVEL = 0.5  # median of the noiseless flux of every spectrum


@dataclass(frozen=True)
class Progress:
    """How far writing has come.

    Attributes
    ----------
    done, total : int
        Spectra on disk, those found there included, and in the whole set.
    rate : float
        Spectra written per second by this run.
    remaining : float
        Seconds left at that rate.
    """

    done: int
    total: int
    rate: float
    remaining: float

    def __str__(self):
        return f"{self.done:,}/{self.total:,} spectra, {self.rate:,.0f}/s, {self.remaining:,.0f} s left"


def write_dataset(
    survey, path, n, *, shard_size=10_000, first_stream=0, device="cpu", progress=None, check_space=True
):
    """Simulate `n` spectra and write them as HDF5 in the reference's layout.

    A shard is written under a temporary name, synchronised to disk and renamed, so that a file
    with a shard's name is complete. Called again with the same arguments after an interruption, of
    whatever kind, it verifies the shards that are there by their checksums, writes those that are
    missing or damaged, and ends with the same data as an uninterrupted run.

    Parameters
    ----------
    survey : Survey
        Or anything with ``draw(n, stream=, device=)``, ``grid`` and ``label_names``.
    path : str or Path
        A folder, made if needed, which receives ``shard-00000.h5`` and so on; or the name of one
        file, if it ends in ``.h5`` or ``.hdf5``.
    n : int
        Number of spectra.
    shard_size : int
        Spectra in a shard; the last may have fewer. One file holds all `n`.
    first_stream : int
        Each 256 spectra of a shard are drawn from the next stream of the survey, counted from this
        one. Sets of one survey share no star if their ranges of streams do not overlap.
    device : str or torch.device
        Where spectra are simulated. A run must be resumed on the same kind of device to be identical.
    progress : bool or callable, optional
        True writes a line to the standard error; a callable receives a `Progress` after each chunk.
    check_space : bool
        Whether to make sure of the disk space before anything is written.

    Returns
    -------
    list of Path
        The files, in order.

    Raises
    ------
    ValueError
        If `n` or `shard_size` is not positive, or a file is in the way that belongs to another set.
    OSError
        If the disk has too little space, or another process is writing the same shard.

    Notes
    -----
    ``dataset/arrays/flux/value`` is noiseless, its median over pixels 0.5. ``error/value`` is the 1σ
    error in that unit that a pipeline would report, estimated by the survey from a noisy spectrum: it
    holds no more about the labels than the observation does (over masked pixels: its median, so that
    it is finite). The σ that noise is drawn with goes to ``error_noiseless/value``, a name of this
    package's own: for drawing noise, limits and audits, never for a network. In the reference's files
    ``error`` is that σ, and `SpectrumDataset` tells the two apart by the other name. ``mask/value``
    is True where a pixel is bad, and takes no space if there is none. Imperfections that change the
    noisy flux alone, calibration and correlated noise, are not in a file.

    The column ``random_seed`` is the stream; what a simulation does not know is NaN.
    """
    if n < 1 or shard_size < 1:
        raise ValueError(f"n and shard_size must be at least 1, got {n!r} and {shard_size!r}")
    path = Path(path)
    if path.suffix.lower() in (".h5", ".hdf5"):
        folder, paths, shard_size = path.parent, [path], n
    else:
        folder, paths = path, [path / f"shard-{k:05d}.h5" for k in range(-(-n // shard_size))]
    folder.mkdir(parents=True, exist_ok=True)
    chunks = -(-shard_size // _CHUNK)
    whole = {"n": n, "shard_size": shard_size, "first_stream": first_stream} | describe(survey, first_stream)
    shards = [
        {
            "path": file,
            "first": k * shard_size,
            "rows": min(shard_size, n - k * shard_size),
            "stream": first_stream + k * chunks,
            "record": whole | {"shard": k},
        }
        for k, file in enumerate(paths)
    ]
    missing = [shard for shard in shards if not is_complete(shard)]
    rows = sum(shard["rows"] for shard in missing)
    if check_space and missing:
        _require_space(
            folder, rows * (13 * len(survey.grid) + table_dtype().itemsize) + 100_000 * len(missing)
        )
    report = _reporter(progress, n - rows, n)
    for shard in missing:
        _write_shard(survey, shard, device, report)
    return paths


# -- one shard -----------------------------------------------------------------------------------------


def _write_shard(survey, shard, device, report):
    import h5py

    path, rows, n_pixels = shard["path"], shard["rows"], len(survey.grid)
    partial = path.with_name(f".{path.name}.partial")
    try:
        file = h5py.File(partial, "w")
    except BlockingIOError as error:
        raise OSError(f"{partial}: another process is writing this shard") from error
    with file, ThreadPoolExecutor(1) as writer:
        arrays = {
            name: file.create_dataset(key, (rows, n_pixels), np.bool_ if name == "mask" else np.float32)
            for name, key in ARRAYS.items()
        }
        table = np.zeros(rows, table_dtype())
        sums = {name: hashlib.sha256() for name in ARRAYS}
        pending = None
        for k, start in enumerate(range(0, rows, _CHUNK)):
            stop = min(start + _CHUNK, rows)
            batch = survey.draw(stop - start, stream=shard["stream"] + k, device=device)
            if pending is not None:  # the disk is busy with one chunk while the next is simulated
                report(pending.result())
            pending = writer.submit(_write_chunk, survey, shard, batch, k, start, arrays, table, sums)
        report(pending.result())
        write_table(file, table)
        file[WAVE], file[EDGES], file[LSF] = survey.grid.wave, survey.grid.edges, survey.grid.lsf_sigma
        file["spectrumdataset"].attrs.update({"medium": survey.grid.medium, "name": survey.grid.name})
        checksums = {name: value.hexdigest() for name, value in sums.items()}
        checksums["params"] = hashlib.sha256(table.tobytes()).hexdigest()
        file["dataset"].attrs["specvit"] = json.dumps(shard["record"] | {"checksums": checksums})
    _synchronise(partial)
    os.replace(partial, path)
    _synchronise(path.parent)


def _write_chunk(survey, shard, batch, k, start, arrays, table, sums):
    flux, sigma, ivar, labels, magnitude = (
        tensor.cpu().numpy()
        for tensor in (batch.noiseless, batch.noiseless_sigma, batch.ivar, batch.labels, batch.magnitude)
    )
    rows = slice(start, start + len(flux))
    scale = (_LEVEL / np.median(flux, axis=1, keepdims=True)).astype(np.float32)
    bad = ~(ivar > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        error, snr = scale / np.sqrt(ivar), flux / sigma
    if bad.any():
        snr[bad] = np.nan
        for row in np.flatnonzero(bad.any(1)):
            good = ~bad[row]
            error[row, bad[row]] = np.median(error[row, good]) if good.any() else 1.0
        arrays["mask"][rows] = bad
        snr = np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else 0.0 for row in snr])
    else:
        snr = np.median(snr, axis=1)
    for name, values in (("flux", flux * scale), ("error", error), ("error_noiseless", sigma * scale)):
        arrays[name].write_direct(np.ascontiguousarray(values, np.float32), None, rows)
        sums[name].update(values)
    sums["mask"].update(bad)
    _fill_table(survey, table[rows], shard, k, start, labels, magnitude, snr)
    return len(flux)


def _fill_table(survey, rows, shard, k, start, labels, magnitude, snr):
    conditions = getattr(getattr(survey, "noise", None), "conditions", None) or {}
    shifted = getattr(getattr(survey, "augmentation", None), "max_velocity", 0.0)
    for name in rows.dtype.names[1:]:
        if rows.dtype[name].kind == "f":
            rows[name] = np.nan
    number = start + np.arange(len(rows))
    rows["index"], rows["id"] = number, shard["first"] + number
    rows["redshift"] = np.nan if shifted else 0.0
    rows["exp_count"] = conditions.get("n_exposures", 0)
    rows["exp_time"] = 900.0 if conditions else np.nan
    for column, condition in (
        ("seeing", "seeing"),
        ("target_zenith_angle", "zenith"),
        ("target_field_angle", "field"),
    ):
        rows[column] = conditions.get(condition, np.nan)
    rows["snr"], rows["mag"], rows["random_seed"] = snr, magnitude, shard["stream"] + k
    for name, values in zip(survey.label_names, labels.T, strict=True):
        rows[LABEL_COLUMNS[name]], rows[f"{LABEL_COLUMNS[name]}_err"] = values, 0.0


# -- disk and messages ---------------------------------------------------------------------------------


def _require_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if needed > free:
        text = f"needs {needed / 1e9:.3g} GB, the disk has {free / 1e9:.3g} GB free"
        raise OSError(errno.ENOSPC, text, str(folder))


def _synchronise(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reporter(progress, found, total):
    """Function to call with the number of spectra just written."""
    started, written = time.monotonic(), 0

    def report(count):
        nonlocal written
        written += count
        rate = written / max(time.monotonic() - started, 1e-9)
        state = Progress(found + written, total, rate, (total - found - written) / rate)
        if progress is True:
            print(f"\r{state}  ", end="\n" if state.done == total else "", file=sys.stderr, flush=True)
        elif progress:
            progress(state)

    return report

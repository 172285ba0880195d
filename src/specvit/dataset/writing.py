"""Writing a survey to disk: shards that appear whole or not at all, and a run that can be taken up again."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from specvit.dataset.layout import table_dtype
from specvit.dataset.shardrecords import describe, is_complete
from specvit.dataset.shardwriter import CHUNK, Shard, ShardWriter, new_arrays, simulate_chunk
from specvit.paths import user_path
from specvit.progress import on_terminal
from specvit.survey.precision import full_float32

_LOG = logging.getLogger(__name__)

__all__ = ["Progress", "write_dataset"]

_MOST_THREADS = 8  # more would wait for the one that writes


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

    Examples
    --------
    >>> print(Progress(500, 2000, 100.0, 15.0))
    500/2,000 spectra, 100/s, 15 s left
    """

    done: int
    total: int
    rate: float
    remaining: float

    def __str__(self):
        return f"{self.done:,}/{self.total:,} spectra, {self.rate:,.0f}/s, {self.remaining:,.0f} s left"


def write_dataset(
    survey: Any,
    path: str | PathLike[str],
    n: int,
    *,
    shard_size: int = 10_000,
    first_stream: int = 0,
    device: Any = "cpu",
    progress: bool | Callable[[Progress], Any] | None = None,
    check_space: bool = True,
) -> list[Path]:
    """Simulate `n` spectra and write them as HDF5 in the reference's layout.

    A shard is written under a temporary name, synchronised to disk and renamed, so that a file
    with a shard's name is complete. Called again with the same arguments after an interruption, of
    whatever kind, it verifies the shards that are there by their checksums, writes those that are
    missing or damaged, and ends with the same data as an uninterrupted run.

    Parameters
    ----------
    survey : Survey
        Or anything with ``grid``, ``label_names`` and ``draw(n, stream=, device=)``, which is called by
        several threads at once, one a processor, in each of which torch keeps to one thread.
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
        Whether to write a line to the standard error; by default on a terminal only. A callable receives a
        `Progress` after each chunk.
    check_space : bool
        Whether to make sure of the disk space before anything is written.

    Returns
    -------
    list of Path
        The files, in order.

    Raises
    ------
    ValueError
        If `n` or `shard_size` is not positive, the survey is of many instruments (`Survey` of ``"any"``), or
        a file is in the way that belongs to another set.
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
    is True where a pixel is bad, and takes no space if there is none.

    Of imperfections (`Augmentation`) a file holds those of the star and of the errors: velocity, line
    spread function, errors of lines, masks, the shape and level of the noise. It does not hold those that
    come after the noise is drawn, as calibration errors and sky residuals, nor the correlation of
    neighbouring pixels: noise drawn from ``error_noiseless`` is independent. ``error`` includes what they do
    to the reported errors. To train with all imperfections, use the survey itself.

    In the table, ``snr`` is the median over the pixels that are not masked of flux over noiseless σ;
    ``redshift`` is v/c of the radial velocity that is in the spectrum, where lines are at λ (1 + v/c);
    ``random_seed`` is the stream; what a simulation does not know is NaN, or 0 in a column of integers.

    Examples
    --------
    >>> import tempfile
    >>> from specvit import Survey
    >>> from specvit.dataset import SpectrumDataset
    >>> files = write_dataset(Survey("paper", seed=1), tempfile.mkdtemp() + "/paper", 20)
    >>> files[0].name, len(SpectrumDataset(files[0].parent))
    ('shard-00000.h5', 20)
    """
    if n < 1 or shard_size < 1:
        raise ValueError(f"n and shard_size must be at least 1, got {n!r} and {shard_size!r}")
    path = user_path(path)
    if path.suffix.lower() in (".h5", ".hdf5"):
        folder, paths, shard_size = path.parent, [path], n
    else:
        folder, paths = path, [path / f"shard-{k:05d}.h5" for k in range(-(-n // shard_size))]
    chunks = -(-shard_size // CHUNK)
    whole = {"n": n, "shard_size": shard_size, "first_stream": first_stream} | describe(survey, first_stream)
    folder.mkdir(parents=True, exist_ok=True)
    shards = [
        Shard(
            path=file,
            first=k * shard_size,
            rows=min(shard_size, n - k * shard_size),
            stream=first_stream + k * chunks,
            record=whole | {"shard": k},
        )
        for k, file in enumerate(paths)
    ]
    missing = [shard for shard in shards if not is_complete(shard)]
    rows = sum(shard.rows for shard in missing)
    _LOG.info("%d of %d spectra are there, %d files are to be written", n - rows, n, len(missing))
    if check_space and missing:
        _require_space(
            folder, rows * (13 * len(survey.grid) + table_dtype().itemsize) + 100_000 * len(missing)
        )
    if missing:
        _write(survey, missing, device, _reporter(progress, n - rows, n))
    return paths


def _write(survey, shards, device, report):
    """Simulate, write and bring to the disk, all at the same time."""
    survey.draw(1, stream=shards[0].stream, device=device)  # makes what is made once, before threads ask
    with (
        full_float32(),
        _threads() as simulators,
        ThreadPoolExecutor(1) as hasher,
        ThreadPoolExecutor(1) as publisher,
    ):
        chunks = _in_order(
            simulators,
            ((simulate_chunk, survey, shard, k, device) for shard in shards for k in range(shard.chunks)),
            [new_arrays(len(survey.grid)) for _ in range(simulators._max_workers + 2)],
        )
        published = None
        for shard in shards:
            with ShardWriter(shard, survey.grid, hasher) as writer:
                for chunk in itertools.islice(chunks, shard.chunks):
                    writer.add(chunk)
                    report(len(chunk.table))
                descriptor = writer.finish()
            if published is not None:
                published.result()
            published = publisher.submit(writer.publish, descriptor)
        published.result()


@contextmanager
def _threads():
    """Threads to simulate in, one a processor, in each of which torch keeps to one: its own would collide."""
    before = torch.get_num_threads()
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = ThreadPoolExecutor(
        min(processors, _MOST_THREADS), initializer=torch.set_num_threads, initargs=(1,)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def _in_order(pool, calls, memories):
    """Results of calls (function, arguments …), each with one of `memories` in addition.

    Some are computed ahead of the one that is asked for. A result is good until the next is asked for:
    then its memory is used again.
    """
    free, pending = deque(memories), deque()
    for call in calls:
        if not free:
            result, memory = pending.popleft()
            yield result.result()
            free.append(memory)
        memory = free.popleft()
        pending.append((pool.submit(*call, memory), memory))
    while pending:
        yield pending.popleft()[0].result()


# -- disk and messages ---------------------------------------------------------------------------------


def _require_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if needed > free:
        text = f"needs {needed / 1e9:.3g} GB, the disk has {free / 1e9:.3g} GB free"
        raise OSError(errno.ENOSPC, text, str(folder))


def _reporter(progress, found, total):
    """Function to call with the number of spectra just written."""
    started, written = time.monotonic(), 0
    shown = not callable(progress) and on_terminal(progress)

    def report(count):
        nonlocal written
        written += count
        rate = written / max(time.monotonic() - started, 1e-9)
        state = Progress(found + written, total, rate, (total - found - written) / rate)
        if shown:
            sys.stderr.write(f"\r{state}  " + ("\n" if state.done == total else ""))
            sys.stderr.flush()
        elif callable(progress):
            progress(state)

    return report

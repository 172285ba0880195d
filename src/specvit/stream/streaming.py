"""`predict_stream`: labels of many spectra, written as they are made, and on after a kill."""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from specvit.paths import user_path
from specvit.predictors import LoggEstimator, Predictor
from specvit.progress import ProgressLine
from specvit.stream.arraysources import stamp
from specvit.stream.opening import open_source
from specvit.stream.partfolder import PartFolder
from specvit.stream.predicting import Part, Worker
from specvit.stream.tablefiles import as_columns, as_table, check_table_path, write_joined

__all__ = ["StreamSummary", "predict_stream"]

#: Parameters of predictors that change no number.
_INCIDENTAL = ("progress", "checkpoint_dir", "n_jobs", "random_state")


@dataclass(frozen=True)
class StreamSummary:
    """What a stream has done.

    Attributes
    ----------
    path : pathlib.Path
        The table.
    rows : int
        Spectra in it.
    failed : int
        Rows without an answer; the column ``error`` says why.
    resumed : int
        Rows that an earlier run had left.
    seconds : float
        Time that this run took.

    See Also
    --------
    predict_stream : Returns one.

    Examples
    --------
    >>> print(StreamSummary(Path("labels.ecsv"), rows=2000, failed=20, resumed=0, seconds=80.0))
    2,000 spectra, 20 of them without an answer: labels.ecsv (80 s, 25 a second)
    """

    path: Path
    rows: int
    failed: int
    resumed: int
    seconds: float

    def __str__(self):
        rate = (self.rows - self.resumed) / max(self.seconds, 1e-9)
        failed = f", {self.failed:,} of them without an answer" if self.failed else ""
        return f"{self.rows:,} spectra{failed}: {self.path} ({self.seconds:.0f} s, {rate:.3g} a second)"


def predict_stream(
    source: Any,
    output: str | PathLike[str],
    predictor: Predictor | None = None,
    *,
    ivar: Any = None,
    wave: Any = None,
    names: Any = None,
    velocity: Any = None,
    batch_size: int | None = None,
    workers: int = 1,
    processes: bool = False,
    reading: Any = None,
    overwrite: bool = False,
    progress: bool | None = None,
    on_part: Callable[[Part], Any] | None = None,
    **options: Any,
) -> StreamSummary:
    """Predict labels of any number of spectra in constant memory, into one table.

    Reading, bringing to the grid and the network work at the same time. Rows are kept in a folder
    ``<output>.parts`` while the work goes on and become the table at its end; the same call after a kill goes
    on where the folder ends.

    Parameters
    ----------
    source : str, path-like, array-like, table, SpectrumDataset, spectra or iterable
        Anything that `open_source` takes. Generators must give the same spectra again to be resumed.
    output : str or path-like
        The table: .ecsv, .csv, .fits, .vot, .h5 or .parquet (which needs pyarrow). Text is joined in constant
        memory, the others with 300 bytes a row.
    predictor : Predictor, optional
        Who predicts; by default ``LoggEstimator()``.
    ivar, wave, names, velocity, batch_size, reading
        As for `open_source`; ``velocity="fit"`` measures and removes velocities.
    workers, processes
        As for `predict_parts`.
    overwrite : bool
        Whether a file that is there is replaced, at the end, and parts of another run are removed.
    progress : bool, optional
        Whether to show how far the work has come, the rate and the time left, on the standard error; by
        default on a terminal only.
    on_part : callable, optional
        Called with each `Part` as it is made, those of an earlier run first.
    **options : object
        Of `~specvit.predictors.Predictor.predict_table`.

    Returns
    -------
    StreamSummary

    Raises
    ------
    OSError, ImportError
        Before the work: if `output` cannot be written. In it: if the disk is full; parts and whatever stood
        at `output` stay.
    TypeError, ValueError
        If the source, an option or the format is wrong, or the parts there are of another run.

    See Also
    --------
    predict_parts : The same tables, one after the other, without files.
    specvit.predictors.Predictor.predict_table : The columns.

    Notes
    -----
    A spectrum that cannot be read or used costs its own row, NaN with the reason in ``error``. A run is known
    again by its files (path, size, time) or some of its rows, the predictor, the options and the version of
    this package.

    Advantages over ``predict_table``: memory does not grow, nothing is lost by a kill. Disadvantages: there
    are no rows before the end, but for `on_part`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from specvit.grid import PixelGrid
    >>> from specvit.predictors import RidgeEstimator
    >>> from specvit.stream import predict_stream
    >>> rng = np.random.default_rng(0)
    >>> flux, logg = 1 + 0.1 * rng.normal(size=(150, 40)), rng.uniform(1, 4, 150)
    >>> ridge = RidgeEstimator(grid=PixelGrid.linear(7100, 7500, 40, 4.0))
    >>> ridge = ridge.fit(flux, logg, ivar=np.full(flux.shape, 100.0))
    >>> done = predict_stream(flux, tempfile.mkdtemp() + "/labels.ecsv", ridge)
    >>> done.rows, done.failed
    (150, 0)
    """
    started, output = time.monotonic(), user_path(output)
    predictor = LoggEstimator() if predictor is None else predictor
    fit = isinstance(velocity, str) and velocity == "fit"
    given = {"ivar": ivar, "wave": wave, "names": names, "batch_size": batch_size, "reading": reading}
    opened = open_source(source, velocity=None if fit else velocity, **given)
    options = {key: x for key, x in options.items() if x is not None} | ({"velocity": "fit"} if fit else {})
    asked = [opened.fingerprint(), _mark_of(predictor), repr(sorted(options.items())), opened.batch_size]
    folder = PartFolder(output, [*asked, metadata.version("specvit")])
    check_table_path(output, overwrite or folder.is_joined)
    worker = Worker(predictor, opened, options)
    blank = worker.blank
    first = folder.open(anew=overwrite)
    tally = _Tally(opened, progress, on_part)
    for number in range(first):
        columns = folder.read(number)
        tally.add(Part(as_table(columns, blank), number, int(columns["part_size"])), found=True)
    count = first
    with closing(worker.parts(opened, first, workers, processes)) as parts:
        for part in parts:
            folder.write(part.number, as_columns(part.table) | {"part_size": np.asarray(part.size)})
            tally.add(part)
            count += 1
    folder.join(count, lambda path, parts: write_joined(path, parts, blank))
    return StreamSummary(output, tally.rows, tally.failed, tally.resumed, time.monotonic() - started)


class _Tally:
    """Counts rows, and tells those who want to know."""

    def __init__(self, source, progress, on_part):
        self.rows = self.failed = self.resumed = self._done = 0
        self._line, self._total, self._on_part = ProgressLine(source.unit, progress), source.total, on_part

    def add(self, part, found=False):
        self.rows += len(part.table)
        self.failed += int((np.asarray(part.table["error"]) != "").sum())
        self._done += part.size
        if found:
            self.resumed = self.rows
            self._line.found = self._done
        else:
            self._line(self._done, self._total)
        if self._on_part is not None:
            self._on_part(part)


def _mark_of(predictor):
    """What tells a predictor from others: its class, parameters, and what it has learned."""
    told = predictor.get_params() if hasattr(predictor, "get_params") else {}
    told = {name: value for name, value in told.items() if name not in _INCIDENTAL}
    total = hashlib.sha256()
    for name, value in sorted(vars(predictor).items()):
        if name.endswith("_") and name not in ("history_", "record_"):
            state = value.state_dict() if hasattr(value, "state_dict") else value
            total.update(name.encode() + pickle.dumps(state))
    weights = told.get("weights")
    named = isinstance(weights, str | Path) and user_path(weights).is_file()
    return [
        type(predictor).__name__,
        repr(sorted(told.items())),
        stamp(user_path(weights)) if named else "",
        total.hexdigest(),
    ]

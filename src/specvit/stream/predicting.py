"""`predict_parts`: tables of the spectra of a source, part by part, reading while the network works."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from specvit.predictors import LoggEstimator, Predictor
from specvit.progress import no_lines
from specvit.spectra import adapt
from specvit.spectra.cutting import spectra_on_axis
from specvit.spectra.kinds import Kind, kind_of
from specvit.stream.opening import open_source
from specvit.stream.pieces import Block, block_of, reason_of

__all__ = ["Part", "Worker", "predict_parts"]

#: Spectra of a piece that are brought to the grid while it is read; those of larger pieces wait for their
#: turn, so that a cube is never on the grid as a whole (100 kB a spectrum).
_ADAPTED_AT_ONCE = 1024
_ROWS = 256  # of a larger piece, predicted at a time
_ADAPTING = ("medium", "resolution", "instrument", "mask", "lower_resolution", "min_coverage")


@dataclass
class Part:
    """Rows of the table that belong together.

    Attributes
    ----------
    table : `~astropy.table.QTable`
        As of `~specvit.predictors.Predictor.predict_table`, after the columns ``file`` or ``row``, and
        ``name``.
    number : int
        Place of the part among the parts.
    size : int
        What it adds to the progress, in files or spectra.
    notes : list of (str, str)
        What readers assumed or left out, each with the file that it is about.
    unread : list of (str, str)
        Places of which nothing could be read, each with the reason.

    See Also
    --------
    predict_parts : Gives them.

    Examples
    --------
    >>> Part(table=None, number=0, size=256).notes
    []
    """

    table: Any
    number: int
    size: int
    notes: list = field(default_factory=list)
    unread: list = field(default_factory=list)


def predict_parts(
    source: Any,
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
    first: int = 0,
    **options: Any,
) -> Iterator[Part]:
    """Tables of the labels of many spectra, one part after the other.

    Parameters
    ----------
    source : str, path-like, array-like, table, SpectrumDataset, spectra, iterable, or an opened source
        Anything that `open_source` takes.
    predictor : Predictor, optional
        Who predicts; by default ``LoggEstimator()``.
    ivar, wave, names, velocity, batch_size, reading
        As for `open_source`.
    workers : int
        Threads or processes that read and bring to the grid what comes next, while the predictor works.
        Threads cost nothing to start; with two or more processors to spare, processes read faster than one
        interpreter can.
    processes : bool
        Whether `workers` are processes. They are started anew (not forked): a script that asks for them must
        have its work under ``if __name__ == "__main__":``. Not for generators, nor for arrays in memory.
    first : int
        Number of the part to begin with.
    **options : object
        Of `~specvit.predictors.Predictor.predict_table`: ``medium``, ``resolution``, ``instrument``,
        ``mask``, ``lower_resolution``, ``min_coverage``, ``velocity="fit"`` (as `velocity`).

    Yields
    ------
    Part
        Its table has the same columns each time.

    Raises
    ------
    OSError, TypeError, ValueError
        If the source or an option is wrong. A spectrum that cannot be used never raises: its row is NaN, and
        the column ``error`` says why.

    See Also
    --------
    predict_stream : Writes the parts to one file, and goes on after a kill.

    Examples
    --------
    >>> import numpy as np
    >>> from specvit.grid import PixelGrid
    >>> from specvit.predictors import RidgeEstimator
    >>> from specvit.stream import predict_parts
    >>> rng = np.random.default_rng(0)
    >>> flux, logg = 1 + 0.1 * rng.normal(size=(150, 40)), rng.uniform(1, 4, 150)
    >>> ridge = RidgeEstimator(grid=PixelGrid.linear(7100, 7500, 40, 4.0))
    >>> ridge = ridge.fit(flux, logg, ivar=np.full(flux.shape, 100.0))
    >>> [len(part.table) for part in predict_parts(flux, ridge, batch_size=100)]
    [100, 50]
    """
    predictor = LoggEstimator() if predictor is None else predictor
    given = {"ivar": ivar, "wave": wave, "names": names, "batch_size": batch_size, "reading": reading}
    opened = open_source(source, velocity=None if velocity == "fit" else velocity, **given)
    options = {key: value for key, value in options.items() if value is not None}
    options |= {"velocity": "fit"} if isinstance(velocity, str) and velocity == "fit" else {}
    worker = Worker(predictor, opened, options)
    return worker.parts(opened, first, workers, processes)


def _next(pending):
    piece, future = pending.popleft()
    return piece, future.result()


class Worker:
    """What is done with each piece: in a reader `adapt`, then in the main thread `finish`.

    Parameters
    ----------
    predictor : Predictor
        Who predicts.
    source : object
        Where the spectra come from.
    options : dict
        Of ``predict_table``.
    """

    def __init__(self, predictor, source, options):
        self.predictor, self.options = predictor, options
        self.grid, self.column, self.named = predictor._own_grid(), source.column, source.named
        if self.grid is None:
            raise ValueError("predictor must predict spectra: this one was fitted on plain features")
        if any(np.ndim(x) for pair in (options.get("given") or {}).values() for x in pair):
            raise ValueError("given must be one value and σ for all spectra of a stream, got one a spectrum")
        stated = {name: options[name] for name in _ADAPTING if name in options}
        rules = predictor._instrument_rules()
        self.adapt = partial(_adapted, grid=self.grid, options=rules | stated)
        self.afterwards = {k: v for k, v in options.items() if k not in _ADAPTING or k == "min_coverage"}
        # A spectrum without any information: wrong options raise here, and what it gives is the row of all
        # that cannot be read.
        nothing = np.full((1, len(self.grid)), np.nan)
        blank = spectra_on_axis(self.grid.wave, nothing) if source.own_axis else nothing
        self._blank = predictor.predict_table(blank, on_error="nan", **options)

    @property
    def blank(self):
        """A table of one row, of a spectrum without information: columns, units, and what stands in them."""
        return self._table([Block(None, 1, places=[""], names=[""])], 0)

    def parts(self, source, first=0, workers=1, processes=False):
        """Yield the `Part` of each piece of a source from number `first` on, reading ahead."""
        pool = (
            ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
            if processes
            else ThreadPoolExecutor(workers, "specvit-reader")
        )
        pending = deque()
        try:
            with closing(source.pieces(first)) as pieces:
                for piece in pieces:
                    pending.append((piece, pool.submit(piece.load, self.adapt)))
                    if len(pending) > workers:  # one is ready or being read for each worker
                        yield self.finish(*_next(pending))
                while pending:
                    yield self.finish(*_next(pending))
        finally:
            pool.shutdown(cancel_futures=True)

    def finish(self, piece, blocks):
        """The `Part` of a piece that was read."""
        notes = [note for block in blocks for note in block.notes]
        broken = [block for block in blocks if block.spectra is None and block.places]
        unread = [(place, block.reason) for block in broken for place in block.places]
        return Part(self._table(blocks, piece.first_row), piece.number, piece.size, notes, unread)

    def _table(self, blocks, start):
        from astropy.table import QTable

        found = [pair for block in blocks for pair in self._predicted(block)]
        n = sum(block.size for block, _ in found)
        table = QTable(meta={k: self._blank.meta[k] for k in ("SPECVIT", "WEIGHTS") if k in self._blank.meta})
        if self.column == "file":
            table["file"] = [place for block, _ in found for place in block.places]
        else:
            table["row"] = np.arange(start, start + n)
        if self.named:
            table["name"] = [name for pair in found for name in _names(*pair)] or np.zeros(0, "U1")
        for name in self._blank.colnames:
            if name not in table.colnames:
                table[name] = self._column(name, found, n)
        return table

    def _column(self, name, found, n):
        """A column of the rows that were predicted and of those that could not be."""
        blank = self._blank[name]
        if name == "error":
            return [
                one
                for block, table in found
                for one in ([block.reason] * block.size if table is None else table[name].tolist())
            ] or np.zeros(0, "U1")
        values, start = np.empty(n, np.asarray(getattr(blank, "value", blank)).dtype), 0
        for block, table in found:
            column = blank[0] if table is None else table[name]
            if getattr(column, "unit", None) is not None:
                column = column.to_value(blank.unit)
            values[start : start + block.size] = column
            start += block.size
        return values if getattr(blank, "unit", None) is None else values * blank.unit

    def _predicted(self, block):
        """Pairs (block, table or None): halved until a spectrum that breaks the call is alone."""
        if block.spectra is None:
            return [(block, None)]
        if block.size > _ROWS and kind_of(block.spectra) is not Kind.BATCH:
            parts = (block.part(i, min(i + _ROWS, block.size)) for i in range(0, block.size, _ROWS))
            return [pair for part in parts for pair in self._predicted(part)]
        options = self.afterwards if kind_of(block.spectra) is Kind.BATCH else self.options
        given = {} if block.ivar is None else {"ivar": block.ivar}
        try:
            with no_lines():  # the stream has its own
                table = self.predictor.predict_table(block.spectra, on_error="nan", **given, **options)
            return [(block, table)]
        except MemoryError:
            raise
        except Exception as error:  # one torn spectrum must not cost the others their rows
            if block.size == 1:
                return [(_broken(block, error), None)]
            return [pair for half in block.halves() for pair in self._predicted(half)]


def _adapted(block, *, grid, options):
    """Blocks of a block, on the grid unless they are many. Runs in a reader: takes and gives what pickles."""
    if block.size > _ADAPTED_AT_ONCE or kind_of(block.spectra) is Kind.BATCH:
        return [block]
    array = kind_of(block.spectra) is Kind.ARRAY
    try:
        given = {"ivar": block.ivar} if array else {}
        batch = adapt(block.spectra, grid=grid, on_error="nan", **given, **options)
    except MemoryError:
        raise
    except Exception as error:  # whatever a torn spectrum does
        if block.size == 1:
            return [_broken(block, error)]
        return [one for half in block.halves() for one in _adapted(half, grid=grid, options=options)]
    if batch.shape != (block.size,):
        batch.shape = (block.size,)
    rest = {"places": block.places, "names": block.names, "notes": block.notes}
    return [block_of(batch, **rest)]


def _broken(block, error):
    return Block(None, 1, reason=reason_of(error), places=block.places, names=block.names, notes=block.notes)


def _names(block, table):
    """Names of the objects of a block: the caller's, else those of the metadata."""
    stated = [""] * block.size
    if table is not None and "name" in table.colnames:
        stated = table["name"].tolist()
    given = block.names or stated
    return [one or other for one, other in zip(given, stated, strict=True)]

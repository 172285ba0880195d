"""Spectra in the rows of a data frame, predicted where a partition of it is: on a worker of Dask."""

from __future__ import annotations

import pickle
from functools import lru_cache, partial

import numpy as np
import pandas as pd

from specvit.spectra.cutting import cut, spectra_on_axis
from specvit.stream.pieces import Block, Piece, reason_of
from specvit.stream.predicting import Worker, predict_parts
from specvit.stream.tablefiles import as_columns

__all__ = ["RowSource", "empty_frame", "packed", "predicted_frame"]


def packed(predictor):
    """A predictor as bytes: small for weights by name or path, which each worker loads once."""
    return pickle.dumps(predictor)


@lru_cache(maxsize=4)
def _unpacked(payload):
    return pickle.loads(payload)


class RowSource:
    """Spectra of their own lengths, one after the other, as a source of `specvit.stream.predict_parts`.

    Parameters
    ----------
    rows : sequence of dict
        With "flux" and, if there are any, "wave" in Å, "ivar" and "mask" (True where bad), each array-like
        (n_pixels,). Without "wave" the fluxes are on the grid of the predictor.
    own_axis : bool
        Whether they have wavelengths.
    batch_size : int
        Spectra in a piece.
    """

    column, unit, named = "row", "spectra", False

    def __init__(self, rows, own_axis=True, batch_size=256):
        self.rows, self.own_axis, self.total, self.batch_size = rows, own_axis, len(rows), batch_size

    def fingerprint(self):
        """Rows of a partition are not resumed: their number alone."""
        return ["rows", self.total]

    def pieces(self, first=0):
        """The pieces from number `first` on."""
        for number in range(first, -(-self.total // self.batch_size)):
            start = number * self.batch_size
            stop = min(start + self.batch_size, self.total)
            yield Piece(number, stop - start, partial(self._load, start, stop), start)

    def _load(self, start, stop, adapt):
        blocks = []
        for row in self.rows[start:stop]:
            try:
                block = self._block(row)
            except Exception as error:  # whatever stands in a cell
                blocks.append(Block(None, 1, reason=reason_of(error)))
                continue
            last = blocks[-1] if blocks else None
            if self.own_axis and last is not None and isinstance(last.spectra, list):
                last.spectra += block.spectra
                last.size += 1
            else:
                blocks.append(block)
        return [one for block in blocks for one in ([block] if block.spectra is None else adapt(block))]

    def _block(self, row):
        flux, ivar = (None if row.get(k) is None else np.asarray(row[k], float) for k in ("flux", "ivar"))
        if flux is None or flux.ndim != 1 or not flux.size:
            raise ValueError("flux must be an array of numbers, got none")
        mask = row.get("mask")
        if mask is not None:
            flux = np.where(np.asarray(mask).astype(bool), np.nan, flux)
        if not self.own_axis:
            return Block(flux[None], 1, None if ivar is None else ivar[None])
        wave = np.asarray(row["wave"], float)
        both = spectra_on_axis(wave, flux[None], None if ivar is None else ivar[None])
        one = cut(both, 0, 1)[0]
        return Block([one], 1)


def predicted_frame(payload, source, index=None, **given):
    """Labels of the spectra of a source as a data frame.

    Parameters
    ----------
    payload : bytes
        Predictor, as of `packed`.
    source : object
        Anything that `specvit.stream.open_source` takes.
    index : pandas.Index, optional
        Of the rows; by default their numbers.
    **given : object
        Arguments of `specvit.stream.predict_parts`.

    Returns
    -------
    pandas.DataFrame
        Columns of `~specvit.predictors.Predictor.predict_table`, without units: K, dex, km/s.
    """
    parts = [as_columns(part.table) for part in predict_parts(source, _unpacked(payload), **given)]
    if not parts:
        return empty_frame(_unpacked(payload), **given)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns.pop("row", None)
    return pd.DataFrame(columns, index=index)


def empty_frame(predictor, own_axis=True, **given):
    """A data frame without rows, with the columns and types of `predicted_frame`."""
    known = ("instrument", "mask", "lower_resolution", "min_coverage", "medium", "resolution", "velocity")
    options = {name: value for name, value in given.items() if name in known and value is not None}
    columns = as_columns(Worker(predictor, RowSource([], own_axis), options).blank)
    columns.pop("row", None)
    return pd.DataFrame(columns).iloc[:0]

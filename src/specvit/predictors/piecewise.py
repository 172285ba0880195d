"""Many spectra of any kind, predicted some at a time: what is kept of them are answers, not pixels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial

import numpy as np

from specvit.honesty.findings import Findings
from specvit.honesty.passes import examined
from specvit.network.tensors import device_of
from specvit.predictors.knowledge import conditioned, read_given
from specvit.predictors.predictions import Predictions, flag_labels
from specvit.progress import ProgressLine
from specvit.spectra import adapt
from specvit.spectra.arrays import rows_on_grid
from specvit.spectra.cutting import cut_shape, take_rows
from specvit.spectra.kinds import Kind, kind_of
from specvit.spectra.quality import Quality
from specvit.spectra.rules import raise_rejected
from specvit.survey.precision import full_float32

__all__ = ["PIECE", "answered", "in_advance", "in_pieces", "joined", "piece_size", "progress_line"]

#: Spectra in a piece that is predicted on a processor, and on a GPU.
PIECE, _ON_GPU = 512, 4096


def piece_size(device):
    """Spectra in a piece that is predicted on a device, by name."""
    return _ON_GPU if str(device_of(device)).startswith("cuda") else PIECE


def progress_line(predictor, n, size):
    """`ProgressLine` of `n` spectra, `size` at once; not shown of one piece, nor of a second's work."""
    shown = getattr(predictor, "progress", None) if n > size else False
    return ProgressLine("spectra", shown, delay=1.0)


def answered(predictor, batch, *, on_error, velocity, given):
    """`Predictions` of spectra on the grid, with what they say of them themselves.

    Parameters
    ----------
    predictor : Predictor
        Who predicts.
    batch : SpectrumBatch
        Its flags and reasons are completed.
    on_error, velocity, given : object
        As for ``predict``.
    """
    names, device = predictor.label_names, getattr(predictor, "device", "cpu")
    predict = predictor._predict_batch if given is None else partial(conditioned, predictor, given)
    with full_float32():
        batch, answer, findings = examined(predict, batch, names, velocity == "fit", device)
    mean, sigma, details = answer
    if on_error == "raise":
        raise_rejected(batch)  # those that the predictor found no answer for
    flag_labels(batch, names, mean, predictor._label_range())
    return Predictions(names, mean, sigma, batch.shape, batch, details, findings)


def in_pieces(predictor, X, *, ivar, on_error, velocity, given, **stated):
    """Predictions for ``predict`` and ``predict_table``: those of ``predict_labels``, in little memory.

    Parameters
    ----------
    predictor : Predictor
        Who predicts.
    X : object
        What the user gave.
    ivar, on_error, velocity, given, **stated : object
        As for ``predict``.

    Returns
    -------
    Predictions
        If there was more than one piece their ``batch`` is a `~specvit.spectra.quality.Quality`.

    Notes
    -----
    A piece is read, cut out and brought to the grid in a thread while the one before it is predicted: there
    are never more than two. Where a spectrum that cannot be used raises, what follows it is only read, so
    that the message counts all of them.
    """
    grid, shape = predictor._own_grid(), None
    if grid is not None and velocity in (None, "fit") and on_error in ("raise", "nan"):
        shape = cut_shape(X, len(grid))
        if ivar is not None and cut_shape(ivar, len(grid)) != shape:
            shape = None  # which is an error of the call
    n, size = 0 if shape is None else int(np.prod(shape)), piece_size(getattr(predictor, "device", "cpu"))
    if n <= size:
        options = {"on_error": on_error, "velocity": velocity, "given": given}
        return predictor.predict_labels(X, ivar=ivar, **options, **stated)
    options = {"grid": grid, "on_error": "nan", **predictor._adapting(**stated)}
    given, array = _given_of_rows(predictor, given, n), kind_of(X) is Kind.ARRAY

    def read(start):
        stop = min(start + size, n)
        some = take_rows(X, start, stop)
        if array:
            rows_on_grid(some, grid, start)  # its message names the row
        errors = None if ivar is None else take_rows(ivar, start, stop)
        return adapt(some, ivar=errors, **options)

    parts, start, batches = [], 0, in_advance(read, range(0, n, size))
    line = progress_line(predictor, n, size)
    for batch in batches:
        if on_error == "raise" and not batch.usable.all():
            _raise_of_all(Quality.in_order(start, grid), batch, batches, shape)
        some = None if given is None else given(start, start + len(batch))
        part = answered(predictor, batch, on_error="nan", velocity=velocity, given=some)
        start += len(batch)
        parts.append(replace(part, batch=Quality.of(part.batch)))
        line(start, n)
        del batch, part  # before the next comes
    found = joined(parts, shape)
    if on_error == "raise":
        raise_rejected(found.batch)
    return found


def joined(parts, shape):
    """One `Predictions`, of spectra in an array of any shape, of those of its parts."""
    mean, sigma = (np.concatenate([getattr(part, name) for part in parts]) for name in ("mean", "sigma"))
    quality = Quality.joined([part.batch for part in parts])
    quality.shape, details = shape, [part.details for part in parts]
    details = None if details[0] is None else type(details[0]).joined(details)
    findings = Findings.joined([part.findings for part in parts])
    return Predictions(parts[0].names, mean, sigma, shape, quality, details, findings)


def in_advance(function, items):
    """Yield what a function gives for each item, computed in a thread while the one before is used.

    Parameters
    ----------
    function : callable
        Of an item.
    items : sequence
        In this order; of one alone there is no thread.

    Notes
    -----
    There are never more than two results, if who takes one lets go of it before the next is asked for.
    """
    if len(items) == 1:
        yield function(items[0])
        return
    context = copy_context()  # with NumPy's errstate
    with ThreadPoolExecutor(1, "specvit-ahead") as pool:
        coming = pool.submit(context.run, function, items[0])
        for item in items[1:]:
            ready = coming.result()
            coming = pool.submit(context.run, function, item)
            yield ready
        del ready
        yield coming.result()


def _raise_of_all(before, batch, rest, shape):
    """Raise `SpectrumError` for the first spectrum that was rejected, counting those still to come."""
    quality = Quality.joined([before, Quality.of(batch), *(Quality.of(one) for one in rest)])
    quality.shape = shape
    raise_rejected(quality)


def _given_of_rows(predictor, given, n):
    """Function of the first row and that after the last: the `given` of these; None without any."""
    if given is None:
        return None
    names = predictor.label_names
    value, sigma = read_given(given, names, n)
    value = np.where(np.isfinite(sigma), value, np.nan)
    known = np.flatnonzero(np.isfinite(sigma).any(0))
    known = known if len(known) else [0]  # nobody has a measurement

    def rows(start, stop):
        return {names[k]: (value[start:stop, k], sigma[start:stop, k]) for k in known}

    return rows

"""Arrays through a network: piece by piece, in their own precision, all arithmetic on its device."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import cycle
from typing import NamedTuple

import numpy as np
import torch

from specvit.honesty.alarms import alarm
from specvit.honesty.findings import Findings
from specvit.honesty.screening import line_model
from specvit.labels import LABELS
from specvit.network.tensors import MOST_IN_LAYERS, cleaned, device_of, spectra_at_once, tensor_of
from specvit.predictors.lanes import lanes_of, stream_of
from specvit.predictors.piecewise import in_advance, joined, progress_line
from specvit.predictors.predictions import Predictions, flag_labels
from specvit.spectra import Flag, adapt
from specvit.spectra.arrays import refuse_wavelengths, rows_on_grid
from specvit.spectra.cutting import cut_shape, take_rows
from specvit.spectra.given import hidden_in
from specvit.spectra.kinds import Kind, kind_of
from specvit.spectra.quality import Quality
from specvit.spectra.rules import PARTIAL, raise_rejected
from specvit.survey.precision import full_float32

__all__ = ["floats_in_pieces"]

#: Most spectra of the first piece, for which a GPU waits; fewer would take the host longer than the GPU.
_FIRST = 4096


def floats_in_pieces(predictor, X, *, ivar, on_error, **options):
    """Predictions for ``predict`` and ``predict_table`` of floats on the grid, in memory or on disk.

    Parameters
    ----------
    predictor : LoggEstimator
        Who predicts.
    X, ivar : object
        What the user gave. Each row is read once.
    on_error : {"raise", "nan"}
        As for `LoggEstimator.predict`.
    **options : object
        Its other ones.

    Returns
    -------
    Predictions or None
        Their ``batch`` is a `~specvit.spectra.quality.Quality`. None if the spectra are not several, or no
        plain numbers with nothing but their inverse variance said of them.

    Notes
    -----
    Nothing but the values goes to the device; there they are checked, scaled and encoded. The next piece is
    on its way while one is worked on. The rows that a check finds fault with go the way of all other spectra,
    which names the fault: there is one home for the rules.
    """
    grid = predictor._own_grid()
    if grid is None or any(value is not None for value in options.values()):
        return None
    if on_error not in ("raise", "nan") or not _are_floats(X, ivar, len(grid)):
        return None
    with full_float32():
        return joined(_parts(predictor, X, ivar, grid, on_error), (X.shape[0],))


def _parts(predictor, X, ivar, grid, on_error):
    """`Predictions` of all pieces."""
    size = spectra_at_once(device_of(predictor.device))
    parts = _rows_of_pieces(X.shape[0], size, min(size, _FIRST))
    lanes = lanes_of(predictor, len(parts))
    answers, line = _Answers(predictor, grid, on_error), progress_line(predictor, X.shape[0], size)
    try:
        most = 0  # left to the lanes after the first piece, which is alone: it fills caches that all use
        turn = cycle(lanes)
        for piece in _pieces(X, ivar, parts, [lane.device for lane in lanes]):
            answers.begin(next(turn), piece)
            del piece  # before the next comes
            answers.wait(most)
            line(answers.n_done, X.shape[0])
            most = len(lanes) - 1
        answers.wait(0)
        line(answers.n_done, X.shape[0])
        for last in [lane.submit(lane.fits.finish) for lane in lanes]:
            last.result()
    finally:
        for lane in lanes:
            lane.close()
    return answers.parts()


class _Answers:
    """Predictions of pieces, in their order.

    Parameters
    ----------
    predictor : LoggEstimator
        Who predicts.
    grid : PixelGrid
        Its own.
    on_error : {"raise", "nan"}
        As for `LoggEstimator.predict`.
    """

    def __init__(self, predictor, grid, on_error):
        self._predictor, self._grid, self._on_error = predictor, grid, on_error
        self._min_coverage = predictor._instrument_rules()["min_coverage"]
        self._label_range = predictor._label_range()
        self._running, self._done = deque(), []
        self.n_done = 0  # spectra of the pieces that were taken
        self._judged = []  # qualities, once a spectrum was rejected: the answers are of no use then

    def begin(self, lane, piece):
        """Let a lane predict a piece, if it can as it is; ValueError if it is no spectra."""
        if piece.sent is None:
            rows_on_grid(piece.flux, self._grid, piece.start)
        elif not getattr(piece.flux, "is_cuda", False):
            refuse_wavelengths(_numpy(piece.flux), self._grid, piece.start)
        wanted = piece.sent is not None and not self._judged
        self._running.append((piece, lane.submit(self._on_lane, lane, piece) if wanted else None))

    def wait(self, most):
        """Take what lanes have done, until at most so many pieces are left to them."""
        while len(self._running) > most:
            piece, future = self._running.popleft()
            self.n_done += len(piece.flux)
            if self._judged:
                self._judged.append(_judged(self._predictor, piece))
                continue
            self._done.append(self._whole(piece, None if future is None else future.result()))
            if self._on_error == "raise" and not self._done[-1][0].batch.usable.all():
                self._judged = [part.batch for part, _ in self._done]

    def parts(self):
        """`Predictions` of the pieces, whose findings are complete now; raises if a spectrum was rejected."""
        if self._judged:
            raise_rejected(Quality.joined(self._judged))
        for part, faulty in self._done:  # rows that went the other way have their alarms already
            flags = part.batch.flags[faulty].copy()
            alarm(part.batch, part.findings)
            part.batch.flags[faulty] = flags
        return [part for part, _ in self._done]

    def _on_lane(self, lane, piece):
        return _predicted(lane.network, self._grid, *piece.received(), self._min_coverage, lane.fits)

    def _whole(self, piece, part):
        """`Predictions` of a piece, and the rows of it that went the way of all other spectra."""
        predictor = self._predictor
        if part is None:
            found = predictor.predict_labels(piece.flux, ivar=piece.ivar, on_error="nan")
            return replace(found, batch=Quality.of(found.batch)), slice(None)
        flag_labels(part.batch, part.names, part.mean, self._label_range)
        faulty = np.flatnonzero(~part.batch.usable)
        if len(faulty):
            flux, weight = (_numpy(x)[faulty] for x in (piece.flux, piece.ivar))
            found = predictor.predict_labels(flux, ivar=weight, on_error="nan")
            part.mean[faulty], part.sigma[faulty] = found.mean, found.sigma
            part.batch.put(faulty, Quality.of(found.batch))
            part.findings.put(faulty, found.findings)
        return part, faulty


class _Piece(NamedTuple):
    """Rows of the spectra from `start` on, and on a device, each with the event that ends its way there."""

    start: int
    flux: object
    ivar: object
    sent: list | None  # None where they are no plain numbers

    def received(self):
        """Flux and inverse variance on the device, once they have come."""
        tensors = []
        for tensor, done in self.sent:
            if done is not None:
                current = torch.cuda.current_stream(tensor.device)
                current.wait_event(done)
                tensor.record_stream(current)
            tensors.append(tensor)
        return tensors


def _are_floats(X, ivar, n_pixels):
    """Whether both are several rows of floats on the grid, without unit or mask."""
    some = all(_plain(x) if isinstance(x, np.ndarray) else _holds_floats(x) for x in (X, ivar))
    if kind_of(X) is not Kind.ARRAY or not some:
        return False
    shape = cut_shape(X, n_pixels)
    return shape is not None and cut_shape(ivar, n_pixels) == shape


def _holds_floats(x):
    """Whether an array, in memory or on disk, says that its numbers have a precision that torch has."""
    dtype = getattr(x, "dtype", None)
    return isinstance(x, torch.Tensor) or (getattr(dtype, "kind", "") == "f" and dtype.itemsize in (4, 8))


def _plain(x):
    """Whether it is an array in memory of such floats that has neither unit nor mask."""
    bare = type(x) in (np.ndarray, np.memmap) and hidden_in(x) is None
    return _holds_floats(x) and (bare or isinstance(x, torch.Tensor))


def _numpy(x):
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def _rows_of_pieces(n, size, first):
    """First rows of pieces of n spectra and those after their last: of `first` rows, doubled up to `size`."""
    parts, start = [], 0
    while start < n:
        parts.append((start, min(start + first, n)))
        start, first = start + first, min(2 * first, size)
    return parts


def _pieces(X, ivar, parts, devices):
    """The spectra as `_Piece`s of these parts, sent to each of the devices in turn."""
    largest, pinned = max(stop - start for start, stop in parts), {}
    streams = {device: stream_of(device, "copies") for device in devices if device.type == "cuda"}
    # Where the caller makes his tensors: a thread has streams of its own.
    callers = [
        torch.cuda.current_stream(x.device) if getattr(x, "is_cuda", False) else None for x in (X, ivar)
    ]

    def send(turn):  # copies to pinned memory while the devices and their caller work
        start, stop = parts[turn]
        arrays = [take_rows(x, start, stop) for x in (X, ivar)]
        if not all(_plain(x) for x in arrays):
            return _Piece(start, *arrays, None)
        device = devices[turn % len(devices)]
        if device not in streams:
            return _Piece(start, *arrays, [(tensor_of(x).to(device), None) for x in arrays])
        sent = [
            _sent(x, pinned, (turn % 2, k), largest, streams[device], caller)
            for k, (x, caller) in enumerate(zip(arrays, callers, strict=True))
        ]
        return _Piece(start, *arrays, sent)

    return in_advance(send, range(len(parts)))


def _judged(predictor, piece):
    """`Quality` of a piece whose answers nobody wants: of the rows that look faulty the rules say it."""
    grid, rules, some, errors = predictor._own_grid(), predictor._adapting(), piece.flux, piece.ivar
    quality, rows = Quality.in_order(len(some), grid), np.arange(len(some))
    if piece.sent is not None:
        flux, _, good, high = cleaned(*piece.received())
        found = _suspect(good, high, good.double() / flux.shape[1], rules["min_coverage"])
        rows = np.flatnonzero(found.cpu().numpy())
        some, errors = (_numpy(x)[rows] for x in (some, errors))
    if len(rows):
        quality.put(rows, Quality.of(adapt(some, ivar=errors, grid=grid, on_error="nan", **rules)))
    return quality


def _sent(x, pinned, place, largest, stream, caller):
    """A tensor that is being copied to the device of a stream, and the event that ends it.

    What it passes through is kept in `pinned` by its place, and made for `largest` rows.

    A tensor goes in the stream that the caller makes it in, None for one that is on the host.
    """
    if isinstance(x, torch.Tensor):
        with torch.cuda.stream(caller):
            tensor = tensor_of(x).to(stream.device, non_blocking=True)
            return tensor, torch.cuda.current_stream(stream.device).record_event()
    source = tensor_of(x)
    buffer, done = pinned.get(place, (None, None))
    if buffer is None:
        buffer = torch.empty((largest, *source.shape[1:]), dtype=source.dtype, pin_memory=True)
    else:
        done.synchronize()  # the copy of two pieces before
    buffer[: len(source)].copy_(source)
    with torch.cuda.stream(stream):
        tensor = buffer[: len(source)].to(stream.device, non_blocking=True)
        done = stream.record_event()
    pinned[place] = buffer, done
    return tensor, done


def _suspect(good, high, coverage, min_coverage):
    """Rows that a rule may reject, bool (n,), by the numbers of good and of `high` pixels.

    A median below 1e-3 of the largest may be due to extreme pixels (`specvit.spectra.rules`), or is not
    positive.
    """
    return (2 * high <= good) | (coverage < min_coverage)


def _predicted(network, grid, flux, ivar, min_coverage, fits):
    """`Predictions` of a piece, their findings to be finished; rows that look faulty are unusable."""
    flux, ivar, good, high = cleaned(flux, ivar)
    some = zip(flux.split(MOST_IN_LAYERS), ivar.split(MOST_IN_LAYERS), strict=True)
    answers = [network.predict(*given, return_snr=True) for given in some]
    mean, sigma, snr = (torch.cat(column) for column in zip(*answers, strict=True))
    columns = torch.cat([mean, sigma, torch.stack([snr, good, high], 1)], 1).double().cpu().numpy()
    quality, k = Quality.in_order(len(columns), grid), mean.shape[1]
    mean, sigma, (quality.snr, good, high) = columns[:, :k], columns[:, k:-3], columns[:, -3:].T
    quality.coverage = good / flux.shape[1]
    faulty = np.isnan(mean).any(1) | _suspect(good, high, quality.coverage, min_coverage)
    quality.flags[faulty] |= int(Flag.UNUSABLE)
    quality.flags[quality.coverage < PARTIAL] |= int(Flag.PARTIAL_COVERAGE)
    names, findings = tuple(network.label_names), Findings.nothing(len(columns))
    if set(LABELS) <= set(names) and line_model(fits.device, 2).emulator.grid == grid:
        order = [names.index(name) for name in LABELS]
        labels, errors = (torch.as_tensor(np.ascontiguousarray(x[:, order])) for x in (mean, sigma))
        if faulty.any():
            labels[torch.as_tensor(faulty)] = torch.nan
        findings = fits.screened((flux, ivar, labels, errors, None, None), quality.snr)
    return Predictions(names, mean, sigma, (len(mean),), quality, None, findings)

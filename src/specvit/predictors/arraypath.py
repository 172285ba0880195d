"""Arrays through a network: piece by piece, in their own precision, all arithmetic on its device."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import cycle

import numpy as np
import torch

from specvit.honesty.alarms import alarm
from specvit.honesty.findings import Findings
from specvit.honesty.screening import line_model
from specvit.labels import LABELS
from specvit.network.tensors import MOST_IN_LAYERS, cleaned, device_of, spectra_at_once
from specvit.predictors.arraypieces import are_floats, rows_of_pieces, sent_pieces
from specvit.predictors.lanes import lanes_of
from specvit.predictors.piecewise import joined, progress_line
from specvit.predictors.predictions import Predictions, flag_labels
from specvit.spectra import Flag, adapt
from specvit.spectra.arrays import refuse_wavelengths, rows_on_grid
from specvit.spectra.quality import Quality
from specvit.spectra.rules import PARTIAL, raise_rejected
from specvit.survey.precision import full_float32

__all__ = ["floats_in_pieces"]


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
    if on_error not in ("raise", "nan") or not are_floats(X, ivar, len(grid)):
        return None
    with full_float32():
        return joined(_parts(predictor, X, ivar, grid, on_error), (X.shape[0],))


def _parts(predictor, X, ivar, grid, on_error):
    """`Predictions` of all pieces."""
    size = spectra_at_once(device_of(predictor.device))
    parts = rows_of_pieces(X.shape[0], size)
    lanes = lanes_of(predictor, len(parts))
    answers, line = _Answers(predictor, grid, on_error), progress_line(predictor, X.shape[0], size)
    try:
        most = 0  # left to the lanes after the first piece, which is alone: it fills caches that all use
        turn = cycle(lanes)
        for piece in sent_pieces(X, ivar, parts, [lane.device for lane in lanes]):
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


def _numpy(x):
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


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

"""Arrays through a network: piece by piece, in their own precision, all arithmetic on its device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from specvit.honesty.alarms import alarm
from specvit.honesty.findings import Findings
from specvit.honesty.latefits import LateFits
from specvit.honesty.screening import line_model
from specvit.labels import LABELS
from specvit.network.tensors import scaled, tensor_of
from specvit.predictors.networkarrays import batch_size_on
from specvit.predictors.piecewise import in_advance, joined, piece_size, progress_line
from specvit.predictors.predictions import Predictions, flag_labels
from specvit.spectra import Flag, adapt
from specvit.spectra.arrays import refuse_wavelengths, rows_on_grid
from specvit.spectra.cutting import cut_shape, take_rows
from specvit.spectra.given import hidden_in
from specvit.spectra.kinds import Kind, kind_of
from specvit.spectra.quality import Quality
from specvit.spectra.rules import PARTIAL, raise_rejected

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
    if on_error not in ("raise", "nan") or not _are_floats(X, ivar, len(grid)):
        return None
    network = predictor._network()
    device, min_coverage = network.label_scale.device, predictor._instrument_rules()["min_coverage"]
    names, label_range = tuple(network.label_names), predictor._label_range()
    parts, judged, fits = [], [], LateFits(str(device))
    line = progress_line(predictor, X.shape[0], piece_size(device))
    for start, some, errors, tensors in _pieces(X, ivar, device):
        if tensors is None:
            rows_on_grid(some, grid, start)
        elif not getattr(some, "is_cuda", False):
            refuse_wavelengths(_numpy(some), grid, start)
        if judged:  # a spectrum was rejected, and the answers are of no use
            judged.append(_judged(predictor, some, errors, tensors))
            continue
        if tensors is None:
            found = predictor.predict_labels(some, ivar=errors, on_error="nan")
            part, faulty = replace(found, batch=Quality.of(found.batch)), slice(None)
        else:
            part = _answers(network, grid, *tensors, min_coverage, fits)
            flag_labels(part.batch, names, part.mean, label_range)
            faulty = np.flatnonzero(~part.batch.usable)
            if len(faulty):
                flux, weight = (_numpy(x)[faulty] for x in (some, errors))
                found = predictor.predict_labels(flux, ivar=weight, on_error="nan")
                part.mean[faulty], part.sigma[faulty] = found.mean, found.sigma
                part.batch.put(faulty, Quality.of(found.batch))
                part.findings.put(faulty, found.findings)
        parts.append((part, faulty))
        if on_error == "raise" and not part.batch.usable.all():
            judged = [one.batch for one, _ in parts]
        line(start + len(some), X.shape[0])
        del some, errors, tensors  # before the next come
    if judged:
        raise_rejected(Quality.joined(judged))
    fits.finish()
    for part, faulty in parts:  # rows that went the other way have their alarms already
        flags = part.batch.flags[faulty].copy()
        alarm(part.batch, part.findings)
        part.batch.flags[faulty] = flags
    return joined([part for part, _ in parts], (X.shape[0],))


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


def _pieces(X, ivar, device):
    """First row, flux and inverse variance of each piece, and both on the device: None if not plain."""
    stream, pinned = torch.cuda.Stream(device) if device.type == "cuda" else None, {}
    n, size = X.shape[0], piece_size(device)

    def send(start):  # copies to pinned memory while the device and its caller work
        arrays = [take_rows(x, start, min(start + size, n)) for x in (X, ivar)]
        if not all(_plain(x) for x in arrays):
            return start, *arrays, None
        if stream is None:
            return start, *arrays, [tensor_of(x).to(device) for x in arrays]
        turn = start // size % 2
        return start, *arrays, [_sent(x, pinned, (turn, k), stream, device) for k, x in enumerate(arrays)]

    for start, some, errors, sent in in_advance(send, range(0, n, size)):
        yield start, some, errors, sent if sent is None or stream is None else _received(sent, device)
        del some, errors, sent


def _judged(predictor, some, errors, tensors):
    """`Quality` of a piece whose answers nobody wants: of the rows that look faulty the rules say it."""
    grid, rules = predictor._own_grid(), predictor._adapting()
    quality, rows = Quality.in_order(len(some), grid), np.arange(len(some))
    if tensors is not None:
        flux, _, good = _good(*tensors)
        rows = np.flatnonzero(_suspect(flux, good, rules["min_coverage"]).cpu().numpy())
        some, errors = (_numpy(x)[rows] for x in (some, errors))
    if len(rows):
        quality.put(rows, Quality.of(adapt(some, ivar=errors, grid=grid, on_error="nan", **rules)))
    return quality


def _sent(x, pinned, place, stream, device):
    """A tensor that is being copied to the device, and the event that ends it."""
    if isinstance(x, torch.Tensor):
        tensor = x.detach().to(device, non_blocking=True)
        return tensor, torch.cuda.current_stream(device).record_event()
    source = tensor_of(x)
    buffer, done = pinned.get(place, (None, None))
    if buffer is None:
        buffer = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
    else:
        done.synchronize()  # the copy of two pieces before
    buffer[: len(source)].copy_(source)
    with torch.cuda.stream(stream):
        tensor = buffer[: len(source)].to(device, non_blocking=True)
        done = stream.record_event()
    pinned[place] = buffer, done
    return tensor, done


def _received(piece, device):
    """The tensors of a piece, once they have come."""
    current = torch.cuda.current_stream(device)
    for tensor, done in piece:
        current.wait_event(done)
        tensor.record_stream(current)
    return [tensor for tensor, _ in piece]


def _good(flux, ivar):
    """Flux and inverse variance of order one, in their own precision, and where there is information."""
    good = (ivar > 0) & torch.isfinite(ivar) & torch.isfinite(flux)
    return *scaled(torch.where(good, flux, 0.0), torch.where(good, ivar, 0.0)), good


def _suspect(flux, good, min_coverage):
    """Rows of a flux of at most 1 that a rule may reject, bool (n,).

    A median below 1e-3 may be due to extreme pixels (`specvit.spectra.rules`), or not positive.
    """
    small = 2 * (good & (flux > 1e-3)).sum(1) <= good.sum(1)
    return small | (good.sum(1).double() / good.shape[1] < min_coverage)


def _answers(network, grid, flux, ivar, min_coverage, fits):
    """`Predictions` of a piece, their findings to be finished; rows that look faulty are unusable."""
    flux, ivar, good = _good(flux, ivar)
    flux, ivar = flux.float(), ivar.float()
    size, answers = batch_size_on(flux.device), []
    for some in zip(flux.split(size), ivar.split(size), strict=True):
        answers.append(network.predict(*some, return_snr=True))
    mean, sigma, snr = (torch.cat(column) for column in zip(*answers, strict=True))
    coverage = good.sum(1).double() / good.shape[1]
    columns = torch.cat([mean, sigma, snr[:, None], coverage[:, None]], 1).double().cpu().numpy()
    quality, k = Quality.in_order(len(columns), grid), mean.shape[1]
    mean, sigma, quality.snr, quality.coverage = (
        columns[:, :k],
        columns[:, k:-2],
        columns[:, -2],
        columns[:, -1],
    )
    faulty = np.isnan(mean).any(1) | _suspect(flux, good, min_coverage).cpu().numpy()
    quality.flags[faulty] |= int(Flag.UNUSABLE)
    quality.flags[quality.coverage < PARTIAL] |= int(Flag.PARTIAL_COVERAGE)
    names, findings = tuple(network.label_names), Findings.nothing(len(columns))
    if set(LABELS) <= set(names) and line_model(fits.device).emulator.grid == grid:
        order = [names.index(name) for name in LABELS]
        labels, errors = (torch.as_tensor(np.ascontiguousarray(x[:, order])) for x in (mean, sigma))
        if faulty.any():
            labels[torch.as_tensor(faulty)] = torch.nan
        findings = fits.screened((flux, ivar, labels, errors, None, None), quality.snr)
    return Predictions(names, mean, sigma, (len(mean),), quality, None, findings)

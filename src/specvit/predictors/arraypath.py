"""Many arrays through a network: piece by piece, in their own precision, all arithmetic on its device."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from specvit.honesty.alarms import alarm
from specvit.honesty.findings import Findings
from specvit.honesty.latefits import LateFits
from specvit.honesty.screening import line_model
from specvit.labels import LABELS
from specvit.network.tensors import scaled, tensor_of
from specvit.predictors.networkarrays import ON_GPU, batch_size_on
from specvit.predictors.predictions import Predictions, flag_labels
from specvit.spectra import Flag
from specvit.spectra.arrays import refuse_wavelengths
from specvit.spectra.quality import Quality
from specvit.spectra.rules import PARTIAL, raise_rejected

__all__ = ["in_pieces"]

_PIECE = 512  # spectra at once on a processor


def in_pieces(predict_labels, network, grid, X, *, ivar, on_error, rules, label_range, **options):
    """Predictions for ``predict`` and ``predict_table``: of arrays piece by piece.

    Parameters
    ----------
    predict_labels : callable
        That of `LoggEstimator`: predicts what are no such arrays, and rows that are not plainly in order.
    network : callable
        Gives the `~specvit.network.LabelRegressor`, on its device.
    grid : PixelGrid or None
        Pixels of its spectra; None if it takes plain features.
    X, ivar : object
        What the user gave.
    on_error : {"raise", "nan"}
        As for `LoggEstimator.predict`.
    rules : dict
        ``min_coverage``, the least share of pixels with information.
    label_range : dict of str to (float, float)
        Of the labels learned from.
    **options : object
        Further arguments of ``predict_labels``.

    Returns
    -------
    Predictions
        Of arrays their ``batch`` is a `~specvit.spectra.quality.Quality`.

    Notes
    -----
    Of arrays of float32 or float64 nothing but the values goes to the device; there they are checked, scaled
    and encoded. On a GPU the next piece is on its way while one is worked on. The rows that a check finds
    fault with go the way of all other spectra, which names the fault: there is one home for the rules.
    """
    cut = grid is not None and options.get("given") is None
    if not (cut and _sliceable(X, ivar, len(grid))):
        return predict_labels(X, ivar=ivar, on_error=on_error, **options)
    network, min_coverage = network(), rules["min_coverage"]
    size = _PIECE
    plain = ivar is not None and all(value is None for value in options.values())
    plain &= all(isinstance(x, torch.Tensor) or _plain(x) for x in (X, ivar))
    device, names = network.label_scale.device, tuple(network.label_names)
    if plain and device.type == "cuda":
        size = ON_GPU
    starts, parts, fits = range(0, len(X), size), [], LateFits(str(device))
    pieces = _pieces(X, ivar, starts, size, device) if plain else (None for _ in starts)
    for start, piece in zip(starts, pieces, strict=True):
        rows = slice(start, start + size)
        whole = {"ivar": None if ivar is None else ivar[rows], "on_error": "nan", **options}
        if piece is None:
            found = predict_labels(X[rows], **whole)
            part = [found.mean, found.sigma, Quality.of(found.batch), found.findings]
        else:
            if not getattr(X, "is_cuda", False):
                refuse_wavelengths(_numpy(X[rows]), grid, start)
            part = _answers(network, grid, *piece, min_coverage, fits)
            flag_labels(part[2], names, part[0], label_range)
            faulty = np.flatnonzero(~part[2].usable)
            if len(faulty):
                X_part, ivar_part = (_numpy(x[rows])[faulty] for x in (X, ivar))
                found = predict_labels(X_part, **(whole | {"ivar": ivar_part}))
                part[0][faulty], part[1][faulty] = found.mean, found.sigma
                part[2].put(faulty, Quality.of(found.batch))
                part[3].put(faulty, found.findings)
            part.append(faulty)
        parts.append(part)
        if on_error == "raise" and not part[2].usable.all():
            raise_rejected(Quality.joined([one[2] for one in parts]))
    fits.finish()
    for _, _, quality, findings, *faulty in parts:
        if faulty:  # of arrays; those rows have their alarms already
            flags = quality.flags[faulty[0]]
            alarm(quality, findings)
            quality.flags[faulty[0]] = flags
    mean, sigma = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    quality, findings = Quality.joined([p[2] for p in parts]), Findings.joined([p[3] for p in parts])
    return Predictions(names, mean, sigma, quality.shape, quality, None, findings)


def _sliceable(X, ivar, n_pixels):
    """Whether both are arrays of several rows on the pixels, which can be cut."""
    arrays = [X] if ivar is None else [X, ivar]
    shape = getattr(X, "shape", ())
    if not all(isinstance(x, np.ndarray | torch.Tensor) and tuple(x.shape) == tuple(shape) for x in arrays):
        return False
    return len(shape) == 2 and shape[0] > 1 and shape[1] == n_pixels and str(X.dtype) != "object"


def _plain(x):
    """Whether an array has neither unit nor mask, and a precision that torch has."""
    return type(x) in (np.ndarray, np.memmap) and x.dtype.kind == "f" and x.dtype.itemsize in (4, 8)


def _numpy(x):
    return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def _pieces(X, ivar, starts, size, device):
    """Flux and inverse variance of each piece on the device; on a GPU one piece ahead of its use."""
    if device.type != "cuda":
        for start in starts:
            yield [tensor_of(x[start : start + size]).to(device) for x in (X, ivar)]
        return
    stream, pinned, ahead = torch.cuda.Stream(device), {}, None

    def send(turn, start):
        rows = slice(start, start + size)
        return [_sent(x[rows], pinned, (turn % 2, k), stream, device) for k, x in enumerate((X, ivar))]

    with ThreadPoolExecutor(1) as pool:  # copies to pinned memory while the device and its caller work
        for turn, start in enumerate(starts):
            coming = pool.submit(send, turn, start)
            if ahead is not None:
                yield _received(ahead.result(), device)
            ahead = coming
        yield _received(ahead.result(), device)


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


def _answers(network, grid, flux, ivar, min_coverage, fits):
    """Mean, σ, `Quality` and `Findings`, to be finished, of a piece; rows that look faulty are unusable."""
    good = (ivar > 0) & torch.isfinite(ivar) & torch.isfinite(flux)
    flux, ivar = (x.float() for x in scaled(torch.where(good, flux, 0.0), torch.where(good, ivar, 0.0)))
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
    # Of flux of at most 1 a median below 1e-3 may be due to extreme pixels (`specvit.spectra.rules`).
    small = 2 * (good & (flux.abs() > 1e-3)).sum(1) <= good.sum(1)
    faulty = np.isnan(mean).any(1) | (quality.coverage < min_coverage) | small.cpu().numpy()
    quality.flags[faulty] |= int(Flag.UNUSABLE)
    quality.flags[quality.coverage < PARTIAL] |= int(Flag.PARTIAL_COVERAGE)
    names, findings = tuple(network.label_names), Findings.nothing(len(columns))
    if set(LABELS) <= set(names) and line_model(fits.device).emulator.grid == grid:
        order = [names.index(name) for name in LABELS]
        labels, errors = (torch.as_tensor(np.ascontiguousarray(x[:, order])) for x in (mean, sigma))
        if faulty.any():
            labels[torch.as_tensor(faulty)] = torch.nan
        findings = fits.screened((flux, ivar, labels, errors, None, None), quality.snr)
    return [mean, sigma, quality, findings]

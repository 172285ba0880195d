"""Pieces of arrays, and their way to the devices while others are worked on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from specvit.network.tensors import tensor_of
from specvit.predictors.lanes import stream_of
from specvit.predictors.piecewise import in_advance
from specvit.spectra.cutting import cut_shape, take_rows
from specvit.spectra.given import hidden_in
from specvit.spectra.kinds import Kind, kind_of

__all__ = ["Piece", "are_floats", "rows_of_pieces", "sent_pieces"]

#: Most spectra of the first piece, for which a GPU waits; fewer would take the host longer than the GPU.
_FIRST = 4096


class Piece(NamedTuple):
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


def are_floats(X, ivar, n_pixels):
    """Whether both are several rows of floats on the grid, without unit or mask.

    Parameters
    ----------
    X, ivar : object
        What the user gave.
    n_pixels : int
        Of the grid.
    """
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


def rows_of_pieces(n, size):
    """First rows of pieces of n spectra, and those after their last.

    Parameters
    ----------
    n : int
        Number of spectra.
    size : int
        Most rows of a piece. The first has fewer where these are many, and each has twice those before.

    Returns
    -------
    list of (int, int)

    Examples
    --------
    >>> rows_of_pieces(40_000, 16_384)
    [(0, 4096), (4096, 12288), (12288, 28672), (28672, 40000)]
    """
    parts, start, first = [], 0, min(size, _FIRST)
    while start < n:
        parts.append((start, min(start + first, n)))
        start, first = start + first, min(2 * first, size)
    return parts


def sent_pieces(X, ivar, parts, devices):
    """The spectra as pieces, sent to each of the devices in turn.

    Parameters
    ----------
    X, ivar : object
        Flux and inverse variance, as `are_floats` accepts them.
    parts : list of (int, int)
        From `rows_of_pieces`.
    devices : list of torch.device
        One for each lane.

    Yields
    ------
    Piece
    """
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
            return Piece(start, *arrays, None)
        device = devices[turn % len(devices)]
        if device not in streams:
            return Piece(start, *arrays, [(tensor_of(x).to(device), None) for x in arrays])
        sent = [
            _sent(x, pinned, (turn % 2, k), largest, streams[device], caller)
            for k, (x, caller) in enumerate(zip(arrays, callers, strict=True))
        ]
        return Piece(start, *arrays, sent)

    return in_advance(send, range(len(parts)))


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

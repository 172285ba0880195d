"""Lanes: places where pieces of many spectra are predicted side by side, each on a device."""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache

import torch

from specvit.honesty.latefits import LateFits
from specvit.network.processes import n_processes
from specvit.predictors.networkarrays import to_device

__all__ = ["Lane", "lanes_of", "stream_of"]

#: On a single GPU: while the host prepares the work of one piece, the GPU is at that of another. On several,
#: of which one works while the host is at another, more only wait for Python's lock.
_ON_ONE_GPU = 2


class Lane:
    """A network on a device and what works through pieces there, one after the other.

    Parameters
    ----------
    network : LabelRegressor
        On its device; lanes of one device share it.
    number : int, optional
        Which lane of its device it is, if it works in a thread and a stream of its own; else `submit` works
        at once.

    Attributes
    ----------
    network : LabelRegressor
        As given.
    device : torch.device
        Where it is.
    fits : LateFits
        Its doubtful spectra.
    """

    def __init__(self, network, number=None):
        self.network, self.device = network, network.label_scale.device
        self.fits = LateFits(str(self.device))
        self._pool = None if number is None else ThreadPoolExecutor(1, "specvit-lane")
        self._stream = None
        if number is not None and self.device.type == "cuda":
            self._stream = stream_of(self.device, number)
            # The network may still be on its way to the device, or to half precision, in the caller's stream.
            self._stream.wait_stream(torch.cuda.current_stream(self.device))

    def submit(self, function, *arguments):
        """A `Future` of what a function returns that is called here."""
        if self._pool is not None:
            return self._pool.submit(copy_context().run, self._call, function, *arguments)
        future = Future()
        future.set_result(function(*arguments))
        return future

    def _call(self, function, *arguments):
        if self._stream is None:
            return function(*arguments)
        with torch.cuda.device(self.device), torch.cuda.stream(self._stream):
            return function(*arguments)

    def close(self):
        """End its thread, once it has done what it was given."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def lanes_of(predictor, n_pieces):
    """Lanes for so many pieces: one on a processor, two on a GPU, one on each of several.

    Parameters
    ----------
    predictor : LoggEstimator
        Its ``devices`` are used, if there are so many GPUs, and no other processes work beside this one.
    n_pieces : int
        No more lanes are made.

    Returns
    -------
    list of Lane
    """
    network = predictor._network()
    first = network.label_scale.device
    if first.type != "cuda" or n_pieces < 2:
        return [Lane(network)]
    others = [k for k in range(torch.cuda.device_count()) if k != first.index]
    used = others[: min(predictor.devices, n_pieces) - 1] if n_processes() == 1 else []
    if not used:
        return [Lane(network, k) for k in range(min(_ON_ONE_GPU, n_pieces))]
    plain, precision = predictor._ready()[0], predictor.precision
    copies = [to_device(copy.deepcopy(plain), f"cuda:{k}", precision) for k in used]
    return [Lane(one, 0) for one in (network, *copies)]


@lru_cache
def stream_of(device, purpose):
    """A stream of a device, the same whenever it is wanted for a purpose.

    A GPU's free memory is kept for the stream that had it: with new streams each call would ask for more.
    """
    return torch.cuda.Stream(device)

"""Batches from a data set on disk: shuffled with fresh noise, or in order with frozen noise."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import or_

import numpy as np
import torch

from specvit.pixelscatter import WINDOW, scatter_of_differences, windows

__all__ = ["DatasetStream", "FrozenBatches", "scatter"]

_BLOCK = 64  # neighbouring spectra that are read together, and shuffled apart among others


def scatter(flux, template, mask=None):
    """1σ errors of noisy spectra, estimated from their own pixel-to-pixel scatter.

    They are s t: t is σ's common shape, and s the median over pixels of
    `~specvit.pixelscatter.scatter_of_differences`. Lines add to the scatter, so that errors come out too
    large where the noise is less than what lines leave in fourth differences: by 1 % at S/N 100 and by 8 %
    at S/N 300 for spectra of the survey ``paper``.

    Parameters
    ----------
    flux : tensor, shape (n, n_pixels)
        Noisy flux.
    template : tensor, shape (n_pixels,)
        Shape of the errors, positive.
    mask : tensor of bool, shape (n, n_pixels), optional
        True where a pixel is bad.

    Returns
    -------
    tensor, shape (n, n_pixels)

    Raises
    ------
    ValueError
        If there are fewer than 5 pixels.
    """
    if flux.shape[1] < WINDOW:
        raise ValueError(f"flux must have at least {WINDOW} pixels to show its scatter, got {flux.shape[1]}")
    scattered = scatter_of_differences(flux, shape=template)
    if mask is not None:
        scattered = scattered.masked_fill(reduce(or_, windows(mask)), math.nan)
    level = scattered.nanmedian(1, keepdim=True).values
    tiny = torch.finfo(flux.dtype).tiny ** 0.5
    return level.nan_to_num(1.0).clamp_min(tiny) * template


class _Batches:
    """Base of shuffled and frozen batches: noise, errors and inverse variances."""

    def __init__(self, dataset, batch_size, device, seed, noise_level):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size!r}")
        if not (math.isfinite(noise_level) and noise_level >= 0):
            raise ValueError(f"noise_level must be finite and not negative, got {noise_level!r}")
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.device, self.noise_level = torch.device(device), noise_level

    def _buffers(self, n):
        """Arrays of `n` rows for what batches are made of; in pinned memory, if they go to a GPU."""
        dataset = self.dataset
        widths = dict.fromkeys(dataset.array_names(self.noise_level > 0), dataset.n_pixels)
        widths["labels"] = len(dataset.label_names)
        kinds = {name: np.bool_ if name == "mask" else np.float32 for name in widths}
        if self.device.type != "cuda":
            return {name: np.empty((n, width), kinds[name]) for name, width in widths.items()}
        types = {np.bool_: torch.bool, np.float32: torch.float32}
        return {
            name: torch.empty((n, width), dtype=types[kinds[name]], pin_memory=True).numpy()
            for name, width in widths.items()
        }

    def _observed(self, buffers, rows, noise):
        """(flux, ivar, labels) of a slice of the buffers with unit noise (a tensor, or None for none).

        What is returned shares no memory with the buffers. A GPU may not have read them yet.
        """
        stored = {
            name: torch.from_numpy(values[rows]).to(self.device, non_blocking=self.device.type == "cuda")
            for name, values in buffers.items()
        }
        flux, mask = stored["flux"].clamp(min=0), stored.get("mask")
        if noise is not None:
            flux.addcmul_(stored["sigma"], noise, value=self.noise_level)
        if "error" in stored:
            ivar = stored["error"].pow(-2)
            if self.noise_level not in (0, 1):
                ivar.div_(self.noise_level**2)
        else:
            template = torch.as_tensor(self.dataset.template, device=self.device)
            ivar = scatter(flux, template, mask).pow_(-2)
        if mask is not None:
            ivar.masked_fill_(mask, 0)
        return flux, ivar, stored["labels"].clone()


class FrozenBatches(_Batches):
    """Batches (flux, ivar, labels) in the order of the data set, the same each time.

    The noise of a spectrum depends on `seed` and its number in the files alone: not on the batch size,
    nor on the device, nor on how the set was split.

    Parameters
    ----------
    dataset : SpectrumDataset
        The data set that is read.
    batch_size : int
        Spectra in a batch; the last batch may be smaller.
    device : str or torch.device
        Where the batches are put.
    seed : int
        Seed of the noise; the reference's tests use 42.
    noise_level : float
        Factor on the noise, and on the errors; at 0 there is no noise and the errors are those of level 1
        (where they are stored).

    Examples
    --------
    >>> import tempfile
    >>> from specvit import Survey
    >>> from specvit.dataset import SpectrumDataset, write_dataset
    >>> (path,) = write_dataset(Survey("paper", seed=1), tempfile.mkdtemp() + "/paper.h5", 20)
    >>> [len(labels) for flux, ivar, labels in FrozenBatches(SpectrumDataset(path), 8)]
    [8, 8, 4]
    """

    def __init__(self, dataset, batch_size, *, device="cpu", seed=42, noise_level=1.0):
        super().__init__(dataset, batch_size, device, seed, noise_level)

    def __len__(self):
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self):
        n, n_pixels = len(self.dataset), self.dataset.n_pixels
        buffers = self._buffers(min(self.batch_size, n))
        for start in range(0, n, self.batch_size):
            numbers = np.arange(start, min(start + self.batch_size, n))
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # the batch before may still be on its way
            self.dataset.read_into(numbers, buffers)
            noise = None
            if self.noise_level:
                noise = np.empty((len(numbers), n_pixels), np.float32)
                for row, out in zip(self.dataset.rows_on_disk(numbers).tolist(), noise, strict=True):
                    np.random.default_rng([self.seed, row]).standard_normal(dtype=np.float32, out=out)
                noise = torch.from_numpy(noise).to(self.device)
            yield self._observed(buffers, slice(0, len(numbers)), noise)


class DatasetStream(_Batches):
    """Endless shuffled batches (flux, ivar, labels), with noise drawn afresh for each on the device.

    An epoch is a new order of blocks of 64 neighbouring spectra, over all files. Each of the
    `world_size` ranks takes an equal part of that order, and shuffles `buffer_rows` spectra of it at a
    time. In an epoch every spectrum is seen by exactly one rank exactly once, and all ranks take the same
    number of steps.

    Spectra are read in blocks, each to its place in a buffer, while batches are cut from another buffer. Only
    these two buffers are in memory.

    Parameters
    ----------
    dataset : SpectrumDataset
        The data set that is read.
    batch_size : int
        Largest number of spectra in a batch of this rank: an epoch is cut into batches whose sizes differ by
        one at most.
    device : str or torch.device
        Where noise is drawn and the batches are put.
    seed : int
        Seed of order and noise, which also depend on epoch, step and rank; all ranks must have the same.
    rank, world_size : int
        Number of this process, and number of processes that train together.
    noise_level : float
        Factor on the noise, and on the errors; at 0 there is no noise and the errors are those of level 1
        (where they are stored).
    buffer_rows : int
        Spectra in the buffer, rounded down to whole batches (at least one). A larger buffer shuffles better
        and takes more memory.

    Raises
    ------
    ValueError
        If a parameter is out of range, or there are fewer spectra than ranks.

    See Also
    --------
    FrozenBatches : Batches in order, with the same noise each time.
    specvit.survey.SurveyStream : Batches of stars that are simulated, with nothing on disk.

    Examples
    --------
    >>> import tempfile
    >>> from specvit import Survey
    >>> from specvit.dataset import DatasetStream, SpectrumDataset, write_dataset
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = write_dataset(Survey("paper"), folder, 8)
    ...     dataset = SpectrumDataset(folder)
    ...     flux, ivar, labels = next(iter(DatasetStream(dataset, 4)))
    ...     dataset.close()
    >>> flux.shape, labels.shape
    (torch.Size([4, 4096]), torch.Size([4, 5]))
    """

    def __init__(
        self,
        dataset,
        batch_size,
        *,
        device="cpu",
        seed=0,
        rank=0,
        world_size=1,
        noise_level=1.0,
        buffer_rows=2048,
    ):
        super().__init__(dataset, batch_size, device, seed, noise_level)
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be from 0 to world_size − 1, got {rank!r} of {world_size!r}")
        if len(dataset) < world_size:
            raise ValueError(f"there are {len(dataset)} spectra for {world_size} ranks")
        self.rank, self.world_size, self.step = rank, world_size, 0
        n = len(dataset)
        if batch_size == 1 and n % world_size:
            raise ValueError(f"batch_size must be at least 2 to share {n} spectra among {world_size} ranks")
        self.begin, self.end = n * rank // world_size, n * (rank + 1) // world_size
        self.steps = math.ceil(math.ceil(n / world_size) / batch_size)
        self.buffer_rows = buffer_rows

    def part(self, rank, world_size):
        """The part of the whole stream, from the same step on, that the process `rank` of `world_size` reads.

        All processes take the same number of steps in an epoch, with batches of up to `batch_size` each.
        """
        part = DatasetStream(
            self.dataset,
            self.batch_size,
            device=self.device,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            noise_level=self.noise_level,
            buffer_rows=self.buffer_rows,
        )
        part.set_step(self.step)
        return part

    def __len__(self):
        """Batches in an epoch, the same for every rank."""
        return self.steps

    def set_step(self, step):
        """Continue with batch number `step`, counted over all epochs."""
        self.step = step

    def __iter__(self):
        now, after = _Window(self), _Window(self)
        with ThreadPoolExecutor(1, "specvit-dataset") as reader:
            while True:
                step, self.step = self.step, self.step + 1
                if step not in now.steps:
                    now, after = after, now
                    if step not in now.steps:  # the first, or set_step was called
                        now.fill(reader, step)
                    now.wait()
                    after.fill(reader, now.steps.stop)
                rows = now.rows(step)
                yield self._observed(now.buffers, rows, self._noise(step, rows.stop - rows.start))

    def _bound(self, position):
        """Spectra of this rank before a step of the epoch."""
        return (self.end - self.begin) * min(position, self.steps) // self.steps

    def _numbers(self, epoch, start, stop):
        """Numbers of the spectra from `start` to `stop` of this rank's part of an epoch, in rising order."""
        n, low, high = len(self.dataset), self.begin + start, self.begin + stop
        blocks = np.random.default_rng([self.seed, epoch]).permutation(-(-n // _BLOCK))
        lengths = np.minimum(_BLOCK, n - blocks * _BLOCK)
        ends = np.cumsum(lengths)
        pieces = []
        for k in range(np.searchsorted(ends, low, "right"), np.searchsorted(ends, high) + 1):
            first = int(blocks[k] * _BLOCK - (ends[k] - lengths[k]))  # from place in the epoch to number
            pieces.append(np.arange(max(low, ends[k] - lengths[k]), min(high, ends[k])) + first)
        return np.sort(np.concatenate(pieces))

    def _noise(self, step, n):
        if not self.noise_level:
            return None
        generator = torch.Generator(device=self.device)
        seed = np.random.default_rng([self.seed, step, self.rank, 1]).integers(2**62)
        generator.manual_seed(int(seed))
        return torch.randn(n, self.dataset.n_pixels, generator=generator, device=self.device)


class _Window:
    """Spectra that are shuffled together: those of some consecutive steps of an epoch."""

    def __init__(self, stream):
        self.stream, self.steps, self.buffers, self._reading = stream, range(0), None, None

    def fill(self, reader, step):
        """Begin to read the spectra of the steps that `step` is among."""
        stream = self.stream
        epoch, position = divmod(step, stream.steps)
        length = max(1, stream.buffer_rows // stream.batch_size)
        first = position - position % length
        last = min(first + length, stream.steps)
        self._start, self._first = epoch * stream.steps, stream._bound(first)
        self.steps = range(self._start + first, self._start + last)
        if self.buffers is None:
            self.buffers = stream._buffers(min(length, stream.steps) * stream.batch_size)
        numbers = stream._numbers(epoch, stream._bound(first), stream._bound(last))
        seed = [stream.seed, epoch, stream.rank, first]
        places = np.random.default_rng(seed).permutation(len(numbers))
        copied = None
        if stream.device.type == "cuda":  # batches cut from these buffers may still be on their way
            copied = torch.cuda.Event()
            copied.record(torch.cuda.current_stream(stream.device))
        self._reading = reader.submit(self._read, numbers, places, copied)

    def _read(self, numbers, places, copied):
        if copied is not None:
            copied.synchronize()
        self.stream.dataset.read_into(numbers, self.buffers, places)

    def wait(self):
        """Until all is read; errors of reading are raised here."""
        self._reading.result()

    def rows(self, step):
        """Rows of the buffers that are the batch of a step."""
        first, last = (self.stream._bound(step - self._start + k) - self._first for k in (0, 1))
        return slice(first, last)

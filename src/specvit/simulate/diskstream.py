"""Batches from a data set on disk: shuffled with fresh noise, or in order with frozen noise."""

from __future__ import annotations

import math

import numpy as np
import torch

__all__ = ["DatasetStream", "FrozenBatches", "scatter"]

_BLOCK = 64  # neighbouring spectra that are read together and shuffled apart in the buffer


def scatter(flux, template, mask=None):
    """1σ errors of noisy spectra, estimated from their own pixel-to-pixel scatter.

    The second difference 2 f_i − f_{i−2} − f_{i+2}, over σ's common shape t, has variance 6 s² [1]_;
    s is its median absolute value over 0.6745 √6, and the errors are s t. Lines add to the scatter, so
    above S/N of some 30 errors come out too large.

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

    References
    ----------
    .. [1] Stoehr et al. 2008, "DER_SNR: a simple & general spectroscopic signal-to-noise measurement
       algorithm", ASP Conf. Ser. 394, 505
    """
    if flux.shape[1] < 5:
        raise ValueError(f"flux must have at least 5 pixels to show its scatter, got {flux.shape[1]}")
    difference = 2 * flux[:, 2:-2] - flux[:, :-4] - flux[:, 4:]
    # The noise of the three pixels, so that bright sky lines do not count as scatter elsewhere.
    variance = 4 * template[2:-2] ** 2 + template[:-4] ** 2 + template[4:] ** 2
    difference = difference.abs() / variance.sqrt()
    if mask is not None:
        difference = difference.masked_fill(mask[:, 2:-2] | mask[:, :-4] | mask[:, 4:], math.nan)
    level = difference.nanmedian(1, keepdim=True).values / 0.6745
    tiny = torch.finfo(flux.dtype).tiny ** 0.5
    return level.nan_to_num(1.0).clamp_min(tiny) * template


class _Batches:
    """What shuffled and frozen batches share: noise, and the errors and weights that go with it."""

    def __init__(self, dataset, batch_size, device, seed, noise_level):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size!r}")
        if not (math.isfinite(noise_level) and noise_level >= 0):
            raise ValueError(f"noise_level must be finite and not negative, got {noise_level!r}")
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.device, self.noise_level = torch.device(device), noise_level

    def _observed(self, buffers, rows, noise):
        """(flux, ivar, labels) of a slice of the buffers with unit noise (a tensor, or None for none).

        What is returned shares no memory with the buffers.
        """
        stored = {
            name: torch.from_numpy(values[rows]).to(self.device)
            for name, values in buffers.items()
            if name != "sigma" or noise is not None
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

    The noise of a spectrum depends on `seed` and its number in the set alone: not on the batch size,
    nor on the device.

    Parameters
    ----------
    dataset : SpectrumDataset
    batch_size : int
        The last batch may be smaller.
    device : str or torch.device
    seed : int
        The reference's tests have 42.
    noise_level : float
        Factor on the noise, and on the errors; at 0 there is no noise and the errors are those of level 1
        (where they are stored).
    """

    def __init__(self, dataset, batch_size, *, device="cpu", seed=42, noise_level=1.0):
        super().__init__(dataset, batch_size, device, seed, noise_level)

    def __len__(self):
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self):
        n, n_pixels = len(self.dataset), self.dataset.n_pixels
        buffers = self.dataset._buffers(min(self.batch_size, n), mask=self.dataset.has_mask)
        for start in range(0, n, self.batch_size):
            stop = min(start + self.batch_size, n)
            self.dataset._read([(start, stop)], buffers)
            noise = None
            if self.noise_level:
                noise = np.empty((stop - start, n_pixels), np.float32)
                for row in range(start, stop):
                    np.random.default_rng([self.seed, row]).standard_normal(
                        dtype=np.float32, out=noise[row - start]
                    )
                noise = torch.from_numpy(noise).to(self.device)
            yield self._observed(buffers, slice(0, stop - start), noise)


class DatasetStream(_Batches):
    """Endless shuffled batches (flux, ivar, labels), with noise drawn afresh for each on the device.

    An epoch is a new order of blocks of 64 neighbouring spectra, over all files. Each of the
    `world_size` ranks takes an equal part of that order, reads it `buffer_rows` spectra at a time and
    shuffles these: so nothing but the buffer is in memory, and a file is read in pieces of 64 spectra.
    In an epoch every spectrum is seen by exactly one rank exactly once, and all ranks take the same
    number of steps.

    Parameters
    ----------
    dataset : SpectrumDataset
    batch_size : int
        Spectra in a batch of this rank, at most: an epoch is cut into batches of equal size, to one.
    device : str or torch.device
    seed : int
        Order and noise follow from it, the epoch, the step and the rank; give all ranks the same.
    rank, world_size : int
        This process among those that train together.
    noise_level : float
        Factor on the noise, and on the errors; at 0 there is no noise and the errors are those of level 1
        (where they are stored).
    buffer_rows : int
        Spectra in the buffer, rounded down to whole batches (at least one). More shuffle better.

    Raises
    ------
    ValueError
        If a parameter is out of range, or there are fewer spectra than ranks.
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
        buffer_rows=4096,
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
        self.per_buffer = max(1, buffer_rows // batch_size)

    def __len__(self):
        """Batches in an epoch, the same for every rank."""
        return self.steps

    def set_step(self, step):
        """Continue with batch number `step`, counted over all epochs."""
        self.step = step

    def __iter__(self):
        buffers, loaded, blocks = None, None, (None, None)
        while True:
            step, self.step = self.step, self.step + 1
            epoch, position = divmod(step, self.steps)
            first = position - position % self.per_buffer  # step that the buffer begins with
            if loaded != (epoch, first):
                if blocks[0] != epoch:
                    blocks = epoch, self._blocks(epoch)
                if buffers is None:
                    rows = min(self.per_buffer, self.steps) * self.batch_size
                    buffers = self.dataset._buffers(rows, mask=self.dataset.has_mask)
                self._fill(buffers, blocks[1], epoch, first)
                loaded = epoch, first
            start = self._bound(first)
            rows = slice(self._bound(position) - start, self._bound(position + 1) - start)
            yield self._observed(buffers, rows, self._noise(step, rows.stop - rows.start))

    def _bound(self, position):
        """Spectra of this rank before a step of the epoch."""
        return (self.end - self.begin) * min(position, self.steps) // self.steps

    def _blocks(self, epoch):
        """First rows of all blocks, their lengths, and the lengths' running sum, in the order of an epoch."""
        starts = np.arange(0, len(self.dataset), _BLOCK)
        starts = np.random.default_rng([self.seed, epoch]).permutation(starts)
        lengths = np.minimum(_BLOCK, len(self.dataset) - starts)
        return starts, lengths, np.cumsum(lengths)

    def _fill(self, buffers, blocks, epoch, first):
        """Read the spectra of the steps from `first` on, each to its place in a random order."""
        starts, lengths, ends = blocks
        low = self.begin + self._bound(first)
        high = self.begin + self._bound(first + self.per_buffer)
        pieces = []
        for k in range(np.searchsorted(ends, low, "right"), np.searchsorted(ends, high, "left") + 1):
            offset = starts[k] - (ends[k] - lengths[k])  # from position in the epoch to row of the set
            pieces.append((max(low, ends[k] - lengths[k]) + offset, min(high, ends[k]) + offset))
        order = np.random.default_rng([self.seed, epoch, self.rank, first]).permutation(high - low)
        self.dataset._read([(int(a), int(b)) for a, b in sorted(pieces)], buffers, order)

    def _noise(self, step, n):
        if not self.noise_level:
            return None
        generator = torch.Generator(device=self.device)
        seed = np.random.default_rng([self.seed, step, self.rank, 1]).integers(2**62)
        generator.manual_seed(int(seed))
        return torch.randn(n, self.dataset.n_pixels, generator=generator, device=self.device)

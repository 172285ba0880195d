"""Batches of simulated spectra, and streams of such batches for training."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["SurveyBatch", "SurveyStream"]


@dataclass(frozen=True, repr=False)
class SurveyBatch:
    """Simulated spectra and the truth about them; all tensors on one device, float32.

    Attributes
    ----------
    flux : tensor, shape (n, n_pixels)
        Noisy F_λ in units of an AB 22.5 source at the middle of the grid; without magnitudes, of unit
        mean f_ν before noise.
    ivar : tensor, shape (n, n_pixels)
        Inverse variance as a pipeline would report it: from the background and the mean level of the
        *noisy* counts. Zero where a pixel is masked.
    labels : tensor, shape (n, 5)
        Teff [K], log g, [M/H], [alpha/M], [C/M].
    magnitude : tensor, shape (n,)
        AB magnitude of the mean f_ν over the grid; NaN where the noise is not one of magnitudes.
    noiseless : tensor, shape (n, n_pixels)
        Flux before noise.
    noiseless_sigma : tensor, shape (n, n_pixels)
        Standard deviation the noise was drawn with. For limits and audits; never for a network.
    velocity : tensor, shape (n,), optional
        Radial velocity that is in the spectra, in km/s: the survey's and the residual of its imperfections.
    lsf, sampling : tensor, shape (n, n_pixels), optional
        Properties of the instrument, in surveys in which instruments differ: log2 of the ratio of the line
        spread function's σ, and of the width of native pixels, to those of the grid
        (`specvit.grid.relative_lsf`, `relative_sampling`).

    See Also
    --------
    Survey.draw : Makes one.

    Examples
    --------
    >>> from specvit import Survey
    >>> batch = Survey("paper", seed=1).draw(3, magnitude=21.0)
    >>> len(batch), tuple(batch.flux.shape), batch.magnitude.tolist()
    (3, (3, 4096), [21.0, 21.0, 21.0])
    """

    flux: torch.Tensor
    ivar: torch.Tensor
    labels: torch.Tensor
    magnitude: torch.Tensor
    noiseless: torch.Tensor
    noiseless_sigma: torch.Tensor
    velocity: torch.Tensor | None = None
    lsf: torch.Tensor | None = None
    sampling: torch.Tensor | None = None

    @property
    def training(self):
        """The tensors that training takes: (flux, ivar, labels), then lsf and sampling where known."""
        known = (self.flux, self.ivar, self.labels)
        return known if self.lsf is None else (*known, self.lsf, self.sampling)

    @property
    def snr(self):
        """Median over the pixels that are not masked of noiseless flux over its σ, tensor of shape (n,)."""
        ratio = self.noiseless / self.noiseless_sigma
        return ratio.masked_fill(~(self.ivar > 0), torch.nan).nanmedian(1).values

    def __len__(self):
        return len(self.flux)

    def __repr__(self):
        n, n_pixels = self.flux.shape
        low, high = self.snr.min(), self.snr.max()
        many = f"{n} spectr{'um' if n == 1 else 'a'} of {n_pixels} pixels"
        return f"SurveyBatch({many}, S/N {low:.1f}–{high:.1f}, on {self.flux.device})"


class SurveyStream:
    """Batches `SurveyBatch.training` of a survey, made as they are asked for.

    The k-th batch is a function of the survey's seed and k alone, so `set_step` resumes a stream
    exactly. A survey of n stars shows the same stars again every ⌈n / batch_size⌉ batches (an epoch),
    each time with new noise.

    Parameters
    ----------
    survey : Survey
        The survey whose stars are observed.
    batch_size : int
        Spectra in a batch; the last batch of an epoch may be smaller.
    device : str or torch.device
        Where the spectra are made and stay.
    first : int
        The k-th batch is the survey's stream number `first` + k.
    rank, world_size : int
        This process among those that train together: it takes every `world_size`-th batch. What is left
        at the end of an epoch is cut into equal parts, so that all take the same number of steps and
        see together, to the last bit, the spectra of the whole stream.

    Attributes
    ----------
    steps : int or None
        Batches in an epoch, the same for every process; None if there is no end to the stars.

    Raises
    ------
    ValueError
        If `batch_size` is not positive, or there is not a star for every process at every step.

    See Also
    --------
    Survey.stream : Makes one.

    Examples
    --------
    >>> from specvit import Survey
    >>> stream = Survey("paper", n=100, seed=1).stream(64)
    >>> stream.steps
    2
    >>> flux, ivar, labels = next(iter(stream))
    >>> tuple(labels.shape)
    (64, 5)
    """

    def __init__(self, survey, batch_size, device="cpu", first=0, rank=0, world_size=1):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size!r}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be from 0 to world_size − 1, got {rank!r} of {world_size!r}")
        self.survey, self.batch_size, self.device, self.first = survey, batch_size, device, first
        self.rank, self.world_size, self.step, self.steps = rank, world_size, 0, None
        n = survey.n
        if n is None:
            return
        batches = -(-n // batch_size)
        self.steps = -(-batches // world_size)
        self._whole = self.steps  # steps at which each process has a batch to itself
        if batches % world_size:
            self._whole -= 1
            if n - self._whole * world_size * batch_size < world_size:  # too few for all: one step more
                self._whole -= 1
            if self._whole < 0 or batch_size == 1:
                raise ValueError(
                    f"{n} stars in batches of {batch_size} cannot be shared by {world_size} processes: take "
                    "fewer, or a batch_size above 1"
                )

    def set_step(self, step):
        """Continue with batch number `step` of this process."""
        self.step = step

    def part(self, rank, world_size):
        """The part of this stream, from its beginning, that the process `rank` of `world_size` reads."""
        return type(self)(self.survey, self.batch_size, self.device, self.first, rank, world_size)

    def __iter__(self):
        while True:
            step, self.step = self.step, self.step + 1
            if self.steps is None:
                yield self._batch(step * self.world_size + self.rank)
                continue
            epoch, position = divmod(step, self.steps)
            if position < self._whole:
                yield self._batch(position * self.world_size + self.rank, epoch)
            else:
                yield self._rest(position, epoch)

    def _batch(self, k, epoch=0):
        """The k-th batch of an epoch, whole."""
        n, size = self.survey.n, self.batch_size
        number, stars = self.first + k, None
        if n is not None:
            number += epoch * -(-n // size)
            stars, size = k, min(size, n - k * size)
        batch = self.survey.draw(size, stream=number, stars=stars, device=self.device)
        return batch.training

    def _rest(self, position, epoch):
        """This process's share of the stars that are left after the whole batches of an epoch."""
        n, size, world_size = self.survey.n, self.batch_size, self.world_size
        begin = self._whole * world_size * size
        shares = (self.steps - self._whole) * world_size
        share = (position - self._whole) * world_size + self.rank
        low = begin + (n - begin) * share // shares
        high = begin + (n - begin) * (share + 1) // shares
        pieces = [
            [values[max(0, low - k * size) : high - k * size] for values in self._batch(k, epoch)]
            for k in range(low // size, (high - 1) // size + 1)
        ]
        return tuple(torch.cat(values) for values in zip(*pieces, strict=True))

"""What a survey delivers: batches of spectra, and streams of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["SurveyBatch", "SurveyStream"]


@dataclass(frozen=True)
class SurveyBatch:
    """Simulated spectra and the truth about them; all tensors on one device, float32.

    Attributes
    ----------
    flux : tensor, shape (n, n_pixels)
        Noisy F_λ in units of an AB 22.5 source at the middle of the grid.
    ivar : tensor, shape (n, n_pixels)
        Inverse variance as a pipeline would report it: from the background and the mean level of the
        *noisy* counts. Zero where a pixel is masked.
    labels : tensor, shape (n, 5)
        Teff [K], log g, [M/H], [alpha/M], [C/M].
    magnitude : tensor, shape (n,)
        AB magnitude of the mean f_ν over the grid.
    noiseless : tensor, shape (n, n_pixels)
        Flux before noise.
    noiseless_sigma : tensor, shape (n, n_pixels)
        Standard deviation the noise was drawn with. For limits and audits; never for a network.
    """

    flux: torch.Tensor
    ivar: torch.Tensor
    labels: torch.Tensor
    magnitude: torch.Tensor
    noiseless: torch.Tensor
    noiseless_sigma: torch.Tensor

    def __len__(self):
        return len(self.flux)


class SurveyStream:
    """Batches (flux, ivar, labels) of a survey, made as they are asked for.

    The k-th batch is a function of the survey's seed and k alone, so `set_step` resumes a stream
    exactly. A survey of n stars shows the same stars again every ⌈n / batch_size⌉ batches, each
    time with new noise.
    """

    def __init__(self, survey, batch_size, device="cpu", first=0):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size!r}")
        self.survey, self.batch_size, self.device, self.step = survey, batch_size, device, first

    def set_step(self, step):
        """Continue with batch number `step`."""
        self.step = step

    def __iter__(self):
        n = self.survey.n
        period = None if n is None else -(-n // self.batch_size)
        while True:
            step, self.step = self.step, self.step + 1
            stars, size = step, self.batch_size
            if period is not None:
                stars = step % period
                size = min(size, n - stars * size)
            batch = self.survey.draw(size, stream=step, stars=stars, device=self.device)
            yield batch.flux, batch.ivar, batch.labels

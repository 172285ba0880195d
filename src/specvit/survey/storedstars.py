"""Stars of a survey kept on a device, which training sees again and again with new noise."""

from __future__ import annotations

import numpy as np
import torch

from specvit.checks import check_integer
from specvit.survey.augmentation import Augmentation
from specvit.survey.precision import full_float32

__all__ = ["StoredStars", "StoredStream", "at_noise_level"]

_DRAWN_AT_ONCE = 1000


def at_noise_level(flux, ivar, noiseless, level):
    """Observed spectra with noise and reported errors multiplied by a level.

    Parameters
    ----------
    flux, ivar : tensor, shape (n, n_pixels)
        Spectra as observed, and their inverse variance.
    noiseless : tensor, shape (n, n_pixels)
        Flux before noise.
    level : float or tensor, shape (n, 1)
        Factor on the noise. At 0 the flux is noiseless, and the inverse variance stays that of level 1, as
        in data sets (`specvit.dataset.DatasetStream`): an infinite one would mask every pixel.

    Returns
    -------
    flux, ivar : tensor, shape (n, n_pixels)
    """
    if isinstance(level, torch.Tensor):
        divisor = torch.where(level > 0, level, 1.0).square()
    else:
        divisor = level**2 if level else 1.0
    return noiseless + level * (flux - noiseless), ivar / divisor


class StoredStars:
    """`n` stars of a survey, held as noiseless spectra on a device.

    They are those of ``Survey(..., n=n).stream(1000)``, whatever else is drawn from the survey. A spectrum
    takes 4 bytes a pixel: a million of 4096 pixels take 16 GB.

    Advantages over `Survey.stream`: batches are shuffled anew in each round; stars are not simulated again;
    the noise can be scaled. Disadvantages: memory; no imperfections.

    Parameters
    ----------
    survey : Survey
        A survey of stars with magnitudes and without imperfections (`Augmentation`) or masked windows.
    n : int
        Number of stars.
    device : str or torch.device
        Where they are simulated and stay.

    Attributes
    ----------
    noiseless : tensor, shape (n, n_pixels)
        Flux before noise.
    labels : tensor, shape (n, 5)
        Labels of the stars.
    magnitude : tensor, shape (n,)
        Their magnitudes.

    Raises
    ------
    ValueError
        If the survey has imperfections or masked windows, or no magnitudes.

    See Also
    --------
    Survey.stream : Stars without end, or simulated again in each round.
    specvit.dataset.SpectrumDataset : Stars on disk.

    Examples
    --------
    >>> from specvit.survey import Survey
    >>> from specvit.survey.storedstars import StoredStars
    >>> stars = StoredStars(Survey("paper", seed=1), 8)
    >>> flux, ivar, labels = next(iter(stars.stream(4)))
    >>> tuple(flux.shape), tuple(labels.shape)
    ((4, 4096), (4, 5))
    """

    def __init__(self, survey, n, *, device="cpu"):
        check_integer("n", n, 1)
        if survey.augmentation != Augmentation() or survey.masked:
            raise ValueError("survey must have no augmentation and no masked windows to be stored")
        if survey.noise.brightness != "magnitude":
            raise ValueError(
                f"survey must have noise that depends on the magnitude, got {type(survey.noise).__name__}"
            )
        self.survey, self.n, self.device = survey, n, torch.device(device)
        self.model = survey.forward(self.device, torch.float32)
        self.noiseless = torch.empty(n, len(survey.grid), device=self.device)
        self.labels = torch.empty(n, len(survey.label_names), device=self.device)
        self.magnitude = torch.empty(n, device=self.device)
        for k, start in enumerate(range(0, n, _DRAWN_AT_ONCE)):
            batch = survey.draw(min(_DRAWN_AT_ONCE, n - start), stream=k, device=self.device)
            rows = slice(start, start + len(batch))
            self.noiseless[rows], self.labels[rows] = batch.noiseless, batch.labels
            self.magnitude[rows] = batch.magnitude
        self._imperfections = {}

    def __len__(self):
        return self.n

    def stream(self, batch_size, *, seed=0, noise_level=1.0):
        """Shuffled batches (flux, ivar, labels) with new noise, without end; see `StoredStream`."""
        return StoredStream(self, batch_size, seed=seed, noise_level=noise_level)

    def observe(self, rows, seed, noise_level=1.0):
        """Spectra of some stars with noise.

        Parameters
        ----------
        rows : tensor of int, shape (m,)
            Numbers of the stars.
        seed : sequence of int
            Seed of the noise, and of its levels.
        noise_level : float or (float, float)
            Factor on the noise, see `at_noise_level`; of two, each spectrum has its own, uniform between
            them.

        Returns
        -------
        flux, ivar, labels : tensor, shapes (m, n_pixels), (m, n_pixels), (m, 5)
        """
        rows, n = rows.to(self.device), len(rows)
        if n not in self._imperfections:  # there are none: these say so to the noise model
            nothing = Augmentation().draw(n, np.random.default_rng(0), self.device)
            self._imperfections[n] = nothing
        imperfections = self._imperfections[n]
        generator = torch.Generator(device=self.device)
        generator.manual_seed(int(np.random.default_rng(seed).integers(2**62)))
        imperfections.generator = generator
        noiseless = self.noiseless[rows]
        with torch.no_grad(), full_float32():
            flux, ivar, _ = self.model.noise.expose(
                noiseless, self.magnitude[rows], self.model.constants, imperfections
            )
            if isinstance(noise_level, tuple):
                low, high = noise_level
                noise_level = low + (high - low) * torch.rand(n, 1, generator=generator, device=self.device)
            elif noise_level == 1:
                return flux, ivar, self.labels[rows]
            return *at_noise_level(flux, ivar, noiseless, noise_level), self.labels[rows]


class StoredStream:
    """Batches (flux, ivar, labels) of `StoredStars`, in a new order each round, with new noise each time.

    The k-th batch is a function of `seed` and k, so that `set_step` resumes a stream exactly. All batches
    have one size, for which a compiled network is made: a round leaves out the stars that do not fill a
    batch, others in each round.

    Parameters
    ----------
    stars : StoredStars
        The stars.
    batch_size : int
        Spectra in a batch; the number of stars if that is smaller.
    seed : int
        Seed of order and noise.
    noise_level : float or (float, float)
        As for `StoredStars.observe`; not negative.

    Attributes
    ----------
    steps : int
        Batches in a round.

    Raises
    ------
    ValueError
        If the level is negative, or limits are not in order.
    """

    def __init__(self, stars, batch_size, *, seed=0, noise_level=1.0):
        check_integer("batch_size", batch_size, 1)
        low, high = noise_level if isinstance(noise_level, tuple) else (noise_level, noise_level)
        if not 0 <= low <= high < np.inf:
            raise ValueError(
                f"noise_level must be a number not below 0, or two such limits, got {noise_level!r}"
            )
        self.stars, self.batch_size = stars, min(batch_size, len(stars))
        self.seed, self.noise_level = seed, noise_level
        self.steps, self.step = len(stars) // self.batch_size, 0

    def set_step(self, step):
        """Continue with batch number `step`, counted over all rounds."""
        self.step = step

    def __iter__(self):
        n, size, steps = len(self.stars), self.batch_size, self.steps
        while True:
            turn, position = divmod(self.step, steps)
            generator = torch.Generator().manual_seed(
                int(np.random.default_rng([self.seed, turn]).integers(2**62))
            )
            order = torch.randperm(n, generator=generator).to(self.stars.device)
            for k in range(position, steps):
                self.step += 1
                rows = order[size * k : size * (k + 1)]
                yield self.stars.observe(rows, [self.seed, turn * steps + k, 1], self.noise_level)

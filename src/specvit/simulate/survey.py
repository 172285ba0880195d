"""A survey: stars drawn from a prior, emulated, and observed with noise, on the device of your choice."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import numpy as np
import torch

from specvit.simulate.augment import Augmentation
from specvit.simulate.batches import SurveyBatch, SurveyStream
from specvit.simulate.emulator import Emulator
from specvit.simulate.library import LABELS
from specvit.simulate.lsfbank import LsfBank
from specvit.simulate.noise import PFSNoise, fnu_shape
from specvit.simulate.priors import PRIORS, LabelPrior

__all__ = ["Survey"]

_MAGNITUDES = {"paper": (20.5, 22.5), "pfs-mr": (17.0, 23.0)}
_AUGMENTATIONS = {
    "paper": Augmentation(),
    "pfs-mr": Augmentation(
        max_velocity=20.0,
        lsf_range=(0.9, 1.1),
        line_error=0.12,
        calibration=(0.12, 0.05, 0.03, 0.02, 0.02),
        sky_residual=0.01,
        chunks=4,
        chunk_pixels=200,
        bad_pixels=0.03,
        missing_end=0.35,
        flat_noise=0.25,
        sky_brightness=0.5,
        noise_shape=0.25,
        reported_error=0.1,
        correlated_noise=0.5,
    ),
}


class Survey:
    """Prior × emulator × noise.

    Parameters
    ----------
    name : {"paper", "pfs-mr"}
        ``paper`` is the reference's survey: Teff 3750–6000 K, log g 1–5, [M/H] −1–0, Beta(0.7, 0.7)
        labels, magnitudes 20.5–22.5, rest frame, no imperfections. ``pfs-mr`` covers the library's
        useful domain (Teff 3600–6500 K, log g 0.3–5.3, [M/H] −2.6–0.45) and magnitudes 17–23, with
        the imperfections of `Augmentation` that real spectra have.
    n : int, optional
        Number of stars; by default there is no end to them.
    seed : int
        Stars, imperfections and noise follow from it.
    magnitude : float or tuple of float, optional
        One magnitude for all, or the limits of a uniform distribution, instead of the survey's own.
    emulator : Emulator, optional
        Instead of the one that ships.
    noise : PFSNoise, optional
        Instead of the reference conditions.
    prior : LabelPrior, optional
    augmentation : Augmentation, optional

    Raises
    ------
    ValueError
        If the name is unknown, `n` not positive or `magnitude` out of order.

    Notes
    -----
    Counts are Gaussian about C = C_22.5 10^(−0.4 (m − 22.5)) f_ν/⟨f_ν⟩ with variance C + V (see
    `PFSNoise`). Labels and imperfections are drawn on the CPU, so they are the same whatever the
    device; the noise comes from the device's own generator.
    """

    def __init__(
        self,
        name="paper",
        n=None,
        *,
        seed=0,
        magnitude=None,
        emulator: Emulator | None = None,
        noise: PFSNoise | None = None,
        prior: LabelPrior | None = None,
        augmentation: Augmentation | None = None,
    ):
        if name not in PRIORS:
            raise ValueError(f"name must be one of {sorted(PRIORS)}, got {name!r}")
        if n is not None and n < 1:
            raise ValueError(f"n must be at least 1, got {n!r}")
        magnitude = _MAGNITUDES[name] if magnitude is None else np.broadcast_to(magnitude, 2)
        if not (np.isfinite(magnitude).all() and magnitude[0] <= magnitude[1]):
            raise ValueError(f"magnitude must be finite, the lower limit first, got {tuple(magnitude)!r}")
        self.name, self.n, self.seed = name, n, seed
        self.magnitude = (float(magnitude[0]), float(magnitude[1]))
        self.prior = PRIORS[name] if prior is None else prior
        self.augmentation = _AUGMENTATIONS[name] if augmentation is None else augmentation
        self.noise = PFSNoise() if noise is None else noise
        self._emulator = emulator
        self._on_device = {}

    label_names = LABELS

    @property
    def emulator(self):
        """The emulator on the CPU; read when first used."""
        if self._emulator is None:
            self._emulator = Emulator.load()
        return self._emulator

    @property
    def label_range(self):
        """Lowest and highest value of each label: dict of str to (float, float)."""
        return dict(zip(LABELS, self.prior.ranges, strict=True))

    @property
    def grid(self):
        """Pixels of the spectra."""
        return self.noise.grid

    def draw(self, n, *, stream=0, device="cpu", magnitude=None, stars=None):
        """Simulate `n` spectra.

        Parameters
        ----------
        n : int
            Number of spectra.
        stream : int
            Same seed and stream, same spectra; another stream, other stars and noise.
        device : str or torch.device
            Where the spectra are made and stay.
        magnitude : float, optional
            One magnitude for all instead of the survey's distribution.
        stars : int, optional
            Draw the stars of this stream instead, with the noise of `stream`.

        Returns
        -------
        SurveyBatch
        """
        rng = np.random.default_rng([self.seed, stream if stars is None else stars])
        labels = self.prior.sample(n, rng)
        magnitudes = rng.uniform(*self.magnitude, n)
        if magnitude is not None:
            magnitudes = np.full(n, float(magnitude))
        return self._observe(labels, magnitudes, rng, stream, device)

    def observe(self, labels, magnitude, *, stream=0, device="cpu"):
        """Simulate spectra of given stars.

        Parameters
        ----------
        labels : array-like, shape (5,) or (n, 5)
            Teff [K], log g, [M/H], [alpha/M], [C/M].
        magnitude : float or array-like, shape (n,)
            AB magnitude of the mean f_ν over the grid.
        stream, device
            As for `draw`.

        Returns
        -------
        SurveyBatch

        Raises
        ------
        ValueError
            If a label is outside the range of the emulator's library.
        """
        labels = np.atleast_2d(np.asarray(labels, dtype=np.float64))
        self.emulator.check_labels(labels)
        magnitudes = np.broadcast_to(np.asarray(magnitude, dtype=np.float64), len(labels))
        return self._observe(labels, magnitudes, np.random.default_rng([self.seed, stream]), stream, device)

    def stream(self, batch_size, *, device="cpu", first=0):
        """Endless (or, with `n`, repeating) batches (flux, ivar, labels) for training."""
        return SurveyStream(self, batch_size, device, first)

    # -- the observation ---------------------------------------------------------------------------

    def _observe(self, labels, magnitude, rng, stream, device):
        """Imperfections and noise on top of the stars; everything random is drawn here."""
        device = torch.device(device)
        generator = torch.Generator(device=device)
        generator.manual_seed(int(np.random.default_rng([self.seed, stream, 1]).integers(2**62)))
        numbers = self.augmentation.draw(len(labels), rng, device)
        labels, magnitude = (torch.tensor(x, dtype=torch.float32, device=device) for x in (labels, magnitude))
        with torch.no_grad(), full_float32():
            return self._expose(labels, magnitude, numbers, generator)

    def _expose(self, labels, magnitude, numbers, generator):
        """From labels to spectra as a pipeline would deliver them."""
        tools, augmentation = self._tools(labels.device), self.augmentation
        coefficients, continuum_coefficients = tools["emulator"].coefficients(labels)
        if augmentation.needs_bank:
            flux = tools["bank"].normalised(coefficients, numbers["velocity"], numbers["lsf_scale"])
        else:
            flux = tools["emulator"].lines(coefficients)
        flux = augmentation.distort_lines(flux, generator)
        log_continuum = tools["emulator"].log_continuum(continuum_coefficients)
        # The stellar surface is far brighter than any unit here: only the shape is kept.
        flux = flux * torch.exp(log_continuum - log_continuum.mean(1, keepdim=True))
        brightness = 10 ** (-0.4 * (magnitude - 22.5))
        mean_fnu = flux @ tools["fnu"] / flux.shape[1]  # which sets the magnitude
        flux = flux * (brightness / mean_fnu)[:, None]
        response = tools["response"]  # electrons per unit of flux
        counts = flux * response
        background = tools["background"] + tools["sky_variance"] * (numbers["sky_brightness"] - 1)
        factor = augmentation.variance_factor(numbers, counts.shape[1])
        variance = (counts + background) * factor
        flat = numbers["flat"][:, None]
        if augmentation.flat_noise:
            snr = _interpolate(magnitude, tools["magnitudes"], tools["median_snr"])
            flat_variance = (response * (brightness / snr)[:, None]) ** 2 * factor
            variance = torch.where(flat, flat_variance, variance)
        sigma = variance.sqrt()
        noisy = counts + sigma * augmentation.noise(numbers, counts.shape[1], generator)
        sky = augmentation.sky_error(numbers, tools["sky"])
        if sky is not None:
            noisy = noisy + torch.where(flat, 0, sky)
        # Photon noise of a source without features but of the observed brightness. Anything finer, smoothed
        # over 64 pixels say, is a low-resolution spectrum from which log g can be read at R² = 0.8.
        level = noisy.sum(1, keepdim=True) / response.sum()
        reported = (level.clamp_min(0) * response + background) * factor
        if augmentation.flat_noise:
            reported = torch.where(flat, flat_variance, reported)
        reported = reported * numbers["reported"]
        calibration = augmentation.calibration_error(numbers, counts.shape[1])
        unit = response if calibration is None else response / calibration
        ivar = unit**2 / reported
        mask = augmentation.mask(numbers, counts.shape[1], generator)
        if mask is not None:
            ivar = ivar.masked_fill(mask, 0)
        return SurveyBatch(noisy / unit, ivar, labels, magnitude, flux, sigma / response)

    def _tools(self, device):
        """Emulator and noise tensors on `device`, moved there once."""
        if device not in self._on_device:
            noise, wave = self.noise, self.grid.wave
            magnitudes = np.linspace(10, 30, 201)
            median_snr = np.median(noise.snr(magnitudes), axis=1)
            arrays = {
                "fnu": fnu_shape(wave),
                "response": noise.counts_per_unit * fnu_shape(wave),
                "background": noise.background_variance,
                "sky": noise.sky_counts,
                "sky_variance": noise.sky_variance,
                "magnitudes": magnitudes,
                "median_snr": median_snr,
            }
            tools = {k: torch.as_tensor(v, dtype=torch.float32, device=device) for k, v in arrays.items()}
            augmentation = self.augmentation
            if augmentation.needs_bank:
                bank = LsfBank(self.emulator, augmentation.max_velocity, augmentation.lsf_range)
                tools["bank"] = bank.to(device)
            tools["emulator"] = copy.deepcopy(self.emulator).to(device)
            self._on_device[device] = tools
        return self._on_device[device]

    def __getstate__(self):
        return self.__dict__ | {"_on_device": {}}

    def __repr__(self):
        return f"Survey({self.name!r}, n={self.n}, seed={self.seed}, magnitude={self.magnitude})"


@contextmanager
def full_float32():
    """Keep TF32 out of float32 matrix products: its 1e-3 rounding would be a pattern a network learns."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _interpolate(x, nodes, values):
    """Linear interpolation on equally spaced nodes."""
    position = ((x - nodes[0]) / (nodes[1] - nodes[0])).clamp(0, len(nodes) - 1.001)
    low = position.long()
    return torch.lerp(values[low], values[low + 1], position - low)

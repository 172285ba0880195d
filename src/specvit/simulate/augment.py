"""What real spectra have and clean simulations lack: drawn per star, applied on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

__all__ = ["Augmentation"]


@dataclass(frozen=True)
class Augmentation:
    """Sizes of the imperfections a survey puts into its spectra; all zero by default.

    Parameters
    ----------
    max_velocity : float
        Residual radial velocity after the rest-frame correction, uniform in ±max_velocity km/s.
    lsf_range : tuple of float
        LSF width relative to nominal, uniform between the two.
    line_error : float
        Rms error of line strengths: every optical depth −ln(normalised flux) is multiplied by
        exp(ε(λ)), ε Gaussian with a correlation length of `line_error_pixels` pixels. It stands for
        wrong oscillator strengths and abundances, which a synthetic library has and no star shares.
    line_error_pixels : int
        Correlation length of the line errors, in pixels.
    calibration : tuple of float
        Rms coefficients of the Chebyshev polynomials T1, T2, … of ln(flux calibration error); it also
        covers reddening.
    sky_residual : float
        Rms fractional error of the sky subtraction beyond what the error array knows, in amplitude
        and in pixel shift, varying over the spectrum on 16 knots.
    chunks : int
        Up to this many contiguous masked chunks of up to `chunk_pixels` pixels.
    chunk_pixels : int
    bad_pixels : float
        Up to this fraction of single pixels is masked at random.
    missing_end : float
        Up to this fraction of the spectrum is missing at either end, in one star of four.
    flat_noise : float
        Fraction of stars with noise of constant σ (of the same median SNR) instead of the
        instrument's sky pattern, as from other spectrographs.
    sky_brightness : float
        Rms of ln(sky variance over its reference): airmass, season, moon.
    noise_shape : float
        Rms of the slow variation over the spectrum (12 knots) of ln(σ over what the instrument's model
        says): other throughputs, and variances that resampling and smoothing have changed.
    reported_error : float
        Rms of ln(reported σ over the true one), one number a star.
    correlated_noise : float
        Fraction of stars whose noise is correlated between neighbours, as resampling leaves it: a
        three-pixel kernel whose wings have up to half the weight of its centre.
    """

    max_velocity: float = 0.0
    lsf_range: tuple[float, float] = (1.0, 1.0)
    line_error: float = 0.0
    line_error_pixels: int = 4
    calibration: tuple[float, ...] = ()
    sky_residual: float = 0.0
    chunks: int = 0
    chunk_pixels: int = 128
    bad_pixels: float = 0.0
    missing_end: float = 0.0
    flat_noise: float = 0.0
    sky_brightness: float = 0.0
    noise_shape: float = 0.0
    reported_error: float = 0.0
    correlated_noise: float = 0.0

    @property
    def needs_bank(self):
        """Whether spectra are shifted or broadened."""
        return self.max_velocity > 0 or self.lsf_range != (1.0, 1.0)

    def draw(self, n, rng, device):
        """Per-star numbers for `n` stars from a `numpy.random.Generator`, as tensors on `device`."""
        ends = rng.random((n, 2)) * self.missing_end * (rng.random((n, 2)) < 0.25)
        numbers = {
            "velocity": rng.uniform(-1, 1, n) * self.max_velocity,
            "lsf_scale": rng.uniform(*self.lsf_range, n),
            "calibration": rng.standard_normal((n, len(self.calibration))) * np.asarray(self.calibration),
            "sky": rng.standard_normal((n, 2, 16)) * self.sky_residual,
            "chunk_centre": rng.random((n, self.chunks)),
            # Widths are skewed to short chunks; a third of the slots stay empty.
            "chunk_width": rng.random((n, self.chunks)) ** 2
            * self.chunk_pixels
            * (rng.random((n, self.chunks)) < 0.67),
            "bad_fraction": rng.random(n) * self.bad_pixels,
            "ends": ends,
            "flat": rng.random(n) < self.flat_noise,
            "sky_brightness": np.exp(rng.standard_normal((n, 1)) * self.sky_brightness),
            "noise_shape": rng.standard_normal((n, 12)) * self.noise_shape,
            "reported": np.exp(2 * rng.standard_normal((n, 1)) * self.reported_error),
            "wing": rng.random((n, 1)) * 0.5 * (rng.random((n, 1)) < self.correlated_noise),
        }
        return {
            name: torch.as_tensor(
                np.asarray(value, None if value.dtype == bool else np.float32), device=device
            )
            for name, value in numbers.items()
        }

    def distort_lines(self, normalised, generator):
        """Multiply the optical depths by a random factor of wavelength. (n, n_pixels) → (n, n_pixels)."""
        if not self.line_error:
            return normalised
        n, n_pixels = normalised.shape
        knots = torch.randn(
            n, n_pixels // self.line_error_pixels + 2, generator=generator, device=normalised.device
        )
        epsilon = _upsample(knots, n_pixels) * (
            self.line_error * 1.22
        )  # linear interpolation loses a third of the variance
        return normalised.clamp_min(1e-3).pow(torch.exp(epsilon))

    def calibration_error(self, numbers, n_pixels):
        """Multiplicative calibration error, (n, n_pixels), or None."""
        if not self.calibration:
            return None
        x = torch.linspace(-1, 1, n_pixels, device=numbers["calibration"].device)
        order = torch.arange(1, len(self.calibration) + 1, device=x.device)
        chebyshev = torch.cos(order[:, None] * torch.acos(x)[None])  # (n_terms, n_pixels)
        return torch.exp(numbers["calibration"] @ chebyshev)

    def noise(self, numbers, n_pixels, generator):
        """Gaussian noise of unit variance, (n, n_pixels), where wanted correlated between neighbours."""
        n, device = len(numbers["wing"]), numbers["wing"].device
        white = torch.randn(n, n_pixels, generator=generator, device=device)
        if not self.correlated_noise:
            return white
        wing = numbers["wing"]
        sides = torch.zeros_like(white)
        sides[:, 1:] += white[:, :-1]
        sides[:, :-1] += white[:, 1:]
        return (white + wing * sides) / (1 + 2 * wing**2).sqrt()

    def variance_factor(self, numbers, n_pixels):
        """Factor on the variance, (n, n_pixels), or 1: its slow departure from the instrument's model."""
        return torch.exp(2 * _upsample(numbers["noise_shape"], n_pixels)) if self.noise_shape else 1.0

    def sky_error(self, numbers, sky_counts):
        """Electrons of sky left in or taken out, (n, n_pixels), or None.

        The first part scales the sky's lines, the second shifts them by a fraction of a pixel.
        """
        if not self.sky_residual:
            return None
        slope = torch.gradient(sky_counts)[0]
        knots = _upsample(numbers["sky"].flatten(0, 1), sky_counts.numel()).unflatten(0, (-1, 2))
        return knots[:, 0] * sky_counts + knots[:, 1] * slope

    def mask(self, numbers, n_pixels, generator):
        """True where a pixel is lost, (n, n_pixels), or None."""
        if not (self.chunks or self.bad_pixels or self.missing_end):
            return None
        device = numbers["ends"].device
        index = torch.arange(n_pixels, device=device)[None]
        lost = index < numbers["ends"][:, :1] * n_pixels
        lost |= index >= n_pixels * (1 - numbers["ends"][:, 1:])
        for k in range(self.chunks):
            centre, width = numbers["chunk_centre"][:, k : k + 1], numbers["chunk_width"][:, k : k + 1]
            lost |= (index - centre * n_pixels).abs() < width / 2
        if self.bad_pixels:
            lost |= (
                torch.rand(lost.shape, generator=generator, device=device) < numbers["bad_fraction"][:, None]
            )
        return lost


def _upsample(knots, n_pixels):
    """Linear interpolation of (n, n_knots) onto n_pixels equally spaced points."""
    return F.interpolate(knots[:, None], size=n_pixels, mode="linear", align_corners=True)[:, 0]

"""Sizes of the imperfections of real spectra, which clean simulations lack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from specvit.survey.imperfections import Imperfections
from specvit.survey.transfer import to_device

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
        exp(ε(λ)), ε Gaussian with a correlation length of `line_error_pixels` pixels. It stands for the
        wrong oscillator strengths of a synthetic library and for abundances that are no labels.
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
        Largest width of such a chunk, in pixels.
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

    See Also
    --------
    Survey : Takes it as ``augmentation=``.

    Notes
    -----
    Advantage of imperfect training spectra: the network keeps its accuracy and its errors on real spectra,
    which are imperfect. Disadvantage: on clean spectra it is a little less precise than one that was trained
    on those.

    Examples
    --------
    >>> from specvit.survey import Augmentation, Survey
    >>> batch = Survey("paper", augmentation=Augmentation(bad_pixels=0.5)).draw(2)
    >>> bool((batch.ivar == 0).any())
    True
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
        """``Imperfections`` of `n` stars, drawn with a `numpy.random.Generator` `rng`, on `device`."""
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
        # Line errors have too many numbers to be drawn on the CPU: each star gets the key to its own.
        numbers["line_key"] = rng.integers(2**63, size=n)
        return Imperfections(self, to_device(numbers, torch.device(device)))

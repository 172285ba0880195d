"""Noise of a stated signal-to-noise ratio, and no noise at all; both for any spectrograph."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from specvit.digests import digest
from specvit.grid import PixelGrid
from specvit.survey.noise import Exposure, Noise

__all__ = ["NoNoise", "SNRNoise"]

_NOT_PHOTONS = ("flat_noise", "sky_residual", "sky_brightness")


class SNRNoise(Noise):
    """Gaussian noise of a stated S/N, the median over pixels of flux/σ, with σ(λ) proportional to a curve.

    Stars have no magnitude here, and the mean f_ν of their noiseless spectra is one. Pixels that the survey
    masks in every spectrum do not count for the median.

    Parameters
    ----------
    snr : float or tuple of float
        S/N of every spectrum, or the limits of a uniform distribution, one S/N a star.
    sigma : array-like, shape (n_pixels,), optional
        Error curve: σ of the flux against wavelength, of which only the shape counts; constant by default.
        It may be one that a spectrograph reports, or flux over S/N from its exposure-time calculator.
    grid : PixelGrid, optional
        Pixels of `sigma`, needed with it. Without an error curve the model is for any grid.

    Raises
    ------
    ValueError
        If the S/N is not positive and finite, the lower limit first, or `sigma` is not a positive curve on
        `grid`.

    See Also
    --------
    PhotonNoise : For an instrument whose throughput and background are known.

    Notes
    -----
    Advantages: nothing need be known of the instrument but its S/N, and an error curve if it is not flat.
    Disadvantages: stars have no magnitude, and σ does not follow the photons of each star.

    Noise is drawn with a σ of ``sigma`` times median(f/sigma)/S, where f is the noiseless flux and S the S/N.
    The reported σ is computed in the same way from the *noisy* flux, so that the errors tell a network
    nothing that the observed spectrum does not. A spectrum whose median is not positive reports an inverse
    variance of zero.

    Examples
    --------
    >>> from specvit.survey import SNRNoise, Survey
    >>> survey = Survey("own", prior=Survey("paper").prior, noise=SNRNoise((20, 200)))
    >>> batch = survey.draw(2, snr=35)
    >>> [round(x) for x in batch.snr.tolist()]
    [35, 35]
    """

    brightness = "snr"
    lacks = _NOT_PHOTONS

    def __init__(
        self, snr: float | tuple[float, float], sigma: Any = None, grid: PixelGrid | None = None
    ) -> None:
        limits = np.broadcast_to(np.asarray(snr, np.float64), 2)
        if not (np.isfinite(limits).all() and 0 < limits[0] <= limits[1]):
            raise ValueError(f"snr must be positive and finite, the lower limit first, got {snr!r}")
        self.snr, self.grid, self.sigma = (float(limits[0]), float(limits[1])), grid, None
        if sigma is not None:
            if grid is None:
                raise ValueError("grid is needed with sigma: the pixels of the curve")
            self.sigma = np.array(sigma, np.float64)
            if self.sigma.shape != (len(grid),):
                raise ValueError(
                    f"sigma must have shape ({len(grid)},), that of the grid, got {self.sigma.shape}"
                )
            if not (np.isfinite(self.sigma).all() and (self.sigma > 0).all()):
                raise ValueError("sigma must be finite and positive: mask pixels in the survey instead")

    def arrays(self, grid, used):
        curve = np.ones(len(grid)) if self.sigma is None else self.sigma / np.median(self.sigma)
        return {"curve": curve, "used": np.flatnonzero(used)}

    def variance(self, flux, brightness, constants, imperfections=None):
        curve, used = constants["curve"], constants["used"]
        factor = 1.0 if imperfections is None else imperfections.variance_factor(flux.shape[1])
        level = _median(flux / curve, used).clamp_min(0)
        return (curve / brightness[:, None] * level) ** 2 * factor

    def expose(self, flux, brightness, constants, imperfections):
        sigma = self.variance(flux, brightness, constants, imperfections).sqrt()
        noisy = flux + sigma * imperfections.noise(flux.shape[1])
        reported = self.variance(noisy, brightness, constants, imperfections)
        reported = reported * imperfections.numbers["reported"]
        return Exposure(noisy, torch.where(reported > 0, 1 / reported, 0), sigma)

    def describe(self):
        values = {"snr": self.snr}
        if self.sigma is not None:
            values |= {"grid": self.grid.name, "sha256": digest(self.sigma)}
        return values


class NoNoise(Noise):
    """No noise: the flux is the noiseless one, its mean f_ν is one, and its σ zero.

    A network needs weights all the same, so the reported inverse variance is constant over a spectrum and
    belongs to the S/N below.

    Parameters
    ----------
    snr : float
        Median flux over the error that is reported.

    See Also
    --------
    SNRNoise : Noise of a stated S/N.

    Notes
    -----
    Advantage: it shows what a network can learn from spectra alone, and how far a smooth fit is from the
    truth. Disadvantage: no real spectrum is like this, and a network that learned from it has useless errors.

    Limits on the accuracy (`specvit.limits`) do not exist: without noise the information is infinite.

    Examples
    --------
    >>> from specvit.survey import NoNoise, Survey
    >>> survey = Survey("own", prior=Survey("paper").prior, noise=NoNoise())
    >>> batch = survey.draw(2)
    >>> bool((batch.flux == batch.noiseless).all())
    True
    """

    lacks = (*_NOT_PHOTONS, "noise_shape", "reported_error", "correlated_noise")
    no_limits = "without noise a spectrum determines its labels exactly"

    def __init__(self, snr=1000.0):
        if not 0 < snr < np.inf:
            raise ValueError(f"snr must be positive and finite, got {snr!r}")
        self.reported_snr = float(snr)

    def arrays(self, grid, used):
        return {"used": np.flatnonzero(used)}

    def variance(self, flux, brightness, constants, imperfections=None):
        return torch.zeros_like(flux)

    def expose(self, flux, brightness, constants, imperfections):
        ivar = (self.reported_snr / _median(flux, constants["used"])) ** 2
        sigma = self.variance(flux, brightness, constants).sqrt()
        return Exposure(flux.clone(), ivar.expand_as(flux).clone(), sigma)

    def describe(self):
        return {"snr": self.reported_snr}


def _median(values, used):
    """Median of each row over the pixels `used`, (n, 1)."""
    if len(used) < values.shape[1]:
        values = values[:, used]
    return values.median(1, keepdim=True).values

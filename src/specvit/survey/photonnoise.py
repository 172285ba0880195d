"""Noise of instruments that count photons of the star and of a known background."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from specvit.constants import UNIT_MAGNITUDE
from specvit.digests import digest
from specvit.grid import PixelGrid
from specvit.survey.noise import Exposure, Noise, fnu_shape

__all__ = ["PhotonNoise"]


class PhotonNoise(Noise):
    """Gaussian photon noise of the star over a known background, on any grid.

    .. math:: C = C_{22.5}\\, 10^{-0.4 (m - 22.5)} f_ν/⟨f_ν⟩, \\qquad V = C + V_b, \\qquad
              {\\rm SNR} = C / \\sqrt{V}.

    Parameters
    ----------
    grid : PixelGrid
        Pixels of the spectra.
    counts_per_unit : array-like, shape (n_pixels,)
        Electrons per pixel of a source of AB magnitude 22.5 with flat f_ν, positive.
    background_variance : array-like, shape (n_pixels,)
        Variance without the object, in electrons², positive.
    sky_counts, sky_variance : array-like, shape (n_pixels,), optional
        Electrons of sky per pixel, and the part of the background's variance that comes from it. Needed
        for the sky's imperfections, see `Augmentation`.

    Raises
    ------
    ValueError
        If an array has another shape, or a value that is not finite and positive (for the sky: negative).

    See Also
    --------
    PFSNoise : This model with the numbers of PFS MR.
    SNRNoise : A simpler model, where only an S/N is known.

    Notes
    -----
    Advantages: the noise is right in every pixel and at every magnitude, whether photons of the star or the
    background dominate; stars have magnitudes, and the sky can be subtracted badly (`Augmentation`).
    Disadvantages: throughput and background must be known, or S/N curves at two magnitudes, from which
    `from_snr` computes them.

    Examples
    --------
    >>> import numpy as np
    >>> from specvit.grid import PFS_MR
    >>> from specvit.survey import PhotonNoise
    >>> noise = PhotonNoise.from_snr(PFS_MR, {20.0: 30.0, 22.0: 8.0})
    >>> print(f"S/N at magnitude 21: {np.median(noise.snr(21.0)):.1f}")
    S/N at magnitude 21: 16.3
    """

    brightness = "magnitude"

    def __init__(
        self,
        grid: PixelGrid,
        counts_per_unit: Any,
        background_variance: Any,
        *,
        sky_counts: Any = None,
        sky_variance: Any = None,
    ) -> None:
        if (sky_counts is None) != (sky_variance is None):
            raise ValueError("sky_counts and sky_variance must be given together")
        self.grid = grid
        self.counts_per_unit = _per_pixel("counts_per_unit", counts_per_unit, grid)
        self.background_variance = _per_pixel("background_variance", background_variance, grid)
        self.sky_counts, self.sky_variance = sky_counts, sky_variance
        if sky_counts is not None:
            self.sky_counts = _per_pixel("sky_counts", sky_counts, grid, zero=True)
            self.sky_variance = _per_pixel("sky_variance", sky_variance, grid, zero=True)

    @classmethod
    def from_snr(cls, grid, curves, *, background=None):
        """The model that has given curves of the signal-to-noise ratio, as exposure-time calculators make.

        With S the S/N per pixel of a source of flat f_ν and q = 10^(−0.4 (m_2 − m_1)), two curves give

        .. math:: C_1 = \\frac{1 - q}{S_1^{-2} - q^2 S_2^{-2}}, \\qquad V_b = C_1^2/S_1^2 - C_1 .

        Parameters
        ----------
        grid : PixelGrid
            Pixels of the curves.
        curves : dict of float to array-like, shape (n_pixels,) or ()
            S/N per pixel at one or two AB magnitudes.
        background : float, optional
            With one curve: the background's share of the variance at its magnitude, between 0 (photons of
            the star only) and 1 (sky and detector only), both excluded.

        Returns
        -------
        PhotonNoise

        Raises
        ------
        ValueError
            If the S/N does not fall with magnitude as it must: faster than for a star's photons alone,
            more slowly than for a background alone.
        """
        curves = {
            float(m): _per_pixel(f"curves[{m:g}]", np.broadcast_to(s, len(grid)), grid)
            for m, s in sorted(curves.items())
        }
        if len(curves) not in (1, 2) or (len(curves) == 1) == (background is None):
            raise ValueError(
                "curves must be S/N at two magnitudes, or at one with `background`, got "
                f"{len(curves)} and background={background!r}"
            )
        magnitude, snr = next(iter(curves.items()))
        if background is not None:
            if not 0 < background < 1:
                raise ValueError(f"background must lie between 0 and 1, got {background!r}")
            counts = snr**2 / (1 - background)
        else:
            fainter, faint_snr = list(curves.items())[1]
            q, ratio = 10 ** (-0.4 * (fainter - magnitude)), faint_snr / snr
            bad = ~((ratio > q) & (ratio < np.sqrt(q)))
            if bad.any():
                raise ValueError(
                    f"curves: S/N({fainter:g}) / S/N({magnitude:g}) must lie between {q:.4g} (background "
                    f"only) and {np.sqrt(q):.4g} (photons only), it is {ratio[bad][0]:.4g} at "
                    f"{grid.wave[bad][0]:.2f} Å"
                )
            counts = (1 - q) / (snr**-2 - q**2 * faint_snr**-2)
        to_unit = 10 ** (-0.4 * (UNIT_MAGNITUDE - magnitude))
        return cls(grid, counts * to_unit, counts**2 / snr**2 - counts)

    @property
    def lacks(self):
        """Imperfections that the model cannot have: those of the sky, where the sky is not known."""
        return () if self.sky_counts is not None else ("sky_residual", "sky_brightness")

    def counts(self, magnitude, fnu=1.0):
        """Expected electrons per pixel.

        Parameters
        ----------
        magnitude : float or ndarray, shape (...,)
            AB magnitude of the mean f_ν over the grid.
        fnu : float or ndarray, shape (..., n_pixels)
            Shape of the spectrum in f_ν; its mean over pixels is divided out.

        Returns
        -------
        ndarray, shape (..., n_pixels)
        """
        fnu = np.broadcast_to(np.asarray(fnu, np.float64), (*np.shape(magnitude), len(self.grid)))
        scale = 10 ** (-0.4 * (np.asarray(magnitude, np.float64) - UNIT_MAGNITUDE))[..., None]
        return scale * self.counts_per_unit * fnu / fnu.mean(-1, keepdims=True)

    def count_variance(self, counts):
        """Variance in electrons² of star and background, for expected `counts` (..., n_pixels)."""
        return np.maximum(counts, 0) + self.background_variance

    def snr(self, magnitude, fnu=1.0):
        """Expected S/N per pixel, shape (..., n_pixels); `magnitude` and `fnu` as for `counts`."""
        counts = self.counts(magnitude, fnu)
        return counts / np.sqrt(self.count_variance(counts))

    def arrays(self, grid, used):
        magnitudes = np.linspace(10, 30, 201)
        constants = {
            "response": self.counts_per_unit * fnu_shape(grid.wave),  # electrons per unit of flux
            "background": self.background_variance,
            "magnitudes": magnitudes,
            "median_snr": np.median(self.snr(magnitudes), axis=1),
        }
        if self.sky_counts is not None:
            constants |= {"sky": self.sky_counts, "sky_variance": self.sky_variance}
        return constants

    def variance(self, flux, brightness, constants, imperfections=None):
        response = constants["response"]
        electrons = self._electron_variance(brightness, constants, imperfections)
        return electrons(flux * response) / response**2

    def expose(self, flux, brightness, constants, imperfections):
        response, numbers = constants["response"], imperfections.numbers
        electrons = self._electron_variance(brightness, constants, imperfections)
        counts = flux * response
        sigma = electrons(counts).sqrt()
        noisy = counts + sigma * imperfections.noise(counts.shape[1])
        if imperfections.sizes.sky_residual:
            sky = imperfections.sky_error(constants["sky"])
            noisy = noisy + torch.where(numbers["flat"][:, None], 0, sky)
        # Photon noise of a source without features but of the observed brightness. Anything finer, smoothed
        # over 64 pixels say, is a low-resolution spectrum from which log g can be read at R² = 0.8.
        level = noisy.sum(1, keepdim=True) / response.sum()
        reported = electrons(level.clamp_min(0) * response) * numbers["reported"]
        return Exposure(noisy / response, response**2 / reported, sigma / response)

    @staticmethod
    def _electron_variance(brightness, constants, imperfections):
        """Function from expected counts to their variance in electrons², both tensors (n, n_pixels)."""
        response, background = constants["response"], constants["background"]
        if imperfections is None:
            return lambda counts: counts + background
        numbers = imperfections.numbers
        if "sky_variance" in constants:
            background = background + constants["sky_variance"] * (numbers["sky_brightness"] - 1)
        factor = imperfections.variance_factor(len(response))
        if not imperfections.sizes.flat_noise:
            return lambda counts: (counts + background) * factor
        snr = _interpolate(brightness, constants["magnitudes"], constants["median_snr"])
        level = 10 ** (-0.4 * (brightness - UNIT_MAGNITUDE))
        flat_variance = (response * (level / snr)[:, None]) ** 2 * factor
        flat = numbers["flat"][:, None]
        return lambda counts: torch.where(flat, flat_variance, (counts + background) * factor)

    def describe(self):
        arrays = (self.counts_per_unit, self.background_variance, self.sky_counts, self.sky_variance)
        known = np.concatenate([x for x in arrays if x is not None])
        return {"grid": self.grid.name, "sha256": digest(known)}


def _per_pixel(name, values, grid, zero=False):
    values = np.array(values, np.float64)
    if values.shape != (len(grid),):
        raise ValueError(f"{name} must have shape ({len(grid)},), that of the grid, got {values.shape}")
    if not (np.isfinite(values).all() and (values >= 0 if zero else values > 0).all()):
        raise ValueError(f"{name} must be finite and {'not negative' if zero else 'positive'}")
    return values


def _interpolate(x, nodes, values):
    """Linear interpolation on equally spaced nodes."""
    position = ((x - nodes[0]) / (nodes[1] - nodes[0])).clamp(0, len(nodes) - 1.001)
    low = position.long()
    return torch.lerp(values[low], values[low + 1], position - low)

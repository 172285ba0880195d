"""Line profiles as their Fourier transforms: the line spread function, rotation, macroturbulence."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import j1

__all__ = ["Smoother", "rotation_transform"]

#: Samples beyond either end of a spectrum that the last pixel's value is continued for.
_PADDING = 256
#: Largest argument of the tabulated transform of rotation, and its step.
_LARGEST, _STEP = 60.0, 0.01
#: Linear limb darkening at 8000 Å of cool stars.
_LIMB_DARKENING = 0.5


def rotation_transform(u, limb_darkening=_LIMB_DARKENING):
    r"""Fourier transform of the rotational broadening profile at u = 2π f v sin i.

    .. math:: G(x) = \frac{2(1-ε)\sqrt{1-x^2} + \frac{π}{2} ε (1-x^2)}{π(1-ε/3)}, \qquad
              \tilde G(u) = \frac{2(1-ε) J_1(u)/u + 2ε (\sin u - u\cos u)/u^3}{1-ε/3}

    (Gray 2005, The Observation and Analysis of Stellar Photospheres, eq. 18.14), x in units of v sin i.

    Parameters
    ----------
    u : ndarray
        Not negative.
    limb_darkening : float
        ε of the linear law.
    """
    u = np.maximum(np.asarray(u, np.float64), 1e-3)  # the transform is 1 − O(u²)
    disc, sphere = j1(u) / u, (np.sin(u) - u * np.cos(u)) / u**3
    return 2 * ((1 - limb_darkening) * disc + limb_darkening * sphere) / (1 - limb_darkening / 3)


class Smoother:
    """Convolution of every spectrum with profiles of its own, whose widths change along the spectrum.

    A spectrum is convolved with its profiles at three wavelengths, the ends and the middle of the grid, and
    interpolated between the results by the quadratic through them: exact for widths that do not change,
    and to 1e-3 of a line's depth for those that grow with wavelength by a quarter.

    Parameters
    ----------
    n_pixels : int
        Pixels of the spectra.
    device : torch.device
        Where spectra are made.
    """

    def __init__(self, n_pixels, device):
        self.n_pixels, self.length = n_pixels, n_pixels + 2 * _PADDING
        frequency = torch.fft.rfftfreq(self.length, device=device)
        self._angle = 2 * math.pi * frequency  # radians per pixel
        table = rotation_transform(np.arange(0, _LARGEST + 2 * _STEP, _STEP))
        self._rotation = torch.as_tensor(table, dtype=torch.float32, device=device)
        # Two samples a pixel, with a margin of 8 pixels: where interpolation by cubics is good to 1e-3.
        x = (torch.arange(2 * (n_pixels + 2 * self.margin), device=device) / 2 - self.margin) / (n_pixels - 1)
        t = 2 * x - 1
        self.nodes = torch.stack([t * (t - 1) / 2, 1 - t * t, t * (t + 1) / 2])  # (3, n_fine)

    margin = 8

    def __call__(self, flux, variance, rotation):
        """Smoothed spectra, two samples a pixel and `margin` pixels more at either end.

        Parameters
        ----------
        flux : tensor, shape (n, n_pixels)
            Spectra to be smoothed.
        variance : tensor, shape (n, 3)
            Variance of the Gaussian, in pixels², at the first, middle and last pixel.
        rotation : tensor, shape (n, 3)
            v sin i in pixels there.

        Returns
        -------
        tensor, shape (n, 2 (n_pixels + 2 margin))
        """
        padded = F.pad(flux[:, None], (_PADDING, _PADDING), mode="replicate")[:, 0]
        transform = torch.view_as_real(torch.fft.rfft(padded))
        # The zeros that irfft appends to the transform double the sampling; it divides by the length.
        smoothed = [
            torch.fft.irfft(torch.view_as_complex(transformed), n=2 * self.length)
            for transformed in self.filtered(transform, variance, rotation)
        ]
        return self.blended(*smoothed)

    def filtered(self, transform, variance, rotation):
        """Transforms, (n, frequencies, 2) of real and imaginary parts, times those of the three profiles."""
        angle, filtered = self._angle, []
        for k in range(len(self.nodes)):
            kernel = torch.exp(-0.5 * variance[:, k, None] * angle.square())
            kernel = 2 * kernel * self._rotated(rotation[:, k, None] * angle)
            filtered.append(transform * kernel[..., None])
        return filtered

    def blended(self, *smoothed):
        """The quadratic in wavelength through what the three profiles give, without the padding."""
        first, n_fine = 2 * (_PADDING - self.margin), self.nodes.shape[1]
        return sum(
            node * one[:, first : first + n_fine] for node, one in zip(self.nodes, smoothed, strict=True)
        )

    def _rotated(self, u):
        position = (u / _STEP).clamp_max(len(self._rotation) - 1.001)
        low = position.long()
        return torch.lerp(self._rotation[low], self._rotation[low + 1], position - low)

    def correlated(self, white, sigma):
        """Noise of unit variance that a Gaussian of `sigma` (n,) pixels and a pixel's width have smoothed.

        Parameters
        ----------
        white : tensor, shape (n, n_pixels)
            Independent, of unit variance.
        sigma : tensor, shape (n,)
            Width of the Gaussian of each spectrum, in pixels.
        """
        angle = 2 * math.pi * torch.fft.rfftfreq(self.n_pixels, device=white.device)
        kernel = torch.exp(-0.5 * (sigma[:, None] * angle).square()) * torch.sinc(angle / (2 * math.pi))
        # By Parseval's theorem: the mean of |kernel|² over all frequencies, of which rfft has half.
        power = kernel.square()
        mean = (2 * power.sum(1, keepdim=True) - power[:, :1]) / self.n_pixels
        return torch.fft.irfft(torch.fft.rfft(white) * kernel, n=self.n_pixels) / mean.sqrt()

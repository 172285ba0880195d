"""The imperfections of one batch of spectra: drawn per star on the CPU, applied on the device."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from specvit.survey.counterrandom import counter_normal

__all__ = ["KNOT_GAIN", "Imperfections", "gathered", "upsample"]

#: Interpolation between the knots of the line errors loses a third of their variance.
KNOT_GAIN = 1.22


class Imperfections:
    """Imperfections of n stars, drawn by `Augmentation.draw`, and how they act on spectra.

    Parameters
    ----------
    sizes : Augmentation
        Sizes of the imperfections.
    numbers : dict of tensor
        Random numbers of each star, all on one device.

    Attributes
    ----------
    generator : torch.Generator
        Generator of the batch's device, for noise and bad pixels. The survey sets it.
    """

    def __init__(self, sizes, numbers):
        self.sizes, self.numbers, self.generator = sizes, numbers, None

    def __len__(self):
        return len(self.numbers["velocity"])

    def distort_lines(self, normalised):
        """Multiply the optical depths by a random factor of wavelength. (n, n_pixels) → (n, n_pixels)."""
        sizes = self.sizes
        if not sizes.line_error:
            return normalised
        n_pixels = normalised.shape[1]
        knots = counter_normal(self.numbers["line_key"], n_pixels // sizes.line_error_pixels + 2)
        epsilon = upsample(knots, n_pixels) * (sizes.line_error * KNOT_GAIN)
        return normalised.clamp_min(1e-3).pow(torch.exp(epsilon))

    def calibration_error(self, n_pixels):
        """Multiplicative calibration error, (n, n_pixels), or None."""
        coefficients = self.numbers["calibration"]
        if not coefficients.shape[1]:
            return None
        x = torch.linspace(-1, 1, n_pixels, device=coefficients.device)
        order = torch.arange(1, coefficients.shape[1] + 1, device=x.device)
        chebyshev = torch.cos(order[:, None] * torch.acos(x)[None])  # (n_terms, n_pixels)
        return torch.exp(coefficients @ chebyshev)

    def noise(self, n_pixels):
        """Gaussian noise of unit variance, (n, n_pixels), where wanted correlated between neighbours."""
        wing = self.numbers["wing"]
        white = torch.randn(len(wing), n_pixels, generator=self.generator, device=wing.device)
        if not self.sizes.correlated_noise:
            return white
        sides = torch.zeros_like(white)
        sides[:, 1:] += white[:, :-1]
        sides[:, :-1] += white[:, 1:]
        return (white + wing * sides) / (1 + 2 * wing**2).sqrt()

    def variance_factor(self, n_pixels):
        """Factor on the variance, (n, n_pixels), or 1: its slow departure from the instrument's model."""
        if not self.sizes.noise_shape:
            return 1.0
        return torch.exp(2 * upsample(self.numbers["noise_shape"], n_pixels))

    def sky_error(self, sky_counts):
        """Electrons of sky left in or taken out, (n, n_pixels), or None.

        The first part scales the sky's lines, the second shifts them by a fraction of a pixel.
        """
        if not self.sizes.sky_residual:
            return None
        slope = torch.gradient(sky_counts)[0]
        knots = upsample(self.numbers["sky"], sky_counts.numel())
        return knots[:, 0] * sky_counts + knots[:, 1] * slope

    def mask(self, n_pixels):
        """True where a pixel is lost, (n, n_pixels), or None."""
        sizes, numbers = self.sizes, self.numbers
        if not (sizes.chunks or sizes.bad_pixels or sizes.missing_end):
            return None
        device = numbers["ends"].device
        index = torch.arange(n_pixels, device=device)[None]
        lost = index < numbers["ends"][:, :1] * n_pixels
        lost |= index >= n_pixels * (1 - numbers["ends"][:, 1:])
        for k in range(sizes.chunks):
            centre, width = numbers["chunk_centre"][:, k : k + 1], numbers["chunk_width"][:, k : k + 1]
            lost |= (index - centre * n_pixels).abs() < width / 2
        if sizes.bad_pixels:
            uniform = torch.rand(lost.shape, generator=self.generator, device=device)
            lost |= uniform < numbers["bad_fraction"][:, None]
        return lost


def upsample(knots, n_pixels):
    """Linear interpolation of (…, n_knots) onto n_pixels equally spaced points, the first and last included.

    On a GPU by gathering: there torch's own goes over the spectra one by one within each thread. On a
    processor by torch's own, in float64, because its places of pixels have the error of their type.
    """
    if knots.device.type == "cpu":
        rows = knots.reshape(1, -1, knots.shape[-1]).double()
        values = F.interpolate(rows, size=n_pixels, mode="linear", align_corners=True)
        return values.to(knots.dtype).reshape(*knots.shape[:-1], n_pixels)
    return gathered(knots, n_pixels)


def gathered(knots, n_pixels):
    """`upsample` of two knots or more, by gathering."""
    last = knots.shape[-1] - 1
    place = torch.arange(n_pixels, device=knots.device) * last  # in steps of 1/(n_pixels − 1), exact
    low = (place // (n_pixels - 1)).clamp_max(last - 1)
    fraction = (place - low * (n_pixels - 1)).to(knots.dtype) / (n_pixels - 1)
    return torch.lerp(knots[..., low], knots[..., low + 1], fraction)

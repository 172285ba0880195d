"""Spectra of given labels, shifted, broadened and diluted, with derivatives, in Fourier space."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from specvit.constants import SPEED_OF_LIGHT
from specvit.grid import PixelGrid, find_windows
from specvit.honesty.sampled import WeightedSums
from specvit.stars.emulator import NATIVE_LSF_FRACTION

__all__ = ["BIN", "CONTINUUM_TERMS", "LABEL_UNITS", "LARGEST_VELOCITY", "LineModel", "coarser"]

#: Chebyshev polynomials, T0 to T7 over the whole grid, that multiply the model.
CONTINUUM_TERMS = 8
#: What fits count labels in.
LABEL_UNITS = (40.0, 0.08, 0.06, 0.04, 0.04)
#: Pixels that a line spread function covers.
BIN = 4
#: Velocities are searched up to this, in km/s.
LARGEST_VELOCITY = 600.0
_MARGIN = 400  # samples of the Fourier grid beyond the emulator's: ± 1200 km/s before spectra wrap around


class LineModel(nn.Module):
    r"""Depth of lines on an emulator's pixels, for stars of any velocity and width, in batches.

    The emulator's spectra are held uniformly in ln λ, where a velocity is a shift and a width a Gaussian:

    .. math:: n(\mu, s) = 1 + F^{-1}\big[e^{-ik\mu - k^2 s/2}\, \hat d_\ell(k)\big], \qquad d = n - 1,

    with μ = ln(1 + v/c) and s the variance in ln λ on top of the emulator's own. That the line spread
    function's share of s changes along the spectrum is followed to second order in its departure δs(λ) from
    the mean, ½ δs n″ + ⅛ δs² n⁗.

    Parameters
    ----------
    emulator : Emulator
        Its wavelengths uniform in ln λ. It is copied, but for its spectra.
    calibration : LineCalibration, optional
        Corrects the optical depths of its lines.
    coarse : int
        Pixels that are taken together: 1, or 2 for a model of half the pixels and half the frequencies, to
        some per cent of the depth of lines.

    Examples
    --------
    >>> import torch
    >>> from specvit import Emulator
    >>> model = LineModel(Emulator.load())
    >>> giant = model.tensor([[4500.0, 2.0, -0.3, 0.1, 0.0]])
    >>> model.label_range.shape, model.depths(giant).shape
    (torch.Size([2, 5]), torch.Size([1, 2881]))
    """

    def __init__(self, emulator, calibration=None, coarse=1):
        super().__init__()
        grid, log_wave = coarser(emulator.grid, coarse), np.log(emulator.wave)
        #: Pixels taken together, and pixels of the model that a line spread function covers.
        self.coarse, self.bin = coarse, BIN // coarse
        # Its labels' networks are needed; its spectra are held in Fourier space, below.
        # What stands for these must own its memory: a view of no elements keeps all of them.
        without = {id(x): x[:0].copy() for x in (emulator.mean, emulator.components)}
        without[id(emulator.pixel_components)] = emulator.pixel_components[:0].clone()
        self.emulator = copy.deepcopy(emulator, without).eval().requires_grad_(False)
        # Lines as wide as a line spread function need but every second sample, and half of the frequencies.
        thinned = 2 * coarse
        self.step = thinned * float(np.diff(log_wave).mean())
        fine = thinned * _smooth_number((log_wave.size + _MARGIN) // thinned)
        self.n_fft = fine // thinned
        log_edges = log_wave[0] + self.step * (np.arange(self.n_fft + 1) - 0.5)
        sharp = NATIVE_LSF_FRACTION * np.median(grid.lsf_sigma)
        samples = PixelGrid(np.exp(log_edges), sharp)
        self.correction = None if calibration is None else calibration.on(samples)
        position = (np.log(grid.wave) - log_wave[0]) / self.step
        self.cubic, self.linear = WeightedSums.cubic(position), WeightedSums.linear(position)
        #: Sums of pixels onto the samples, so that Σ w(pixel) cubic(x)(pixel) is Σ spread(w) x.
        self.spread = self.cubic.transposed(self.n_fft)
        own = (grid.lsf_sigma / grid.wave) ** 2
        #: Variance in ln λ of the line spread function in the middle of the grid: the unit of widths.
        self.unit = float(np.median(own))
        to_grid = own * (1 - NATIVE_LSF_FRACTION**2)
        # Pixel of each sample of the Fourier grid.
        pixel = np.interp(
            log_wave[0] + self.step * np.arange(self.n_fft), np.log(grid.wave), range(len(grid))
        )
        #: ln(1 + v/c) of one lag, and lags up to the largest velocity.
        self.lag = self.step / coarse
        self.n_lags = int(LARGEST_VELOCITY / SPEED_OF_LIGHT / self.lag)
        frequency = 2 * np.pi * np.fft.rfftfreq(self.n_fft, self.step)
        bands = find_windows("telluric")
        buffers = {
            "frequency": frequency,
            "lags": _inverse(frequency, self.lag * np.arange(-self.n_lags, self.n_lags + 1), self.n_fft),
            "mean": _transform(emulator.mean - 1, fine, thinned),
            "components": _transform(emulator.components, fine, thinned),
            "to_grid": to_grid,
            "pixel": pixel,
            "nearest": np.rint(pixel),
            "own": own,
            "telluric": np.any([(low < grid.wave) & (grid.wave < high) for low, high in bands], 0),
        }
        for name, values in buffers.items():
            dtype = torch.int64 if name == "nearest" else torch.float32
            values = torch.as_tensor(np.ascontiguousarray(values), dtype=dtype)
            self.register_buffer(name, values, persistent=False)
        orders = torch.stack([torch.ones_like(self.frequency), -(self.frequency**2), self.frequency**4])
        orders = torch.cat([orders, -1j * self.frequency[None]])
        #: Of n − 1: itself, its second and fourth derivatives, and the negative of its first.
        self.register_buffer("orders", orders, persistent=False)

    @property
    def label_range(self):
        """Lowest and highest labels, tensor (2, 5)."""
        return self.emulator.label_range

    def tensor(self, values):
        """A float32 tensor of `values` on the model's device."""
        return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self.mean.device)

    def clamp(self, labels):
        """Labels within the emulator's range."""
        return torch.minimum(torch.maximum(labels, self.label_range[0]), self.label_range[1])

    def star(self, labels):
        """`depths`, and the continuum on the pixels, of unit geometric mean, tensor (n, n_pixels)."""
        lines, continuum = self.emulator.coefficients(labels)
        values = self.emulator.log_continuum(continuum)[:, :: self.coarse]
        return self._depths(lines, labels), torch.exp(values - values.mean(1, keepdim=True))

    def depths(self, labels):
        """Fourier transform of n − 1, complex tensor (n, n_frequencies), for labels (n, 5)."""
        return self._depths(self.emulator.coefficients(labels)[0], labels)

    def _depths(self, coefficients, labels):
        transform = self._complex(torch.addmm(self.mean, coefficients, self.components))
        if self.correction is None:
            return transform
        lines = 1 + torch.fft.irfft(transform, self.n_fft)
        return torch.fft.rfft(self.correction(lines, labels) - 1)

    def depth_slopes(self, labels):
        """Fourier transforms of the derivatives of n by the labels, complex tensor (n, 5, n_frequencies).

        Those of the emulator without its calibration: they only have to lead downhill.
        """
        return self._complex(self.emulator.coefficient_slopes(labels) @ self.components)

    def blur(self, lsf=None):
        """Variance in ln λ that brings the emulator's spectra to a line spread function, for `observe`.

        Parameters
        ----------
        lsf : tensor, shape (n, n_pixels), optional
            log2 of the line spread function's σ over the grid's; by default 0.

        Returns
        -------
        base : tensor, shape (n,) or ()
            Its mean over the pixels.
        rest : tensor, shape (n, n_fft) or (n_fft,)
            Its departure from that, at each sample.
        """
        total = self.to_grid if lsf is None else self.to_grid + self.own * (4.0**lsf - 1)
        base = total.mean(-1, keepdim=True)
        return base[..., 0], (total - base)[..., self.nearest]

    def observe(self, transform, shift, width, blur, derivatives=True):
        """Line depths on the pixels, and their derivatives by shift and width.

        Parameters
        ----------
        transform : complex tensor, shape (n, n_frequencies)
            From `depths`.
        shift : tensor, shape (n,)
            ln(1 + v/c).
        width : tensor, shape (n,)
            Variance in ln λ beyond that of the line spread function.
        blur : tuple of tensor
            From `blur`.
        derivatives : bool
            Whether to return them.

        Returns
        -------
        tensor or tuple of three, shape (n, n_pixels)
            n − 1; if asked for its derivatives by shift and by width.
        """
        base, rest = blur
        k = self.frequency
        kernel = torch.exp(-0.5 * (base + width)[:, None].clamp_min(0) * k**2)
        kernel = torch.polar(kernel, -shift[:, None] * k) * transform
        orders = kernel[:, None] * (self.orders if derivatives else self.orders[:3])
        depth, curved, fourth, *moved = torch.fft.irfft(orders, self.n_fft).unbind(1)
        change = torch.addcmul(curved, rest, fourth, value=0.25)
        depth = self.cubic(torch.addcmul(depth, rest, change, value=0.5))
        return (depth, self.linear(moved[0]), 0.5 * self.linear(curved)) if derivatives else depth

    def observe_many(self, transforms, shift, width, blur):
        """Line depths of several transforms a star, (n, m, frequencies) → (n, m, pixels), to some %."""
        base, _ = blur
        k = self.frequency
        kernel = torch.exp(-0.5 * (base + width)[:, None].clamp_min(0) * k**2)
        kernel = torch.polar(kernel, -shift[:, None] * k)
        return self.linear(torch.fft.irfft(transforms * kernel[:, None], self.n_fft))

    def correlation(self, transforms):
        """What an inverse transform gives at the lags of the velocities searched, (…, 2 n_lags + 1).

        Parameters
        ----------
        transforms : complex tensor, shape (..., n_frequencies)
            Contiguous.
        """
        return torch.view_as_real(transforms).flatten(-2) @ self.lags

    @staticmethod
    def _complex(values):
        return torch.view_as_complex(values.unflatten(-1, (-1, 2)))


def coarser(grid, n):
    """A grid whose pixels are `n` of a grid's together, with its line spread function.

    Examples
    --------
    >>> from specvit import PFS_MR
    >>> len(coarser(PFS_MR, 2))
    2048
    """
    if n == 1:
        return grid
    whole = len(grid) // n * n
    return PixelGrid(grid.edges[: whole + 1 : n], grid.lsf_sigma[:whole].reshape(-1, n).mean(1))


def _transform(spectra, n, thinned):
    """Lowest frequencies of spectra (…, n_wave), those that every so many samples hold, float32."""
    kept = n // (2 * thinned) + 1
    found = np.empty((*spectra.shape[:-1], 2 * kept), np.float32)
    for place in np.ndindex(spectra.shape[:-1]):  # one by one: in double precision all would be large
        values = np.fft.rfft(spectra[place].astype(np.float64), n)[:kept] / thinned
        found[place] = np.stack([values.real, values.imag], -1).reshape(-1)
    return found


def _inverse(frequency, place, n):
    """Matrix that takes a transform of n values, real and imaginary parts in turn, to values at places."""
    phase = frequency[:, None] * place
    matrix = np.stack([np.cos(phase), -np.sin(phase)], 1) / n
    matrix[1 : (n + 1) // 2] *= 2  # all but the constant and the highest come with their negatives
    return matrix.reshape(-1, place.size)


def _smooth_number(n):
    """Least number from n on with no prime factor above 5."""
    while True:
        rest = n
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
        n += 1

"""How stars become spectra of any instrument: lines, broadening, native pixels, noise and the grid again."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d

from specvit.constants import SPEED_OF_LIGHT
from specvit.grid.instruments import TELLURIC
from specvit.grid.native import FINEST_SAMPLING
from specvit.stars.doppler import moving_lines
from specvit.survey.batches import SurveyBatch
from specvit.survey.counterrandom import counter_normal
from specvit.survey.imperfections import KNOT_GAIN, upsample
from specvit.survey.kernels import Smoother
from specvit.survey.nativepixels import GridEdges, NativePixels
from specvit.survey.pfsnoise import PFSNoise
from specvit.survey.transfer import to_device

__all__ = ["InstrumentObservation", "reddening_curve"]

#: Numbers that wavelengths follow from, which float32 has not the digits for.
_EXACT = ("width", "phase", "velocity")
#: Blocks of the grid in which a running mean is taken, for spectra divided by one.
_BLOCKS = 64
#: Widths of line spread functions, as log2 of the grid's, for which the sky's pattern is kept.
_SKY_LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0)


class InstrumentObservation:
    """The emulator, the sky and the grid on a device, and what is done with them for `AnyInstrument`.

    Parameters
    ----------
    emulator : Emulator
        Emulator of the stars.
    sizes : AnyInstrument
        Distribution of instruments, and sizes of imperfections.
    device : torch.device
        Where spectra are made.

    Examples
    --------
    >>> from specvit import Emulator
    >>> from specvit.survey import AnyInstrument
    >>> view = InstrumentObservation(Emulator.load(), AnyInstrument(), torch.device("cpu"))
    >>> view.wave.shape, round(view.pixel, 3)
    (torch.Size([4096]), 0.427)
    """

    def __init__(self, emulator, sizes, device):
        self.sizes, self.device, grid = sizes, device, emulator.grid
        self.n_pixels = len(grid)
        self.lines = moving_lines(emulator, 0, 0, (0.9, 1.0)).to(device)
        self.emulator = copy.deepcopy(emulator).to(device)
        self.smoother = Smoother(self.n_pixels, device)
        sample = torch.arange(self.smoother.nodes.shape[1], device=device) // 2 - self.smoother.margin
        self._pixel_of_sample = sample.clamp(0, self.n_pixels - 1)
        self.edges = GridEdges.of(grid, device)
        self.wave = torch.as_tensor(grid.wave.copy(), device=device)
        self.pixel = float(grid.width[self.n_pixels // 2])
        self._knots, self._pattern_knots = (
            [math.ceil(self.n_pixels * self.pixel / length) + 2 for length, _ in scales]
            for scales in (sizes.line_err, sizes.pattern if sizes.pattern_size[0] else ())
        )
        self._telluric_knots = math.ceil(self.n_pixels / 4) + 2
        # The index of a wavelength where pixels are not uniform: a table, to 1e-6 for slowly growing ones.
        margin = 12 * grid.width.max()
        nodes = np.linspace(grid.wave[0] - margin, grid.wave[-1] + margin, 4 * self.n_pixels)
        outside = [np.arange(-20, 0) * grid.width[0], np.arange(1, 21) * grid.width[-1]]
        wave = np.concatenate([grid.wave[0] + outside[0], grid.wave, grid.wave[-1] + outside[1]])
        index = np.interp(nodes, wave, np.arange(wave.size) - 20.0)
        self._first_node, self._node_step = float(nodes[0]), float(nodes[1] - nodes[0])
        uniform = np.allclose(grid.width, grid.width[0], rtol=1e-9)
        self._index = None if uniform else torch.as_tensor(index, device=device)
        self._first = float(grid.wave[0])

        at = grid.wave[[0, self.n_pixels // 2, -1]]
        scale = 1 / grid.width[[0, self.n_pixels // 2, -1]]
        self.per_pixel = self._tensor(scale)  # pixels per Å at the three nodes
        self.velocity_pixels = self._tensor(at * scale / SPEED_OF_LIGHT)
        x = np.linspace(-1, 1, self.n_pixels)
        self.x = self._tensor(x)
        self.nodes = self._tensor(np.stack([x * (x - 1) / 2, 1 - x * x, x * (x + 1) / 2]))
        order = np.arange(1, len(sizes.calibration) + 1)
        self.chebyshev = self._tensor(np.cos(order[:, None] * np.arccos(x)))
        self.reddening = self._tensor(-0.4 * math.log(10) * reddening_curve(grid.wave))
        self.log2_lsf, self.log2_width = (
            self._tensor(np.log2(grid.lsf_sigma)),
            self._tensor(np.log2(grid.width)),
        )
        self.sky = self._tensor(_sky_patterns(grid))
        bands = [(grid.wave > low) & (grid.wave < high) for low, high in TELLURIC.values()]
        self.telluric = self._tensor(np.any(bands, axis=0))

    def _tensor(self, values):
        return torch.as_tensor(np.array(values), dtype=torch.float32, device=self.device)

    def expose(self, labels, numbers, generator):
        """Observe stars.

        Parameters
        ----------
        labels : ndarray, shape (n, 5)
            Labels of the stars, in the order of `LABELS`.
        numbers : dict of str to ndarray
            Random numbers from `AnyInstrument.draw`.
        generator : torch.Generator
            Generator of the device, for noise and lost pixels.

        Returns
        -------
        SurveyBatch
            In units of the median flux; with `lsf` and `sampling`.
        """
        known = {name: value for name, value in numbers.items() if name != "preset"}
        t = to_device(known | {"labels": labels}, self.device, exact=_EXACT)
        labels, sharp = t.pop("labels"), t["sharp"]
        t["line_knots"] = counter_normal(t["line_key"], sum(self._knots))
        t["telluric_knots"] = counter_normal(t["telluric_key"], self._telluric_knots)
        t["pattern_knots"] = counter_normal(t["pattern_key"], sum(self._pattern_knots))
        fine = self._smoothed(self._starlight(labels, t), t)
        # Sizes of arrays in steps, for the sake of the allocator.
        finest = math.floor(2 * math.log2(numbers["width"].min() / self.pixel) + 1e-6) / 2
        counts = NativePixels.counts(self.edges, self.pixel * 2**finest * (1 - 1e-6))
        random = {"generator": generator, "device": self.device}
        uniform, white = (draw(len(labels), counts[0], **random) for draw in (torch.rand, torch.randn))
        signal, noise, variance, sigma = self._measured(fine, t, counts, uniform, white)
        if len(sharp):
            # Spectra that were smoothed to the grid: their noise is, too, and shared by many pixels.
            own = sigma[sharp] * t["noise_gain"][sharp, None]
            white = torch.randn(own.shape, **random)
            lost = variance[sharp].isinf()
            noise[sharp] = own * self.smoother.correlated(white, t["noise_kernel"][sharp])
            variance[sharp] = own.square().masked_fill(lost, torch.inf)
        flux, ivar, true_sigma, lsf, sampling = self._reported(signal, noise, variance, t)
        nothing, velocity = torch.full_like(t["snr"], torch.nan), t["velocity"].float()
        return SurveyBatch(
            flux, ivar, labels, nothing, signal, true_sigma, velocity, lsf=lsf, sampling=sampling
        )

    # -- starlight ---------------------------------------------------------------------------------

    def _starlight(self, labels, t):
        """Flux at the grid's line spread function, of mean level one, (n, n_pixels)."""
        coefficients, continuum = self.emulator.coefficients(labels)
        flux = self.lines.normalised(coefficients, torch.zeros_like(t["lsf_scale"]), t["lsf_scale"])
        flux = self.emulator.correct(flux, labels)
        if self.sizes.line_err:
            errors = self._on_scales(t["line_knots"], self._knots, self.sizes.line_err)
            flux = flux.clamp_min(1e-3).pow(torch.exp(errors))
        log_continuum = self.emulator.log_continuum(continuum)
        log_continuum = log_continuum - log_continuum.mean(1, keepdim=True)
        log_continuum = log_continuum + t["reddening"][:, None] * self.reddening
        return torch.where(t["normalised"][:, None], flux, flux * torch.exp(log_continuum))

    def _on_scales(self, normal, knots, scales):
        """Sum of Gaussian errors on several scales, linear between their knots, (n, n_pixels)."""
        return sum(
            upsample(one, self.n_pixels) * (rms * KNOT_GAIN)
            for one, (_, rms) in zip(normal.split(knots, 1), scales, strict=True)
        )

    def _smoothed(self, flux, t):
        """What the telescope delivers, two samples a pixel."""
        variance, rotation, factor = self._factor(t)
        fine, pseudo = self.smoother(flux, variance, rotation), t["pseudo"]
        if len(pseudo):
            begin = 2 * self.smoother.margin
            at = fine[pseudo][:, begin::2][:, : self.n_pixels]
            factor[pseudo] = factor[pseudo] / _running_mean(at, t["pseudo_width"][pseudo])
        return self._calibrated(fine, factor)

    def _factor(self, t):
        """Variance and v sin i of the smoothing, in pixels, and the factor on the flux, (n, n_pixels)."""
        velocity = t["macroturbulence"][:, None] * self.velocity_pixels
        variance = (t["excess_nodes"] * self.per_pixel).square() + velocity.square()
        factor = torch.exp(t["calibration"] @ self.chebyshev)
        residual = upsample(t["telluric_knots"], self.n_pixels)
        factor = factor * torch.exp(t["telluric"][:, None] * self.telluric * residual)
        if self._pattern_knots:
            pattern = self._on_scales(t["pattern_knots"], self._pattern_knots, self.sizes.pattern)
            factor = factor * torch.exp(t["pattern"][:, None] * pattern)
        return variance, t["rotation"][:, None] * self.velocity_pixels, factor

    def _calibrated(self, fine, factor):
        return fine * factor[:, self._pixel_of_sample]

    # -- native pixels -----------------------------------------------------------------------------

    def _position(self, wave):
        """Index, as float64, of wavelengths (n, k) in the grid's pixels: 0 at the centre of the first."""
        if self._index is None:
            return (wave - self._first) / self.pixel
        node = (wave - self._first_node) / self._node_step
        low = node.floor().clamp(0, len(self._index) - 2)
        at = low.long()
        return torch.lerp(self._index[at], self._index[at + 1], node - low)

    def _sampled(self, fine, centres, t):
        """Flux in native pixels: the smoothed spectrum at their centres, (n, n_native)."""
        middle, half = 0.5 * (self.edges.low + self.edges.high), 0.5 * (self.edges.high - self.edges.low)
        x = ((centres - middle) / half).float()
        zero, linear, quadratic = t["wavelength_err"].unsqueeze(2).unbind(1)
        shift = (zero - quadratic) + x * (linear + (2 * quadratic) * x)  # Å, small: float32 is enough
        rest = (centres + shift) / (1 + t["velocity"][:, None] / SPEED_OF_LIGHT)
        position = 2 * (self._position(rest) + self.smoother.margin)
        low = position.floor()
        u = (position - low).float()
        low = low.long().clamp(1, fine.shape[1] - 3)
        p0, p1, p2, p3 = (fine.gather(1, low + k) for k in (-1, 0, 1, 2))
        # Cubic convolution (Keys 1981) of two samples a pixel, four to the FWHM or more.
        slope, bend = p2 - p0, 2 * p0 - 5 * p1 + 4 * p2 - p3
        return p1 + 0.5 * u * (slope + u * (bend + u * (3 * (p1 - p2) + p3 - p0)))

    def _measured(self, fine, t, counts, uniform, white):
        """Flux, noise and its variance on the grid, and σ of a native pixel there, (n, n_pixels) each.

        `uniform` and `white` are random numbers (n, n_native), for lost pixels and for noise.
        """
        native = NativePixels(self.edges, t["width"], t["phase"], t["logarithmic"], counts)
        centres = native.centres  # (n, n_native)
        signal = self._sampled(fine, centres, t)
        valid = self._valid(centres, t, uniform)
        coarse = fine[:, 2 * self.smoother.margin :: 2][:, : self.n_pixels]
        sigma = self._noise_level(coarse, t)
        index = self._position(centres).round().clamp(0, self.n_pixels - 1).long()
        native_sigma = sigma.gather(1, index)
        noise = native_sigma * _correlated(white, t["wing"][:, None])
        noise = noise + self._sky_error(sigma, t).gather(1, index)
        (signal, noise), variance, _ = native.to_grid(valid, (signal, noise), native_sigma.square())
        return signal, noise, variance, sigma

    def _reported(self, signal, noise, variance, t):
        """What the batch holds: flux, inverse variance, true σ, lsf and sampling, (n, n_pixels) each."""
        # Sky and correlation are in the noise, not in the variance that is reported.
        ivar = 1 / (variance * t["reported"][:, None].square())
        return signal + noise, ivar, variance.sqrt(), *self._told(t)

    def _valid(self, centres, t, uniform):
        """False where a native pixel is not seen, cut out or lost."""
        wave = centres.float()
        seen = torch.zeros_like(wave, dtype=torch.bool)
        for low, high in t["seen"][..., None].permute(1, 2, 0, 3):
            seen |= (wave > low) & (wave < high)
        for low, high in t["cut"][..., None].permute(1, 2, 0, 3):
            seen &= ~((wave > low) & (wave < high))
        lost = uniform < t["bad_fraction"][:, None]
        return seen & ~lost

    # -- noise -------------------------------------------------------------------------------------

    def _noise_level(self, flux, t):
        """σ of a native pixel at the pixels of the grid, (n, n_pixels)."""
        shape = torch.exp(upsample(t["noise_shape"], self.n_pixels))
        level = (t["sigma_nodes"][:, 1].log2() - self.log2_lsf[self.n_pixels // 2]) / 0.5
        pattern = self.sky[level.round().clamp(0, len(_SKY_LEVELS) - 1).long()]
        shape = shape * torch.lerp(torch.ones_like(pattern), pattern, t["sky"][:, None])
        wave = self.wave.float()
        seen = torch.zeros_like(flux, dtype=torch.bool)
        for low, high in t["seen"][..., None].permute(1, 2, 0, 3):
            seen |= (wave > low) & (wave < high)
        median = (flux / shape).masked_fill(~seen, torch.nan).nanmedian(1, keepdim=True).values
        # A window between two pixels has no median; nothing of it will be seen either.
        return shape * (median.nan_to_num(1.0).clamp_min(1e-3) / t["snr"][:, None])

    def _sky_error(self, sigma, t):
        """What the subtraction has left of the sky's lines, (n, n_pixels)."""
        lines = (1 - 1 / self.sky[0]).clamp_min(0)  # 0 between lines, towards 1 in strong ones
        return sigma * lines * upsample(t["sky_residual"], self.n_pixels) * (t["sky"] > 0)[:, None]

    def _told(self, t):
        """What the network is told of line spread function and sampling, two tensors (n, n_pixels)."""
        sigma = t["told_sigma_nodes"] @ self.nodes
        lsf = (sigma.log2() - self.log2_lsf).clamp_min(0)
        log_width = t["told_width"].log2()[:, None]
        stretch = (self.wave / (0.5 * (self.edges.low + self.edges.high))).log2().float()
        log_width = log_width + torch.where(t["logarithmic"][:, None], stretch, 0.0)
        return lsf, (log_width - self.log2_width).clamp_min(FINEST_SAMPLING)


def reddening_curve(wave, r_v=3.1):
    """A(λ)/E(B−V), less its mean, between 3030 and 9090 Å (Cardelli, Clayton & Mathis 1989, eq. 3).

    Parameters
    ----------
    wave : ndarray
        Å, vacuum or air.
    r_v : float
        Ratio A(V)/E(B−V).
    """
    y = 1e4 / np.asarray(wave, np.float64) - 1.82
    a = [0.32999, -0.77530, 0.01979, 0.72085, -0.02427, -0.50447, 0.17699, 1.0]
    b = [-2.09002, 5.30260, -0.62251, -5.38434, 1.07233, 2.28305, 1.41338, 0.0]
    curve = r_v * np.polyval(a, y) + np.polyval(b, y)
    return curve - curve.mean()


def _sky_patterns(grid):
    """σ of the background over its median at the levels of resolution, ndarray (levels, n_pixels)."""
    noise = PFSNoise()
    own = noise.background_variance / noise.counts_per_unit**2
    variance = np.interp(grid.wave, noise.grid.wave, own)
    sigma = grid.lsf_sigma.mean() / grid.width.mean()
    widths = [sigma * math.sqrt(4.0**level - 1) for level in _SKY_LEVELS]
    smooth = np.stack([gaussian_filter1d(variance, w) if w else variance for w in widths])
    return np.sqrt(smooth / np.median(smooth, axis=1, keepdims=True))


def _correlated(white, wing):
    """Noise of unit variance from white noise: a three-pixel kernel with wings of `wing` (n, 1)."""
    sides = F.pad(white[:, :-1], (1, 0)) + F.pad(white[:, 1:], (0, 1))
    return (white + wing * sides) / (1 + 2 * wing.square()).sqrt()


def _running_mean(flux, width):
    """Mean over a Gaussian window of `width` (n,) times the range: (n, n_pixels) → (n, n_pixels)."""
    blocks = F.adaptive_avg_pool1d(flux[:, None], _BLOCKS)[:, 0]
    x = (torch.arange(_BLOCKS, device=flux.device) + 0.5) / _BLOCKS
    window = torch.exp(-0.5 * ((x[:, None] - x) / width[:, None, None]).square())
    smooth = (window @ blocks[..., None])[..., 0] / window.sum(2)
    return F.interpolate(smooth[:, None], size=flux.shape[1], mode="linear", align_corners=False)[:, 0]

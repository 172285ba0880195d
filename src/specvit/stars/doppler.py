"""Spectra of stars of any velocity, each shifted and smoothed by itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from specvit.constants import KERNEL_REACH, SPEED_OF_LIGHT
from specvit.stars.emulator import NATIVE_LSF_FRACTION, Emulator
from specvit.stars.lsfbank import LsfBank

__all__ = ["DopplerSampler", "moving_lines", "velocity_reach"]

_CHUNK = 1024  # stars at once: the working arrays take 0.2 GB for 4096 pixels
#: Largest velocity, in LSF widths, that the bank's nodes follow to 1e-5 of the continuum.
_BANK_WIDTHS = 1.1


def moving_lines(emulator: Emulator, low, high, lsf_range=(1.0, 1.0)):
    """The normalised flux of stars of velocities from `low` to `high` km/s: `LsfBank` or `DopplerSampler`.

    The bank is faster where it is accurate, for velocities up to the width of the LSF.

    Raises
    ------
    ValueError
        If a star of such a velocity shows light from beyond the emulator's wavelengths.
    """
    if low or high:
        blue, red = velocity_reach(emulator, lsf_range[1])
        if not blue <= low <= high <= red:
            wave, edges, blue, red = emulator.wave, emulator.grid.edges, min(blue, 0), max(red, 0)
            raise ValueError(
                f"velocity must lie between {blue:.0f} and {red:.0f} km/s for an emulator that covers "
                f"{wave[0]:.1f} to {wave[-1]:.1f} Å and pixels from {edges[0]:.1f} to {edges[-1]:.1f} Å, got "
                f"{low:g} to {high:g}; an emulator with more margin, or a grid with less range, allows more"
            )
    largest = max(abs(low), abs(high))
    width = SPEED_OF_LIGHT * (emulator.grid.lsf_sigma / emulator.grid.wave).min()
    if largest <= _BANK_WIDTHS * width:
        return LsfBank(emulator, largest, lsf_range)
    return DopplerSampler(emulator, low, high, lsf_range)


def velocity_reach(emulator: Emulator, lsf_scale=1.0):
    """Lowest and highest radial velocity (km/s) for which the emulator's wavelengths cover its grid."""
    grid, wave = emulator.grid, emulator.wave
    reach = (_half_width(emulator, lsf_scale) + 1) * np.gradient(wave)[[0, -1]]
    low = grid.wave[-1] / (wave[-1] - reach[1]) - 1
    high = grid.wave[0] / (wave[0] + reach[0]) - 1
    return SPEED_OF_LIGHT * low, SPEED_OF_LIGHT * high


def _half_width(emulator, lsf_scale):
    """Samples of the emulator's wavelengths between the centre of the widest kernel and its end."""
    step = np.diff(np.log(emulator.wave)).mean()
    sigma = emulator.grid.lsf_sigma * np.sqrt(lsf_scale**2 - NATIVE_LSF_FRACTION**2)
    return int(np.ceil(KERNEL_REACH * (sigma / emulator.grid.wave).max() / step)) + 1


class DopplerSampler(nn.Module):
    """The emulator's normalised flux at any radial velocity and LSF width within a range.

    The same sum as `Emulator.to_grid`, with each star's own velocity v and width factor w: pixel j takes
    the samples λ_i around λ_j/(1 + v/c) with weights

    .. math:: W_{ij} ∝ Δλ_i \\exp\\Big[-\\frac{(λ_i - λ_j/(1 + v/c))^2}{2 σ_j^2 (w^2 - 0.85^2)}\\Big].

    Nothing is interpolated, so it is exact at any velocity; `LsfBank` is the faster for small ones.

    Parameters
    ----------
    emulator : Emulator
        An emulator whose wavelengths are uniform in ln λ.
    low, high : float
        Limits of the velocity in km/s.
    lsf_range : tuple of float
        Smallest and largest LSF width relative to the grid's.
    """

    def __init__(self, emulator: Emulator, low, high, lsf_range=(1.0, 1.0)):
        super().__init__()
        log_wave = np.log(emulator.wave)
        self._step = float(np.diff(log_wave).mean())
        if np.abs(np.diff(log_wave) / self._step - 1).max() > 1e-6:
            raise ValueError("emulator must hold its spectra at wavelengths uniform in ln λ")
        self.low, self.high = float(low), float(high)
        self._half_width = _half_width(emulator, max(lsf_range))
        grid = emulator.grid
        # Whole and fractional samples apart: float32 has not the digits for their sum.
        position = (np.log(grid.wave) - log_wave[0]) / self._step
        whole = np.floor(position)
        for name, values in (
            ("_mean", emulator.mean),
            ("_components", emulator.components),
            ("_fraction", position - whole),
            ("_width", grid.lsf_sigma / grid.wave / self._step),  # in samples
        ):
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32), persistent=False)
        self.register_buffer("_whole", torch.as_tensor(whole, dtype=torch.int64), persistent=False)

    def normalised(self, coefficients, velocity, lsf_scale):
        """Normalised flux, tensor (n, n_pixels); arguments as for `LsfBank.normalised`."""
        parts = zip(coefficients.split(_CHUNK), velocity.split(_CHUNK), lsf_scale.split(_CHUNK), strict=True)
        return torch.cat([self._chunk(*part) for part in parts])

    def _chunk(self, coefficients, velocity, lsf_scale):
        native = torch.addmm(self._mean, coefficients, self._components)  # (n, n_wave)
        doppler = velocity[:, None] / SPEED_OF_LIGHT
        position = self._fraction - torch.log1p(doppler) / self._step  # (n, n_pixels), from _whole
        first = position.floor()
        fraction = position - first
        index = self._whole + first.long()
        # σ in Å of the star's frame, as `smoothing_matrix` has it: 0.1 % of a width off at 300 km/s.
        width = self._width * (lsf_scale.square() - NATIVE_LSF_FRACTION**2).sqrt()[:, None] * (1 + doppler)
        total, norm = torch.zeros_like(position), torch.zeros_like(position)
        for k in range(1 - self._half_width, self._half_width + 1):
            samples = k - fraction
            log_ratio = samples * self._step  # ln(λ_i / λ), and λ_i − λ = λ (e^x − 1)
            distance = samples * (1 + 0.5 * log_ratio) / width
            weight = torch.exp(log_ratio - 0.5 * distance.square())
            norm += weight
            total.addcmul_(weight, native.gather(1, index + k))
        return total / norm

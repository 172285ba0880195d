"""Noiseless spectra of the stars that troubles are tried on, on the pixels of any spectrograph."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import torch

from specvit.grid.gaussian import smoothing_matrix
from specvit.stars import Emulator
from specvit.stars.emulator import NATIVE_LSF_FRACTION

__all__ = ["STARS", "Scene"]

#: Teff, log g, [M/H], [alpha/M], [C/M] of the stars that troubles are tried on.
STARS = {
    "giant": (4600.0, 2.2, -0.4, 0.15, 0.0),
    "dwarf": (5700.0, 4.4, 0.0, 0.0, 0.0),
    "metal-poor": (4800.0, 1.8, -1.8, 0.3, 0.0),
    "m-giant": (3900.0, 1.2, -0.2, 0.1, 0.0),
    "turn-off": (6200.0, 4.1, -0.5, 0.1, 0.0),
}


@lru_cache
def _shipped():
    return Emulator.load()


class Scene:
    """A star's noiseless spectrum, in whatever way it was observed.

    Parameters
    ----------
    labels : array-like, shape (5,)
        Teff (K), log g, [M/H], [alpha/M], [C/M].
    snr : float
        Median of flux/σ per pixel; σ goes with the square root of the flux.
    grid : PixelGrid, optional
        Pixels that it is recorded on, within the emulator's range and no sharper; by default the emulator's.
    emulator : Emulator, optional
        By default the one that ships.
    """

    def __init__(self, labels, snr, grid=None, emulator=None):
        self.emulator = _shipped() if emulator is None else emulator
        self.labels, self.snr = tuple(float(x) for x in labels), float(snr)
        self.grid = self.emulator.grid if grid is None else grid
        self.wave = self.grid.wave

    def other(self, labels):
        """The same scene with another star."""
        return Scene(labels, self.snr, self.grid, self.emulator)

    @cached_property
    def _native(self):
        """Normalised flux at 0.85 of the grid's LSF, with line-free ends for whatever lies beyond."""
        with torch.no_grad():
            coefficients, _ = self.emulator.coefficients(torch.tensor([self.labels]))
        flux = self.emulator.mean + coefficients.double().numpy()[0] @ self.emulator.components
        wave, step = self.emulator.wave, np.log(self.emulator.wave[1] / self.emulator.wave[0])
        more = np.arange(1, 1201) * step
        ends = wave[0] * np.exp(-more[::-1]), wave[-1] * np.exp(more)
        return np.concatenate([ends[0], wave, ends[1]]), np.pad(flux, more.size, constant_values=1.0)

    @cached_property
    def continuum(self):
        """Continuum of unit median, (n_pixels,)."""
        with torch.no_grad():
            values = self.emulator.continuum(torch.tensor([self.labels]))[0].double().numpy()
        values = np.interp(self.wave, self.emulator.grid.wave, values)
        return values / np.median(values)

    def lines(self, *, velocity=0.0, width=1.0, centres=None):
        """Normalised flux, (n_pixels,).

        Parameters
        ----------
        velocity : float
            In km/s, to the red.
        width : float or ndarray, shape (n_pixels,)
            LSF width over the grid's.
        centres : ndarray, shape (n_pixels,), optional
            True wavelengths (Å) of what is recorded in each pixel; by default the grid's.
        """
        wave, flux = self._native
        native = (
            np.interp(self.wave, self.emulator.grid.wave, self.emulator.grid.lsf_sigma) * NATIVE_LSF_FRACTION
        )
        sigma = np.sqrt(np.square(self.grid.lsf_sigma * width) - native**2)
        centres = self.wave if centres is None else centres
        return smoothing_matrix(wave, sigma, centres, velocity, ends="cut") @ flux

    def light(self, **observed):
        """Flux of about unit median, (n_pixels,); arguments as for `lines`."""
        return self.lines(**observed) * self.continuum

    def sigma(self, light):
        """Standard deviation of the noise of each pixel, (n_pixels,)."""
        typical = np.median(light)
        return np.sqrt(np.maximum(light, 0.02 * typical) * typical) / self.snr

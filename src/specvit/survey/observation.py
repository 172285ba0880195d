"""How a survey's stars become spectra: emulator, Doppler shift, imperfections and noise on one device."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import numpy as np
import torch

from specvit.constants import SPEED_OF_LIGHT, UNIT_MAGNITUDE
from specvit.stars.doppler import moving_lines
from specvit.survey.batches import SurveyBatch
from specvit.survey.noise import fnu_shape

__all__ = ["Observation", "full_float32"]


class Observation:
    """A survey's emulator and noise constants on a device, and what is done with them.

    Parameters
    ----------
    survey : Survey
    device : torch.device
    """

    def __init__(self, survey, device):
        self.noise, sizes, velocity = survey.noise, survey.augmentation, survey.velocity
        used = survey.used_pixels
        self.emulator = copy.deepcopy(survey.emulator).to(device)
        self.lines = None
        if velocity or sizes.needs_bank:
            low, high = velocity.low - sizes.max_velocity, velocity.high + sizes.max_velocity
            self.lines = moving_lines(survey.emulator, low, high, sizes.lsf_range).to(device)
        self.moving = bool(velocity)
        self.fnu = torch.as_tensor(fnu_shape(survey.grid.wave), dtype=torch.float32, device=device)
        self.constants = {
            name: torch.as_tensor(
                values, dtype=torch.int64 if np.issubdtype(values.dtype, np.integer) else torch.float32
            ).to(device)
            for name, values in self.noise.arrays(survey.grid, used).items()
        }
        self.masked = None if used.all() else torch.as_tensor(~used, device=device)
        log_wave = np.log(survey.grid.wave)
        self.log_wave = torch.as_tensor(log_wave - log_wave[0], dtype=torch.float32, device=device)

    def expose(self, labels, brightness, velocity, imperfections):
        """`SurveyBatch` of stars: labels (n, 5), brightness (n,), velocity (n,) in km/s."""
        velocity = velocity + imperfections.numbers["velocity"]
        flux = self._noiseless(labels, velocity, imperfections)
        magnitude = torch.full_like(brightness, torch.nan)
        level = torch.ones_like(brightness)
        if self.noise.brightness == "magnitude":
            magnitude, level = brightness, 10 ** (-0.4 * (brightness - UNIT_MAGNITUDE))
        mean_fnu = flux @ self.fnu / flux.shape[1]  # which sets the magnitude
        flux = flux * (level / mean_fnu)[:, None]
        noisy, ivar, sigma = self.noise.expose(flux, brightness, self.constants, imperfections)
        calibration = imperfections.calibration_error(flux.shape[1])
        if calibration is not None:
            noisy, ivar = noisy * calibration, ivar / calibration**2
        for mask in (self.masked, imperfections.mask(flux.shape[1])):
            if mask is not None:
                ivar = ivar.masked_fill(mask, 0)
        return SurveyBatch(noisy, ivar, labels, magnitude, flux, sigma, velocity)

    def _noiseless(self, labels, velocity, imperfections):
        """F_λ in any unit, (n, n_pixels)."""
        coefficients, continuum = self.emulator.coefficients(labels)
        if self.lines is None:
            flux = self.emulator.lines(coefficients)
        else:
            flux = self.lines.normalised(coefficients, velocity, imperfections.numbers["lsf_scale"])
        flux = self.emulator.correct(flux, labels, None if self.lines is None else velocity)
        flux = imperfections.distort_lines(flux)
        log_continuum = self.emulator.log_continuum(continuum)
        if self.moving:  # to first order in v/c, for the continuum is smooth
            slope = torch.gradient(log_continuum, spacing=(self.log_wave,), dim=1)[0]
            log_continuum = log_continuum - velocity[:, None] / SPEED_OF_LIGHT * slope
        # The stellar surface is far brighter than any unit here: only the shape is kept.
        return flux * torch.exp(log_continuum - log_continuum.mean(1, keepdim=True))


@contextmanager
def full_float32():
    """Keep TF32 out of float32 matrix products: its 1e-3 rounding would be a pattern a network learns."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)

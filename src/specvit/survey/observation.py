"""How a survey's stars become spectra: emulator, Doppler shift, imperfections and noise on one device."""

from __future__ import annotations

import numpy as np
import torch

from specvit.constants import SPEED_OF_LIGHT
from specvit.stars.doppler import moving_lines
from specvit.survey.batches import SurveyBatch
from specvit.survey.forward import ForwardModel

__all__ = ["Observation"]


class Observation:
    """A survey's forward model in float32, with velocities, imperfections and noise applied to its spectra.

    Parameters
    ----------
    survey : Survey
        The survey that is observed.
    device : torch.device
        Where spectra are made.
    """

    def __init__(self, survey, device):
        self.model = ForwardModel(survey, device, torch.float32)
        sizes, velocity = survey.augmentation, survey.velocity
        self.lines = None
        if velocity or sizes.needs_bank:
            low, high = velocity.low - sizes.max_velocity, velocity.high + sizes.max_velocity
            self.lines = moving_lines(survey.emulator, low, high, sizes.lsf_range).to(device)
        self.moving = bool(velocity)
        self.masked = None if self.model.used.all() else ~self.model.used
        log_wave = np.log(survey.grid.wave)
        self.log_wave = torch.as_tensor(log_wave - log_wave[0], dtype=torch.float32, device=device)

    def expose(self, labels, brightness, velocity, imperfections):
        """`SurveyBatch` of stars: labels (n, 5), brightness (n,), velocity (n,) in km/s."""
        noise = self.model.noise
        velocity = velocity + imperfections.numbers["velocity"]
        flux = self._noiseless(labels, brightness, velocity, imperfections)
        noisy, ivar, sigma = noise.expose(flux, brightness, self.model.constants, imperfections)
        calibration = imperfections.calibration_error(flux.shape[1])
        if calibration is not None:
            noisy, ivar = noisy * calibration, ivar / calibration**2
        for mask in (self.masked, imperfections.mask(flux.shape[1])):
            if mask is not None:
                ivar = ivar.masked_fill(mask, 0)
        magnitude = brightness if noise.brightness == "magnitude" else torch.full_like(brightness, torch.nan)
        return SurveyBatch(noisy, ivar, labels, magnitude, flux, sigma, velocity)

    def _noiseless(self, labels, brightness, velocity, imperfections):
        """Flux before noise, (n, n_pixels): `ForwardModel.flux` with shifted, broadened and wrong lines."""
        emulator = self.model.emulator
        coefficients, continuum = emulator.coefficients(labels)
        if self.lines is None:
            lines = emulator.lines(coefficients)
        else:
            lines = self.lines.normalised(coefficients, velocity, imperfections.numbers["lsf_scale"])
        lines = emulator.correct(lines, labels, None if self.lines is None else velocity)
        lines = imperfections.distort_lines(lines)
        log_continuum = emulator.log_continuum(continuum)
        if self.moving:  # to first order in v/c, for the continuum is smooth
            slope = torch.gradient(log_continuum, spacing=(self.log_wave,), dim=1)[0]
            log_continuum = log_continuum - velocity[:, None] / SPEED_OF_LIGHT * slope
        return self.model.scaled(lines, log_continuum, brightness)

"""The forward model of a survey: noiseless spectra, their derivatives, and the variance of the noise."""

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np
import torch

from specvit.constants import UNIT_MAGNITUDE
from specvit.stars.starlight import Starlight
from specvit.survey.noise import fnu_shape

__all__ = ["ForwardModel"]

#: Of a label's range in the library: how far beyond it labels may lie. Priors reach to round numbers, and the
#: extremes of a random library fall a little short of those that it was drawn from.
_SLACK = 0.01


class ForwardModel:
    r"""What a survey's spectra are before anything random happens, and how large the noise will be.

    .. math:: m(\ell, b) = \frac{L(b)\, F_λ(\ell)}{⟨F_λ\, (λ/λ_0)^2⟩}, \qquad
              L = 10^{-0.4 (b - 22.5)} \text{ for a magnitude } b, \text{ else } 1,

    with ⟨⟩ the mean over pixels, F_λ the emulator's flux and λ_0 the middle of the grid: the mean f_ν is that
    of the star's magnitude. Draws, Fisher information and Bayes limits are all made of `flux` and `variance`.
    The star is at rest and the spectrum without imperfections. `Survey.forward` makes one.

    Parameters
    ----------
    survey : Survey
        Emulator, grid, noise and masked windows.
    device : str or torch.device
    dtype : torch.dtype
        Of everything: float64 for derivatives, float32 for draws.

    Attributes
    ----------
    grid : PixelGrid
    label_names : tuple of str
    noise : Noise
    emulator : Emulator
        A copy of the survey's, on the device.
    constants : dict of str to tensor
        Those that `noise` asks for.
    used : tensor of bool, shape (n_pixels,)
        False where the survey masks every spectrum.
    fnu : tensor, shape (n_pixels,)
        What turns F_λ into a multiple of f_ν: (λ/λ_0)².

    Examples
    --------
    >>> import torch
    >>> from specvit import Survey
    >>> model = Survey("paper").forward()
    >>> labels = model.check_labels([[4800, 2.5, -0.5, 0.1, 0.0]])
    >>> magnitude = model.brightness(1, magnitude=21.5)
    >>> flux = model.flux(labels, magnitude)
    >>> snr = flux / model.variance(flux, magnitude).sqrt()
    >>> print(f"{snr.median():.1f}")
    7.2
    """

    def __init__(self, survey, device="cpu", dtype=torch.float64):
        self.grid, self.label_names, self.noise = survey.grid, survey.label_names, survey.noise
        self.device, self.dtype = torch.device(device), dtype
        self.emulator = copy.deepcopy(survey.emulator).to(self.device, dtype).requires_grad_(False)
        used = survey.used_pixels
        self.constants = {name: self._tensor(x) for name, x in self.noise.arrays(self.grid, used).items()}
        self.fnu = self._tensor(fnu_shape(self.grid.wave))
        self.used = torch.as_tensor(used, device=self.device)

    def _tensor(self, values):
        whole = np.issubdtype(np.asarray(values).dtype, np.integer)  # places of pixels
        return torch.as_tensor(values, dtype=torch.int64 if whole else self.dtype).to(self.device)

    @cached_property
    def _starlight(self):
        return Starlight(self.emulator, device=self.device)

    # -- what is asked for ---------------------------------------------------------------------------

    def check_labels(self, labels):
        """Labels as a tensor (n, 5) of the model's device and precision.

        Parameters
        ----------
        labels : tensor or array-like, shape (n, 5)

        Raises
        ------
        ValueError
            If a label lies beyond the emulator's range by more than 1 % of it.
        """
        if not isinstance(labels, torch.Tensor):
            labels = torch.as_tensor(np.asarray(labels, np.float64))
        labels = labels.to(self.device, self.dtype)
        low, high = self.emulator.label_range
        if labels.ndim == 2 and labels.shape[1] == len(low):
            slack = _SLACK * (high - low)
            near = (labels > low - slack) & (labels < high + slack)
            self.emulator.check_labels(torch.where(near, labels.clamp(low, high), labels))
        else:
            self.emulator.check_labels(labels)  # which says what shape is needed
        return labels

    def brightness(self, n, magnitude=None, snr=None):
        """Brightness of n stars, tensor (n,): the one of `magnitude` and `snr` that the noise asks for.

        Parameters
        ----------
        n : int
        magnitude, snr : float or array-like, shape (n,), optional
            AB magnitude of the mean f_ν over the grid, and S/N; as for `Survey.observe`.

        Raises
        ------
        ValueError
            As `Noise.check_brightness` does.
        """
        value = np.asarray(self.noise.check_brightness(magnitude, snr), np.float64)
        return torch.as_tensor(value, device=self.device).to(self.dtype).expand(n)

    # -- spectra -------------------------------------------------------------------------------------

    def flux(self, labels, brightness):
        """Noiseless spectra, tensor (n, n_pixels), differentiable in both arguments.

        Parameters
        ----------
        labels : tensor, shape (n, 5)
            Within the emulator's range, which is not checked here.
        brightness : tensor, shape (n,)
            Magnitudes; what else it may be does not change the flux.

        Returns
        -------
        tensor, shape (n, n_pixels)
            F_λ in units of an AB 22.5 source at the middle of the grid; of unit mean f_ν where the brightness
            is no magnitude.
        """
        lines, continuum = self.emulator.coefficients(labels)
        return self.scaled(self.emulator.lines(lines), self.emulator.log_continuum(continuum), brightness)

    def scaled(self, lines, log_continuum, brightness):
        """Spectra of lines and ln(continuum), both (n, n_pixels), at the level of their brightness (n,)."""
        # The stellar surface is far brighter than any unit here: only the shape is kept.
        flux = lines * torch.exp(log_continuum - log_continuum.mean(1, keepdim=True))
        mean_fnu = flux @ self.fnu / flux.shape[1]  # which sets the magnitude
        return flux * (self.level(brightness) / mean_fnu)[:, None]

    def level(self, brightness):
        """Mean f_ν of stars in the survey's unit, tensor (n,): 1 where the brightness is no magnitude."""
        if self.noise.brightness != "magnitude":
            return torch.ones_like(brightness)
        return 10 ** (-0.4 * (brightness - UNIT_MAGNITUDE))

    def derivatives(self, labels, brightness):
        """Noiseless spectra and their derivatives with respect to the labels, in float64.

        Parameters
        ----------
        labels, brightness
            As for `flux`.

        Returns
        -------
        flux : tensor of float64, shape (n, n_pixels)
        derivative : tensor of float64, shape (n, n_pixels, 5)
            Per unit of each label, at the brightness given: the mean f_ν stays what it is.
        """
        flux, slope = self._starlight.derivatives(labels.double())
        fnu = self.fnu.double() / len(self.fnu)
        norm = (flux @ fnu)[:, None]
        flux, slope = flux / norm, slope / norm[:, None]
        slope = slope - (slope @ fnu)[:, :, None] * flux[:, None]
        level = self.level(brightness.double())[:, None]
        return flux * level, (slope * level[:, None]).mT

    # -- noise -----------------------------------------------------------------------------------------

    def variance(self, flux, brightness):
        """Variance of the noise on noiseless spectra, infinite where the survey masks: tensor (n, n_pixels).

        Parameters
        ----------
        flux : tensor, shape (n, n_pixels)
        brightness : tensor, shape (n,)

        Returns
        -------
        tensor, shape (n, n_pixels)
            In the unit of the flux, squared.
        """
        variance = self.noise.variance(flux, brightness, self.constants)
        return variance.masked_fill(~self.used, torch.inf)

    def snr(self, flux, sigma):
        """S/N of noiseless spectra, tensor (n,): median of flux over σ, both (n, n_pixels), where used."""
        return (flux / sigma)[:, self.used].median(1).values

"""The forward model of a survey: noiseless spectra, their derivatives, and the variance of the noise."""

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np
import torch

from specvit.constants import UNIT_MAGNITUDE
from specvit.labels import label_rows
from specvit.stars.starlight import Starlight
from specvit.survey.noise import fnu_shape

__all__ = ["ForwardModel"]

#: How far labels may lie beyond the range of a label in the library, as a share of the range. Priors reach to
#: round numbers, and the extremes of a random library fall a little short of those that it was drawn from.
_SLACK = 0.01


class ForwardModel:
    r"""The noiseless spectra of a survey, and the variance of the noise on them.

    .. math:: m(\ell, b) = \frac{L(b)\, F_λ(\ell)}{⟨F_λ\, (λ/λ_0)^2⟩}, \qquad
              L = 10^{-0.4 (b - 22.5)} \text{ for a magnitude } b, \text{ else } 1,

    with ⟨⟩ the mean over pixels, F_λ the emulator's flux and λ_0 the middle of the grid: the mean f_ν is that
    of the star's magnitude. Draws, Fisher information and Bayes limits are all computed from `flux` and
    `variance`. The star is at rest and the spectrum has no imperfections.

    Parameters
    ----------
    survey : Survey
        The survey, of which emulator, grid, noise and masked windows are used.
    device : str or torch.device
        Where spectra are computed.
    dtype : torch.dtype
        Precision of all tensors: float64 for derivatives, float32 for draws.

    Attributes
    ----------
    grid : PixelGrid
        Pixels of the spectra.
    label_names : tuple of str
        Names of the labels, in the order of their columns.
    noise : Noise
        The survey's noise model.
    emulator : Emulator
        A copy of the survey's, on the device.
    constants : dict of str to tensor
        Arrays that `noise` needs (`Noise.arrays`), on the device.
    used : tensor of bool, shape (n_pixels,)
        False where the survey masks every spectrum.
    fnu : tensor, shape (n_pixels,)
        (λ/λ_0)², the factor that turns F_λ into a multiple of f_ν.

    See Also
    --------
    Survey.forward : Makes one.
    specvit.limits.survey_fisher : Fisher information, which is computed from it.

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
    7.3
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

    # -- labels and brightness -----------------------------------------------------------------------

    def check_labels(self, labels):
        """Labels as a tensor (n, 5) of the model's device and precision.

        Parameters
        ----------
        labels : tensor or array-like, shape (n, 5)
            Labels in the order of `label_names`.

        Returns
        -------
        tensor, shape (n, 5)

        Raises
        ------
        ValueError
            If a label lies beyond the emulator's range by more than 1 % of it.
        """
        if not isinstance(labels, torch.Tensor):
            labels = torch.as_tensor(label_rows(labels))
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
            Number of stars.
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
            Labels within the emulator's range, which is not checked here.
        brightness : tensor, shape (n,)
            Magnitudes, which scale the flux. An S/N does not change it.

        Returns
        -------
        tensor, shape (n, n_pixels)
            F_λ in units of an AB 22.5 source at the middle of the grid; where the brightness is no magnitude,
            in units that make the mean f_ν one.
        """
        lines, continuum = self.emulator.coefficients(labels)
        return self.scaled(self.emulator.lines(lines), self.emulator.log_continuum(continuum), brightness)

    def scaled(self, lines, log_continuum, brightness):
        """Spectra of `lines` and `log_continuum`, both (n, n_pixels), scaled to their `brightness` (n,)."""
        # The stellar surface is far brighter than any unit here: only the shape is kept.
        flux = lines * torch.exp(log_continuum - log_continuum.mean(1, keepdim=True))
        mean_fnu = flux @ self.fnu / flux.shape[1]  # which sets the magnitude
        return flux * (self.level(brightness) / mean_fnu)[:, None]

    def level(self, brightness):
        """Mean f_ν in the survey's unit, tensor (n,), of stars of `brightness`; 1 if that is no magnitude."""
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
            Per unit of each label, at constant mean f_ν.
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
            Noiseless spectra, as `flux` gives them.
        brightness : tensor, shape (n,)
            Magnitude or S/N of each star, as `brightness` gives it.

        Returns
        -------
        tensor, shape (n, n_pixels)
            In the unit of the flux, squared.
        """
        variance = self.noise.variance(flux, brightness, self.constants)
        return variance.masked_fill(~self.used, torch.inf)

    def snr(self, flux, sigma):
        """S/N, tensor (n,): median of `flux` over `sigma`, both (n, n_pixels), over the pixels used."""
        return (flux / sigma)[:, self.used].median(1).values

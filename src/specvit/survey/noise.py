"""`Noise`, the base of the noise models, which says what a survey needs of one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from specvit.grid import PixelGrid

__all__ = ["Exposure", "Noise", "fnu_shape"]


def fnu_shape(wave):
    """Factor (λ/λ_0)² that turns F_λ into a multiple of f_ν, where λ_0 is the middle of `wave`."""
    return (wave / (0.5 * (wave[0] + wave[-1]))) ** 2


class Exposure(NamedTuple):
    """Spectra as a noise model delivers them: tensors of shape (n, n_pixels), in the unit of the flux.

    Attributes
    ----------
    flux : tensor
        Flux with noise.
    ivar : tensor
        Inverse variance as a pipeline would report it: a function of the noisy flux only.
    sigma : tensor
        Standard deviation the noise was drawn with.
    """

    flux: torch.Tensor
    ivar: torch.Tensor
    sigma: torch.Tensor


class Noise:
    """Base of the noise models.

    A model of one's own has the methods `arrays`, `variance`, `expose` and `describe`. Since it states its
    variance and does not only draw noise, limits on the accuracy (`specvit.limits`) exist for it too.

    Attributes
    ----------
    grid : PixelGrid or None
        Pixels that the model is for; None if it is for any.
    brightness : {"magnitude", "snr", None}
        What the size of the noise depends on: the magnitude, whose distribution the survey has; the S/N,
        whose distribution the model has as `snr`; or neither.
    lacks : tuple of str
        Sizes of `Augmentation` that have no meaning for the model.
    no_limits : str or None
        Why limits on the accuracy do not exist under this noise; None where they do.

    See Also
    --------
    PFSNoise : Photon and detector noise of PFS MR.
    PhotonNoise : Photons of the star over a known background, for an instrument of known throughput.
    SNRNoise : A stated signal-to-noise ratio, for any spectrograph.
    NoNoise : No noise at all.

    Examples
    --------
    A model with the same σ in every pixel and for every star, here 0.05 of the mean flux:

    >>> import torch
    >>> from specvit.survey import Noise, Survey
    >>> from specvit.survey.noise import Exposure
    >>> class Constant(Noise):
    ...     def arrays(self, grid, used):
    ...         return {}
    ...     def variance(self, flux, brightness, constants, imperfections=None):
    ...         return torch.full_like(flux, 0.05**2)
    ...     def expose(self, flux, brightness, constants, imperfections):
    ...         variance = self.variance(flux, brightness, constants)
    ...         noisy = flux + variance.sqrt() * imperfections.noise(flux.shape[1])
    ...         return Exposure(noisy, 1 / variance, variance.sqrt())
    ...     def describe(self):
    ...         return {"sigma": 0.05}
    >>> batch = Survey("own", prior=Survey("paper").prior, noise=Constant()).draw(3)
    >>> print(f"{(batch.flux - batch.noiseless).std():.3f}")
    0.050
    """

    grid: PixelGrid | None = None
    brightness: str | None = None
    lacks: tuple[str, ...] = ()
    no_limits: str | None = None

    def arrays(self, grid, used):
        """Constants of the model, a dict of str to ndarray, which a survey puts on its device as float32.

        Parameters
        ----------
        grid : PixelGrid
            Pixels of the survey.
        used : ndarray of bool, shape (n_pixels,)
            Pixels that the survey does not mask in every spectrum.
        """
        raise NotImplementedError

    def variance(self, flux, brightness, constants, imperfections=None):
        """Variance of the noise that a noiseless spectrum is observed with.

        Differentiable in the flux, in whatever precision the tensors have; `expose` draws with it.

        Parameters
        ----------
        flux, brightness, constants
            As for `expose`.
        imperfections : Imperfections, optional
            Imperfections that distort the variance of each star; none by default.

        Returns
        -------
        tensor, shape (n, n_pixels)
            In the unit of the flux, squared.
        """
        raise NotImplementedError

    def expose(self, flux, brightness, constants, imperfections):
        """Observe noiseless spectra.

        Parameters
        ----------
        flux : tensor, shape (n, n_pixels)
            Noiseless F_λ in units of an AB 22.5 source at the middle of the grid; where the brightness is
            no magnitude, in units that make the mean f_ν one.
        brightness : tensor, shape (n,)
            Magnitude or S/N of each star; NaN where the model knows neither.
        constants : dict of str to tensor
            The constants of `arrays`, on the device.
        imperfections : Imperfections
            Source of random numbers; its ``noise(n_pixels)`` has unit variance.

        Returns
        -------
        Exposure
        """
        raise NotImplementedError

    def describe(self):
        """The model as a dict of plain Python values for records, in which two different models differ."""
        raise NotImplementedError

    def check_brightness(self, magnitude=None, snr=None):
        """The one of a magnitude and an S/N that the model asks for.

        Parameters
        ----------
        magnitude, snr : float or array-like, optional
            AB magnitude of the mean f_ν over the grid, and S/N.

        Returns
        -------
        float or array-like
            NaN if the model asks for neither.

        Raises
        ------
        ValueError
            If the one asked for is missing, the other is given, or an S/N is not positive and finite.
        """
        given, wanted, model = {"magnitude": magnitude, "snr": snr}, self.brightness, type(self).__name__
        for name, value in given.items():
            if name != wanted and value is not None:
                raise ValueError(f"{name} has no meaning for {model}, got {value!r}")
        if wanted is not None and given[wanted] is None:
            raise ValueError(f"{wanted} is needed for {model}")
        value = given.get(wanted, np.nan)
        if wanted == "snr" and not (np.isfinite(value) & (np.asarray(value) > 0)).all():
            raise ValueError(f"snr must be positive and finite, got {value!r}")
        return value

    def __repr__(self):
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.describe().items())
        return f"{type(self).__name__}({arguments})"

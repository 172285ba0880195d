"""What a survey asks of a noise model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from specvit.grid import PixelGrid

__all__ = ["Exposure", "Noise", "fnu_shape"]


def fnu_shape(wave):
    """Factor that turns F_λ into a multiple of f_ν: (λ/λ_0)², λ_0 the middle of `wave`."""
    return (wave / (0.5 * (wave[0] + wave[-1]))) ** 2


class Exposure(NamedTuple):
    """Spectra as a noise model delivers them: tensors of shape (n, n_pixels), in the unit of the flux.

    Attributes
    ----------
    flux : tensor
        With noise.
    ivar : tensor
        Inverse variance as a pipeline would report it: a function of the noisy flux only.
    sigma : tensor
        Standard deviation the noise was drawn with.
    """

    flux: torch.Tensor
    ivar: torch.Tensor
    sigma: torch.Tensor


class Noise:
    """Base of the noise models, and what a `Survey` needs of one.

    A model of one's own has the methods `arrays`, `variance`, `expose` and `describe`. It says its variance
    and does not only draw, so that the limits on the accuracy (`specvit.limits`) are known for it too.

    Attributes
    ----------
    grid : PixelGrid or None
        Pixels that the model is for; None: any.
    brightness : {"magnitude", "snr", None}
        What says how well a star is seen: its magnitude, whose distribution the survey has; the S/N, whose
        distribution the model has as `snr`; or nothing.
    lacks : tuple of str
        Sizes of `Augmentation` that have no meaning for the model.
    no_limits : str or None
        Why limits on the accuracy do not exist under this noise; None where they do.

    See Also
    --------
    PhotonNoise : photons of the star over a known background, for an instrument whose throughput is known.
    SNRNoise : a stated signal-to-noise ratio, for any spectrograph.
    NoNoise : none.
    """

    grid: PixelGrid | None = None
    brightness: str | None = None
    lacks: tuple[str, ...] = ()
    no_limits: str | None = None

    def arrays(self, grid, used):
        """Constants of the model, dict of str to ndarray: a survey puts them on its device, as float32.

        Parameters
        ----------
        grid : PixelGrid
            Of the survey.
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
            What distorts the variance of each star; none by default.

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
            no magnitude, of unit mean f_ν.
        brightness : tensor, shape (n,)
            Magnitude or S/N of each star; NaN where the model knows neither.
        constants : dict of str to tensor
            Those of `arrays`.
        imperfections : Imperfections
            Where random numbers come from: ``noise(n_pixels)`` has unit variance.

        Returns
        -------
        Exposure
        """
        raise NotImplementedError

    def describe(self):
        """The model as plain Python values, for records: whatever changes the noise changes these."""
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

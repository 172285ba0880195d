"""Spectra of a survey as few coefficients times fixed vectors, so that a likelihood costs a small product."""

from __future__ import annotations

import copy

import numpy as np
import torch

from specvit.constants import UNIT_MAGNITUDE
from specvit.survey.noise import PhotonNoise, fnu_shape

__all__ = ["CompressedSpectra", "require_plain", "require_prior"]

_CHUNK = 8192  # spectra at once: the products of line and continuum coefficients take 4 kB each


def require_plain(survey):
    """Raise ValueError if no likelihood here describes the survey.

    That is if it has imperfections, radial velocities, another noise than that of counted photons, or a
    calibrated emulator, whose spectra are not linear in its components.
    """
    if survey.emulator.correction is not None:
        raise ValueError("survey must have an emulator that is not calibrated for its limits to be known")
    if survey.augmentation != type(survey.augmentation)():
        raise ValueError(
            f"survey must have no imperfections, {survey.name!r} has: its limits are known only for "
            f"Survey({survey.name!r}, augmentation=Augmentation())"
        )
    if survey.velocity:
        raise ValueError(
            f"survey must have stars at rest for its limits to be known, got {survey.velocity!r}"
        )
    if not isinstance(survey.noise, PhotonNoise):
        raise ValueError(
            f"survey must have PhotonNoise for its limits to be known, got {type(survey.noise).__name__}"
        )


def require_prior(survey):
    """Raise ValueError if the survey's prior cannot be searched, as a posterior must be."""
    if not hasattr(survey.prior, "from_unit"):
        raise ValueError(
            "survey must have a prior with from_unit for its Bayes limit to be known, "
            f"got {type(survey.prior).__name__}"
        )


class CompressedSpectra:
    """The survey's noiseless spectra, of unit mean f_ν, as ``coefficients(labels) @ basis``.

    The emulator is a product of two sums, lines :math:`n = \\sum_k c_k n_k` and continuum
    :math:`e^q`. The continuum curves over the prior span J vectors :math:`E_j`, so

    .. math:: m(\\ell) = \\sum_{jk} e_j(\\ell)\\, c_k(\\ell)\\, E_j n_k = p(\\ell) \\cdot B,

    where B are the principal components, in the metric of the noise, of spectra drawn from the prior:
    about 100 instead of 4096 numbers a spectrum.

    Parameters
    ----------
    survey : Survey
        Prior, emulator and noise (`require_plain`, `require_prior`).
    magnitude : float
        Brightness at which the noise is taken.
    n : int
        Spectra that the components are found from.
    tolerance : float
        χ² left out by the compression, mean over the prior.
    device : str or torch.device
    seed : int

    Attributes
    ----------
    basis : tensor of float64, shape (k, n_pixels)
        F_λ in units of an AB 22.5 source at the middle of the grid.
    prior
        The survey's.
    label_names : tuple of str
    """

    def __init__(self, survey, magnitude, *, n=1500, tolerance=1e-4, device="cpu", seed=0):
        require_plain(survey)
        require_prior(survey)
        self.prior, self.label_names, self.device = survey.prior, survey.label_names, torch.device(device)
        emulator = copy.deepcopy(survey.emulator).double()
        wave, noise = survey.grid.wave, survey.noise
        fnu = torch.as_tensor(fnu_shape(wave))
        labels = torch.as_tensor(self.prior.sample(n, np.random.default_rng(seed)))
        with torch.no_grad():
            c, d = emulator.coefficients(labels)
            log_continuum = emulator.log_continuum(d)
            self._level = log_continuum.mean()
            continuum = torch.exp(log_continuum - self._level)
            s, curves = _principal(continuum)
            curves = curves[s > 1e-6 * s[0]]  # (J, n_pixels)
            # The curves' amplitudes follow from the continuum at a few pixels.
            pixels = torch.linspace(0, len(wave) - 1, 64).long()
            solve = torch.linalg.pinv(curves[:, pixels])
            lines = torch.cat([emulator._mean[None], emulator._components])
            products = (curves[:, None] * lines[None]).flatten(0, 1)  # (J (1 + k), n_pixels)
            amplitude = continuum[:, pixels] @ solve
            spectra = _outer(amplitude, c) @ products
            spectra = spectra / (spectra @ fnu / len(wave))[:, None]
            brightness = 10 ** (-0.4 * (magnitude - UNIT_MAGNITUDE))
            counts = torch.as_tensor(noise.counts(magnitude))
            variance = counts + torch.as_tensor(noise.background_variance)
            root_weight = brightness * torch.as_tensor(noise.counts_per_unit) * fnu / variance.sqrt()
            s, vectors = _principal(spectra * root_weight)
            left_out = s.square().flip(0).cumsum(0).flip(0) / n
            vectors = vectors[left_out > tolerance]  # (K, n_pixels), orthonormal
            self.basis = (vectors / root_weight).to(self.device)
            self._transform = (products * root_weight) @ vectors.T
            self._norm = (self.basis @ fnu.to(self.device) / len(wave)).double()
            self._continuum = (emulator._continuum_mean[pixels], emulator._continuum_components[:, pixels])
        self._solve = solve
        self._emulator = copy.deepcopy(survey.emulator).to(self.device)
        for name in ("_transform", "_solve", "_level"):
            setattr(self, name, getattr(self, name).float().to(self.device))
        self._continuum = tuple(x.float().to(self.device) for x in self._continuum)

    def coefficients(self, labels):
        """Coefficients of `basis`, tensor of float64 and shape (n, k), for labels (n, 5)."""
        labels = torch.as_tensor(labels, dtype=torch.float32, device=self.device)
        with torch.no_grad():
            parts = [self._coefficients(part) for part in labels.split(_CHUNK)]
        return torch.cat(parts)

    def _coefficients(self, labels):
        c, d = self._emulator.coefficients(labels)
        mean, components = self._continuum
        amplitude = torch.exp(torch.addmm(mean, d, components) - self._level) @ self._solve
        p = (_outer(amplitude, c) @ self._transform).double()
        return p / (p @ self._norm)[:, None]


def _outer(amplitude, c):
    """Products of continuum amplitudes (n, J) and (1, line coefficients) (n, 1 + k): (n, J (1 + k))."""
    c = torch.cat([torch.ones_like(c[:, :1]), c], 1)
    return (amplitude[:, :, None] * c[:, None, :]).flatten(1)


def _principal(rows):
    """Singular values, falling, and right singular vectors of (n, m), n < m, by the Gram matrix."""
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    values, vectors = values.flip(0), vectors.flip(1)
    keep = values > 1e-13 * values[0]
    s = values[keep].sqrt()
    return s, (vectors[:, keep] / s).T @ rows

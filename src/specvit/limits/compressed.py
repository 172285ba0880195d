"""Spectra of a survey as few coefficients times fixed vectors, so that a likelihood costs a small product."""

from __future__ import annotations

import copy

import numpy as np
import torch

from specvit.limits.scope import require_plain, require_prior

__all__ = ["CompressedSpectra"]

_CHUNK = 8192  # spectra at once: the products of line and continuum coefficients take 4 kB each


class CompressedSpectra:
    """The survey's noiseless spectra, of unit mean f_ν, as ``coefficients(labels) @ basis``.

    The emulator is a product of two sums, lines :math:`n = \\sum_k c_k n_k` and continuum
    :math:`e^q`. The continuum curves over the prior span J vectors :math:`E_j`, so

    .. math:: m(\\ell) = \\sum_{jk} e_j(\\ell)\\, c_k(\\ell)\\, E_j n_k = p(\\ell) \\cdot B,

    where B are the principal components, in the metric of the noise, of spectra drawn from the prior:
    about 100 instead of 4096 numbers a spectrum. The noise is that of a source of flat f_ν.

    Parameters
    ----------
    survey : Survey
        Prior, emulator and noise: without imperfections and radial velocities, its prior with ``from_unit``.
    magnitude, snr : float, optional
        Brightness at which the noise is taken, as for `Survey.observe`: the brightest that is asked about.
    n : int
        Spectra that the components are found from.
    tolerance : float
        χ² left out by the compression, mean over the prior.
    device : str or torch.device
        Where coefficients are computed.
    seed : int
        Seed of the spectra.

    Raises
    ------
    ValueError
        If the survey is none whose limits are known, or the brightness is not the one its noise asks for.

    Attributes
    ----------
    basis : tensor of float64, shape (k, n_pixels)
        F_λ in units of an AB 22.5 source at the middle of the grid.
    prior
        The survey's.
    label_names : tuple of str
        Names of the labels, in the order of their columns.

    See Also
    --------
    ForwardModel : The same spectra pixel by pixel, exactly.
    """

    def __init__(self, survey, magnitude=None, *, snr=None, n=1500, tolerance=1e-4, device="cpu", seed=0):
        require_plain(survey)
        require_prior(survey)
        self.prior, self.label_names, self.device = survey.prior, survey.label_names, torch.device(device)
        model = survey.forward()
        emulator, fnu, n_pixels = model.emulator, model.fnu, len(model.grid)
        brightness = model.brightness(1, magnitude, snr)
        labels = torch.as_tensor(self.prior.sample(n, np.random.default_rng(seed)))
        with torch.no_grad():
            c, d = emulator.coefficients(labels)
            log_continuum = emulator.log_continuum(d)
            self._level = log_continuum.mean()
            continuum = torch.exp(log_continuum - self._level)
            # Curves so smooth follow from themselves at a few pixels, whose columns span all others; so do
            # the amplitudes of their components.
            pixels = torch.linspace(0, n_pixels - 1, 64).long()
            span = torch.linalg.qr(continuum[:, pixels]).Q
            s, curves = _principal(span.T @ continuum)
            curves = curves[s > 1e-6 * s[0]]  # (J, n_pixels)
            solve = torch.linalg.pinv(curves[:, pixels])
            lines = torch.cat([emulator.pixel_mean[None], emulator.pixel_components])
            products = (curves[:, None] * lines[None]).flatten(0, 1)  # (J (1 + k), n_pixels)
            amplitude = continuum[:, pixels] @ solve
            spectra = _outer(amplitude, c) @ products
            spectra = spectra / (spectra @ fnu / n_pixels)[:, None]
            level = model.level(brightness)
            # Masked pixels too: what is masked in a spectrum has no weight in its likelihood.
            variance = model.noise.variance((level / fnu)[None], brightness, model.constants)[0]
            root_weight = level / variance.sqrt()
            s, vectors = _principal(spectra * root_weight)
            left_out = s.square().flip(0).cumsum(0).flip(0) / n
            vectors = vectors[left_out > tolerance]  # (K, n_pixels), orthonormal
            self.basis = (vectors / root_weight).to(self.device)
            self._transform = (products * root_weight) @ vectors.T
            self._norm = (self.basis @ fnu.to(self.device) / n_pixels).double()
            self._continuum = (
                emulator.pixel_continuum_mean[pixels],
                emulator.pixel_continuum_components[:, pixels],
            )
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
    """Singular values, falling, and right singular vectors of (n, m), by the smaller Gram matrix."""
    many = len(rows) > rows.shape[1]
    values, vectors = torch.linalg.eigh(rows.T @ rows if many else rows @ rows.T)
    values, vectors = values.flip(0), vectors.flip(1)
    keep = values > 1e-13 * values[0]
    s = values[keep].sqrt()
    return s, vectors[:, keep].T if many else (vectors[:, keep] / s).T @ rows

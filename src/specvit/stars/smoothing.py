"""Gaussian line spread functions applied to finely sampled model spectra."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from specvit.constants import FWHM_PER_SIGMA, KERNEL_REACH, SPEED_OF_LIGHT
from specvit.stars.library import SyntheticLibrary

__all__ = ["smooth_library", "smoothing_matrix"]


def smoothing_matrix(wave, sigma, centres, velocity=0.0):
    """Sparse matrix that convolves a spectrum with a Gaussian and samples it.

    Row j is a Gaussian of standard deviation ``sigma[j]`` centred on ``centres[j] / (1 + v/c)``,
    evaluated on `wave`, weighted by the pixel widths and normalised to unit sum, so that a flat
    spectrum stays flat. A positive `velocity` moves lines to the red.

    Parameters
    ----------
    wave : ndarray, shape (n_in,)
        Wavelengths of the model in Å, uniform in λ or ln λ and increasing.
    sigma : ndarray, shape (n_out,)
        Kernel width in Å; to bring a spectrum from σ_0 to σ_1 it is sqrt(σ_1² − σ_0²).
        It should not be much below the sampling of `wave`.
    centres : ndarray, shape (n_out,)
        Where the result is sampled, in Å.
    velocity : float
        Radial velocity in km/s.

    Returns
    -------
    csr_array, shape (n_out, n_in)

    Raises
    ------
    ValueError
        If a kernel reaches outside `wave`.
    """
    rest = centres / (1 + velocity / SPEED_OF_LIGHT)
    first = np.searchsorted(wave, rest - KERNEL_REACH * sigma)
    last = np.searchsorted(wave, rest + KERNEL_REACH * sigma)
    if first.min() == 0 or last.max() == wave.size:
        raise ValueError(
            f"wave must extend {KERNEL_REACH} σ beyond the sampled range "
            f"({rest[0]:.1f} to {rest[-1]:.1f} Å), it covers {wave[0]:.1f} to {wave[-1]:.1f} Å"
        )
    counts = last - first
    rows = np.repeat(np.arange(rest.size), counts)
    columns = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[rows]
    weights = np.exp(-0.5 * ((wave[columns] - rest[rows]) / sigma[rows]) ** 2) * np.gradient(wave)[columns]
    weights /= np.bincount(rows, weights)[rows]
    return csr_array((weights, (rows, columns)), shape=(rest.size, wave.size))


def smooth_library(library: SyntheticLibrary, sigma, centres):
    """Normalised spectra brought from the library's resolution to a Gaussian LSF, sampled at `centres`.

    Parameters
    ----------
    library : SyntheticLibrary
    sigma : ndarray, shape (n_out,)
        Final LSF standard deviation in Å.
    centres : ndarray, shape (n_out,)
        Wavelengths in Å.

    Returns
    -------
    ndarray of float32, shape (n, n_out)
    """
    own = centres / library.resolving_power / FWHM_PER_SIGMA
    if (sigma <= own).any():
        raise ValueError(
            f"sigma must exceed the library's own LSF ({own.max():.3f} Å at "
            f"R = {library.resolving_power:g}), got {sigma.min():.3f} Å"
        )
    kernel = smoothing_matrix(library.wave, np.sqrt(sigma**2 - own**2), centres)
    return (kernel @ library.normalised.T.astype(np.float64)).T.astype(np.float32)

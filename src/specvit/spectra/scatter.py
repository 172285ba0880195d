"""The noise of a spectrum that comes without uncertainties."""

from __future__ import annotations

from functools import reduce
from operator import and_

import numpy as np

from specvit.pixelscatter import scatter_of_differences, windows
from specvit.spectra.rowmedian import row_medians

__all__ = ["scatter_variance"]

_SNR_LIMIT = 1000.0
_FEWEST = 8


def scatter_variance(flux, valid, pixels_per_fwhm):
    """Variance of each spectrum's pixels, from their scatter.

    The standard deviation is the median of `~specvit.pixelscatter.scatter_of_differences`, which sees noise
    and not lines. Differences are taken between pixels a third of a resolution element apart or more, where
    oversampled spectra still have independent noise. If neighbouring pixels scatter less than
    those, the noise is correlated: the variance is then raised by the squared ratio, at most by
    the spacing in pixels, so that averages over neighbours come out with their true error or a
    little above. Noise correlated over more than a third of a resolution element looks like lines
    and is underestimated: uncertainties that come with a spectrum are always better.

    Parameters
    ----------
    flux : numpy.ndarray of float, shape (n, npix)
        Fluxes; what they hold where `valid` is False does not matter.
    valid : numpy.ndarray of bool, shape (n, npix)
        Pixels to use.
    pixels_per_fwhm : float
        Pixels in a resolution element.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        One variance a spectrum; at least (median flux / 1000)². NaN where fewer than 8 differences exist.
    """
    spacing = max(1, int(pixels_per_fwhm / 3))
    flux = np.where(valid, flux, 0.0)
    sigma = _scatter(flux, valid, spacing)
    if spacing > 1:
        near = _scatter(flux, valid, 1)
        ratio = np.where(near > 0, (sigma / np.where(near > 0, near, 1.0)) ** 2, spacing)
        sigma = sigma * np.sqrt(np.clip(ratio, 1, spacing))
    least = np.abs(row_medians(flux, valid)) / _SNR_LIMIT
    return np.where(np.isfinite(sigma), np.fmax(sigma, least) ** 2, np.nan)


def _scatter(flux, valid, spacing):
    """Robust standard deviations from fourth differences of pixels `spacing` apart; NaN if too few."""
    good = windows(valid, spacing)
    if not good:
        return np.full(len(flux), np.nan)
    usable = reduce(and_, good)
    medians = row_medians(scatter_of_differences(flux, spacing), usable)
    return np.where(usable.sum(axis=1) >= _FEWEST, medians, np.nan)

"""The noise of a spectrum that comes without uncertainties."""

from __future__ import annotations

from functools import reduce
from operator import and_

import numpy as np

from specvit.pixelscatter import scatter_of_differences, windows

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
    result = np.full(len(flux), np.nan)
    for i, (one, good) in enumerate(zip(flux, valid, strict=True)):
        sigma = _scatter(one, good, spacing)
        if spacing > 1 and np.isfinite(sigma):
            near = _scatter(one, good, 1)
            ratio = (sigma / near) ** 2 if near > 0 else spacing
            sigma *= np.sqrt(np.clip(ratio, 1, spacing))
        if np.isfinite(sigma):
            result[i] = max(sigma, abs(np.median(one[good])) / _SNR_LIMIT) ** 2
    return result


def _scatter(flux, valid, spacing):
    """Robust standard deviation from fourth differences of pixels `spacing` apart; NaN if too few."""
    usable = reduce(and_, windows(valid, spacing), True)
    if np.sum(usable) < _FEWEST:
        return np.nan
    return np.median(scatter_of_differences(np.where(valid, flux, 0.0), spacing)[usable])

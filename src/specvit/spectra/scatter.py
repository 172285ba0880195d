"""The noise of a spectrum that comes without uncertainties."""

from __future__ import annotations

import numpy as np

__all__ = ["scatter_variance"]

# Fourth differences: they cancel any cubic within five pixels, and what a line spread function of
# three pixels FWHM lets through of the sharpest line is suppressed ten times better than by the
# second differences, two pixels apart, of DER_SNR.
_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
_GAUSS = 1.482602218505602 / np.sqrt(np.sum(_DIFFERENCE**2))  # median |x| -> standard deviation

_SNR_LIMIT = 1000.0
_FEWEST = 8


def scatter_variance(flux, valid, pixels_per_fwhm):
    """Variance of each spectrum's pixels, from their scatter.

    The standard deviation is 1.4826 × the median absolute fourth difference over √70: the idea of
    DER_SNR [1]_ (a median of differences sees noise, not lines), with differences of higher order.
    Differences are taken between pixels a third of a resolution element apart or more, where
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

    References
    ----------
    .. [1] Stoehr et al. 2008, "DER_SNR: A Simple & General Spectroscopic Signal-to-Noise
       Measurement Algorithm", ASP Conf. Ser. 394, 505
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
    length = flux.size - 4 * spacing
    if length < _FEWEST:
        return np.nan
    flux = np.where(valid, flux, 0.0)
    difference = np.zeros(length)
    usable = np.ones(length, dtype=bool)
    for k, factor in enumerate(_DIFFERENCE):
        part = slice(k * spacing, k * spacing + length)
        difference += factor * flux[part]
        usable &= valid[part]
    if usable.sum() < _FEWEST:
        return np.nan
    return _GAUSS * np.median(np.abs(difference[usable]))

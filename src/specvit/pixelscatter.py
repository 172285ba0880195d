"""The noise of a spectrum from the scatter of its own pixels: the statistic, for NumPy and torch alike.

Fourth differences cancel any cubic within five pixels, and what a line spread function of three pixels FWHM
lets through of the sharpest line is suppressed seven times better, relative to the noise, than by the second
differences, two pixels apart, of DER_SNR (Stoehr et al. 2008, ASP Conf. Ser. 394, 505), whose idea this is: a
median of differences sees the noise and not the lines.
"""

from __future__ import annotations

from specvit.constants import SIGMA_PER_MAD

__all__ = ["WINDOW", "scatter_of_differences", "windows"]

_FACTORS = (1.0, -4.0, 6.0, -4.0, 1.0)
#: Pixels that one difference is taken over.
WINDOW = len(_FACTORS)


def windows(values, spacing=1):
    """The five pixels of each difference.

    Parameters
    ----------
    values : ndarray or tensor, shape (..., n_pixels)
    spacing : int
        Pixels from one of the five to the next.

    Returns
    -------
    list of five ndarrays or tensors, shape (..., n_pixels − 4 spacing)
        Views of `values`; none if there are not so many pixels.
    """
    length = values.shape[-1] - (WINDOW - 1) * spacing
    if length < 1:
        return []
    return [values[..., k * spacing : k * spacing + length] for k in range(WINDOW)]


def scatter_of_differences(flux, spacing=1, shape=None):
    """Values whose median over pixels is the standard deviation of the noise.

    .. math:: x_i = 1.4826\\, \\Big|\\sum_k a_k f_{i + k s}\\Big| \\Big/
              \\sqrt{\\textstyle\\sum_k a_k^2 t_{i + k s}^2}, \\qquad a = (1, -4, 6, -4, 1),

    where s is the spacing and t the shape of the noise: for independent Gaussian noise of standard deviation
    c t the median of x is c.

    Parameters
    ----------
    flux : ndarray or tensor, shape (..., n_pixels)
        Finite; values that use a bad pixel are for the caller to leave out, see `windows`.
    spacing : int
        Pixels between those that a difference is taken of; above 1 where neighbours are correlated.
    shape : ndarray or tensor, shape (n_pixels,), optional
        Relative standard deviation of the noise in each pixel, positive, so that a few noisy pixels do not
        count as scatter elsewhere; by default the same in all.

    Returns
    -------
    ndarray or tensor, shape (..., n_pixels − 4 spacing)
    """
    difference = sum(a * part for a, part in zip(_FACTORS, windows(flux, spacing), strict=True))
    if shape is None:
        return abs(difference) * (SIGMA_PER_MAD / sum(a**2 for a in _FACTORS) ** 0.5)
    variance = sum(a**2 * part**2 for a, part in zip(_FACTORS, windows(shape, spacing), strict=True))
    return abs(difference) * (SIGMA_PER_MAD / variance**0.5)

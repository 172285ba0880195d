"""The noise of a spectrum from the scatter of its own pixels: the statistic, for NumPy and torch alike.

The idea is that of DER_SNR (Stoehr et al. 2008, ASP Conf. Ser. 394, 505): the median of differences between
neighbouring pixels measures the noise, since only few of the differences contain a line. DER_SNR takes second
differences of pixels two apart. Here fourth differences are taken, which cancel any cubic within five pixels.
Of the sharpest line that a line spread function of three pixels FWHM lets through, they leave seven times
less relative to the noise.
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
        What differences are to be taken of, or whether a pixel is good.
    spacing : int
        Pixels from one of the five to the next.

    Returns
    -------
    list of five ndarrays or tensors, shape (..., n_pixels − 4 spacing)
        Views of `values`; an empty list if there are not so many pixels.

    Examples
    --------
    >>> import numpy as np
    >>> [part.tolist() for part in windows(np.arange(6))]
    [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]
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
        Finite flux. The caller leaves out the values that use a bad pixel, which `windows` finds.
    spacing : int
        Distance between the pixels of one difference; above 1 where the noise of neighbours is correlated.
    shape : ndarray or tensor, shape (n_pixels,), optional
        Relative standard deviation of the noise in each pixel, positive, so that a few noisy pixels do not
        count as scatter elsewhere; by default the same in all.

    Returns
    -------
    ndarray or tensor, shape (..., n_pixels − 4 spacing)

    Examples
    --------
    A slope, and noise of 0.1:

    >>> import numpy as np
    >>> flux = np.linspace(1, 2, 4000) + np.random.default_rng(0).normal(0, 0.1, 4000)
    >>> round(float(np.median(scatter_of_differences(flux))), 2)
    0.1
    """
    difference = flux
    for _ in range(WINDOW - 1):
        difference = difference[..., spacing:] - difference[..., :-spacing]
    if shape is None:
        return abs(difference) * (SIGMA_PER_MAD / sum(a**2 for a in _FACTORS) ** 0.5)
    variance = sum(a**2 * part**2 for a, part in zip(_FACTORS, windows(shape, spacing), strict=True))
    return abs(difference) * (SIGMA_PER_MAD / variance**0.5)

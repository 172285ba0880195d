"""Native pixels of an instrument, and the rule by which they come onto a grid.

The rule, which the adapter applies to real spectra (`specvit.grid.Resampler`) and the simulation of
instruments to its own (`specvit.survey.nativepixels`):

1. A native pixel holds the mean flux density between its edges. An unresolved line recorded in it has the
   line spread function that is stated of the instrument, pixel included.
2. A grid pixel is the mean of the native pixels under it, weighted by overlap, W_ji = |i ∩ j| / |j|:
   flux is conserved, nothing is interpolated.
3. Lost native pixels are left out and the other weights renormalised; where less than `MIN_WEIGHT` of the
   weight is left, the grid pixel is lost.
4. The variance of a grid pixel is the sum of those of its native pixels times the squares of the weights.
   Neighbouring grid pixels that share a native pixel have correlated noise. The inverse variance cannot
   express this; the network learns of it from the sampling by native pixels.
5. Native pixels nearer to an end of the grid than `unseen_ends` says are left out of spectra that are less
   sharp than the grid: light from beyond the end, which a library on the grid does not have, is in them. A
   network that never saw such pixels at low resolution is misled by them.

Two numbers per pixel describe an instrument to the network: `relative_lsf` and `relative_sampling`.
"""

from __future__ import annotations

import numpy as np

from specvit.checks import check_choice
from specvit.constants import SPEED_OF_LIGHT

__all__ = [
    "FINEST_SAMPLING",
    "MIN_WEIGHT",
    "PIXEL_UNITS",
    "between_ends",
    "native_edges",
    "relative_lsf",
    "relative_sampling",
    "unseen_ends",
    "unseen_ends_of",
]

#: Least share of a grid pixel's weight that must lie on native pixels that are not lost. With this value a
#: single bad native pixel costs no grid pixel in well sampled spectra, and no grid pixel holds the flux of
#: one flank of a line only.
MIN_WEIGHT = 0.8
#: Units of the width of native pixels: constant in wavelength, in velocity, or a fraction of the FWHM.
PIXEL_UNITS = ("angstrom", "km/s", "fwhm")
#: log2 of the width, in grid pixels, of the finest native pixels that are told apart. Of finer ones the noise
#: is averaged within a grid pixel or smoothed to the grid's line spread function, so that their width does
#: not matter.
FINEST_SAMPLING = -1.0
#: Reach of the kernel that makes a sharp spectrum as wide as another one, in its σ, and the least reach that
#: counts, in pixels of the grid.
_END_SIGMAS, _LEAST_END = 3.0, 0.4


def native_edges(low, high, width, unit="angstrom"):
    """Edges of equal pixels that cover a range of wavelengths.

    Parameters
    ----------
    low, high : float
        Range in Å: the first edge is `low`, the last is at `high` or less than a pixel beyond.
    width : float
        Width of a pixel, in `unit`.
    unit : {"angstrom", "km/s"}
        Unit of `width`: "angstrom" gives equal steps in wavelength, "km/s" in ln λ.

    Returns
    -------
    ndarray, shape (n + 1,)

    Raises
    ------
    ValueError
        If the range or the width is not positive, or the unit unknown.

    Examples
    --------
    >>> native_edges(8480, 8482, 0.5)
    array([8480. , 8480.5, 8481. , 8481.5, 8482. ])
    >>> len(native_edges(3600, 10400, 69, "km/s")) - 1
    4610
    """
    check_choice("unit", unit, PIXEL_UNITS[:2])
    if not (0 < low < high and width > 0):
        raise ValueError(f"low, high and width must be positive and rising, got {low!r}, {high!r}, {width!r}")
    if unit == "angstrom":
        return low + width * np.arange(int(np.ceil((high - low) / width - 1e-9)) + 1)
    step = np.log1p(width / SPEED_OF_LIGHT)
    return low * np.exp(step * np.arange(int(np.ceil(np.log(high / low) / step - 1e-9)) + 1))


def relative_lsf(sigma, grid):
    """log2 of the ratio of a line spread function's σ to that of the grid, 0 where it is sharper.

    Sharper spectra are smoothed to the line spread function of the grid, so that 0 describes what the network
    is given.

    Parameters
    ----------
    sigma : float or ndarray, shape (..., n_pixels)
        Standard deviation in Å of unresolved lines as recorded, native pixel included.
    grid : PixelGrid
        Grid of n_pixels that the spectrum is brought to.

    Returns
    -------
    ndarray, shape (..., n_pixels)

    Examples
    --------
    A spectrum of R = 2500, and one that is sharper than the grid:

    >>> from specvit import PFS_MR
    >>> from specvit.grid import FWHM_PER_SIGMA
    >>> sigma = 8000 / 2500 / FWHM_PER_SIGMA
    >>> float(relative_lsf(sigma, PFS_MR).mean().round(2)), float(relative_lsf(0.1, PFS_MR).max())
    (1.27, 0.0)
    """
    return np.maximum(np.log2(np.asarray(sigma, np.float64) / grid.lsf_sigma), 0.0)


def relative_sampling(width, grid):
    """log2 of the ratio of the width of native pixels to that of the grid's, at least `FINEST_SAMPLING`.

    Parameters
    ----------
    width : float or ndarray, shape (..., n_pixels)
        Width in Å of the native pixels at the pixels of the grid.
    grid : PixelGrid
        Grid of n_pixels that the spectrum is brought to.

    Returns
    -------
    ndarray, shape (..., n_pixels)

    Examples
    --------
    >>> from specvit import PFS_MR
    >>> float(relative_sampling(1.6, PFS_MR).mean().round(2))
    1.9
    """
    return np.maximum(np.log2(np.asarray(width, np.float64) / grid.width), FINEST_SAMPLING)


def unseen_ends(excess, grid):
    """How far from either end of the grid native pixels are left out, in Å.

    Parameters
    ----------
    excess : float or ndarray
        σ in Å of the kernel that makes the grid's line spread function as wide as that of the spectrum, in
        the middle of the grid; 0 where the spectrum is as sharp or sharper.
    grid : PixelGrid
        Grid that the spectrum is brought to.

    Returns
    -------
    ndarray
        Of the shape of `excess`; 0 where it is less than a part of a pixel.

    Examples
    --------
    >>> from specvit import PFS_MR
    >>> unseen_ends([0.0, 0.05, 1.5], PFS_MR).tolist()
    [0.0, 0.0, 4.5]
    """
    reach = _END_SIGMAS * np.asarray(excess, np.float64)
    return np.where(reach > _LEAST_END * grid.width[0], reach, 0.0)


def between_ends(wave, reach, grid):
    """Which pixels, by their middles `wave`, are further than `reach` from both ends of a grid, all in Å."""
    return (wave > grid.edges[0] + reach) & (wave < grid.edges[-1] - reach)


def unseen_ends_of(sigma, grid):
    """How far from either end of the grid native pixels of a spectrum are left out, in Å.

    The middle of the grid tells, as in training, or an end where the spectrum is less sharp, as one of two
    arms is: by more than constant R or constant FWHM make it. In training both ends lose the same.

    Parameters
    ----------
    sigma : ndarray, shape (..., n_pixels)
        Standard deviation in Å of the line spread function.
    grid : PixelGrid
        Grid of n_pixels that the spectrum is brought to.

    Returns
    -------
    ndarray, shape (...)

    Examples
    --------
    >>> from specvit import PFS_MR
    >>> sigma = np.where(PFS_MR.wave < 7900, 2.0, 0.5)
    >>> float(unseen_ends_of(sigma, PFS_MR).round(1))
    5.8
    """
    at = [0, len(grid) // 2, -1]
    sigma = np.asarray(sigma, np.float64)[..., at] * np.minimum(grid.wave[at[1]] / grid.wave[at], 1.0)
    excess = np.sqrt(np.maximum(sigma**2 - grid.lsf_sigma[at] ** 2, 0.0))
    return unseen_ends(excess.max(axis=-1), grid)

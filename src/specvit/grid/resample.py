"""Flux-conserving resampling onto a grid, and smoothing to its line spread function, as one sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from specvit.grid.edges import boundaries
from specvit.grid.native import MIN_WEIGHT
from specvit.grid.pixelgrid import PixelGrid

__all__ = ["Resampled", "Resampler", "matching_sigma"]

_TRUNCATE = 6.0  # sigma; the weight left out, 1e-10, is put back by the normalisation


def matching_sigma(grid, input_sigma):
    """Gaussian that brings a sharper spectrum to the line spread function of `grid`.

    .. math:: \\sigma_k^2 = \\max(0,\\ \\sigma_\\mathrm{grid}^2 - \\sigma_\\mathrm{in}^2 - \\Delta^2/12)

    where :math:`\\Delta` is the width of the output pixel: rebinning convolves with a top-hat of
    that width, and ``grid.lsf_sigma`` already contains the pixel. The width of the *input* pixel
    does not enter, since a measured resolution contains it as well.

    Parameters
    ----------
    grid : PixelGrid
        Grid of n pixels to be matched.
    input_sigma : float or array-like of float, shape (n,)
        Standard deviation in Å of the input's line spread function at the pixels of `grid`.

    Returns
    -------
    numpy.ndarray of float64, shape (n,)
        Standard deviation in Å; 0 where the input is not sharp enough to need smoothing.

    Examples
    --------
    >>> from specvit import PFS_MR
    >>> float(matching_sigma(PFS_MR, 0.3)[2000].round(2))
    0.46
    """
    input_sigma = np.broadcast_to(np.asarray(input_sigma, dtype=np.float64), len(grid))
    return np.sqrt(np.clip(grid.lsf_sigma**2 - input_sigma**2 - grid.width**2 / 12, 0, None))


@dataclass
class Resampled:
    """Resampled spectra on the output grid; the leading dimensions are those of the input.

    Attributes
    ----------
    flux : numpy.ndarray, shape (..., n_out)
        Flux density; NaN where `mask` is True.
    variance : numpy.ndarray, shape (..., n_out), or None
        Variance of `flux`; infinite where `mask` is True. None if no variance was given.
    covariance : numpy.ndarray, shape (bands, ..., n_out), or None
        ``covariance[k - 1, ..., j]`` is the covariance of pixels j and j + k; 0 where either is
        masked or j + k is beyond the end.
    coverage : numpy.ndarray, shape (..., n_out)
        Share of the pixel's weight that lies on valid input, 0 to 1. Read-only.
    mask : numpy.ndarray of bool, shape (..., n_out)
        True where `coverage` is below the resampler's ``min_coverage``.

    See Also
    --------
    Resampler : Makes them.

    Examples
    --------
    >>> import numpy as np
    >>> from specvit.grid import PixelGrid, Resampler
    >>> resampler = Resampler(np.linspace(5000, 5010, 101), PixelGrid.linear(5001, 5009, 8, 0.5))
    >>> bad = np.arange(100) < 15  # half of the native pixels under the first pixel of the grid
    >>> result = resampler(np.ones(100), np.full(100, 0.01), mask=bad)
    >>> float(result.coverage[0]), bool(result.mask[0]), float(result.ivar[0])
    (0.5, True, 0.0)
    """

    flux: np.ndarray
    variance: np.ndarray | None
    covariance: np.ndarray | None
    coverage: np.ndarray
    mask: np.ndarray

    @property
    def ivar(self):
        """Inverse variance, 0 where masked; None without a variance."""
        return None if self.variance is None else 1 / self.variance


class Resampler:
    """Linear map from one input axis to a grid, built once and applied to many spectra.

    Parameters
    ----------
    edges_in : array-like of float, shape (n_in + 1,) or (n_in, 2)
        Edges of the input pixels in Å, in the medium and frame of `grid`: either shared, or lower
        and upper edge of each pixel (see `edges_from_centres`), which may leave gaps.
    grid : PixelGrid
        Output pixels, n_out of them.
    kernel_sigma : float or array-like of float, shape (n_out,), optional
        Standard deviation in Å of a Gaussian to smooth with (see `matching_sigma`); 0 or None: none.
    min_coverage : float
        Output pixels with less than this share of their weight on valid input are masked. A lower
        value keeps more pixels beside gaps and ends, but what they hold is then an average over
        one side of the pixel only: with half of the weight gone the flux in the flank of a line
        can be wrong by several per cent. The default, 0.8, loses no pixel to a single bad one in
        a well sampled input.

    Attributes
    ----------
    matrix : scipy.sparse.csr_array, shape (n_out, n_in)
        The weights W. A row sums to its coverage by the input axis, 1 where that is complete.
    coverage : numpy.ndarray of float64, shape (n_out,)
        Row sums of `matrix`: the coverage when no input pixel is bad.

    Raises
    ------
    ValueError
        If `edges_in`, `kernel_sigma` or `min_coverage` break the rules above.

    See Also
    --------
    matching_sigma : The Gaussian that brings a sharper spectrum to a grid's line spread function.
    specvit.grid.gaussian.smoothing_matrix : For model spectra sampled finely at points.

    Notes
    -----
    The weight of input pixel i in output pixel j, of edges a and b and width Δ = b - a, is the
    integral over the input pixel of the output top-hat convolved with the Gaussian σ_j:

    .. math::
        W_{ji} = G_j(u_i) - G_j(l_i), \\quad G_j(x) = [H_j(x - a) - H_j(x - b)] / \\Delta, \\quad
        H_j(u) = u\\,\\Phi(u/\\sigma_j) + \\sigma_j\\,\\varphi(u/\\sigma_j)

    with Φ and φ the normal distribution function and density: exact for an input flux density that
    is constant within its pixels. At σ = 0, H(u) = max(u, 0) and W is the overlap matrix of
    SpectRes (Carnall 2017, arXiv:1705.05165). Kernels end 6 σ beyond the pixel and are normalised.

    Bad input pixels are left out and the rest is normalised (normalised convolution, Knutsson &
    Westin 1993): with V the valid pixels and :math:`N_j = \\sum_V W_{ji}`, the flux is
    :math:`\\sum_V W_{ji} f_i / N_j` and the covariance
    :math:`\\sum_V W_{ji} W_{ki} v_i / (N_j N_k)`. Input pixels are taken to be independent.

    Examples
    --------
    >>> import numpy as np
    >>> from specvit.grid import PixelGrid, Resampler
    >>> fine = np.linspace(5000, 5010, 101)
    >>> resampler = Resampler(fine, PixelGrid.linear(5001, 5009, 8, 0.5))
    >>> float(resampler(np.ones(100), np.full(100, 0.01)).variance[0])  # of the mean of ten pixels
    0.001
    """

    def __init__(self, edges_in, grid, kernel_sigma=None, *, min_coverage=MIN_WEIGHT):
        if not isinstance(grid, PixelGrid):
            raise TypeError(f"grid must be a PixelGrid, got {type(grid).__name__}")
        if not 0 < min_coverage <= 1:
            raise ValueError(f"min_coverage must be above 0 and at most 1, got {min_coverage!r}")
        points, owner, self.n_in = boundaries(edges_in)
        sigma = np.asarray(0.0 if kernel_sigma is None else kernel_sigma, dtype=np.float64)
        if sigma.ndim > 1 or sigma.size not in (1, len(grid)):
            raise ValueError(f"kernel_sigma must be a scalar or have shape ({len(grid)},), got {sigma.shape}")
        if not (np.isfinite(sigma).all() and (sigma >= 0).all()):
            raise ValueError("kernel_sigma must be finite and not negative")
        self.grid = grid
        self.n_out = len(grid)
        self.min_coverage = float(min_coverage)
        self.kernel_sigma = np.broadcast_to(sigma, self.n_out)
        self.matrix = _weights(points, owner, self.n_in, grid, self.kernel_sigma)
        # Sums of thousands of weights round to 1 + 1e-15; a share is never above 1.
        self.coverage = np.minimum(self.matrix.sum(axis=1), 1.0)
        self._products = {}

    def __call__(self, flux, variance=None, mask=None, *, bands=2):
        """Resample spectra that share the input axis.

        Parameters
        ----------
        flux : array-like of float, shape (..., n_in)
            Flux density (per unit wavelength); not written to. Non-finite values are left out.
        variance : array-like of float, shape (..., n_in), optional
            Variance of `flux`; pixels where it is not finite and positive are left out.
        mask : array-like of bool, broadcastable to the shape of `flux`, optional
            True = bad, left out.
        bands : int
            Neighbour covariances to compute: to ±1, …, ±`bands` pixels; 0 for none.

        Returns
        -------
        Resampled

        Raises
        ------
        ValueError
            If a shape does not match.
        """
        flux = np.asarray(flux, dtype=np.float64)
        if flux.ndim == 0 or flux.shape[-1] != self.n_in:
            raise ValueError(f"flux must have {self.n_in} pixels along its last axis, got shape {flux.shape}")
        leading, rows = flux.shape[:-1], flux.reshape(-1, self.n_in)
        valid = np.isfinite(rows)
        if variance is not None:
            variance = np.asarray(variance, dtype=np.float64)
            if variance.shape != flux.shape:
                raise ValueError(f"variance must have the shape of flux {flux.shape}, got {variance.shape}")
            variance = variance.reshape(-1, self.n_in)
            valid &= np.isfinite(variance) & (variance > 0)
        if mask is not None:
            mask = np.asarray(mask, dtype=bool)
            try:
                valid &= ~np.broadcast_to(mask, flux.shape).reshape(-1, self.n_in)
            except ValueError:
                message = f"mask must be broadcastable to the shape of flux {flux.shape}, got {mask.shape}"
                raise ValueError(message) from None

        incomplete = np.flatnonzero(~valid.all(axis=1))
        weight = np.broadcast_to(self.coverage, (len(rows), self.n_out))
        if incomplete.size:
            rows = np.where(valid, rows, 0.0)
            variance = None if variance is None else np.where(valid, variance, 0.0)
            weight = weight.copy()
            weight[incomplete] = np.minimum(_apply(self.matrix, valid[incomplete].astype(np.float64)), 1.0)
        bad = ~(weight >= self.min_coverage)
        scale = np.where(bad, 0.0, 1 / np.where(bad, 1.0, weight))

        resampled = _apply(self.matrix, rows) * scale
        resampled[bad] = np.nan
        covariance = None
        if variance is not None:
            covariance = self._covariance(variance, scale, bands).reshape(bands, *leading, self.n_out)
            variance = _apply(self._product(0), variance) * scale**2
            variance[bad] = np.inf
            variance = variance.reshape(*leading, self.n_out)
        shape = (*leading, self.n_out)
        return Resampled(
            resampled.reshape(shape), variance, covariance, weight.reshape(shape), bad.reshape(shape)
        )

    def _covariance(self, variance, scale, bands):
        """Covariance with the next 1 … `bands` pixels, shape (bands, n, n_out)."""
        covariance = np.zeros((bands, len(variance), self.n_out))
        for lag in range(1, min(bands, self.n_out - 1) + 1):
            together = _apply(self._product(lag), variance)
            covariance[lag - 1, :, :-lag] = together * scale[:, :-lag] * scale[:, lag:]
        return covariance

    def _product(self, lag):
        """Matrix of W_ji W_(j+lag)i, made when first needed."""
        if lag not in self._products:
            ahead = self.matrix[lag:]
            self._products[lag] = csr_array(self.matrix[: self.n_out - lag].multiply(ahead))
        return self._products[lag]


def _weights(points, owner, n_in, grid, sigma):
    """The matrix W of `Resampler`, from the boundaries of the input pixels."""
    left, right = grid.edges[:-1], grid.edges[1:]
    low, high = left - _TRUNCATE * sigma, right + _TRUNCATE * sigma
    first = np.clip(np.searchsorted(points, low, side="right") - 1, 0, None)
    last = np.clip(np.searchsorted(points, high, side="left"), None, points.size - 1)
    count = np.maximum(last - first, 0)  # intervals seen by each output pixel

    # G at the count + 1 boundaries of every row, laid end to end; differences across rows are dropped.
    n_points = count + 1
    row = np.repeat(np.arange(len(grid)), n_points)
    start = np.cumsum(n_points) - n_points
    interval = np.arange(row.size) - np.repeat(start - first, n_points)
    x = np.clip(points[np.minimum(interval, points.size - 1)], low[row], high[row])
    cumulative = _ramp(x - left[row], sigma[row]) - _ramp(x - right[row], sigma[row])
    width = grid.width
    total = _ramp(high - left, sigma) - _ramp(high - right, sigma)
    total -= _ramp(low - left, sigma) - _ramp(low - right, sigma)
    inside = row[1:] == row[:-1]
    weight = (np.diff(cumulative) / np.where(total > 0, total, width)[row[:-1]])[inside]
    row, column = row[:-1][inside], owner[interval[:-1][inside]]
    keep = (column >= 0) & (weight > 0)
    matrix = csr_array((weight[keep], (row[keep], column[keep])), shape=(len(grid), n_in))
    matrix.sum_duplicates()
    return matrix


def _ramp(u, sigma):
    """Integral of the normal distribution function of standard deviation `sigma`; max(u, 0) at 0."""
    if not sigma.any():
        return np.maximum(u, 0.0)
    from scipy.special import ndtr  # a tenth of a second that plain rebinning need not wait for

    safe = np.where(sigma > 0, sigma, 1.0)
    t = u / safe
    smooth = u * ndtr(t) + safe / np.sqrt(2 * np.pi) * np.exp(-0.5 * t * t)
    return np.where(sigma > 0, smooth, np.maximum(u, 0.0))


def _apply(matrix, rows):
    """`matrix` applied to each of `rows`: (n, n_in) -> (n, n_out).

    Row by row, since a spectrum stays in the cache while the matrix passes over it: for thousands
    of pixels this is several times faster than one product with a dense matrix.
    """
    out = np.empty((len(rows), matrix.shape[0]))
    for one, result in zip(rows, out, strict=True):
        result[:] = matrix @ one
    return out

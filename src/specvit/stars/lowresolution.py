"""An emulator seen at lower resolution, with derivatives with respect to all that is uncertain of a star."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array, kron

from specvit.grid import FWHM_PER_SIGMA, PixelGrid
from specvit.grid.gaussian import smoothing_matrix
from specvit.stars.emulator import Emulator

__all__ = ["Linearised", "LowResolution", "interpolation"]

_STEP = np.array([20.0, 0.05, 0.03, 0.03, 0.03])  # of central differences
#: Standard deviations of the distortions: shift (Å) as polynomials of order 0–3, added variance of the line
#: spread function (Å²/2) of order 0–1.
_DISTORTION_ERR = np.array([0.5, 0.5, 0.5, 0.3, 0.6, 0.3])
_CONTINUUM_ORDER = 10


@dataclass
class Linearised:
    """A spectrum of c cells and its derivatives at one set of labels; all of ln(flux).

    ``log_flux`` (c,); ``jacobian`` (c, 5); ``depth`` (c, c), sparse, with respect to ln r at the cells;
    ``nuisance`` (c, q), distortions and continuum times their standard deviations.

    Examples
    --------
    >>> from specvit import Emulator
    >>> found = LowResolution(Emulator.load(), fwhm=3.4).linearise([4500, 2.0, -0.3, 0.1, 0.0])
    >>> found.jacobian.shape[1], found.log_flux.shape == found.jacobian.shape[:1]
    (5, True)
    """

    labels: np.ndarray
    log_flux: np.ndarray
    jacobian: np.ndarray
    depth: csr_array
    nuisance: np.ndarray


class LowResolution:
    """An emulator seen by a spectrograph of lower resolution, in cells of a few of its pixels.

    Parameters
    ----------
    emulator : Emulator
        Calibrated or not.
    fwhm : float
        FWHM (Å) of the spectrograph's line spread function, its pixels not included.
    known : ndarray of bool, shape (n_pixels,), optional
        Pixels whose line strengths may be corrected.
    per_cell : int
        Pixels of the emulator's grid in a cell.
    margin : int
        Cells left out at either end, where the line spread function would reach beyond the emulator.

    Examples
    --------
    >>> from specvit import Emulator
    >>> low = LowResolution(Emulator.load(), fwhm=3.4)
    >>> lines, continuum, flux = low.spectra([[4500, 2.0, -0.3, 0.1, 0.0]])
    >>> lines.shape, flux.shape == (1, len(low.grid))
    ((1, 4096), True)
    """

    def __init__(self, emulator: Emulator, fwhm, known=None, per_cell=4, margin=8):
        grid = emulator.grid
        self.emulator = copy.deepcopy(emulator).double()
        cut = margin * per_cell
        n_cells = (len(grid) - 2 * cut) // per_cell
        inner = slice(cut, cut + n_cells * per_cell)
        self.grid = PixelGrid(grid.edges[inner.start : inner.stop + 1 : per_cell], fwhm / FWHM_PER_SIGMA)
        sigma = np.sqrt((fwhm / FWHM_PER_SIGMA) ** 2 - grid.lsf_sigma[inner] ** 2)
        smooth = smoothing_matrix(grid.wave, sigma, grid.wave[inner])
        mean = kron(diags_array(np.ones(n_cells)), np.full((1, per_cell), 1 / per_cell), format="csr")
        self.matrix = csr_array(mean @ smooth)
        known = np.ones(len(grid), bool) if known is None else known
        self._knots = csr_array(diags_array(known.astype(float)) @ interpolation(self.grid.wave, grid.wave))
        self._x = np.linspace(-1, 1, n_cells)

    def spectra(self, labels):
        """Normalised flux and continuum at the emulator's pixels, and flux in cells, for labels (n, 5)."""
        labels = torch.as_tensor(np.atleast_2d(labels), dtype=torch.float64)
        with torch.no_grad():
            lines, continuum = self.emulator.normalised(labels), self.emulator.continuum(labels)
        continuum = (continuum / continuum[:1].mean()).numpy()
        return lines.numpy(), continuum, (self.matrix @ (lines.numpy() * continuum).T).T

    def linearise(self, labels):
        """`Linearised` at labels (5,)."""
        labels = np.asarray(labels, float)
        steps = np.diag(_STEP)
        lines, continuum, flux = self.spectra(np.concatenate([labels[None], labels + steps, labels - steps]))
        logs, first = np.log(flux), flux[0]
        tau = -np.log(np.clip(lines[0], 1e-3, 1))
        slope = self.matrix @ diags_array(continuum[0] * lines[0] * tau) @ self._knots
        depth = csr_array(diags_array(-1 / first) @ slope)
        wave = self.grid.wave
        powers = np.polynomial.chebyshev.chebvander(self._x, _CONTINUUM_ORDER)
        shift = np.gradient(logs[0], wave)[:, None] * powers[:, :4]
        width = (np.gradient(np.gradient(first, wave), wave) / first)[:, None] * powers[:, :2]
        nuisance = np.concatenate([np.hstack([shift, width]) * _DISTORTION_ERR, powers], 1)
        return Linearised(labels, logs[0], (logs[1:6] - logs[6:]).T / (2 * _STEP), depth, nuisance)


def interpolation(knots, x):
    """Linear interpolation from values at `knots` to `x`, constant beyond the ends: sparse (x, knots).

    Examples
    --------
    >>> (interpolation(np.array([0.0, 1.0]), np.array([0.25, 2.0])) @ [10.0, 20.0]).tolist()
    [12.5, 20.0]
    """
    knots, x = np.asarray(knots, float), np.asarray(x, float)
    left = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, knots.size - 2)
    share = np.clip((x - knots[left]) / (knots[left + 1] - knots[left]), 0, 1)
    rows = np.arange(x.size)
    values = np.concatenate([1 - share, share])
    return csr_array((values, (np.tile(rows, 2), np.concatenate([left, left + 1]))), (x.size, knots.size))

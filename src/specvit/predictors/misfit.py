"""Does a spectrum look like any star of the training set? A check that the network cannot make itself."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from specvit.grid.gaussian import smoothing_matrix
from specvit.stars import Emulator

__all__ = ["LARGEST_MISFIT", "MODEL_ERROR", "misfit"]

#: Error of synthetic spectra, as a share of the flux, beside the noise: a real K giant scatters by 1.5 %.
MODEL_ERROR = 0.02
#: Reduced χ² beyond which a spectrum is called foreign. With all their imperfections, stars of the survey
#: `pfs-mr` exceeded it in about one case of a hundred with the weights of that name; of 400 stars of the
#: survey `any`, with the weights `any`, 4.5 % do.
LARGEST_MISFIT = 2.0
_CONTINUUM_TERMS = 8
_LEAST_SMOOTHING = 0.01  # log2 of a line spread function over the grid's that makes no difference


@lru_cache
def _emulator():
    return Emulator.load()


def misfit(flux, ivar, labels, grid, lsf=None):
    """Reduced χ² of spectra against the emulator's spectra of the predicted labels.

    The model is multiplied by Chebyshev polynomials up to T7, fitted by least squares, so that flux
    calibration and reddening do not count. The variance is that of the noise and of a model error of
    `MODEL_ERROR`.

    Parameters
    ----------
    flux, ivar : ndarray, shape (n, n_pixels)
        Spectra on `grid`.
    labels : ndarray, shape (n, 5)
        Labels in the order of `~specvit.labels.LABELS`.
    grid : PixelGrid
        Grid of the spectra.
    lsf : ndarray, shape (n, n_pixels), optional
        log2 of the spectra's line spread function over the grid's: the model is smoothed to it.

    Returns
    -------
    ndarray, shape (n,)
        About 1 or less for a star of the training set with honest errors; NaN where the bundled
        emulator is for another grid, or there is no label or no flux.
    """
    emulator = _emulator()
    chi2 = np.full(len(flux), np.nan)
    if emulator.grid != grid:
        return chi2
    low, high = emulator.label_range.double().numpy()
    with torch.no_grad():
        models = emulator(torch.as_tensor(np.clip(labels, low, high), dtype=torch.float32)).double().numpy()
    basis = np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, len(grid)), _CONTINUUM_TERMS - 1)
    smoothing = {}
    for i, (spectrum, weight, model) in enumerate(zip(flux, ivar, models, strict=True)):
        good = weight > 0
        if good.sum() <= _CONTINUUM_TERMS or not np.isfinite(model).all():
            continue
        if lsf is not None and lsf[i].max() > _LEAST_SMOOTHING:
            key = lsf[i].tobytes()
            if key not in smoothing:
                sigma = grid.lsf_sigma * np.sqrt(np.maximum(4.0 ** lsf[i].astype(np.float64) - 1, 0))
                smoothing[key] = smoothing_matrix(grid.wave, sigma, grid.wave, ends="cut")
            model = smoothing[key] @ model
        scale = np.median(spectrum[good])
        relative = model[good] / np.median(model[good])
        sigma = np.sqrt(1 / weight[good] / scale**2 + (MODEL_ERROR * relative) ** 2)
        design = basis[good] * (relative / sigma)[:, None]
        target = spectrum[good] / scale / sigma
        solution = np.linalg.lstsq(design, target, rcond=None)[0]
        chi2[i] = np.sum((target - design @ solution) ** 2) / (good.sum() - _CONTINUUM_TERMS)
    return chi2

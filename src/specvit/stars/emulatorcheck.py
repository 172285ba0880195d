"""Errors of an emulator, measured on library spectra that it was not fitted on."""

from __future__ import annotations

import copy

import numpy as np
import torch

__all__ = ["derivative_error", "float32_error", "held_out_rms", "validation_report"]

_STARS = 16  # on which derivatives are checked
_PIXELS = 64
#: Steps of the finite differences: K and dex, well above float64 rounding and well below curvature.
_STEPS = (2.0, 2e-3, 2e-3, 2e-3, 2e-3)


def held_out_rms(emulator, library):
    """Root mean square error of the emulated normalised flux over pixels, for each library spectrum.

    The truth is the library spectrum itself, smoothed to the grid's LSF, not its principal components.

    Parameters
    ----------
    emulator : Emulator
        The emulator to be checked.
    library : SyntheticLibrary
        Spectra that the emulator has not been fitted on.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> from specvit import Emulator, PixelGrid
    >>> from specvit.stars import SyntheticLibrary
    >>> rng = np.random.default_rng(0)
    >>> wave, knots = np.geomspace(7990, 8110, 3000), np.linspace(7990, 8110, 8)
    >>> labels = rng.uniform([4000, 1, -1, 0, 0], [6000, 5, 0, 0.3, 0.2], (40, 5))
    >>> lines = 1 - 0.3 * rng.random((40, 1)) * np.exp(-((wave - 8050) ** 2) / 2)
    >>> library = SyntheticLibrary(labels, wave, lines, np.zeros((40, 8)), knots, 20_000.0)
    >>> grid = PixelGrid.linear(8010, 8090, 100, 1.5)
    >>> small = {"n_components": 2, "n_continuum": 1, "width": 8, "members": 1, "steps": 5}
    >>> emulator = Emulator.fit(library, grid, **small)
    >>> held_out_rms(emulator, library).shape
    (40,)
    """
    truth = library.smoothed(emulator.grid.lsf_sigma, emulator.grid.wave)
    with torch.no_grad():
        made = emulator.normalised(torch.as_tensor(library.labels, dtype=torch.float32)).numpy()
    return np.sqrt(np.mean((made - truth) ** 2, axis=1, dtype=np.float64))


def float32_error(emulator, labels):
    """Largest difference of the normalised flux between float32 and float64 evaluation.

    Parameters
    ----------
    emulator : Emulator
        The emulator to be checked.
    labels : array-like, shape (n, 5)
        Stars to compare at.

    Returns
    -------
    float
        In units of the continuum.

    Examples
    --------
    >>> from specvit import Emulator
    >>> float32_error(Emulator.load(), [[4500, 2.0, -0.3, 0.1, 0.0]]) < 1e-4
    True
    """
    labels = torch.as_tensor(np.asarray(labels), dtype=torch.float32)
    with torch.no_grad():
        exact = copy.deepcopy(emulator).double().normalised(labels.double())
        return float((emulator.normalised(labels) - exact).abs().max())


def derivative_error(emulator, labels):
    """Largest relative error of float32 autograd derivatives against float64 central differences.

    For each star and label, ‖∂f − Δf/Δℓ‖ / ‖Δf/Δℓ‖ over 64 pixels of the normalised flux f.

    Parameters
    ----------
    emulator : Emulator
        The emulator to be checked.
    labels : array-like, shape (n, 5)
        Stars at which to compare; the time is proportional to their number.

    Returns
    -------
    float

    Examples
    --------
    >>> from specvit import Emulator
    >>> derivative_error(Emulator.load(), [[4500, 2.0, -0.3, 0.1, 0.0]]) < 0.01
    True
    """
    pixels = torch.linspace(0, len(emulator.grid) - 1, _PIXELS).long()
    exact = copy.deepcopy(emulator).double()
    worst = 0.0
    for star in torch.as_tensor(np.asarray(labels), dtype=torch.float32):
        jacobian = torch.autograd.functional.jacobian(lambda x: emulator.normalised(x[None])[0, pixels], star)
        for k, step in enumerate(_STEPS):
            shift = step * torch.eye(5, dtype=torch.float64)[k]
            with torch.no_grad():
                low, high = (exact.normalised((star.double() + s * shift)[None])[0, pixels] for s in (-1, 1))
            difference = (high - low) / (2 * step)
            worst = max(worst, float((jacobian[:, k] - difference).norm() / difference.norm()))
    return worst


def validation_report(emulator, library, *, teff_bins=6):
    """Errors of an emulator on held-out spectra, as plain JSON types.

    Parameters
    ----------
    emulator : Emulator
        The emulator to be checked.
    library : SyntheticLibrary
        Spectra that the emulator has not been fitted on, smoothed to its grid for the comparison.
    teff_bins : int
        Number of bins of equal numbers of stars.

    Returns
    -------
    dict
        ``n``, and ``median`` and ``p90`` of `held_out_rms`; ``by_teff``, the same for each bin with its
        ``low`` and ``high`` Teff in K; ``float32``, `float32_error`; ``derivatives``, `derivative_error` of
        the first 16 stars.

    Examples
    --------
    >>> from specvit import Emulator, PixelGrid
    >>> from specvit.stars import SyntheticLibrary
    >>> rng = np.random.default_rng(0)
    >>> wave, knots = np.geomspace(7990, 8110, 3000), np.linspace(7990, 8110, 8)
    >>> labels = rng.uniform([4000, 1, -1, 0, 0], [6000, 5, 0, 0.3, 0.2], (40, 5))
    >>> lines = 1 - 0.3 * rng.random((40, 1)) * np.exp(-((wave - 8050) ** 2) / 2)
    >>> library = SyntheticLibrary(labels, wave, lines, np.zeros((40, 8)), knots, 20_000.0)
    >>> grid = PixelGrid.linear(8010, 8090, 100, 1.5)
    >>> small = {"n_components": 2, "n_continuum": 1, "width": 8, "members": 1, "steps": 5}
    >>> emulator = Emulator.fit(library, grid, **small)
    >>> report = validation_report(emulator, library, teff_bins=2)
    >>> report["n"], len(report["by_teff"])
    (40, 2)
    """
    rms, teff = held_out_rms(emulator, library), library.labels[:, 0]
    bins = [rows for rows in np.array_split(np.argsort(teff), teff_bins) if len(rows)]
    return {
        **_summary(rms),
        "by_teff": [
            {"low": float(teff[rows].min()), "high": float(teff[rows].max()), **_summary(rms[rows])}
            for rows in bins
        ],
        "float32": float32_error(emulator, library.labels),
        "derivatives": derivative_error(emulator, library.labels[:_STARS]),
    }


def _summary(rms):
    return {"n": len(rms), "median": float(np.median(rms)), "p90": float(np.quantile(rms, 0.9))}

"""Edges of pixels: made from centres, and laid out for integration, with gaps where there is nothing."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from specvit.checks import in_unit

__all__ = ["boundaries", "edges_from_centres"]

# A step this many times the ordinary step beside it is a gap. One dropped pixel (2.0) is a gap,
# the change of step between two arms or along a logarithmic axis is not.
_GAP_FACTOR = 1.75
_GAP_WINDOW = 17


def _check_increasing(values, name):
    """Raise ValueError unless `values` (1-D) are finite, positive and strictly increasing."""
    if not np.isfinite(values).all():
        where = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"{name} must be finite, got {values[where]} at index {where}")
    if values.size and values.min() <= 0:
        where = int(np.argmin(values))
        raise ValueError(f"{name} must be positive, got {values[where]} at index {where}")
    steps = np.diff(values)
    if not (steps > 0).all():
        where = int(np.flatnonzero(steps <= 0)[0])
        what = "duplicate values" if steps[where] == 0 else "a decrease"
        raise ValueError(
            f"{name} must be strictly increasing, got {what} at index {where}: "
            f"{values[where]:.10g} then {values[where + 1]:.10g}"
        )


def edges_from_centres(wave, *, gap_factor=_GAP_FACTOR):
    """Edges of pixels of which only the centres are known.

    Edges are midpoints between centres, the first and last pixel being symmetric about their
    centres: the convention of SpectRes [1]_. Where the step to the next centre is more than
    `gap_factor` times the ordinary step (the upper quartile of the 17 steps around), there is a
    gap: the pixels beside it keep half of their ordinary step and nothing covers what is between.

    Parameters
    ----------
    wave : array-like of float, shape (n,)
        Pixel centres, strictly increasing, n ≥ 2.
    gap_factor : float
        Ratio above which a step is a gap; ``inf`` closes every gap.

    Returns
    -------
    bounds : numpy.ndarray of float64, shape (n, 2)
        Lower and upper edge of each pixel.

    Raises
    ------
    ValueError
        If `wave` is not one-dimensional with at least 2 values, finite, positive and strictly increasing.

    References
    ----------
    .. [1] Carnall 2017, "SpectRes: a fast spectral resampling tool in Python", arXiv:1705.05165

    Examples
    --------
    The pixel at 7103 Å is missing, and nothing is put in its place:

    >>> edges_from_centres([7100, 7101, 7102, 7104, 7105]).tolist()
    [[7099.5, 7100.5], [7100.5, 7101.5], [7101.5, 7102.5], [7103.5, 7104.5], [7104.5, 7105.5]]
    """
    wave = np.asarray(in_unit("wave", wave, "Angstrom"), dtype=np.float64)
    if wave.ndim != 1 or wave.size < 2:
        raise ValueError(f"wave must be one-dimensional with at least 2 pixels, got shape {wave.shape}")
    _check_increasing(wave, "wave")
    step = np.diff(wave)
    half_below = 0.5 * np.concatenate([step[:1], step])
    half_above = 0.5 * np.concatenate([step, step[-1:]])
    if step.max() > gap_factor * step.min():
        around = sliding_window_view(np.pad(step, _GAP_WINDOW // 2, mode="edge"), _GAP_WINDOW)
        ordinary = np.percentile(around, 75, axis=1)
        gap = step > gap_factor * ordinary
        # The step on a pixel's other side is its own ordinary step, unless that is a gap too.
        before = np.concatenate([[True], gap[:-1]])
        after = np.concatenate([gap[1:], [True]])
        step_before = np.where(before, ordinary, np.concatenate([step[:1], step[:-1]]))
        step_after = np.where(after, ordinary, np.concatenate([step[1:], step[-1:]]))
        half_above[:-1][gap] = 0.5 * step_before[gap]
        half_below[1:][gap] = 0.5 * step_after[gap]
    lower, upper = wave - half_below, wave + half_above
    # Shared edges must be the same number, not two that differ by a rounding error.
    touching = np.isclose(lower[1:], upper[:-1], rtol=0, atol=1e-9 * step.min())
    touching |= lower[1:] < upper[:-1]
    lower[1:] = np.where(touching, 0.5 * (wave[1:] + wave[:-1]), lower[1:])
    upper[:-1] = np.where(touching, lower[1:], upper[:-1])
    return np.stack([lower, upper], axis=1)


def boundaries(edges):
    """Points between which a spectrum is constant, and the pixel that each interval belongs to.

    Parameters
    ----------
    edges : array-like of float, shape (n + 1,) or (n, 2)
        Edges in Å, shared by neighbours or the lower and upper one of each pixel.

    Returns
    -------
    points : numpy.ndarray, shape (m + 1,)
        Edges in rising order, each once.
    owner : numpy.ndarray of int, shape (m,)
        Pixel of each interval between them; -1 in a gap.
    n_in : int
        Number of pixels.

    Raises
    ------
    ValueError
        If the shape is another, or the edges do not rise.
    """
    edges = np.asarray(edges, dtype=np.float64)
    if edges.ndim == 1 and edges.size >= 2:
        _check_increasing(edges, "edges_in")
        return edges, np.arange(edges.size - 1), edges.size - 1
    if edges.ndim != 2 or edges.shape[1] != 2 or not len(edges):
        raise ValueError(f"edges_in must have shape (n_in + 1,) or (n_in, 2), got {edges.shape}")
    separate = np.concatenate([[True], edges[1:, 0] != edges[:-1, 1]])
    keep = np.stack([separate, np.ones(len(edges), dtype=bool)], axis=1).ravel()
    points = edges.ravel()[keep]
    _check_increasing(points, "edges_in")
    owner = np.stack([np.full(len(edges), -1), np.arange(len(edges))], axis=1).ravel()[keep]
    return points, owner[1:], len(edges)

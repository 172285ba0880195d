"""Medians of many rows at once, each over its own good pixels."""

from __future__ import annotations

import numpy as np

__all__ = ["row_medians"]

_ROWS = 512  # at once: temporaries stay within some ten MB


def row_medians(values, good):
    """Median of each row over its good pixels.

    Parameters
    ----------
    values : ndarray of float, shape (n, n_pixels)
        Whatever they hold where `good` is False does not matter.
    good : ndarray of bool, shape (n, n_pixels)
        Pixels that count.

    Returns
    -------
    ndarray of float64, shape (n,)
        As `numpy.median` gives it row by row; NaN where no pixel is good.
    """
    medians = np.full(len(values), np.nan)
    for first in range(0, len(values), _ROWS):
        rows = slice(first, first + _ROWS)
        ordered = np.sort(np.where(good[rows], values[rows], np.inf), axis=1)  # bad ones go last
        count = good[rows].sum(axis=1)
        at = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1)], axis=1)
        middle = np.take_along_axis(ordered, at, axis=1).mean(axis=1, dtype=np.float64)
        medians[rows] = np.where(count > 0, middle, np.nan)
    return medians

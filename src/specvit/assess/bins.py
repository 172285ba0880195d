"""The bins of an evaluation: which spectra belong together in a row of its table."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["MIN_STARS", "SNR_BINS", "Bin", "Stars", "import_pandas", "make_bins"]

#: Edges of the bins of median S/N, where none are given.
SNR_BINS = (1.0, 2.0, 4.0, 6.0, 10.0, 20.0, 40.0, 100.0, 300.0)
#: Bins of fewer stars are left out.
MIN_STARS = 20


@dataclass(frozen=True)
class Stars:
    """Labels, magnitudes and S/N of all spectra of an evaluation, without the spectra themselves.

    Attributes
    ----------
    names : tuple of str
        Names of the labels, in the order of the columns of `truth`.
    star : ndarray of int, shape (n,)
        Number of the star, which may be there at several magnitudes.
    magnitude, snr : ndarray, shape (n,)
        Magnitude and S/N of each spectrum; NaN where unknown.
    truth : ndarray, shape (n, n_labels)
        True labels.
    """

    names: tuple
    star: np.ndarray
    magnitude: np.ndarray
    snr: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Bin:
    """A row's spectra: ``by`` "overall", "magnitude" or "snr", edges, medians, and bool `member` (n,)."""

    by: str
    low: float
    high: float
    centre: float
    snr: float
    member: np.ndarray


def make_bins(stars, single, snr_edges):
    """The whole, magnitudes or bins of them, and bins of S/N."""
    everything = np.ones(len(stars.star), bool)
    bins = [Bin("overall", np.nan, np.nan, np.nan, _median(stars.snr), everything)]

    def add(by, value, low, high, member):
        if member.sum() >= MIN_STARS:
            centre = _median(value[member])
            bins.append(Bin(by, float(low), float(high), centre, _median(stars.snr[member]), member))

    known = stars.magnitude[np.isfinite(stars.magnitude)]
    if len(known) and (single or np.ptp(known) == 0):
        for value in np.unique(known):
            add("magnitude", stars.magnitude, value, value, stars.magnitude == value)
    elif len(known):
        width = 0.5 if np.ptp(known) <= 4 else 1.0
        edges = width * np.arange(np.floor(known.min() / width), np.ceil(known.max() / width) + 1)
        for low, high in pairwise(edges):
            below = stars.magnitude <= high if high == edges[-1] else stars.magnitude < high
            add("magnitude", stars.magnitude, low, high, (stars.magnitude >= low) & below)
    for low, high in pairwise(snr_edges):
        add("snr", stars.snr, low, high, (stars.snr >= low) & (stars.snr < high))
    return bins


def _median(values):
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else np.nan


def import_pandas():
    """The module pandas, or an ImportError that says how to get it."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "tables of results need pandas, which is not installed: pip install specvit[evaluate]"
        ) from error
    return pandas

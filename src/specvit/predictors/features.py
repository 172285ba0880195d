"""Batches of features and labels of spectra, and σ from residuals, for those who learn from plain numbers."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch

from specvit.network import encode, median_snr
from specvit.network.conformal import binned_quantiles, one_sigma_quantile
from specvit.survey import Survey

__all__ = ["FeatureBatches", "ResidualScatter", "array_batches", "source_batches"]

_BATCH = 1000
_MOST_HELD_OUT = 10_000


def array_batches(flux, ivar, labels, device):
    """Batches (flux, ivar, labels) of arrays in memory."""
    for start in range(0, len(flux), _BATCH):
        rows = slice(start, start + _BATCH)
        yield tuple(torch.as_tensor(a[rows], device=device) for a in (flux, ivar, labels))


def source_batches(X, seed, device):
    """Batches (flux, ivar, labels) of a survey's n stars, or of a data set with noise of `seed`."""
    if isinstance(X, Survey):
        return islice(X.stream(_BATCH, device=device), -(-X.n // _BATCH))
    return iter(X.frozen(_BATCH, device=device, seed=seed))


class FeatureBatches:
    """One pass over spectra with known labels, some of them held out.

    Parameters
    ----------
    batches : iterable of (flux, ivar, labels)
        Tensors (m, n_pixels), (m, n_pixels) and (m, n_labels).
    n : int
        Spectra in all.
    columns : sequence of int
        Which labels to learn.
    encoding : str
        See `~specvit.network.encode`; its channels are laid side by side.
    validation_fraction : float
        Share held out, at most 10,000 spectra.
    seed : int
        Seed of this choice.

    Raises
    ------
    ValueError
        If fewer than two spectra would be held out.
    """

    def __init__(self, batches, n, columns, encoding, validation_fraction, seed):
        if not 0 < validation_fraction < 1:
            raise ValueError(f"validation_fraction must be between 0 and 1, got {validation_fraction!r}")
        held_out = min(int(validation_fraction * n), _MOST_HELD_OUT)
        if held_out < 2:
            raise ValueError(f"X must hold at least {int(np.ceil(2 / validation_fraction))} spectra, got {n}")
        self.n, self.encoding, self._batches, self._columns = n, encoding, batches, list(columns)
        self._held_out = np.zeros(n, bool)
        self._held_out[np.random.default_rng(seed).permutation(n)[:held_out]] = True

    def __iter__(self):
        """Yield (features (m, p), labels (m, n_labels), snr (m,), held_out (m,)) of the usable spectra.

        Plain features have no S/N: theirs is 0.
        """
        start = 0
        for flux, ivar, labels in self._batches:
            x, valid = encode(flux, ivar, self.encoding)
            chosen = torch.as_tensor(self._held_out[start : start + len(flux)], device=valid.device)
            start += len(flux)
            snr = flux.new_zeros(len(flux)) if self.encoding == "none" else median_snr(flux, ivar)
            yield x.flatten(1)[valid], labels[:, self._columns][valid].double(), snr[valid], chosen[valid]


class ResidualScatter:
    """σ of predictions as a function of the observed S/N, from held-out residuals.

    In bins of S/N of equal numbers, σ is the 68.27 % quantile of |residual| (split conformal
    prediction: Papadopoulos et al. 2002; Lei et al. 2018); in between it is interpolated in log S/N.

    Parameters
    ----------
    residual : ndarray, shape (n, n_labels)
        Prediction minus truth.
    snr : ndarray, shape (n,)
        Median S/N of the spectra; not positive where there is none.
    min_count, most_bins : int
        Fewest spectra in a bin, and most bins (`~specvit.network.conformal.binned_quantiles`).
    """

    def __init__(self, residual, snr, *, min_count=200, most_bins=12):
        size = np.abs(residual)
        self.overall = one_sigma_quantile(size)
        nodes, self.sigma = binned_quantiles(size, snr, min_count=min_count, max_points=most_bins)
        self.log_snr = np.log(nodes)

    def __call__(self, snr):
        """σ, shape (n, n_labels); the overall one where the S/N is not positive, NaN where it is NaN."""
        out = np.tile(self.overall, (len(snr), 1))
        good = snr > 0
        if len(self.log_snr):
            for k in range(out.shape[1]):
                out[good, k] = np.interp(np.log(snr[good]), self.log_snr, self.sigma[:, k])
        out[np.isnan(snr)] = np.nan
        return out

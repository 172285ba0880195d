"""Rules that a spectrum must meet to be used, and what happens if it does not."""

from __future__ import annotations

import numpy as np

from specvit.spectra.batch import Flag, SpectrumError
from specvit.spectra.rowmedian import row_medians

__all__ = [
    "ANY_INSTRUMENT",
    "ONE_INSTRUMENT",
    "PARTIAL",
    "extreme_pixels",
    "judge",
    "no_information",
    "raise_rejected",
]

#: What is answered by default, as arguments of `specvit.spectra.adapt`: by a predictor that takes all spectra
#: for those of its grid's instrument, and by one that is told of the instrument, down to what it has learned
#: from (R of 1500, a tenth less, and 5 % of the grid).
ONE_INSTRUMENT = {"lower_resolution": "raise", "min_coverage": 0.5}
ANY_INSTRUMENT = {"lower_resolution": 1350.0, "min_coverage": 0.05}

#: Coverage below which a spectrum is flagged.
PARTIAL = 0.9

#: Flux of a pixel over the grid's median of flux, or of σ if more, beyond which it is neither a star's
#: nor noise: fill values (−999 among 1e-17), hot pixels, overflows. Stars vary by less than ten over it.
_MOST = 1e3
#: A negative flux as many times that median, and its own σ, is a fill value too (−999 among 1).
_LEAST, _SIGNIFICANT = -10.0, 20.0


def extreme_pixels(flux, sigma, good):
    """Pixels that neither a star nor noise explains.

    One such pixel may be so large that the others vanish beside it in float32, and smoothing spreads it.

    Parameters
    ----------
    flux : ndarray, shape (n, n_pixels)
        Fluxes.
    sigma : ndarray, shape (n, n_pixels), or None
        Their errors; None where there are none.
    good : ndarray of bool, shape (n, n_pixels)
        Pixels with information.

    Returns
    -------
    ndarray of bool, shape (n, n_pixels)
        True for good pixels of |flux| above 1,000 times the median of |flux|, and of σ, of all good ones; for
        those below −10 times that and −20 σ; and for fluxes of exactly 0 where the median is above 20 σ: what
        is measured is never 0, and a pipeline fills gaps with it.
    """
    size = np.abs(flux)
    typical = limit = row_medians(size, good)
    if sigma is not None:
        limit = np.fmax(limit, row_medians(sigma, good))
    extreme = size > _MOST * limit[:, None]
    below = flux < _LEAST * limit[:, None]
    if sigma is not None:
        below &= size > _SIGNIFICANT * sigma
        extreme |= (flux == 0) & (typical[:, None] > _SIGNIFICANT * sigma)
    return good & (extreme | below)


def no_information(flux, valid, masked, uncertain):
    """Why each spectrum cannot be used that has no valid pixel or is zero in all; None if it is in order.

    Parameters
    ----------
    flux : ndarray, shape (n, n_pixels)
        Fluxes.
    valid : ndarray of bool, shape (n, n_pixels)
        Pixels with information.
    masked, uncertain : bool
        Whether they came with a mask, and with uncertainties.

    Returns
    -------
    list of str or None, length n
    """
    reasons = [None] * len(flux)
    for i in np.flatnonzero(~(valid & (flux != 0)).any(axis=1)):
        reasons[i] = _nothing(flux[i], valid[i], masked, uncertain)
    return reasons


def _nothing(flux, valid, masked, uncertain):
    """The reason of one spectrum without a valid pixel whose flux is not zero."""
    if valid.any():
        return "flux is zero in all valid pixels"
    finite = np.isfinite(flux)
    if not finite.any():
        return "flux must be finite somewhere, got NaN or infinity in all pixels"
    if not uncertain and not flux[finite].any():
        return "flux is zero in all valid pixels"
    causes = ["masked"] * masked + ["without finite flux"] * (not finite.all())
    causes += ["without a finite, positive uncertainty"] * uncertain
    return f"no valid pixel: all are {' or '.join(causes)}"


def judge(batch, reasons, on_error, min_coverage):
    """Check the spectra of a batch against the rules, and flag or raise.

    Parameters
    ----------
    batch : SpectrumBatch
        The batch, which is changed in place. A row that already has an error keeps it, and its coverage.
    reasons : list of str or None
        Why each row cannot be used, if that is already known; else None.
    on_error : {"raise", "nan"}
        Whether a rejected spectrum raises `SpectrumError`.
    min_coverage : float
        Least share of pixels with information.
    """
    grid = batch.grid
    with np.errstate(divide="ignore"):
        extreme = extreme_pixels(batch.flux, batch.ivar**-0.5, batch.ivar > 0)
    batch.flux[extreme] = batch.ivar[extreme] = 0
    batch.flags[extreme.any(axis=1)] |= int(Flag.EXTREME_PIXELS)
    good = batch.ivar > 0
    new = np.array([error is None for error in batch.errors], dtype=bool)
    batch.coverage[new] = good.mean(axis=1)[new]
    median = row_medians(batch.flux, good)
    in_order = (batch.coverage >= min_coverage) & good.any(axis=1) & (median > 0)
    in_order &= np.array([reason is None for reason in reasons], dtype=bool)
    for i in np.flatnonzero(~in_order):
        reason = reasons[i]
        if reason is None and (batch.coverage[i] < min_coverage or not good[i].any()):
            reason = (
                f"coverage must be at least {min_coverage:.0%} of the grid {grid.name}, "
                f"{grid.edges[0]:.1f}–{grid.edges[-1]:.1f} Å, got {batch.coverage[i]:.1%}"
            )
        if reason is None:
            reason = f"flux must have a positive median, got {median[i]:.4g}"
        batch.reject(i, reason)
    batch.flags[batch.coverage < PARTIAL] |= Flag.PARTIAL_COVERAGE
    if on_error == "raise":
        raise_rejected(batch)
    return batch


def raise_rejected(batch):
    """Raise `SpectrumError` for the first spectrum of a batch that was rejected, if any was."""
    rejected = [i for i, reason in enumerate(batch.errors) if reason is not None]
    if not rejected:
        return
    first = rejected[0]
    where = ", ".join(map(str, np.unravel_index(first, batch.shape))) if batch.shape else ""
    message = f"spectra[{where}]: {batch.errors[first]}" if where else f"spectrum: {batch.errors[first]}"
    if len(rejected) > 1:
        message += f" ({len(rejected) - 1} more rejected; on_error='nan' keeps the others)"
    raise SpectrumError(message)

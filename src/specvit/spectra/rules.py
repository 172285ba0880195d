"""Rules that a spectrum must meet to be used, and what happens if it does not."""

from __future__ import annotations

import numpy as np

from specvit.spectra.batch import Flag, SpectrumError

__all__ = ["ANY_INSTRUMENT", "ONE_INSTRUMENT", "judge", "no_information", "no_light", "raise_rejected"]

#: What is answered by default, as arguments of `specvit.spectra.adapt`: by a predictor that takes all spectra
#: for those of its grid's instrument, and by one that is told of the instrument, down to what it has learned
#: from (R of 1500, a tenth less, and 5 % of the grid).
ONE_INSTRUMENT = {"lower_resolution": "raise", "min_coverage": 0.5}
ANY_INSTRUMENT = {"lower_resolution": 1350.0, "min_coverage": 0.05}

_PARTIAL = 0.9  # coverage below which a spectrum is flagged
#: Fluxes of more than this many typical ones are no light of the star: codes for lost pixels, as −999 in a
#: spectrum of 1e-17, and overflows. Cosmic rays reach some thousand.
_NO_LIGHT = 1e6


def no_light(flux, valid):
    """Pixels whose flux is finite and beyond all that a spectrum can hold, bool (n, npix).

    Parameters
    ----------
    flux : numpy.ndarray, shape (n, npix)
        Fluxes.
    valid : numpy.ndarray of bool, shape (n, npix)
        Pixels that hold information as far as is known.

    Returns
    -------
    numpy.ndarray of bool, shape (n, npix)
        True where the size of the flux is more than 1e6 times the median size of those valid that are not 0.
    """
    beyond = np.zeros(flux.shape, bool)
    for row, good, found in zip(flux, valid, beyond, strict=True):
        size = np.abs(row)
        seen = size[good & (size > 0)]
        if seen.size and size.max(where=good, initial=0) / _NO_LIGHT > (typical := np.median(seen)):
            found[good] = size[good] / _NO_LIGHT > typical
    return beyond


def no_information(flux, valid, masked, uncertain):
    """Why a spectrum cannot be used that has no valid pixel or is zero in all; None if it is in order."""
    if valid.any():
        return "flux is zero in all valid pixels" if not flux[valid].any() else None
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
    good = batch.ivar > 0
    new = np.array([error is None for error in batch.errors], dtype=bool)
    batch.coverage[new] = good[new].mean(axis=1)
    for i, reason in enumerate(reasons):
        if reason is None and (batch.coverage[i] < min_coverage or not good[i].any()):
            reason = (
                f"coverage must be at least {min_coverage:.0%} of the grid {grid.name}, "
                f"{grid.edges[0]:.1f}–{grid.edges[-1]:.1f} Å, got {batch.coverage[i]:.1%}"
            )
        if reason is None and not (median := np.median(batch.flux[i, good[i]])) > 0:
            reason = f"flux must have a positive median, got {median:.4g}"
        if reason is not None:
            batch.reject(i, reason)
    batch.flags[batch.coverage < _PARTIAL] |= Flag.PARTIAL_COVERAGE
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

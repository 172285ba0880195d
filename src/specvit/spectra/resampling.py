"""Spectra on their own axes, brought to the grid: one resampler for all that share an axis."""

from __future__ import annotations

import numpy as np

from specvit.grid import FWHM_PER_SIGMA, Resampler, matching_sigma, relative_lsf, relative_sampling
from specvit.grid.native import between_ends, unseen_ends_of
from specvit.spectra.batch import Flag, SpectrumError
from specvit.spectra.objectname import object_names
from specvit.spectra.observed import observe
from specvit.spectra.rowmedian import row_medians
from specvit.spectra.rules import no_information
from specvit.spectra.scatter import scatter_variance

__all__ = ["estimated_variance", "resample_all"]

_LSF_TOLERANCE = 1.10  # the networks are trained with line spread functions up to 10 % wider
_CHUNK = 512  # rows resampled at a time: temporaries stay within some hundred MB


def resample_all(sources, batch, stated, lower_resolution):
    """Fill `batch` from `sources`, (Parts, rows) pairs; the reason against each row."""
    reasons = [None] * len(batch)
    batch.resolution[:] = np.nan
    groups = {}
    start = 0
    for parts, n in sources:
        rows = slice(start, start + n)
        start += n
        batch.names[rows] = object_names(parts.meta, n)
        try:
            _refuse_unreadable(parts.meta)
            seen = observe(parts, batch.grid, stated)
            sigma, covered = _line_spread(seen, batch.grid)
            batch.resolution[rows] = np.median((batch.grid.wave / sigma / FWHM_PER_SIGMA)[covered])
            _check_resolution(seen, sigma, covered, batch.grid, lower_resolution)
        except SpectrumError as error:
            reasons[rows] = [str(error)] * n
            continue
        masked, uncertain = parts.mask is not None, seen.variance is not None
        reasons[rows] = no_information(seen.flux, seen.valid, masked, uncertain)
        batch.flags[rows] = np.where(seen.extreme, seen.flags | int(Flag.EXTREME_PIXELS), seen.flags)
        if seen.variance is None:
            batch.flags[rows] |= Flag.NO_UNCERTAINTY
            seen.variance = estimated_variance(seen)
        reasons[rows] = _leave_ends(seen, sigma, batch.grid, reasons[rows])
        batch.lsf[rows] = relative_lsf(sigma, batch.grid)
        native = np.interp(batch.grid.wave, seen.bounds.mean(axis=1), seen.native)
        batch.sampling[rows] = relative_sampling(native, batch.grid)
        sigma = matching_sigma(batch.grid, sigma)
        key = (seen.bounds.tobytes(), sigma.tobytes())
        groups.setdefault(key, (seen.bounds, sigma, []))[2].append((seen, rows))

    for bounds, sigma, members in groups.values():
        resampler = Resampler(bounds, batch.grid, sigma)
        flux = np.concatenate([seen.flux for seen, _ in members])
        variance = np.concatenate([seen.variance for seen, _ in members])
        valid = np.concatenate([seen.valid for seen, _ in members])
        where = np.concatenate([np.arange(rows.start, rows.stop) for _, rows in members])
        for first in range(0, len(where), _CHUNK):
            part = slice(first, first + _CHUNK)
            _resample(resampler, flux[part], variance[part], valid[part], where[part], batch)
    return reasons


def _refuse_unreadable(meta):
    """Raise what a reader says of a spectrum, of several in a file, that it could not read."""
    if hasattr(meta, "get") and meta.get("unreadable"):
        raise SpectrumError(str(meta["unreadable"]))


def _resample(resampler, flux, variance, valid, rows, batch):
    """Resample onto the given rows of `batch`."""
    # Scaled to about 1: squares of fluxes in erg / (s cm² Å) would come close to the end of the range.
    with np.errstate(all="ignore"):
        scale = row_medians(np.abs(flux), valid)
        scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)[:, None]
        variance = np.where(valid, variance / scale / scale, 1.0)
        bands = 0 if batch.covariance is None else 2
        out = resampler(np.where(valid, flux / scale, 0), variance, ~valid, bands=bands)
        weight = out.ivar / scale / scale
        good = np.isfinite(weight) & (weight > 0) & ~out.mask
        batch.flux[rows] = np.where(good, out.flux * scale, 0)
        batch.ivar[rows] = np.where(good, weight, 0)
        for k in range(bands):
            batch.covariance[k][rows] = out.covariance[k] * scale * scale


def _line_spread(seen, grid):
    """σ in Å of the line spread function at the grid's pixels, and which of them lie between the ends."""
    centres = seen.bounds.mean(axis=1)
    # Whatever is stated, a pixel of width w is a line spread function of at least w / sqrt(12).
    least = np.interp(grid.wave, centres, np.diff(seen.bounds, axis=1)[:, 0]) / np.sqrt(12)
    sigma = np.maximum(least, grid.wave / np.interp(grid.wave, centres, seen.resolution) / FWHM_PER_SIGMA)
    covered = (grid.wave >= seen.bounds[0, 0]) & (grid.wave <= seen.bounds[-1, 1])
    if not covered.any():  # less than a pixel of the grid
        covered[np.argmin(np.abs(grid.wave - centres.mean()))] = True
    return sigma, covered


def _leave_ends(seen, sigma, grid, reasons):
    """Leave out the ends of spectra less sharp than the grid: networks for any instrument never saw them.

    Returns the reasons against the spectra, with one where nothing is left.
    """
    reach = unseen_ends_of(sigma, grid)
    if not reach:
        return reasons
    before = seen.valid.any(axis=1)
    seen.valid &= between_ends(seen.bounds.mean(axis=1), reach, grid)
    text = (
        f"resolution must be such that something is left between the ends of {grid.name}: within "
        f"{reach:.1f} Å of them light from beyond is blurred into the spectrum"
    )
    lost = before & ~seen.valid.any(axis=1)
    return [reason or text if gone else reason for reason, gone in zip(reasons, lost, strict=True)]


def _check_resolution(seen, sigma, covered, grid, lower_resolution):
    """Flag or refuse a resolution that is lower than the grid's."""
    ratio = np.where(covered, sigma / grid.lsf_sigma, 0)
    if ratio.max() <= _LSF_TOLERANCE:
        return
    power = grid.wave / sigma / FWHM_PER_SIGMA
    pixels = f"pixels of {np.median(np.diff(seen.bounds, axis=1)):.3g} Å"
    if seen.flags & Flag.RESOLUTION_ASSUMED:
        pixels += "; nothing states the resolution, and such pixels allow no more: resolution= states it"
    passes = "lower_resolution='flag' lets it pass"
    if lower_resolution == "raise":
        worst = int(np.argmax(ratio))
        raise SpectrumError(
            f"resolution must not be lower than the grid's by more than 10 % in FWHM: at "
            f"{grid.wave[worst]:.0f} Å R is {power[worst]:.0f}, that of {grid.name} "
            f"{grid.resolving_power[worst]:.0f} ({pixels}); {passes}"
        )
    if lower_resolution != "flag" and (median := np.median(power[covered])) < lower_resolution:
        raise SpectrumError(
            f"resolution must be at least R = {lower_resolution:.0f} in the median, below which nothing was "
            f"learned, got {median:.0f} ({pixels}); {passes}"
        )
    seen.flags |= int(Flag.LOWER_RESOLUTION)


def estimated_variance(seen):
    """Variance from the scatter of the pixels, shape (n, npix); NaN where it cannot be estimated."""
    centres, width = seen.bounds.mean(axis=1), np.median(np.diff(seen.bounds, axis=1))
    with np.errstate(all="ignore"):
        per_fwhm = np.median(centres / seen.resolution) / width
        variance = scatter_variance(seen.flux, seen.valid, per_fwhm)
    seen.valid &= np.isfinite(variance)[:, None]
    return np.broadcast_to(variance[:, None], seen.flux.shape)

"""Arms, orders and exposures of one star, joined into one spectrum by their weight."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.polynomial import legendre

from specvit.grid import PixelGrid, Resampler, edges_from_centres

__all__ = ["Piece", "are_orders", "average", "join"]

_SAME = 1e-3  # of a pixel: closer than this, pixels are the same


@dataclass
class Piece:
    """A stretch of a spectrum.

    Attributes
    ----------
    wave : numpy.ndarray of float64, shape (npix,)
        Wavelengths in Å, rising.
    flux : numpy.ndarray of float64, shape (npix,)
        Fluxes.
    variance : numpy.ndarray of float64, shape (npix,), or None
        Variance of the fluxes; None if nothing says it.
    good : numpy.ndarray of bool, shape (npix,)
        Pixels that hold information.
    """

    wave: np.ndarray
    flux: np.ndarray
    variance: np.ndarray | None
    good: np.ndarray

    @classmethod
    def of(cls, wave, flux, *, sigma=None, ivar=None, variance=None, mask=None):
        """A piece of arrays as files have them: any order, any form of the error, pixels without wavelength.

        Parameters
        ----------
        wave, flux : array-like of float, shape (npix,)
            Wavelengths in Å and fluxes.
        sigma, ivar, variance : array-like of float, shape (npix,), optional
            The error, in one of these forms.
        mask : array-like of bool, shape (npix,), optional
            True where a pixel is lost.

        Returns
        -------
        Piece
        """
        wave, flux = np.array(wave, np.float64), np.array(flux, np.float64)
        with np.errstate(all="ignore"):
            if sigma is not None:
                variance = np.asarray(sigma, np.float64) ** 2
            elif ivar is not None:
                variance = 1 / np.asarray(ivar, np.float64)
            good = np.isfinite(flux)
            if variance is not None:
                variance = np.array(variance, np.float64)
                good &= np.isfinite(variance) & (variance > 0)
            if mask is not None:
                good &= ~np.asarray(mask, bool)
            keep = np.isfinite(wave) & (wave > 0)
        order = np.flatnonzero(keep)[np.argsort(wave[keep], kind="stable")]
        order = order[np.concatenate([[True], np.diff(wave[order]) > 0])] if order.size else order
        variance = None if variance is None else variance[order]
        return cls(wave[order], flux[order], variance, good[order])

    def scaled(self, factor):
        """The piece with fluxes times `factor`, a float or an array of shape (npix,)."""
        variance = None if self.variance is None else self.variance * factor**2
        return Piece(self.wave, self.flux * factor, variance, self.good)

    def flattened(self, degree=5):
        """The piece divided by its continuum, for orders in counts, which have the blaze of the grating.

        Parameters
        ----------
        degree : int
            Degree of the polynomial that is fitted to the good pixels, five times, without those more than
            1.5 standard deviations below it or 3 above. It is held above a hundredth of its median.

        Returns
        -------
        Piece
            As it was if fewer than ten times `degree` pixels are good.
        """
        if self.good.sum() < 10 * degree:
            return self
        x = 2 * (self.wave - self.wave[0]) / np.ptp(self.wave) - 1
        used = self.good.copy()
        for _ in range(5):
            fit = legendre.legval(x, legendre.legfit(x[used], self.flux[used], degree))
            off = self.flux - fit
            sigma = np.std(off[used])
            kept = self.good & (off > -1.5 * sigma) & (off < 3 * sigma)
            used = kept if kept.sum() > 5 * degree else used
        return self.scaled(1 / np.maximum(fit, 0.01 * np.median(np.abs(fit))))

    def __getitem__(self, which):
        variance = None if self.variance is None else self.variance[which]
        return Piece(self.wave[which], self.flux[which], variance, self.good[which])


def join(pieces):
    """Join the arms or orders of one star.

    Parameters
    ----------
    pieces : sequence of Piece
        At least one; a piece without pixels is passed over. Fluxes must be on one scale.

    Returns
    -------
    Piece
        Rising wavelengths from the first pixel to the last; gaps stay gaps.

    Raises
    ------
    ValueError
        If no piece has two pixels.

    Notes
    -----
    The rule: where pieces overlap, the mean is taken with inverse variance as weight, and pixels that are
    lost have none. If their pixels are the same, to 0.001 of a pixel, that is all. Else the pixels kept in
    the overlap are those of the piece with more weight there, and the other is rebinned to them, conserving
    flux; the small covariance between neighbours that this makes is neglected. Pieces without variance have
    equal weight.
    """
    pieces = sorted((piece for piece in pieces if piece.wave.size > 1), key=lambda piece: piece.wave[0])
    if not pieces:
        raise ValueError("no arm or order has two pixels")
    joined = pieces[0]
    for piece in pieces[1:]:
        joined = _join_two(joined, piece)
    return joined


def are_orders(pieces):
    """Whether pieces are arms or orders of one star, and not stars of their own.

    Parameters
    ----------
    pieces : sequence of Piece
        At least one.

    Returns
    -------
    bool
        True if, from low to high wavelengths, each piece begins later than the one before by a quarter of
        its length or more. Stars of one exposure cover nearly the same wavelengths.
    """
    ends = sorted((piece.wave[0], piece.wave[-1]) for piece in pieces if piece.wave.size > 1)
    return len(ends) > 1 and all(
        low - before >= 0.25 * (high - low) for (before, _), (low, high) in pairwise(ends)
    )


def average(pieces):
    """Mean of pieces on the same pixels, weighted by inverse variance.

    Parameters
    ----------
    pieces : sequence of Piece
        Of equal wavelengths.

    Returns
    -------
    Piece
        Good where one of them is.
    """
    if len(pieces) == 1:
        return pieces[0]
    good = np.stack([piece.good for piece in pieces])
    flux = np.stack([piece.flux for piece in pieces])
    known = all(piece.variance is not None for piece in pieces)
    with np.errstate(all="ignore"):
        weight = np.where(good, 1 / np.stack([piece.variance for piece in pieces]) if known else 1.0, 0.0)
        total = weight.sum(axis=0)
        mean = (weight * np.where(good, flux, 0)).sum(axis=0) / total
        variance = 1 / total if known else None
    any_good = good.any(axis=0)
    return Piece(pieces[0].wave, np.where(any_good, mean, np.nan), variance, any_good)


def _join_two(first, second):
    """Join two pieces, of which `first` begins at lower wavelengths."""
    low, high = second.wave[0], min(first.wave[-1], second.wave[-1])
    width = min(np.median(np.diff(first.wave)), np.median(np.diff(second.wave)))
    if low > first.wave[-1] + _SAME * width:
        return _chain([first, second])
    slack = _SAME * width
    zones = [(one.wave >= low - slack) & (one.wave <= high + slack) for one in (first, second)]
    inside = [one[zone] for one, zone in zip((first, second), zones, strict=True)]
    waves = [one.wave for one in inside]
    if waves[0].size == waves[1].size and np.allclose(*waves, rtol=0, atol=slack):
        middle = average(inside)
    elif min(wave.size for wave in waves) < 2:  # they touch: the longer one stays
        middle = inside[int(np.argmax([wave.size for wave in waves]))]
    else:
        best = int(_weight(inside[1]) > _weight(inside[0]))
        other = (second, first)[best]
        middle = average([inside[best], _rebinned(other, inside[best].wave)])
    before = first[first.wave < low - slack]
    after = [one[one.wave > high + slack] for one in (first, second)]
    return _chain([before, middle, *after])


def _weight(piece):
    """Information of a piece per Å: the sum of inverse variances, or the number of good pixels."""
    if piece.variance is None:
        return piece.good.sum() / np.ptp(piece.wave)
    return (1 / piece.variance[piece.good]).sum() / np.ptp(piece.wave)


def _rebinned(piece, wave):
    """A piece on other pixels, conserving flux."""
    bounds = edges_from_centres(wave, gap_factor=np.inf)
    grid = PixelGrid(np.append(bounds[:, 0], bounds[-1, 1]), np.diff(bounds, axis=1)[:, 0])
    out = Resampler(edges_from_centres(piece.wave), grid)(
        np.where(piece.good, piece.flux, 0),
        None if piece.variance is None else np.where(piece.good, piece.variance, 1),
        ~piece.good,
    )
    return Piece(wave, out.flux, out.variance, ~out.mask)


def _chain(pieces):
    """Pieces behind each other; none has a variance unless all have."""
    pieces = [piece for piece in pieces if piece.wave.size]
    known = all(piece.variance is not None for piece in pieces)
    return Piece(
        *(np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("wave", "flux")),
        np.concatenate([piece.variance for piece in pieces]) if known else None,
        np.concatenate([piece.good for piece in pieces]),
    )

"""`SpectrumBatch`: spectra on one grid, with flags for what had to be assumed of each."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import SupportsInt

import numpy as np

from specvit.grid import PixelGrid
from specvit.spectra.rowmedian import row_medians

__all__ = ["Flag", "SpectrumBatch", "SpectrumError"]

_ROWS = 512  # of which S/N is found at once


class SpectrumError(ValueError):
    """Raised for a spectrum that cannot be used; the message names the spectrum, the rule and the value.

    See Also
    --------
    Flag.UNUSABLE : The flag of such a spectrum where ``on_error="nan"`` keeps its row.

    Examples
    --------
    >>> import numpy as np
    >>> from specvit.spectra import SpectrumError, adapt
    >>> try:
    ...     adapt(np.zeros(4096))
    ... except SpectrumError as error:
    ...     print(error)
    spectrum: flux is zero in all valid pixels
    """


class Flag(enum.IntFlag):
    """Facts about one spectrum that a user should know; the flags of a spectrum are added up.

    See Also
    --------
    SpectrumBatch : Has the flags that were set when spectra came to the grid.
    specvit.predictors.Predictor.predict_table : Has these and those of the predictor.

    Examples
    --------
    >>> from specvit.spectra import Flag
    >>> Flag.describe(17)
    'NO_UNCERTAINTY, MEDIUM_ASSUMED'
    >>> bool(17 & Flag.UNUSABLE)
    False
    """

    #: Nothing to report.
    OK = 0
    #: The spectrum came without uncertainties: they were estimated from its pixel-to-pixel scatter.
    NO_UNCERTAINTY = 1
    #: Fewer than 90 % of the grid's pixels hold information.
    PARTIAL_COVERAGE = 2
    #: No resolution was stated: the FWHM is taken to be the grid's, or two native pixels where these are
    #: more; `SpectrumBatch.resolution` says what that comes to.
    RESOLUTION_ASSUMED = 4
    #: The resolution is lower than the grid's by more than 10 % in FWHM; let through on request, or because
    #: the network is told.
    LOWER_RESOLUTION = 8
    #: Nothing said whether wavelengths are in air or in vacuum: vacuum was assumed.
    MEDIUM_ASSUMED = 16
    #: A label is within 1 % of the end of the range learned from, or no synthetic spectrum fits (set by a
    #: predictor).
    OUT_OF_DOMAIN = 32
    #: The spectrum could not be used at all; `SpectrumBatch.errors` says why.
    UNUSABLE = 64
    #: Median S/N per pixel below 1: labels are determined by the training prior more than by the spectrum
    #: (set by a predictor).
    LOW_SNR = 128
    #: Lines are shifted by more than the residual velocities that the network knows (set by a predictor).
    VELOCITY = 256
    #: Lines are wider than those of any star it knows: rotation, or a resolution lower than stated.
    BROADENED = 512
    #: Lines of all strengths are too shallow for each other: light without lines is added to the star's.
    DILUTED = 1024
    #: No lines: a smooth continuum describes the spectrum as well as the best star does.
    NO_LINES = 2048
    #: No star of the predicted labels, shifted, broadened or diluted as it may be, describes the spectrum.
    BAD_FIT = 4096
    #: Nothing said whether wavelengths are in air or in vacuum: the velocity of the lines shows that they are
    #: in air, and they were taken so (set by a predictor).
    AIR_FOUND = 8192
    #: Pixels were not used that neither a star nor noise explains: beyond 1,000 times the median flux, far
    #: below zero, or exactly zero where the signal is strong.
    EXTREME_PIXELS = 16384
    #: The flags that say that an answer is not to be trusted; the others inform.
    ALARMS = OUT_OF_DOMAIN | UNUSABLE | VELOCITY | BROADENED | DILUTED | NO_LINES | BAD_FIT

    @classmethod
    def describe(cls, value: SupportsInt) -> str:
        """Names of the flags set in `value`, joined by commas; "" for none."""
        value = int(value)
        return ", ".join(flag.name for flag in cls if flag and value & flag)

    @classmethod
    def in_words(cls, value: SupportsInt) -> list[str]:
        """What the flags set in `value` say, as a list of phrases.

        Examples
        --------
        >>> Flag.in_words(Flag.NO_UNCERTAINTY | Flag.LOW_SNR)
        ['noise estimated from the scatter', 'S/N below 1']
        """
        value = int(value)
        return [_WORDS[flag.name] for flag in cls if flag and flag.name in _WORDS and value & flag]


#: What flags say to a reader of a figure.
_WORDS = {
    "NO_UNCERTAINTY": "noise estimated from the scatter",
    "PARTIAL_COVERAGE": "covers part of the range",
    "RESOLUTION_ASSUMED": "resolution assumed",
    "LOWER_RESOLUTION": "resolution lower than the grid's",
    "MEDIUM_ASSUMED": "vacuum wavelengths assumed",
    "OUT_OF_DOMAIN": "at the end of the range learned from",
    "UNUSABLE": "not usable",
    "LOW_SNR": "S/N below 1",
    "VELOCITY": "lines are shifted",
    "BROADENED": "lines are wider than stated",
    "DILUTED": "light without lines is added",
    "NO_LINES": "no lines",
    "BAD_FIT": "no star of these labels fits",
    "AIR_FOUND": "wavelengths found to be in air",
    "EXTREME_PIXELS": "extreme pixels left out",
}


@dataclass(repr=False)
class SpectrumBatch:
    """Spectra on one grid, one in each row.

    Attributes
    ----------
    flux : numpy.ndarray of float64, shape (n, npix)
        F_λ on the grid, in the rest frame. Spectra with a physical unit are in
        erg / (s cm² Å), per sr or not, or erg / (s Å); others keep their own scale. 0 where `ivar` is 0.
    ivar : numpy.ndarray of float64, shape (n, npix)
        Inverse variance of `flux`; 0 where there is no information.
    coverage : numpy.ndarray of float64, shape (n,)
        Share of the grid's pixels with information, as found, even if the spectrum was then rejected.
    flags : numpy.ndarray of int64, shape (n,)
        Sum of `Flag` values.
    errors : list of str or None, length n
        Why a spectrum was rejected, None for those in order.
    shape : tuple of int
        Shape of what was given: ``()`` for one spectrum, ``(n,)`` for a list or a table of fluxes,
        the spatial shape for an n-dimensional spectrum. Rows are in C order.
    grid : PixelGrid
        Where the pixels are.
    covariance : numpy.ndarray of float64, shape (2, n, npix), or None
        Covariance of each pixel with the next and the next but one, when asked for.
    lsf : numpy.ndarray of float32, shape (n, npix)
        log2 of the line spread function's σ over the grid's (`~specvit.grid.relative_lsf`); 0, the grid's
        own, by default and where a sharper spectrum was smoothed.
    sampling : numpy.ndarray of float32, shape (n, npix)
        log2 of the width of the native pixels over the grid's (`~specvit.grid.relative_sampling`); 0 by
        default.
    resolution : numpy.ndarray of float64, shape (n,)
        Resolving power λ/FWHM, before any smoothing, that was stated or assumed: the median over the pixels
        between the spectrum's ends. By default the grid's; NaN for spectra rejected before it was known.
    names : list of str, length n
        Names of the objects, from the metadata of their spectra; empty where these give none.

    See Also
    --------
    adapt : Makes a batch of spectra of any kind.

    Examples
    --------
    >>> import numpy as np
    >>> from specvit.spectra import adapt
    >>> flux = np.ones((2, 4096))
    >>> flux[1] = np.nan
    >>> batch = adapt(flux, ivar=np.full((2, 4096), 100.0), on_error="nan")
    >>> len(batch), batch.usable.tolist(), batch.coverage.tolist()
    (2, [True, False], [1.0, 0.0])
    >>> batch.errors[1]
    'flux must be finite somewhere, got NaN or infinity in all pixels'
    """

    flux: np.ndarray
    ivar: np.ndarray
    coverage: np.ndarray
    flags: np.ndarray
    errors: list[str | None]
    shape: tuple[int, ...]
    grid: PixelGrid = field(repr=False)
    covariance: np.ndarray | None = field(default=None, repr=False)
    lsf: np.ndarray | None = field(default=None, repr=False)
    sampling: np.ndarray | None = field(default=None, repr=False)
    resolution: np.ndarray | None = None
    names: list[str] | None = None

    def __post_init__(self):
        for name in ("lsf", "sampling"):
            if getattr(self, name) is None:
                setattr(self, name, np.zeros(self.flux.shape, np.float32))
        if self.names is None:
            self.names = [""] * len(self.flux)
        if self.resolution is None:
            self.resolution = np.full(len(self.flux), np.median(self.grid.resolving_power))

    @classmethod
    def empty(cls, shape, grid, covariance=False, on_grid=False):
        """A batch of `shape` on `grid` without any information, with zero `covariance` if that is True.

        If `on_grid` all spectra have the grid's resolution and sampling: `lsf` and `sampling` are read-only
        views of one zero.
        """
        n, npix = int(np.prod(shape)), len(grid)
        zeros = np.broadcast_to(np.float32(0), (n, npix)) if on_grid else None
        return cls(
            flux=np.zeros((n, npix)),
            ivar=np.zeros((n, npix)),
            coverage=np.zeros(n),
            flags=np.zeros(n, dtype=np.int64),
            errors=[None] * n,
            shape=tuple(shape),
            grid=grid,
            covariance=np.zeros((2, n, npix)) if covariance else None,
            lsf=zeros,
            sampling=zeros,
        )

    def __len__(self):
        return len(self.flux)

    def __repr__(self):
        n, used = len(self), int(self.usable.sum())
        many = f"{n} spectr{'um' if n == 1 else 'a'} on {self.grid!r}"
        if not used:
            return f"SpectrumBatch({many}, none usable)"
        snr = self.snr[self.usable]
        return f"SpectrumBatch({many}, {used} usable, S/N {snr.min():.1f}–{snr.max():.1f})"

    def reject(self, row, reason):
        """Take all information from `row`, flag it as unusable and keep the `reason`."""
        self.errors[row] = reason
        self.flux[row] = self.ivar[row] = 0
        if self.covariance is not None:
            self.covariance[:, row] = 0
        self.flags[row] |= Flag.UNUSABLE

    @property
    def usable(self):
        """True for the spectra that can be used, shape (n,)."""
        return (self.flags & Flag.UNUSABLE) == 0

    @property
    def snr(self):
        """Median of flux/σ over the pixels with information, shape (n,); NaN where there are none."""
        parts = range(0, len(self), _ROWS)
        parts = ((self.flux[k : k + _ROWS], self.ivar[k : k + _ROWS]) for k in parts)
        return np.concatenate([row_medians(f * np.sqrt(w), w > 0) for f, w in parts] or [np.zeros(0)])

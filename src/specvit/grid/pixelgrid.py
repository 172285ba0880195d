"""`PixelGrid`: where the pixels of an instrument are, and its line spread function."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Chebyshev

from specvit.checks import in_unit
from specvit.constants import FWHM_PER_SIGMA

__all__ = ["PFS_MR", "PixelGrid"]


@dataclass(frozen=True, eq=False, repr=False)
class PixelGrid:
    """Pixels of a spectrograph: edges, line spread function and wavelength medium.

    Parameters
    ----------
    edges : array-like of float, shape (n + 1,)
        Pixel edges in Å, strictly increasing.
    lsf_sigma : float or array-like of float, shape (n,)
        Standard deviation of the Gaussian line spread function in Å at each pixel. It is the
        width of an unresolved line *as recorded*, so it includes the pixel.
    medium : {"vacuum", "air"}
        Medium in which the wavelengths are given.
    name : str
        Short name, used in messages and records only.

    Raises
    ------
    ValueError
        If `edges` are not finite, positive and strictly increasing, or `lsf_sigma` is not
        positive and of matching length, or `medium` is unknown.

    See Also
    --------
    PFS_MR : The grid of the bundled weights.
    specvit.grid.edges_from_centres : Edges of pixels of which only the centres are known.

    Notes
    -----
    The arrays are copied and made read-only, so that a grid never changes. Two grids are equal if their
    edges, line spread functions and media are; the name does not matter.

    Examples
    --------
    >>> grid = PixelGrid.linear(8400, 8800, 1000, 0.45, name="RVS-like")
    >>> len(grid), float(grid.wave[0])
    (1000, 8400.2)
    >>> round(float(grid.resolving_power.mean()))
    8116
    """

    edges: npt.NDArray[np.float64] = field(repr=False)
    lsf_sigma: npt.NDArray[np.float64] = field(repr=False)
    medium: str = "vacuum"
    name: str = "unnamed"

    def __post_init__(self):
        edges = np.array(in_unit("edges", self.edges, "Angstrom"), dtype=np.float64)
        if edges.ndim != 1 or edges.size < 2:
            raise ValueError(f"edges must be one-dimensional with at least 2 values, got shape {edges.shape}")
        if not (np.isfinite(edges).all() and edges[0] > 0 and (np.diff(edges) > 0).all()):
            raise ValueError("edges must be finite, positive and strictly increasing")
        sigma = np.array(in_unit("lsf_sigma", self.lsf_sigma, "Angstrom"), dtype=np.float64)
        if sigma.ndim > 1 or sigma.size not in (1, edges.size - 1):
            raise ValueError(
                f"lsf_sigma must be a scalar or have shape ({edges.size - 1},), got {sigma.shape}"
            )
        sigma = np.broadcast_to(sigma, edges.size - 1).copy()
        if not (np.isfinite(sigma).all() and (sigma > 0).all()):
            raise ValueError("lsf_sigma must be finite and positive")
        if self.medium not in ("vacuum", "air"):
            raise ValueError(f"medium must be 'vacuum' or 'air', got {self.medium!r}")
        for name, value in (("edges", edges), ("lsf_sigma", sigma)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    @classmethod
    def linear(
        cls,
        start: float,
        stop: float,
        n: int,
        lsf_sigma: npt.ArrayLike,
        *,
        medium: str = "vacuum",
        name: str = "unnamed",
    ) -> PixelGrid:
        """Grid of pixels of equal width.

        Parameters
        ----------
        start, stop : float
            Lower edge of the first pixel and upper edge of the last, in Å.
        n : int
            Number of pixels.
        lsf_sigma : float or array-like of float, shape (n,)
            As for `PixelGrid`.
        medium, name : str
            As for `PixelGrid`.

        Returns
        -------
        PixelGrid
        """
        return cls(start + (stop - start) / n * np.arange(n + 1), lsf_sigma, medium, name)

    @classmethod
    def from_resolving_power(
        cls, low: float, high: float, resolving_power: float, *, pixels_per_fwhm: float = 2.5, **kwargs: str
    ) -> PixelGrid:
        """Grid of constant resolving power: pixels equal in ln λ, a FWHM in proportion to λ.

        Parameters
        ----------
        low, high : float
            First and last edge, Å.
        resolving_power : float
            R = λ/FWHM of unresolved lines as recorded, pixel included.
        pixels_per_fwhm : float
            Pixels per FWHM, at least; the width is diminished so that a whole number fits.
        **kwargs : object
            `medium` and `name`.

        Returns
        -------
        PixelGrid

        Raises
        ------
        ValueError
            If `low` is not below `high`, or a number is not positive and finite.

        Examples
        --------
        >>> grid = PixelGrid.from_resolving_power(7100, 8850, 2500, name="R 2500")
        >>> len(grid), round(float(grid.resolving_power.min())), round(float(grid.resolving_power.max()))
        (1378, 2500, 2500)
        """
        numbers = {"low": low, "high": high, "resolving_power": resolving_power}
        for name, value in (numbers | {"pixels_per_fwhm": pixels_per_fwhm}).items():
            if not (value > 0 and np.isfinite(value)):
                raise ValueError(f"{name} must be positive and finite, got {value!r}")
        if not low < high:
            raise ValueError(f"low must be below high, got {low!r} and {high!r}")
        n = int(np.ceil(np.log(high / low) * resolving_power * pixels_per_fwhm - 1e-9))
        edges = np.geomspace(low, high, max(n, 1) + 1)
        return cls(edges, 0.5 * (edges[1:] + edges[:-1]) / resolving_power / FWHM_PER_SIGMA, **kwargs)

    def __repr__(self) -> str:
        low, high = self.edges[[0, -1]]
        power = self.resolving_power
        least, most = f"{power.min():.0f}", f"{power.max():.0f}"
        return (
            f"PixelGrid({self.name!r}, {low:.1f}–{high:.1f} Å in {self.medium}, {len(self)} pixels, "
            f"R = {least if least == most else f'{least}–{most}'})"
        )

    def __len__(self) -> int:
        return self.edges.size - 1

    def __eq__(self, other):
        return isinstance(other, PixelGrid) and (
            self.medium == other.medium
            and np.array_equal(self.edges, other.edges)
            and np.array_equal(self.lsf_sigma, other.lsf_sigma)
        )

    def __hash__(self):
        return hash((self.medium, self.edges.tobytes(), self.lsf_sigma.tobytes()))

    @property
    def wave(self) -> npt.NDArray[np.float64]:
        """Pixel centres in Å, shape (n,)."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def width(self) -> npt.NDArray[np.float64]:
        """Pixel widths in Å, shape (n,)."""
        return np.diff(self.edges)

    @property
    def resolving_power(self) -> npt.NDArray[np.float64]:
        """λ / FWHM at each pixel, shape (n,)."""
        return self.wave / (FWHM_PER_SIGMA * self.lsf_sigma)


# The exposure-time calculator's line spread function (instrument file PFS.redMR.20240714, pixel
# included), as a quartic that follows its 4096 values to 6e-5 Å.
_PFS_MR_LSF = Chebyshev([0.5641427, 0.0037923, 0.0012217, 0.0004489, 0.0001293], domain=[7100.0, 8850.0])

_PFS_MR_EDGES = 7100.0 + np.arange(4097) * (1750.0 / 4096)

#: Medium-resolution red arm of the Subaru Prime Focus Spectrograph: 4096 pixels over
#: 7100–8850 Å (vacuum), Gaussian LSF with σ from 0.561 to 0.570 Å (R from 5400 to 6600).
PFS_MR = PixelGrid(
    _PFS_MR_EDGES,
    _PFS_MR_LSF(0.5 * (_PFS_MR_EDGES[1:] + _PFS_MR_EDGES[:-1])),
    name="PFS MR",
)

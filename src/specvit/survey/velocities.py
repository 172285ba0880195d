"""How radial velocities are distributed over the stars of a survey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from specvit.checks import in_unit

__all__ = ["Velocities"]


@dataclass(frozen=True)
class Velocities:
    """Radial velocities: uniform between two limits, or normal and cut at them.

    Parameters
    ----------
    low, high : float
        Limits in km/s.
    sigma : float, optional
        Standard deviation, before the cut, of a normal distribution; uniform without it.
    mean : float, optional
        Mean of the normal distribution, before the cut; the middle of the limits by default.

    Raises
    ------
    ValueError
        If a value is not finite, the limits are out of order, `sigma` is not positive or `mean` outside.

    See Also
    --------
    Survey : Takes it as ``velocity=``.

    Examples
    --------
    >>> halo = Velocities.normal(150, cut=3)
    >>> halo.low, halo.high
    (-450.0, 450.0)
    >>> Velocities.of(20)  # what Survey(velocity=20) means
    Velocities(low=-20.0, high=20.0, sigma=None, mean=None)
    """

    low: float = 0.0
    high: float = 0.0
    sigma: float | None = None
    mean: float | None = None

    def __post_init__(self):
        if not (np.isfinite([self.low, self.high]).all() and self.low <= self.high):
            raise ValueError(
                f"velocity limits must be finite, the lower first, got {(self.low, self.high)!r} km/s"
            )
        if self.sigma is not None and not 0 < self.sigma < np.inf:
            raise ValueError(f"sigma must be positive and finite, got {self.sigma!r}")
        if self.mean is not None and (self.sigma is None or not self.low <= self.mean <= self.high):
            raise ValueError(f"mean must lie within the limits and needs a sigma, got {self.mean!r}")

    @classmethod
    def normal(cls, sigma, mean=0.0, cut=4.0):
        """Normal distribution of standard deviation `sigma` and `mean` (km/s), cut at ±`cut` `sigma`."""
        return cls(mean - cut * sigma, mean + cut * sigma, sigma, mean)

    @classmethod
    def of(cls, value):
        """Velocities for a `value` that `Survey` accepts: None, v for ±v km/s, two limits, or an instance."""
        if isinstance(value, cls):
            return value
        if value is None:
            return cls()
        value = in_unit("velocity", value, "km / s")
        limits = (-value, value) if np.ndim(value) == 0 else value
        if np.shape(limits) != (2,):
            raise ValueError(f"velocity must be a number, two limits or Velocities, got {value!r}")
        return cls(*map(float, limits))

    def sample(self, n, rng):
        """Velocities of `n` stars in km/s, ndarray (n,), drawn with `rng`, a `numpy.random.Generator`."""
        if self.sigma is None:
            return rng.uniform(self.low, self.high, n)
        mean = (self.low + self.high) / 2 if self.mean is None else self.mean
        ends = ndtr((np.array([self.low, self.high]) - mean) / self.sigma)
        return np.clip(mean + self.sigma * ndtri(rng.uniform(*ends, n)), self.low, self.high)

    def __bool__(self):
        """Whether any star moves."""
        return (self.low, self.high) != (0, 0)

"""How labels are distributed over the stars of a survey."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from scipy.special import betaincinv, betaln, xlog1py, xlogy

__all__ = ["MOST_CARBON", "PRIORS", "LabelPrior", "Prior"]

#: Highest [C/M] − [alpha/M] of a `LabelPrior`: 0.01 dex short of `~specvit.constants.CARBON_LIMIT`, so that
#: no star is a carbon star by the rounding of its labels.
MOST_CARBON = 0.15


class Prior(Protocol):
    """What a survey asks of a distribution of labels.

    A prior may also have ``log_density(labels)``, the natural logarithm of its normalised density, and
    ``from_unit(uniform)``, a continuous map of the unit cube (n, 5) to labels: the limits on the accuracy
    (`specvit.limits`) need the latter.
    """

    @property
    def ranges(self):
        """The five (low, high) pairs in the order of `LABELS` that hold every sample."""

    def sample(self, n, rng):
        """Labels, ndarray of float64 of shape (n, 5), drawn with a `numpy.random.Generator`."""

    def contains(self, labels):
        """True where the prior can have drawn the labels (n, 5), shape (n,)."""


@dataclass(frozen=True)
class LabelPrior:
    """Independent Beta distributions over label ranges, [C/M] bounded by [alpha/M], no hot giants.

    Each label is ``low + (high − low) u`` with u ~ Beta(shape, shape); shape 1 is uniform. Two
    bounds depend on the other labels: [C/M] ≤ min(cm[1], [alpha/M] + 0.15), short of the carbon
    stars; and, where `hot_giant_slope` is not zero, log g ≥ logg[0] + slope (Teff − 5000)/1600.

    Parameters
    ----------
    teff, logg, mh, alpham, cm : tuple of float
        Lowest and highest value: K, dex(cm/s2), dex, dex, dex.
    shape : float
        Both parameters of the Beta distribution.
    hot_giant_slope : float
        How fast the lowest log g rises above 5000 K, in dex per 1600 K.

    See Also
    --------
    specvit.survey.SamplePrior : The density that a list of stars stands for.
    specvit.survey.TablePrior : The stars of a list as they are.

    Examples
    --------
    >>> prior = LabelPrior((4000, 5000), (1, 4), (-1, 0), (0, 0.4), (-0.3, 0.2))
    >>> labels = prior.sample(3, np.random.default_rng(0))
    >>> labels.shape, bool(prior.contains(labels).all())
    ((3, 5), True)
    """

    teff: tuple[float, float]
    logg: tuple[float, float]
    mh: tuple[float, float]
    alpham: tuple[float, float]
    cm: tuple[float, float]
    shape: float = 1.0
    hot_giant_slope: float = 0.0

    def sample(self, n, rng):
        """Labels, ndarray of float64 of shape (n, 5), drawn with a `numpy.random.Generator`."""
        return self.from_unit(rng.random((n, 5)))

    def from_unit(self, uniform):
        """Map points of the unit cube, shape (n, 5), to labels through the inverse distribution."""
        u = uniform if self.shape == 1 else np.interp(uniform, *_beta_quantiles(self.shape))
        low, high = self.bounds(u)
        return low + (high - low) * u

    def bounds(self, u):
        """Lowest and highest labels, each (n, 5), given the scaled Teff and [alpha/M] in `u`."""
        low, high = (np.broadcast_to(edge, u.shape).copy() for edge in zip(*self.ranges, strict=True))
        teff = low[:, 0] + (high[:, 0] - low[:, 0]) * u[:, 0]
        alpham = low[:, 3] + (high[:, 3] - low[:, 3]) * u[:, 3]
        low[:, 1] += self._hot_giant_limit(teff)
        high[:, 4] = np.minimum(self.cm[1], alpham + MOST_CARBON)
        return low, high

    def contains(self, labels):
        """True where all five labels lie within the prior's support, shape (n,)."""
        low, high = np.array(self.ranges).T
        inside = ((labels >= low) & (labels <= high)).all(1)
        inside &= labels[:, 1] >= self.logg[0] + self._hot_giant_limit(labels[:, 0])
        return inside & (labels[:, 4] <= labels[:, 3] + MOST_CARBON)

    def log_density(self, labels):
        """Natural logarithm of the density at `labels` (n, 5), shape (n,); −∞ outside the support."""
        labels = np.asarray(labels, np.float64)
        inside, first = self.contains(labels), np.array(self.ranges)
        # The scaled Teff and [alpha/M] come first: the others' bounds depend on them.
        low, high = self.bounds((labels - first[:, 0]) / (first[:, 1] - first[:, 0]))
        width = np.where(high > low, high - low, 1.0)
        u = np.clip((labels - low) / width, 0, 1)
        a = self.shape - 1
        each = xlogy(a, u) + xlog1py(a, -u) - betaln(self.shape, self.shape) - np.log(width)
        return np.where(inside, each.sum(1), -np.inf)

    @property
    def ranges(self):
        """The five (low, high) pairs in the order of `LABELS`."""
        return self.teff, self.logg, self.mh, self.alpham, self.cm

    def _hot_giant_limit(self, teff):
        return self.hot_giant_slope * np.clip((teff - 5000) / 1600, 0, None)


@lru_cache
def _beta_quantiles(shape):
    """Dense table of Beta(shape, shape) quantiles: the exact inverse costs more than the spectra."""
    probability = np.linspace(0, 1, 2**16 + 1)
    return probability, betaincinv(shape, shape, probability)


#: The labels of the named surveys.
PRIORS = {
    "paper": LabelPrior((3750, 6000), (1, 5), (-1, 0), (-0.2, 0.5), (-0.6, 0.5), shape=0.7),
    "pfs-mr": LabelPrior(
        (3600, 6500), (0.3, 5.3), (-2.6, 0.45), (-0.2, 0.6), (-0.7, 0.5), hot_giant_slope=0.9
    ),
}

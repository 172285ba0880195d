"""How labels are distributed over the stars of a survey."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from scipy.special import betaincinv, betaln, xlog1py, xlogy

__all__ = ["MOST_CARBON", "PRIORS", "LabelPrior", "Prior"]

#: Highest [C/M] − [alpha/M] of a `LabelPrior`, 0.01 dex below `~specvit.constants.CARBON_LIMIT`, so that
#: rounding of its labels makes no star a carbon star.
MOST_CARBON = 0.15


class Prior(Protocol):
    """Protocol of distributions of labels: what a survey needs of one.

    A prior may also have ``log_density(labels)``, the natural logarithm of its normalised density, and
    ``from_unit(uniform)``, a continuous map of the unit cube (n, 5) to labels, which the limits on the
    accuracy (`specvit.limits`) need.

    See Also
    --------
    LabelPrior : Independent labels between limits. Advantages: it has everything that limits need, and covers
        its range evenly, so that a network learns all of it. Disadvantage: no real stars are so distributed.
    specvit.survey.SamplePrior : The smooth density of a list of stars. Advantages: stars as common as they
    are
        in nature, and no star drawn twice. Disadvantages: no limits, and a bandwidth must be chosen.
    specvit.survey.TablePrior : The stars of a list. Advantages: nothing is assumed, and relations between
    labels
        are kept exactly. Disadvantages: no density and no limits, and a network sees no labels between the
        rows.

    Examples
    --------
    Dwarfs and giants in equal numbers:

    >>> import numpy as np
    >>> from specvit.survey import LabelPrior, Survey
    >>> class Mixed:
    ...     dwarfs = LabelPrior((4000, 5000), (4.0, 5.0), (-1, 0), (0, 0.4), (-0.3, 0.2))
    ...     giants = LabelPrior((4000, 5000), (1.0, 3.0), (-1, 0), (0, 0.4), (-0.3, 0.2))
    ...     ranges = ((4000, 5000), (1, 5), (-1, 0), (0, 0.4), (-0.3, 0.2))
    ...     def sample(self, n, rng):
    ...         dwarf = rng.random((n, 1)) < 0.5
    ...         return np.where(dwarf, self.dwarfs.sample(n, rng), self.giants.sample(n, rng))
    ...     def contains(self, labels):
    ...         return self.dwarfs.contains(labels) | self.giants.contains(labels)
    >>> labels = Survey("paper", prior=Mixed()).draw(100).labels
    >>> bool(((labels[:, 1] > 3) & (labels[:, 1] < 4)).any())
    False
    """

    @property
    def ranges(self):
        """The five (low, high) pairs in the order of `LABELS` that hold every sample."""

    def sample(self, n, rng):
        """Labels of `n` stars, float64 (n, 5), drawn with `rng`, a `numpy.random.Generator`."""

    def contains(self, labels):
        """True where the prior can have drawn `labels` (n, 5), shape (n,)."""


@dataclass(frozen=True)
class LabelPrior:
    """Independent Beta or uniform distributions over label ranges, without carbon stars and hot giants.

    Each label is ``low + (high − low) u`` with u ~ Beta(shape, shape); shape 1 is uniform. Two
    bounds depend on the other labels: [C/M] ≤ min(cm[1], [alpha/M] + 0.15), which leaves out carbon
    stars; and, where `hot_giant_slope` is not zero, log g ≥ logg[0] + slope (Teff − 5000)/1600.

    Parameters
    ----------
    teff, logg, mh, alpham, cm : tuple of float
        Lowest and highest value: K, dex(cm/s2), dex, dex, dex.
    shape : float
        Both parameters of the Beta distribution. Below 1 the ends of the ranges are drawn more often than the
        middle, so that a network is not drawn away from them; 1 is uniform.
    hot_giant_slope : float
        How fast the lowest log g rises above 5000 K, in dex per 1600 K.

    See Also
    --------
    specvit.survey.SamplePrior : The density that a list of stars stands for.
    specvit.survey.TablePrior : The stars of a list as they are.

    Notes
    -----
    Advantages: it has a density and a continuous map from the unit cube, so that all limits exist; ranges are
    covered evenly. Disadvantage: real stars follow isochrones, so that much of the range holds no stars.

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
        """Labels of `n` stars, float64 (n, 5), drawn with `rng`, a `numpy.random.Generator`."""
        return self.from_unit(rng.random((n, 5)))

    def from_unit(self, uniform):
        """Labels (n, 5) of points `uniform` of the unit cube, (n, 5), through the inverse distribution."""
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
        """True where all five of `labels` (n, 5) lie within the prior's support, shape (n,)."""
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
    """Dense table of Beta(shape, shape) quantiles, since the exact inverse takes longer than the spectra."""
    probability = np.linspace(0, 1, 2**16 + 1)
    return probability, betaincinv(shape, shape, probability)


#: The labels of the named surveys.
PRIORS = {
    "paper": LabelPrior((3750, 6000), (1, 5), (-1, 0), (-0.2, 0.5), (-0.6, 0.5), shape=0.7),
    "pfs-mr": LabelPrior(
        (3600, 6500), (0.3, 5.3), (-2.6, 0.45), (-0.2, 0.6), (-0.7, 0.5), hot_giant_slope=0.9
    ),
}

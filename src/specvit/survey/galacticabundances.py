"""Abundance patterns as the stars of the Galaxy have them, for a share of the stars of a prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from specvit.survey.priors import MOST_CARBON, LabelPrior

__all__ = ["GalacticAbundances"]

#: Scatter of [alpha/M] about its sequence, and of [C/M] about its mean: those of the stars, 0.03–0.05 and
#: 0.05–0.10, and the errors of the scales of different surveys.
_ALPHA_SCATTER, _CARBON_SCATTER = 0.07, 0.12


@dataclass(frozen=True)
class GalacticAbundances:
    r"""A prior of which a share of the stars have the [alpha/M] and [C/M] that are common in the Galaxy.

    Teff, log g and [M/H] are distributed as in `base`. With probability 1 − `share` so are [alpha/M] and
    [C/M]. Else they scatter about what stars of that [M/H] and log g have, within the ranges of `base`:

    ============ ======================================================================================
    [alpha/M]    0.02 − 0.1 [M/H] between −0.6 and 0 (thin disc), or 0.08 − 0.32 [M/H] between −0.7
                 and 0 (thick disc and halo), each constant outside; σ = 0.07. The second has a
                 probability of 0.1 for [M/H] > 0, which rises linearly to 1 at −1.1
    [C/M]        0.3 [alpha/M] for log g > 3.4; below, after the first dredge-up, −0.12; and above the bump of
                 the giant branch, log g < 2.3, lower by 0.1 + 0.3 (−[M/H] − 0.3), that within [0, 0.3];
                 σ = 0.12
    ============ ======================================================================================

    Parameters
    ----------
    base : LabelPrior
        Where the other labels, and the other stars, come from.
    share : float
        Share of the stars with Galactic abundances, 0 … 1.

    Raises
    ------
    ValueError
        If `share` is outside [0, 1].

    See Also
    --------
    LabelPrior : All labels independent of each other.
    specvit.survey.SamplePrior : The density of a list of stars.

    Notes
    -----
    Where a spectrum does not tell [alpha/M] from [M/H], as at low resolution where the calcium triplet
    is most of what is seen, the answer is the mean of the prior along what it cannot tell. With [alpha/M]
    uniform in [−0.2, 0.6] a star of solar composition then comes back with [M/H] near −0.3 and [alpha/M]
    near 0.25. Advantage: this is avoided, and unusual stars are still learned. Disadvantage: what such a
    spectrum is believed to say of single stars leans on what most stars are like.

    Sequences of alpha elements: Hayden et al. (2015, ApJ 808, 132), Nissen & Schuster (2010, A&A 511, L10);
    carbon along the giant branch: Gratton et al. (2000, A&A 354, 169), Shetrone et al. (2019, ApJ 872, 137).

    Examples
    --------
    >>> from specvit.survey import PRIORS
    >>> prior = GalacticAbundances(PRIORS["pfs-mr"], share=1.0)
    >>> labels = prior.sample(20_000, np.random.default_rng(0))
    >>> solar, poor = np.abs(labels[:, 2]) < 0.1, labels[:, 2] < -1.5
    >>> [round(float(labels[chosen, 3].mean()), 1) for chosen in (solar, poor)]
    [0.0, 0.3]
    """

    base: LabelPrior
    share: float = 0.33

    def __post_init__(self):
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must lie in [0, 1], got {self.share!r}")

    @property
    def ranges(self):
        """The five (low, high) pairs in the order of `LABELS`."""
        return self.base.ranges

    def contains(self, labels):
        """True where all five of `labels` (n, 5) lie within the prior's support, shape (n,)."""
        return self.base.contains(labels)

    def sample(self, n, rng):
        """Labels of `n` stars, float64 (n, 5), drawn with `rng`, a `numpy.random.Generator`."""
        labels, numbers = self.base.sample(n, rng), rng.random((n, 4))
        usual = numbers[:, 0] < self.share
        mh, logg = labels[usual, 2], labels[usual, 1]
        enhanced = numbers[usual, 1] < np.clip(0.1 - 0.9 * mh / 1.1, 0.1, 1)
        mean = np.where(enhanced, 0.08 - 0.32 * np.clip(mh, -0.7, 0), 0.02 - 0.1 * np.clip(mh, -0.6, 0))
        alpham = _truncated(mean, _ALPHA_SCATTER, *self.base.alpham, numbers[usual, 2])
        mixed = np.where(logg < 2.3, 0.1 + np.clip(0.3 * (-mh - 0.3), 0, 0.3), 0)
        mean = np.where(logg > 3.4, 0.3 * alpham, -0.12 - mixed)
        most = np.minimum(self.base.cm[1], alpham + MOST_CARBON)
        labels[usual, 3] = alpham
        labels[usual, 4] = _truncated(mean, _CARBON_SCATTER, self.base.cm[0], most, numbers[usual, 3])
        return labels


def _truncated(mean, sigma, low, high, uniform):
    """Gaussian deviates within [low, high], of uniform ones, through the inverse distribution."""
    first, last = ndtr((low - mean) / sigma), ndtr((high - mean) / sigma)
    return np.clip(mean + sigma * ndtri(first + (last - first) * uniform), low, high)

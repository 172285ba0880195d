"""Labels from lists of stars: the rows of a table, or a smooth density estimated from weighted samples."""

from __future__ import annotations

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.special import logsumexp, ndtr

from specvit.constants import CARBON_LIMIT
from specvit.digests import digest
from specvit.labels import LABELS, label_rows
from specvit.stars.emulator import Emulator
from specvit.stars.library import carbon_star

__all__ = ["SamplePrior", "TablePrior"]

_FEWEST = 0.01  # share of the draws that must fall inside the ranges
_CHUNK = 2**22  # pairs of labels and samples at once


class TablePrior:
    """Stars of a table: every draw is one of its rows, unchanged.

    Rows are drawn independently, with replacement: streams of a survey are independent of each other, and
    may be longer than the table.

    Parameters
    ----------
    labels : array-like, shape (n_rows, 5), or table
        Teff [K], log g, [M/H], [alpha/M], [C/M]; those columns of a table that are called so.
    weights : array-like, shape (n_rows,), optional
        Relative probability of each row; equal by default.

    Raises
    ------
    ValueError
        If the shape is another, a value is not finite, a weight negative or all are zero, or a row is a
        carbon star ([C/M] > [alpha/M] + 0.16), which no emulator here follows.

    See Also
    --------
    SamplePrior : The smooth density of such a table, of which every draw is another star.

    Notes
    -----
    Advantages: nothing is assumed, and relations between labels are kept exactly. Disadvantages: there is
    neither a density nor a map from the unit cube, so that no limits exist; a network sees no labels between
    the rows.

    Examples
    --------
    >>> stars = TablePrior([[4500, 2.0, -0.5, 0.2, 0.0], [5500, 4.5, 0.0, 0.0, 0.0]], weights=[1, 3])
    >>> stars.ranges[0]
    (4500.0, 5500.0)
    >>> stars.sample(1, np.random.default_rng(1)).tolist()
    [[5500.0, 4.5, 0.0, 0.0, 0.0]]
    """

    def __init__(self, labels, weights=None):
        self.labels, self.weights = _checked(labels, weights)
        carbon = carbon_star(self.labels) & (self.weights > 0)
        if carbon.any():
            raise ValueError(
                f"labels must hold no carbon stars, row {carbon.argmax()} has [C/M] > [alpha/M] + "
                f"{CARBON_LIMIT}"
            )
        self._cumulative = _cumulative(self.weights)

    @property
    def ranges(self):
        """The five (low, high) pairs of the table, in the order of `LABELS`."""
        rows = self.labels[self.weights > 0]
        return tuple(zip(rows.min(0).tolist(), rows.max(0).tolist(), strict=True))

    def sample(self, n, rng):
        """Rows of the table, `n` of them, float64 (n, 5), drawn with `rng`, a `numpy.random.Generator`."""
        return self.labels[np.searchsorted(self._cumulative, rng.random(n), side="right")]

    def contains(self, labels):
        """True where `labels` (n, 5) are a row of the table, to float32 rounding; shape (n,)."""
        rows = {row.tobytes() for row in self.labels[self.weights > 0].astype(np.float32) + np.float32(0)}
        labels = np.asarray(labels).astype(np.float32) + np.float32(0)  # which turns −0 into 0
        return np.array([row.tobytes() in rows for row in labels], bool)

    def __eq__(self, other):
        return isinstance(other, TablePrior) and repr(self) == repr(other)

    def __hash__(self):
        return hash(repr(self))

    def __repr__(self):
        return f"TablePrior({len(self.labels)} rows, sha256={digest(self.labels, self.weights)})"


class SamplePrior:
    """The density of weighted samples, such as points of isochrones, smoothed by a Gaussian kernel.

    .. math:: p(\\ell) ∝ \\sum_i w_i \\prod_{k=1}^5 N(\\ell_k; \\ell_{ik}, h_k)

    inside `ranges` for all but carbon stars, and zero elsewhere: draws that fall outside are drawn
    again, never moved to the edge.

    Parameters
    ----------
    labels : array-like, shape (n_samples, 5)
        Teff [K], log g, [M/H], [alpha/M], [C/M] of stars of a model population; at least two.
    weights : array-like, shape (n_samples,), optional
        For instance the number of stars that each point of an isochrone stands for; equal by default.
    bandwidth : float or array-like, shape (5,), optional
        Standard deviation h of the kernel: one number is in units of each label's own standard
        deviation, five are K and dex. By default Scott's factor n^(−1/9), n the effective number of samples
        (Scott 1992, *Multivariate Density Estimation*), which is broad for narrow sequences. 0 leaves a
        label as in the samples.
    ranges : array-like, shape (5, 2), optional
        Lowest and highest labels; by default those of the emulator that ships. For another one:
        ``emulator.label_range.T``.

    Raises
    ------
    ValueError
        If a shape is another, a value is not finite, a weight or bandwidth negative, a range out of order,
        or fewer than a hundredth of the density lies inside: the message says which label is outside.

    See Also
    --------
    TablePrior : The samples themselves, without smoothing.
    specvit.survey.LabelPrior : Independent labels, with the map ``from_unit`` that limits need.

    Notes
    -----
    Advantages: stars are as common as in the list, and no star is drawn twice. Disadvantages: narrow
    sequences are broadened by the bandwidth, and the limits that need ``from_unit`` do not exist.

    There is no ``from_unit``. The conditional (Rosenblatt 1952) transform of a sum of n kernels is exact and
    continuous, but each of the millions of points that a limit asks for would need n kernels to be summed
    and inverted five times over.

    Examples
    --------
    >>> middle, width = [4700, 2.3, -0.3, 0.1, 0.0], [150, 0.3, 0.2, 0.05, 0.05]
    >>> giants = np.random.default_rng(0).normal(middle, width, (500, 5))
    >>> prior = SamplePrior(giants)
    >>> prior.sample(2, np.random.default_rng(1)).shape
    (2, 5)
    >>> bool(prior.log_density(giants[:1])[0] > prior.log_density([[6000, 4.5, 0.2, 0.1, 0]])[0])
    True
    """

    def __init__(self, labels, weights=None, *, bandwidth=None, ranges=None):
        self.labels, self.weights = _checked(labels, weights, fewest=2)
        self.bandwidth = self._bandwidth(bandwidth)
        if ranges is None:
            ranges = Emulator.load().label_range.double().numpy().T
        ranges = np.array(ranges, np.float64)
        if ranges.shape != (5, 2) or not (ranges[:, 0] < ranges[:, 1]).all():
            raise ValueError(f"ranges must be five pairs, the lower limit first, got {ranges.tolist()!r}")
        self._low, self._high = ranges.T
        self._cumulative = _cumulative(self.weights)
        trial = self._propose(20_000, np.random.default_rng(0))
        inside = self.contains(trial).mean()
        if inside < _FEWEST:
            outside = ((trial < self._low) | (trial > self._high)).mean(0)
            worst = int(outside.argmax())
            raise ValueError(
                f"labels: {inside:.2%} of the density lies inside the ranges, {_FEWEST:.0%} must; "
                f"{LABELS[worst]} is outside [{self._low[worst]:.4g}, {self._high[worst]:.4g}] for "
                f"{outside[worst]:.1%} of it"
            )

    def _bandwidth(self, bandwidth):
        if bandwidth is None:
            bandwidth = (1 / np.sum(self.weights**2)) ** (-1 / 9)
        bandwidth = np.asarray(bandwidth, np.float64)
        if bandwidth.shape not in ((), (5,)) or not (np.isfinite(bandwidth) & (bandwidth >= 0)).all():
            raise ValueError(
                f"bandwidth must be one or five numbers, not negative, got {bandwidth.tolist()!r}"
            )
        if bandwidth.ndim == 0:
            mean = self.weights @ self.labels
            bandwidth = bandwidth * np.sqrt(self.weights @ (self.labels - mean) ** 2)
        return bandwidth

    @property
    def ranges(self):
        """The five (low, high) pairs that hold every draw, in the order of `LABELS`."""
        return tuple(zip(self._low.tolist(), self._high.tolist(), strict=True))

    def sample(self, n, rng):
        """Labels of `n` stars, float64 (n, 5), drawn with `rng`, a `numpy.random.Generator`."""
        parts, missing = [], n
        while missing > 0:
            proposed = self._propose(missing + missing // 4 + 8, rng)
            kept = proposed[self.contains(proposed)][:missing]
            parts.append(kept)
            missing -= len(kept)
        return np.concatenate(parts) if parts else np.empty((0, 5))

    def _propose(self, n, rng):
        centres = self.labels[np.searchsorted(self._cumulative, rng.random(n), side="right")]
        return centres + self.bandwidth * rng.standard_normal((n, 5))

    def contains(self, labels):
        """True where `labels` (n, 5) lie inside the ranges and are no carbon stars, shape (n,)."""
        labels = np.asarray(labels)
        return ((labels >= self._low) & (labels <= self._high)).all(1) & ~carbon_star(labels)

    def log_density(self, labels):
        """Natural logarithm of the density at `labels` (n, 5), shape (n,); −∞ outside the support.

        Raises
        ------
        ValueError
            If a bandwidth is 0, for which there is no density.
        """
        if not (self.bandwidth > 0).all():
            raise ValueError(
                f"log_density needs a positive bandwidth for every label, got {self.bandwidth.tolist()!r}"
            )
        labels = np.asarray(labels, np.float64)
        used = self.weights > 0
        log_weight, scaled = np.log(self.weights[used]), self.labels[used] / self.bandwidth
        norm = np.sum(0.5 * np.log(2 * np.pi) + np.log(self.bandwidth)) + np.log(self._mass())
        values = [
            logsumexp(log_weight - 0.5 * ((part[:, None] - scaled) ** 2).sum(2), axis=1)
            for part in np.array_split(labels / self.bandwidth, -(-len(labels) * len(scaled) // _CHUNK) or 1)
        ]
        return np.where(self.contains(labels), np.concatenate(values) - norm, -np.inf)

    def _mass(self):
        """Share of the untruncated density inside the support.

        Labels are independent within a kernel but for the bound of [C/M] by [alpha/M], over which a
        Gauss–Legendre rule integrates.
        """
        centre, h = self.labels[:, :, None], self.bandwidth[:, None]
        edges = np.stack([self._low, self._high], 1)
        share = np.diff(ndtr((edges - centre) / h), axis=2)[:, :3, 0].prod(1)
        low, high = self._low[3], self._high[3]
        # Panels no wider than the kernel, so that the rule is exact to rounding for each of them.
        panels = np.linspace(low, high, int(np.ceil((high - low) / self.bandwidth[3])) + 1)
        x, w = leggauss(8)
        half = np.diff(panels) / 2
        nodes = ((panels[1:] + panels[:-1]) / 2 + x[:, None] * half).ravel()
        w = (w[:, None] * half).ravel()
        top = np.minimum(self._high[4], nodes + CARBON_LIMIT)
        joint = 0.0
        for a, b, weight in zip(nodes, top, w, strict=True):
            density = np.exp(-0.5 * ((a - self.labels[:, 3]) / h[3]) ** 2) / (np.sqrt(2 * np.pi) * h[3])
            carbon = ndtr((b - self.labels[:, 4]) / h[4]) - ndtr((self._low[4] - self.labels[:, 4]) / h[4])
            joint = joint + weight * density * np.maximum(carbon, 0)
        return float(self.weights @ (share * joint))

    def __eq__(self, other):
        return isinstance(other, SamplePrior) and repr(self) == repr(other)

    def __hash__(self):
        return hash(repr(self))

    def __repr__(self):
        known = digest(self.labels, self.weights, self.bandwidth, self._low, self._high)
        return f"SamplePrior({len(self.labels)} samples, sha256={known})"


def _checked(labels, weights, fewest=1):
    """Labels (n, 5) and weights of sum 1 (n,), both float64 copies."""
    labels = label_rows(labels)
    if labels.ndim != 2 or labels.shape[1] != len(LABELS) or len(labels) < fewest:
        raise ValueError(
            f"labels must have shape (n, {len(LABELS)}) with n at least {fewest}, got {labels.shape}"
        )
    if not np.isfinite(labels).all():
        row, column = np.argwhere(~np.isfinite(labels))[0]
        raise ValueError(f"labels must be finite, row {row} has {LABELS[column]} = {labels[row, column]}")
    weights = np.ones(len(labels)) if weights is None else np.array(weights, np.float64)
    if weights.shape != (len(labels),):
        raise ValueError(f"weights must have shape ({len(labels)},), got {weights.shape}")
    if not (np.isfinite(weights) & (weights >= 0)).all() or not weights.sum() > 0:
        raise ValueError("weights must be finite and not negative, and one of them positive")
    return labels, weights / weights.sum()


def _cumulative(weights):
    total = np.cumsum(weights)
    # The last row that can be drawn ends at 1, whatever the sum has been rounded to.
    total[np.flatnonzero(weights)[-1] :] = 1.0
    return total

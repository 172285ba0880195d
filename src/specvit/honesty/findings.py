"""What spectra themselves say of the labels that were predicted of them: `Findings`."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

__all__ = ["Findings"]


@dataclass(repr=False)
class Findings:
    """What was measured of n spectra; ndarrays (n,), NaN where nothing could be.

    Attributes
    ----------
    velocity, velocity_err : ndarray
        Radial velocity in km/s.
    learned_velocity : ndarray
        Largest |v| in km/s that the network has learned to live with.
    lsf : ndarray
        σ in km/s of the line spread function in the middle of the grid.
    broadening, broadening_err : ndarray
        Variance of the lines beyond the line spread function, over that of the latter; negative where lines
        are sharper.
    dilution, dilution_err : ndarray
        Share of the continuum that comes without lines.
    chi2 : ndarray
        Reduced χ² of pairs of pixels against the predicted labels, with the errors given and the model's.
    velocity_test, broadening_test, dilution_test : ndarray
        Δχ² by which the value differs from what the network has learned to live with; of the velocity that by
        which lines of the predicted strengths fit better there than anywhere within ± 20 km/s.
    velocity_lead : ndarray
        Δχ² by which the velocity is better than any that is three line widths away; the chance that it is a
        peak of noise is small where this is large.
    labels_test : ndarray
        Δχ² by which other labels, velocity, width and dilution fit better than what was predicted.
    lines_test : ndarray
        Δχ² by which a star fits better than a smooth continuum.
    misfit : ndarray
        χ² per resolution element of the best star of any labels, with the noise of its own scatter.

    See Also
    --------
    specvit.honesty.examine : Makes them.
    specvit.predictors.Predictions : Has them as ``findings``.

    Examples
    --------
    >>> from specvit import LoggEstimator, example_spectrum
    >>> found = LoggEstimator().predict_labels(example_spectrum()).findings
    >>> bool(abs(found.velocity[0]) < 4 * found.velocity_err[0])
    True
    """

    velocity: np.ndarray
    velocity_err: np.ndarray
    learned_velocity: np.ndarray
    lsf: np.ndarray
    broadening: np.ndarray
    broadening_err: np.ndarray
    dilution: np.ndarray
    dilution_err: np.ndarray
    chi2: np.ndarray
    velocity_test: np.ndarray
    broadening_test: np.ndarray
    dilution_test: np.ndarray
    velocity_lead: np.ndarray
    labels_test: np.ndarray
    lines_test: np.ndarray
    misfit: np.ndarray

    def __repr__(self):
        known = int(np.isfinite(self.velocity).sum())
        return f"Findings({len(self.velocity)} spectra, {known} measured: {', '.join(vars(self))})"

    @classmethod
    def nothing(cls, n):
        """Of n spectra nothing is known.

        Parameters
        ----------
        n : int
            Number of spectra.

        Returns
        -------
        Findings
        """
        return cls(*(np.full(n, np.nan) for _ in fields(cls)))

    @classmethod
    def joined(cls, parts):
        """Those of several `parts`, one after the other."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def part(self, rows):
        """Those of some `rows`, a slice or numbers."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def put(self, rows, other):
        """Take the findings of `other` for `rows`.

        Parameters
        ----------
        rows : ndarray of int
            Which of these spectra they are.
        other : Findings
            Of as many spectra.
        """
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)

"""Two tests of what one star's labels cannot mimic: light of a second star, and ends that disagree."""

from __future__ import annotations

import torch

from specvit.labels import LABELS
from specvit.predictors.honestyspectra import LABEL_SPREAD

__all__ = ["more_tests"]

#: Labels of the second stars that are tried: K giant, G dwarf, turn-off star, metal-poor giant.
_SECOND = (
    (4500.0, 2.0, -0.3, 0.1, 0.0),
    (5800.0, 4.4, 0.0, 0.0, 0.0),
    (6400.0, 4.2, -0.3, 0.1, 0.0),
    (4600.0, 2.0, -2.0, 0.3, 0.0),
)
#: Standard deviation of the share of a second star's light.
_SHARE = 0.5


def more_tests(fit, x, equations, inverse, gradient, places):
    """Δχ² by which a second star, and labels that change along the spectrum, fit better than one star.

    Parameters
    ----------
    fit : PreparedSpectra
        Spectra of b stars.
    x : tensor, shape (b, 8)
        Parameters of one star.
    equations : tuple of tensor
        Whitened derivatives by its parameters and polynomials (b, 16, n_pixels), and residuals (b, n_pixels).
    inverse, gradient : tensor of float64, shape (b, 16, 16) and (b, 16)
        Inverse normal matrix of these and half the downward gradient of χ², priors included.
    places : tuple of int
        Of shift, width and depth among the parameters, and the number of parameters.

    Returns
    -------
    companion, agreement : tensor, shape (b,)
        Of the best of the second stars, with a positive share of the light; of labels that change linearly
        from the blue end to the red one.

    Notes
    -----
    Score tests: a single linear step from the one star, all of whose parameters stay free. With new columns A
    beside those of the star R, the gain is r' S⁻¹ r with S = A'A + P − A'R N⁻¹ R'A, r = A'e − A'R N⁻¹ g.
    """
    shift, width, depth, n = places
    m, (rows, residual, *_) = fit.model, equations
    lines = rows[:, n]  # times the root of the weight: the first polynomial is 1
    scale = torch.where(lines > 0, (fit.flux * fit.root - residual) / lines.clamp_min(1e-20), 0.0) * fit.root
    second = m.depths(m.tensor(_SECOND)).expand(len(x), -1, -1)
    second = m.observe_many(
        second, x[:, shift] * fit.units[:, shift], x[:, width] * fit.units[:, width], fit.lsf
    )
    second = scale[:, None] * second - (x[:, depth : depth + 1] * rows[:, depth])[:, None]
    along = torch.linspace(-1, 1, rows.shape[2], device=x.device)
    ends = rows[:, n - len(LABELS) : n] * along
    prior = (m.tensor(LABEL_SPREAD) / fit.units[:, n - len(LABELS) : n]).double() ** -2
    left, right = _without(second, rows, residual, inverse, gradient)
    square = left.diagonal(dim1=1, dim2=2) + _SHARE**-2
    companion = (right.clamp_min(0).square() / square).max(1).values
    left, right = _without(ends, rows, residual, inverse, gradient)
    left = left + torch.diag_embed(prior)
    agreement = (right * torch.linalg.solve(left, right)).sum(1)
    return companion, agreement


def _without(columns, rows, residual, inverse, gradient):
    """Normal matrix and right side of new columns, what the star's parameters explain taken off."""
    across = (columns @ rows.mT).double()
    left = (columns @ columns.mT).double() - across @ inverse @ across.mT
    right = (columns @ residual[..., None])[..., 0].double() - (across @ inverse @ gradient[..., None])[
        ..., 0
    ]
    return left, right

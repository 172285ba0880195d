"""A linear mixed model of line strengths, fitted to many real stars of roughly known labels.

A star observed at low resolution differs from its synthetic spectrum because its labels are not quite
those of the literature, because wavelength scale, width of the line spread function and continuum are
not quite known, because the instrument leaves a pattern of its own, the same in every star, and because
the library's lines are wrong, in the same way for like stars and a little for each star in its own way.
`LowResolution` makes the derivatives with respect to all of these; `fit_terms` separates them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, diags_array

from specvit.stars.lowresolution import Linearised, LowResolution, interpolation

__all__ = [
    "LABEL_ERR",
    "StarResidual",
    "TermFit",
    "expected_labels",
    "fit_labels",
    "fit_terms",
    "line_errors",
    "scale_bases",
]

#: Errors of literature labels, Teff, log g and [M/H]; how far [alpha/M] and [C/M] stray from what [M/H] says.
LABEL_ERR = np.array([90.0, 0.25, 0.1, 0.1, 0.15])
_KNOT_GAIN = 1.22  # linear interpolation between independent knots loses a third of the variance


@dataclass
class StarResidual:
    """ln(observed / model) of one star in its n valid cells of c, and what it may be due to.

    ``cells`` (n,) indices; ``residual`` (n,) from the (linear) model at literature labels; ``depth``
    (n, c); ``nuisance`` (n, q) times standard deviations, labels first; ``coordinates`` (k,) of the terms;
    ``noise`` σ of a cell.

    Examples
    --------
    >>> depth, nuisance = csr_array(np.eye(64)), np.zeros((64, 1))
    >>> star = StarResidual(np.arange(64), np.zeros(64), depth, nuisance, np.array([0.5]), 0.01)
    >>> bool(np.allclose(star.covariance([0.1], [np.eye(64)]), (0.1**2 + 0.01**2) * np.eye(64)))
    True
    """

    cells: np.ndarray
    residual: np.ndarray
    depth: csr_array
    nuisance: np.ndarray
    coordinates: np.ndarray
    noise: float

    @classmethod
    def of(cls, linear: Linearised, flux, valid, coordinates, noise, literature=None, label_err=LABEL_ERR):
        """From the observed `flux` (c,) in cells, of which `valid` (c,) are good.

        `literature` labels (5,) may be others than those at which `linear` was made, which are better where
        the star's spectrum says so.
        """
        cells = np.flatnonzero(valid)
        nuisance = np.hstack([linear.jacobian * label_err, linear.nuisance])[cells]
        residual = np.log(flux[cells]) - linear.log_flux[cells]
        if literature is not None:
            residual += linear.jacobian[cells] @ (linear.labels - literature)
        return cls(cells, residual, linear.depth[cells], nuisance, np.atleast_1d(coordinates), noise)

    def covariance(self, line_err, bases):
        """Of the residual, (n, n): noise, nuisances, the star's own line errors on the scales of `bases`."""
        v = self.nuisance @ self.nuisance.T
        for err, basis in zip(line_err, bases, strict=True):
            column = self.depth @ basis
            column = column.toarray() if hasattr(column, "toarray") else column
            v += err**2 * (column @ column.T)
        v[np.diag_indices(len(v))] += self.noise**2
        return v


@dataclass
class TermFit:
    """``instrument`` (c,) and ``terms`` (k, c): posterior means; ``evidence``: log marginal likelihood;
    ``chi2`` of each star per cell; ``label_shift`` (stars, 5) in units of the labels' errors.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> term = 0.1 * np.sin(np.arange(64) / 5)  # of ln(line strength), per unit of the coordinate
    >>> places = rng.uniform(-1, 1, 30)
    >>> data = [x * term + 0.01 * rng.normal(size=64) for x in places]
    >>> same = np.arange(64), csr_array(np.eye(64)), np.zeros((64, 1))
    >>> pairs = zip(places, data, strict=True)
    >>> stars = [StarResidual(same[0], y, *same[1:], np.array([x]), 0.01) for x, y in pairs]
    >>> found = fit_terms(stars, [0.01] * 4, [[0.1] * 4], 0.1)
    >>> found.instrument.shape, found.terms.shape, found.chi2.shape
    ((64,), (1, 64), (30,))
    """

    instrument: np.ndarray
    terms: np.ndarray
    evidence: float
    chi2: np.ndarray
    label_shift: np.ndarray


def scale_bases(n_cells, scales=(1, 8, 64, None)):
    """Linear interpolation between knots `scales` cells apart (None: constant), one array (c, knots) each.

    Examples
    --------
    >>> [base.shape for base in scale_bases(64)]
    [(64, 64), (64, 9), (64, 2), (64, 1)]
    """
    bases = []
    for scale in scales:
        if scale == 1:
            bases.append(diags_array(np.ones(n_cells)).tocsr())
        elif scale is None:
            bases.append(np.ones((n_cells, 1)))
        else:
            knots = np.arange(0, n_cells + scale, scale)
            bases.append(_KNOT_GAIN * interpolation(knots, np.arange(n_cells)).toarray())
    return bases


def fit_terms(stars, line_err, term_err, instrument_err):
    r"""Separate the instrument's pattern from the library's errors that go with a star's coordinates.

    For star s with coordinates x, in cells,

    .. math:: y_s = c + D_s \Big[\sum_k x_{sk} b_k + ε_s\Big] + N_s u_s + \mathrm{noise}

    where c is the instrument's, D the derivative with respect to ln r, b the terms wanted, ε line errors
    of the star alone, N the nuisances (labels, distortions, continuum) with u of unit variance. All are
    Gaussian, with zero mean; c and b have the posterior mean of a linear model.

    Parameters
    ----------
    stars : list of StarResidual
        Residuals of the stars.
    line_err : sequence of float, shape (4,)
        Standard deviations of ε on the scales of `scale_bases`.
    term_err : array-like of float, shape (k, 4)
        Standard deviations of each of the b.
    instrument_err : float
        Standard deviation of c in a cell.

    Returns
    -------
    TermFit

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> term = 0.1 * np.sin(np.arange(64) / 5)  # of ln(line strength), per unit of the coordinate
    >>> places = rng.uniform(-1, 1, 30)
    >>> data = [x * term + 0.01 * rng.normal(size=64) for x in places]
    >>> same = np.arange(64), csr_array(np.eye(64)), np.zeros((64, 1))
    >>> pairs = zip(places, data, strict=True)
    >>> stars = [StarResidual(same[0], y, *same[1:], np.array([x]), 0.01) for x, y in pairs]
    >>> found = fit_terms(stars, [0.01] * 4, [[0.1] * 4], 0.1)
    >>> bool(np.abs(found.terms[0] - term).max() < 0.02)
    True
    """
    n_cells, k = stars[0].depth.shape[1], stars[0].coordinates.size
    bases, n = scale_bases(n_cells), (1 + k) * n_cells
    precision, target, evidence = np.zeros((n, n)), np.zeros(n), 0.0
    blocks = [slice(i * n_cells, (i + 1) * n_cells) for i in range(1 + k)]
    inverses = []
    for star in stars:
        factor = cho_factor(star.covariance(line_err, bases), lower=True)
        inverse = cho_solve(factor, np.eye(star.cells.size))
        z = inverse @ star.residual
        evidence -= 0.5 * star.residual @ z + np.log(np.diag(factor[0])).sum()
        precision[np.ix_(star.cells, star.cells)] += inverse
        target[star.cells] += z
        mixed = (star.depth.T @ inverse).T  # (n, c)
        depths, depth_z = star.depth.T @ mixed, star.depth.T @ z
        for x, block in zip(star.coordinates, blocks[1:], strict=True):
            precision[star.cells, block] += x * mixed
            target[block] += x * depth_z
            for other, second in zip(star.coordinates, blocks[1:], strict=True):
                precision[block, second] += x * other * depths
        inverses.append(inverse)
    precision[n_cells:, :n_cells] = precision[:n_cells, n_cells:].T
    precision[blocks[0], blocks[0]] += np.eye(n_cells) / instrument_err**2
    evidence -= n_cells * np.log(instrument_err)
    if k:
        dense = [b.toarray() if hasattr(b, "toarray") else b for b in bases]
        for block, errors in zip(blocks[1:], np.atleast_2d(term_err), strict=True):
            prior = sum(err**2 * (b @ b.T) for err, b in zip(errors, dense, strict=True))
            factor = cho_factor(prior, lower=True)
            precision[block, block] += cho_solve(factor, np.eye(n_cells))
            evidence -= np.log(np.diag(factor[0])).sum()
    factor = cho_factor(precision, lower=True)
    solution = cho_solve(factor, target)
    evidence += 0.5 * target @ solution - np.log(np.diag(factor[0])).sum()
    instrument, terms = solution[blocks[0]], solution[n_cells:].reshape(k, n_cells)
    chi2, shifts = np.empty(len(stars)), np.empty((len(stars), 5))
    for i, (star, inverse) in enumerate(zip(stars, inverses, strict=True)):
        r = star.residual - instrument[star.cells] - star.depth @ (star.coordinates @ terms)
        chi2[i], shifts[i] = r @ inverse @ r / r.size, star.nuisance[:, :5].T @ (inverse @ r)
    return TermFit(instrument, terms, evidence, chi2, shifts)


def line_errors(stars, instrument, terms, start, iterations=15):
    r"""Maximum-likelihood line errors of stars, on each scale, given what is common.

    The variances θ of the covariance V(θ) = V_0 + Σ θ_i C_i are found by Fisher scoring,

    .. math:: F_{ij} = \tfrac12 \mathrm{tr}(V^{-1} C_i V^{-1} C_j), \quad
              g_i = \tfrac12 [r^T V^{-1} C_i V^{-1} r - \mathrm{tr}(V^{-1} C_i)],

    with the spectra's noise scaled by a common factor, which is found too.

    Parameters
    ----------
    stars : list of StarResidual
        Residuals of the stars.
    instrument, terms : lists of ndarray, shapes (c,) and (k, c)
        The common parts for each star, from a fit without the star.
    start : sequence of float
        First guess of the standard deviations on the scales of `scale_bases`.

    Returns
    -------
    line_err, line_err_err : ndarrays, shape (scales,)
        Standard deviations of ln r, and their errors.
    noise_scale : float
        Factor on the standard deviation of the noise.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cells, depth, nuisance = np.arange(64), np.linspace(0.1, 1, 64), np.zeros((64, 1))
    >>> data = [depth * rng.normal(0, 0.1, 64) + rng.normal(0, 0.01, 64) for _ in range(30)]
    >>> given = csr_array(np.diag(depth)), nuisance, np.zeros(1), 0.01
    >>> stars = [StarResidual(cells, y, *given) for y in data]
    >>> nothing = [np.zeros(64)] * 30, [np.zeros((1, 64))] * 30
    >>> errors, their_errors, noise_scale = line_errors(stars, *nothing, [0.05, 0.01, 0.01, 0.01])
    >>> float(errors[0].round(1))
    0.1
    """
    bases = scale_bases(stars[0].depth.shape[1])
    theta = np.array([*np.square(start), 1.0])
    columns = [[_dense(star.depth @ basis) for basis in bases] for star in stars]
    for _ in range(iterations):
        fisher, gradient = np.zeros((theta.size, theta.size)), np.zeros(theta.size)
        for star, c, b, xs in zip(stars, instrument, terms, columns, strict=True):
            r = star.residual - c[star.cells] - star.depth @ (star.coordinates @ b)
            v = star.nuisance @ star.nuisance.T + theta[-1] * star.noise**2 * np.eye(r.size)
            v += sum(t * (x @ x.T) for t, x in zip(theta, xs, strict=False))
            inverse = np.linalg.inv(v)
            # V⁻¹C for C = XXᵀ has the trace of XᵀV⁻¹X, and pairs that of its mixed squares.
            ws = [inverse @ x for x in xs]
            for i, (x, w) in enumerate(zip(xs, ws, strict=True)):
                gradient[i] += 0.5 * (np.square(w.T @ r).sum() - (x * w).sum())
                for j in range(i + 1):
                    fisher[i, j] += 0.5 * np.square(xs[j].T @ w).sum()
            # The noise has C = σ², the same number in all pixels.
            square = star.noise**2
            gradient[-1] += 0.5 * square * (np.square(inverse @ r).sum() - np.trace(inverse))
            for j, w in enumerate([*ws, star.noise * inverse]):
                fisher[-1, j] += 0.5 * square * np.square(w).sum()
        fisher = fisher + np.tril(fisher, -1).T
        new = np.maximum(theta + np.linalg.solve(fisher, gradient), theta / 4)
        done, theta = np.abs(new - theta).max() < 1e-4 * theta[-1] and np.allclose(new, theta, rtol=0.02), new
        if done:
            break
    err = np.sqrt(theta[:-1])
    return err, np.sqrt(np.diag(np.linalg.inv(fisher)))[:-1] / (2 * err), float(np.sqrt(theta[-1]))


def _dense(matrix):
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix


def fit_labels(model: LowResolution, flux, valid, noise, starts, line_err=None, iterations=12):
    """Labels (5,) of a star by generalised least squares, the best from several `starts` (n, 5).

    Distortions and continuum are marginalised; labels are free but for [alpha/M] and [C/M], whose prior
    is centred on what [M/H] says. With `line_err`, errors of line strengths count as noise; without, only
    the noise of the spectrum does, as in a plain χ² fit.

    Returns
    -------
    labels, errors : ndarrays, shape (5,)
    chi2 : float

    Examples
    --------
    >>> from specvit import Emulator
    >>> low = LowResolution(Emulator.load(), fwhm=3.4)
    >>> truth = [4500.0, 2.0, -0.3, 0.1, 0.0]
    >>> flux, seen = low.spectra([truth])[2][0], np.ones(len(low.grid), bool)
    >>> found, errors, chi2 = fit_labels(low, flux, seen, 0.01, [[5000.0, 3.0, -0.5, 0.2, 0.0]])
    >>> bool(np.all(np.abs(found - truth)[:3] < errors[:3]))
    True
    """
    low, high = model.emulator.label_range.numpy() + np.outer([1, -1], 1e-3 * np.array([100, 1, 1, 1, 1]))
    bases = scale_bases(len(model.grid))
    line_err = np.zeros(len(bases)) if line_err is None else line_err
    prior = np.diag([0, 0, 0, *(1 / LABEL_ERR[3:] ** 2)])
    best = None
    for start in starts:
        labels, damping, last, weights = np.clip(start, low, high), 1e-2, np.inf, None
        kept, kept_system = labels, None
        for iteration in range(iterations):
            linear = model.linearise(labels)
            star = StarResidual.of(linear, flux, valid, (), noise, label_err=np.zeros(5))
            if iteration < 2:  # weights then stay, that the objective be one
                weights, last = cho_factor(star.covariance(line_err, bases), lower=True), np.inf
            strayed = labels - expected_labels(labels[:3])
            jacobian, z = linear.jacobian[star.cells], cho_solve(weights, star.residual)
            chi2 = star.residual @ z + strayed @ prior @ strayed
            if chi2 > last:
                damping *= 10
            else:
                if last - chi2 < 0.01:
                    kept = labels
                    break
                kept, last, damping = labels, chi2, damping / 5
                hessian = jacobian.T @ cho_solve(weights, jacobian) + prior
                kept_system = hessian, jacobian.T @ z - prior @ strayed
            hessian, gradient = kept_system
            step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)
            labels = np.clip(kept + step, low, high)
        if best is None or last < best[2]:
            best = kept, np.sqrt(np.diag(np.linalg.inv(kept_system[0]))), last
    return best


def expected_labels(three):
    """Labels (5,) from Teff, log g and [M/H]: [alpha/M] as in the Galaxy's disc and halo, [C/M] 0.

    Examples
    --------
    >>> expected_labels([4500, 2.0, -1.0]).tolist()
    [4500.0, 2.0, -1.0, 0.4, 0.0]
    """
    return np.array([*three, 0.4 * min(1.0, max(0.0, -three[2])), 0.0])

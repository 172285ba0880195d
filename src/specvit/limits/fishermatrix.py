"""`Fisher`: information matrices with named parameters, which can be fixed, marginalised and inverted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import solveh_banded

__all__ = ["Fisher", "solve_banded"]


@dataclass(frozen=True, repr=False)
class Fisher:
    """Information matrices of n spectra about the same named parameters.

    Parameters
    ----------
    matrix : ndarray of float64, shape (n, p, p)
        The matrices, symmetric and positive semi-definite.
    names : tuple of str
        Names of the p parameters. The information is in inverse units of two parameters.

    See Also
    --------
    survey_fisher : The information of stars as a survey observes them.
    fisher_information : The information from derivatives and variances.

    Examples
    --------
    Two parameters, the errors of which are correlated:

    >>> fisher = Fisher(np.array([[[2.0, 1.0], [1.0, 2.0]]]), ("logg", "mh"))
    >>> float(fisher.crlb("logg")[0]), float(fisher.fix("mh").crlb("logg")[0])
    (0.6666666666666666, 0.5)
    """

    matrix: np.ndarray
    names: tuple

    def __post_init__(self):
        matrix = np.asarray(self.matrix, np.float64)
        p = len(self.names)
        if matrix.ndim != 3 or matrix.shape[1:] != (p, p):
            raise ValueError(f"matrix must have shape (n, {p}, {p}), got {matrix.shape}")
        if not np.isfinite(matrix).all():
            raise ValueError("matrix must be finite")
        object.__setattr__(self, "matrix", (matrix + matrix.swapaxes(1, 2)) / 2)
        object.__setattr__(self, "names", tuple(self.names))

    def __repr__(self):
        sigma = self.sigma()[0] if len(self) == 1 else np.median(self.sigma(), 0) if len(self) else []
        errors = ", ".join(f"{name} ± {x:.3g}" for name, x in zip(self.names, sigma, strict=False))
        return f"Fisher({len(self)} {'spectrum' if len(self) == 1 else 'spectra, median'}: {errors})"

    def __len__(self):
        return len(self.matrix)

    def fix(self, *names):
        """The information when the parameters `names` are known, without their rows and columns."""
        keep = self._others(names)
        return Fisher(self.matrix[:, keep][:, :, keep], tuple(self.names[i] for i in keep))

    def marginalise(self, *names):
        """The information when `names` are unknown: the Schur complement F_aa − F_ab F_bb⁺ F_ba.

        A direction of `names` that the spectrum does not depend on contributes nothing. The pseudo-inverse
        leaves it out, which is exact.
        """
        if not names:
            return self
        keep, gone = self._others(names), self._index(names)
        cross = self.matrix[:, gone][:, :, keep]
        inverse, _ = _invert(self.matrix[:, gone][:, :, gone])
        reduced = self.matrix[:, keep][:, :, keep] - cross.swapaxes(1, 2) @ inverse @ cross
        return Fisher(reduced, tuple(self.names[i] for i in keep))

    def keep(self, *names):
        """The information about `names` with all other parameters marginalised, in the order given."""
        reduced = self.marginalise(*(name for name in self.names if name not in names))
        order = reduced._index(names)
        return Fisher(reduced.matrix[:, order][:, :, order], names)

    def with_priors(self, **sigma):
        """The information with Gaussian priors of standard deviations `sigma`, as in ``teff=100`` (K)."""
        matrix = self.matrix.copy()
        for i, value in zip(self._index(sigma), sigma.values(), strict=True):
            if not value > 0:
                raise ValueError(f"prior of {self.names[i]} must have a positive sigma, got {value!r}")
            matrix[:, i, i] += 1 / value**2
        return Fisher(matrix, self.names)

    @property
    def rank(self):
        """Rank of each matrix, (n,). If it is below p, some combination of parameters is not measured."""
        return _spectrum(self.matrix)[3].sum(1)

    @property
    def condition(self):
        """Condition number of each matrix scaled to unit diagonal, (n,); infinite where singular."""
        values, usable = _spectrum(self.matrix)[0], self.rank == len(self.names)
        smallest = np.where(usable, values[:, 0], 1.0)
        return np.where(usable, values[:, -1] / smallest, np.inf)

    @property
    def covariance(self):
        """Inverse matrices, (n, p, p), symmetric.

        Raises
        ------
        numpy.linalg.LinAlgError
            If a matrix is singular: fix or marginalise a parameter, or add a prior.
        """
        inverse, degenerate = _invert(self.matrix)
        if degenerate.any():
            row, column = np.argwhere(degenerate)[0]
            raise np.linalg.LinAlgError(
                f"the Fisher matrix of spectrum {row} is singular (rank {self.rank[row]} of "
                f"{len(self.names)}): {self.names[column]} is not determined"
            )
        return inverse

    def crlb(self, name=None):
        """Cramér–Rao bound on the variance of unbiased estimators, (n, p), or (n,) for the parameter `name`.

        It is infinite for a parameter with a component along a direction that is not measured. `sigma` is
        its root, in the unit of the parameter.
        """
        inverse, degenerate = _invert(self.matrix)
        bound = np.where(degenerate, np.inf, np.diagonal(inverse, axis1=1, axis2=2))
        return bound if name is None else bound[:, self._index([name])[0]]

    def sigma(self, name=None):
        """Least standard error of unbiased estimators, the root of `crlb`: (n, p), or (n,) for one `name`."""
        return np.sqrt(self.crlb(name))

    def mean(self):
        """Information averaged over the spectra, a `Fisher` of one matrix."""
        return Fisher(self.matrix.mean(0, keepdims=True), self.names)

    def _index(self, names):
        missing = [name for name in names if name not in self.names]
        if missing:
            raise ValueError(f"names must be among {self.names}, got {missing[0]!r}")
        return [self.names.index(name) for name in names]

    def _others(self, names):
        gone = self._index(names)
        return [i for i in range(len(self.names)) if i not in gone]


def _spectrum(matrix):
    """Eigenvalues (rising) and vectors of the matrices scaled to unit diagonal, the scale, what is not 0."""
    diagonal = np.diagonal(matrix, axis1=1, axis2=2)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))  # units, and with them F_ii << 1, drop out
    values, vectors = np.linalg.eigh(matrix / scale[:, :, None] / scale[:, None, :])
    usable = values > matrix.shape[1] * np.finfo(float).eps * np.maximum(values[:, -1:], 1.0)
    return values, vectors, scale, usable


def _invert(matrix):
    """Inverse on the measured directions, (n, p, p), and which parameters have a part outside, (n, p)."""
    values, vectors, scale, usable = _spectrum(matrix)
    scaled = vectors * np.where(usable, 1 / np.sqrt(np.where(usable, values, 1.0)), 0.0)[:, None, :]
    scaled = scaled / scale[:, :, None]
    outside = np.where(usable[:, None, :], 0.0, np.abs(vectors)).max(2, initial=0)
    return scaled @ scaled.swapaxes(1, 2), outside > 1e-6


def solve_banded(rows, variance, bands, floor):
    """C⁻¹ rows, with C banded; masked pixels (infinite variance) give nothing."""
    n, n_pixels, _ = rows.shape
    bands = np.broadcast_to(bands[:, None] if bands.ndim == 2 else bands, (len(bands), n, n_pixels))
    result = np.zeros(rows.shape)
    for i, (right, diagonal) in enumerate(zip(rows.cpu().numpy(), variance.cpu().numpy(), strict=True)):
        bad = ~np.isfinite(diagonal)
        banded = np.concatenate([[np.where(bad, 1.0, diagonal) * (1 + floor)], bands[:, i]])
        for k in range(1, len(banded)):
            lost = bad.copy()
            lost[:-k] |= bad[k:]
            lost[-k:] = True
            banded[k, lost] = 0
        try:
            solved = solveh_banded(banded, np.where(bad[:, None], 0, right), lower=True)
        except np.linalg.LinAlgError:
            raise ValueError(
                f"the covariance of spectrum {i} is not positive definite: give all its bands, and a floor "
                f"(1e-9) if it was resampled from fewer pixels; floor is {floor!r}"
            ) from None
        result[i] = solved
    return torch.as_tensor(result, device=rows.device)

"""Ridge regression of labels on pixels, in one pass over any number of spectra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from specvit.grid import PixelGrid
from specvit.predictors.featureregressor import FeatureRegressor
from specvit.predictors.parameterrules import RIDGE

__all__ = ["RidgeEstimator"]

#: Penalties tried, relative to the mean eigenvalue of the covariance of the features.
_PENALTIES = np.geomspace(1e-6, 1e3, 55)


class RidgeEstimator(FeatureRegressor):
    r"""Linear least squares with a penalty on the squared coefficients, one penalty for each label.

    With centred features X and labels y of n spectra,

    .. math:: β = (X^T X + α I)^{-1} X^T y

    (Hoerl & Kennard 1970, Technometrics 12, 55). As soon as there are more spectra than pixels, only the Gram
    matrix :math:`X^T X` and :math:`X^T y` are kept, summed in float64 as batches go by: a survey of any size
    takes the memory of n_pixels² numbers. Fewer spectra are kept themselves, and the same β is found from
    their kernel, :math:`β = X^T (X X^T + α I)^{-1} y`, which is faster. The penalty is that of the least
    squared error on held-out spectra, along the whole path, which costs one eigendecomposition; the
    coefficients are then found again from all spectra.

    Parameters
    ----------
    alpha : "auto" or float
        The penalty α, for the sum over spectra as in `sklearn.linear_model.Ridge`.
    grid : PixelGrid, optional
        Pixels of the spectra; by default those of the survey or data set, or PFS MR.
    labels : str or sequence of str, optional
        Labels of a survey or data set to learn, or the names of the columns of `y`, in any spelling;
        `predict` gives the same. By default all are learned, and `predict` gives log g.
    encoding : {"median", "weighted", "none"}
        How a spectrum becomes features, see `specvit.network.encode`: by default flux over its median, and
        the median where a pixel is masked. ``"none"`` takes any features, in arrays.
    validation_fraction : float
        Share of the spectra, at most 10,000, that are held out to choose the penalty and to measure σ.
    device : str or torch.device
        Where a survey is simulated and the sums are taken.
    random_state : int
        Seed of the choice of held-out spectra.

    Attributes
    ----------
    label_names_ : tuple of str
        Labels that were learned, those of `predict_table`; also `label_names`.
    output_names : tuple of str
        Labels that `predict` gives.
    alpha_ : ndarray, shape (n_labels,)
        Penalties.
    coef_ : ndarray, shape (n_labels, n_features)
        Coefficients of the features.
    intercept_ : ndarray, shape (n_labels,)
        Prediction where all features are zero.
    validation_r2_ : ndarray, shape (n_labels,)
        R² on the held-out spectra, of coefficients found without them.
    n_spectra_ : int
        Spectra used; those without a positive median flux are left out.
    grid_ : PixelGrid or None
        Pixels of the spectra; None for plain features.
    label_range_ : dict of str to (float, float)
        Lowest and highest value of each label that was learned, beyond which it is flagged.
    columns_ : tuple of str or None
        Names of the columns of a two-dimensional `y`; None otherwise.
    n_features_in_ : int
        Pixels of the spectra.
    feature_names_in_ : ndarray of str
        Names of the columns, of plain features in a data frame with names only.

    Raises
    ------
    numpy.linalg.LinAlgError
        By `fit`, if α is too small for the coefficients to be determined.

    See Also
    --------
    LightGBMEstimator : Boosted trees, in which pixels interact.
    specvit.LoggEstimator : The network, which is used in the same way.

    Notes
    -----
    Advantages: a convex problem with one solution; nothing has to be tuned; one pass, in constant memory.
    Disadvantages: pixels do not interact, so that it is less accurate where log g changes the
    spectrum differently at different temperatures; σ is that of held-out spectra of the same S/N, not one of
    each star.

    Examples
    --------
    Two pixels of three tell a label:

    >>> from specvit.predictors import RidgeEstimator
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> ridge = RidgeEstimator(encoding="none").fit(x, 2 * x[:, 0] - x[:, 1])
    >>> ridge.coef_.round(2).tolist()
    [[2.0, -1.0, 0.0]]
    """

    _rules = RIDGE

    def __init__(
        self,
        alpha: float | str = "auto",
        *,
        grid: PixelGrid | None = None,
        labels: str | Sequence[str] | None = None,
        encoding: str = "median",
        validation_fraction: float = 0.1,
        device: Any = "cpu",
        random_state: Any = 0,
    ) -> None:
        self.alpha = alpha
        self.grid = grid
        self.labels = labels
        self.encoding = encoding
        self.validation_fraction = validation_fraction
        self.device = device
        self.random_state = random_state

    def _learn(self, batches):
        if self.alpha != "auto" and not (np.isfinite(self.alpha) and self.alpha >= 0):
            raise ValueError(f"alpha must be 'auto' or a finite number not below 0, got {self.alpha!r}")
        sums, held_out = _Sums(), []
        for x, labels, snr, chosen in batches:
            sums.add(x[~chosen], labels[~chosen])
            held_out.append((x[chosen], labels[chosen], snr[chosen]))
        x, labels, snr = (torch.cat(column) for column in zip(*held_out, strict=True))
        if sums.n < 2 or len(x) < 2:
            raise ValueError(
                f"X must hold spectra of positive median flux, got {sums.n + len(x)} of {batches.n}"
            )
        if self.alpha == "auto":
            alpha, prediction = _path(sums, x, labels)
        else:
            alpha = np.full(labels.shape[1], float(self.alpha))
            coef, intercept = sums.solve(alpha)
            prediction = x.double() @ coef.T + intercept
        sums.add(x, labels)
        coef, intercept = sums.solve(alpha)
        self.coef_, self.intercept_, self.alpha_ = coef.cpu().numpy(), intercept.cpu().numpy(), alpha
        return *(a.double().cpu().numpy() for a in (prediction, labels, snr)), sums.n

    @property
    def _device(self):
        return self.device

    def _labels(self, x):
        return x.double().numpy() @ self.coef_.T + self.intercept_


class _Sums:
    """Features and labels about the mean of the first batch: themselves while few, then sums in float64.

    With no more spectra than features, the kernel of the spectra is the smaller matrix and has the same
    solution (Saunders, Gammerman & Vovk 1998, ICML, 515); beyond, the Gram matrix of the features is, and
    does not grow.
    """

    def __init__(self):
        self.n, self.kept = 0, []

    def add(self, x, y):
        if not len(x):
            return
        if not self.n:
            self.shift = x.double().mean(0), y.mean(0)
        self.n += len(x)
        if self.kept is not None:
            self.kept.append((x, y))
            if self.n <= x.shape[1]:
                return
            p, d = x.shape[1], y.shape[1]
            self.gram, self.cross = self.shift[0].new_zeros(p, p), self.shift[0].new_zeros(p, d)
            self.x, self.y = self.shift[0].new_zeros(p), self.shift[0].new_zeros(d)
            for batch in self.kept:
                self._sum(*batch)
            self.kept = None
        else:
            self._sum(x, y)

    def _sum(self, x, y):
        x, y = x.double() - self.shift[0], y - self.shift[1]
        self.gram.addmm_(x.T, x)
        self.cross.addmm_(x.T, y)
        self.x += x.sum(0)
        self.y += y.sum(0)

    def system(self):
        """Matrix A and right-hand side b of (A + αI) c = b, the basis of c, and the means.

        The coefficients are basisᵀ c: the basis is the centred features if A is their kernel (n, n), and
        None, for the identity, if A is their Gram matrix (p, p).
        """
        if self.kept is not None:
            x, y = (torch.cat(column) for column in zip(*self.kept, strict=True))
            x, y = x.double() - self.shift[0], y - self.shift[1]
            x_mean, y_mean = x.mean(0), y.mean(0)
            x -= x_mean
            return x @ x.T, y - y_mean, x, self.shift[0] + x_mean, self.shift[1] + y_mean
        gram = self.gram - torch.outer(self.x, self.x) / self.n
        cross = self.cross - torch.outer(self.x, self.y) / self.n
        return gram, cross, None, self.shift[0] + self.x / self.n, self.shift[1] + self.y / self.n

    def solve(self, alpha):
        """Coefficients (n_labels, p) and intercepts (n_labels,) for a penalty a label."""
        matrix, right, basis, x_mean, y_mean = self.system()
        found = torch.empty_like(right)
        for value in set(alpha.tolist()):
            columns = torch.as_tensor(alpha == value, device=matrix.device)
            penalised = matrix.clone()
            penalised.diagonal().add_(value)
            factor, info = torch.linalg.cholesky_ex(penalised)
            # What is left of a row that the rows before it do not determine. Rounding may leave more than 0
            # of a singular matrix, as the kernel of centred spectra without a penalty always is.
            left, rounding = factor.diagonal().square(), len(matrix) * torch.finfo(matrix.dtype).eps
            if info or (left <= rounding * penalised.diagonal()).any():
                raise np.linalg.LinAlgError(
                    f"alpha must be larger: {value:g} does not determine the coefficients of "
                    f"{len(x_mean)} features from {self.n} spectra"
                )
            found[:, columns] = torch.cholesky_solve(right[:, columns], factor)
        coef = found if basis is None else basis.T @ found
        return coef.T, y_mean - x_mean @ coef


def _path(sums, x, y):
    """The best penalty for each label on held-out spectra, and the predictions with it."""
    matrix, right, basis, x_mean, y_mean = sums.system()
    values, vectors = torch.linalg.eigh(matrix)
    values = values.clamp_min(0)  # rounding
    x = x.double() - x_mean
    rotated, target = (x if basis is None else x @ basis.T) @ vectors, vectors.T @ right
    best = torch.full((y.shape[1],), torch.inf, dtype=torch.float64, device=y.device)
    alpha, chosen = torch.zeros_like(best), torch.zeros_like(y)
    # Of all eigenvalues of the Gram matrix: those that the kernel does not have are 0. If all are, any
    # penalty that can be divided by gives coefficients of 0.
    mean_value = (values.sum() / len(x_mean)).clamp_min(torch.finfo(torch.float64).tiny ** 0.5)
    for candidate in _PENALTIES * float(mean_value):
        prediction = rotated @ (target / (values + candidate)[:, None]) + y_mean
        loss = (prediction - y).square().sum(0)
        better = loss < best
        best, alpha = torch.where(better, loss, best), torch.where(better, candidate, alpha)
        chosen = torch.where(better, prediction, chosen)
    return alpha.cpu().numpy(), chosen

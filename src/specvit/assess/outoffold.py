"""Cross-validated ridge regression in closed form, for thousands of inputs and several targets."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["PENALTIES", "out_of_fold"]

#: Penalties tried, in units of the number of spectra (inputs are scaled to unit variance).
PENALTIES = tuple(10.0**k for k in range(-7, 3))


def out_of_fold(inputs, targets, *, folds=5, penalties=PENALTIES, seed=0, device="cpu"):
    """Predictions for every spectrum by regressions that have not seen it.

    Parameters
    ----------
    inputs : tensor, shape (n, p)
        Finite; scaled to unit variance here, columns that never vary being left out.
    targets : ndarray, shape (n, t)
        Values to predict, each column by itself.
    folds : int
        Parts that the spectra are divided into; each is predicted from all others.
    penalties : sequence of float
        Multiples of the number of spectra that are tried as penalty on the squared coefficients.
    seed : int
        Seed of the division into folds.
    device : str or torch.device
        Where the equations are solved, in float64.

    Returns
    -------
    ndarray, shape (n, t)
        Predictions of the spectra that the fit had not seen, with the penalty that is best for each target on
        the first fold. If this choice biases a result, then towards finding that the inputs tell the target.

    Raises
    ------
    ValueError
        If an input is not finite or there are fewer than two spectra a fold.

    Notes
    -----
    :math:`\\hat y = \\bar y + (x - \\bar x)^T (X^T X + λ n)^{-1} X^T y` with X and y centred on the training
    spectra; where there are fewer of these than inputs, in the equal form
    :math:`X^T (X X^T + λ n)^{-1} y` (Hoerl & Kennard 1970, Technometrics 12, 55).
    """
    n, targets = len(inputs), torch.as_tensor(targets, dtype=torch.float64, device=device)
    if n < 2 * folds:
        raise ValueError(f"n must be at least {2 * folds} for {folds} folds, got {n}")
    if not torch.isfinite(inputs).all():
        raise ValueError("inputs must be finite")
    spread = inputs.double().std(0)
    varies = spread > 1e-12 * inputs.abs().amax(0)
    inputs, spread = inputs[:, varies], spread[varies]
    order = np.random.default_rng([seed, 3]).permutation(n)
    parts = [torch.as_tensor(np.sort(part)) for part in np.array_split(order, folds)]

    def scaled(rows):
        return (inputs[rows].double() / spread).to(device)

    solve = _dual if n - len(parts[0]) < inputs.shape[1] else _Primal(scaled, targets, parts)
    predictions, best = torch.empty_like(targets), None
    for k, test in enumerate(parts):
        train = torch.cat([part for i, part in enumerate(parts) if i != k])
        tried = penalties if best is None else best.unique().tolist()
        found = torch.stack(list(solve(scaled, targets, train, test, tried)))  # (tried, n_test, t)
        tried = torch.as_tensor(tried, dtype=torch.float64, device=device)
        if best is None:
            best = tried[(found - targets[test]).square().sum(1).argmin(0)]
        for column, penalty in enumerate(best):
            predictions[test, column] = found[tried == penalty][0, :, column]
    return predictions.cpu().numpy()


def _dual(scaled, targets, train, test, penalties):
    """Predictions for `test` with each penalty, from the products of spectra."""
    x, z = scaled(train), scaled(test)
    mean, level = x.mean(0), targets[train].mean(0)
    x, y = x - mean, targets[train] - level
    gram, cross = x @ x.T, (z - mean) @ x.T
    for penalty in penalties:
        yield level + cross @ _solve(gram, penalty * len(x), y)


class _Primal:
    """The same from the products of inputs, which are summed once and each fold's part taken away."""

    def __init__(self, scaled, targets, parts):
        self.sums = {id(part): self._sums(scaled(part), targets[part]) for part in parts}
        self.whole = [sum(column) for column in zip(*self.sums.values(), strict=True)]

    @staticmethod
    def _sums(x, y):
        return x.T @ x, x.T @ y, x.sum(0), y.sum(0)

    def __call__(self, scaled, targets, train, test, penalties):
        gram, cross, x, y = (a - b for a, b in zip(self.whole, self.sums[id(test)], strict=True))
        n = len(train)
        mean, level = x / n, y / n
        gram = gram - n * mean[:, None] * mean
        cross = cross - n * mean[:, None] * level
        z = scaled(test) - mean
        for penalty in penalties:
            yield level + z @ _solve(gram, penalty * n, cross)


def _solve(gram, shift, right):
    """(gram + shift · 1)⁻¹ right."""
    shifted = gram.clone()
    shifted.diagonal().add_(shift)
    return torch.cholesky_solve(right, torch.linalg.cholesky(shifted))

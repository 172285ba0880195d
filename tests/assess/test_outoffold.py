"""Ridge regression out of fold against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from specvit.assess.outoffold import out_of_fold


@pytest.mark.parametrize(("n", "p"), [(60, 7), (40, 90)])  # by products of inputs, and of spectra
def test_ridge_is_scikit_learns(n, p):
    rng = np.random.default_rng(0)
    X = rng.normal(5, [1 + k for k in range(p)], (n, p))
    y = np.stack([X[:, 0] + rng.normal(0, 1, n), rng.normal(3, 1, n)], 1)
    inputs = np.concatenate([X, np.full((n, 1), 4.2)], 1)  # a column that never varies is left out
    scaled, penalties = X / X.std(0, ddof=1), (1e-3, 0.3)
    parts = np.array_split(np.random.default_rng([2, 3]).permutation(n), 4)
    expected = np.empty((2, n, 2))
    for k, test in enumerate(parts):
        train = np.concatenate([part for i, part in enumerate(parts) if i != k])
        for i, penalty in enumerate(penalties):
            model = Ridge(alpha=penalty * len(train), solver="svd").fit(scaled[train], y[train])
            expected[i, test] = model.predict(scaled[test])
    for i, penalty in enumerate(penalties):
        found = out_of_fold(torch.as_tensor(inputs), y, folds=4, penalties=[penalty], seed=2)
        np.testing.assert_allclose(found, expected[i], rtol=1e-8)
    first = parts[0]
    best = np.square(expected[:, first] - y[first]).sum(1).argmin(0)
    chosen = np.stack([expected[best[t], :, t] for t in range(2)], 1)
    found = out_of_fold(torch.as_tensor(inputs), y, folds=4, penalties=penalties, seed=2)
    np.testing.assert_allclose(found, chosen, rtol=1e-8)


def test_ridge_refuses():
    with pytest.raises(ValueError, match="n must be at least 10 for 5 folds, got 9"):
        out_of_fold(torch.zeros(9, 2), np.zeros((9, 1)))
    with pytest.raises(ValueError, match="inputs must be finite"):
        out_of_fold(torch.full((20, 2), torch.nan), np.zeros((20, 1)))

"""Cross-noise matrices against the closed form of a linear-Gaussian survey."""

import numpy as np
import pytest

from specvit.assess import (
    cross_noise_matrix,
    evaluate,
)


class PosteriorMean:
    label_names = ("x", "y")

    def __init__(self, toy):
        self.toy = toy

    def predict(self, X):
        return self.toy.posterior_mean(X)


def test_cross_noise_in_closed_form(linear_gaussian):
    levels = (1.0, 5.0, 12.0)
    asked = []

    def trainer(level):
        asked.append(level)
        return PosteriorMean(linear_gaussian(level))

    table = cross_noise_matrix(trainer, linear_gaussian, levels, label="y", n=20_000, bootstrap=20)
    assert tuple(asked) == levels
    matrix = table.pivot(index="trained", columns="tested", values="r2")
    assert list(matrix.index) == list(matrix.columns) == list(levels)
    for a in levels:
        at_a = linear_gaussian(a)
        slopes = at_a.basis[1:].numpy().T  # (n_pixels, 2)
        gain = at_a.covariance @ (slopes / at_a.variance.numpy()[:, None]).T
        for b in levels:
            at_b = linear_gaussian(b)
            loss = gain @ slopes - np.eye(2)
            mse = loss @ np.diag(at_b.prior_sigma**2) @ loss.T + (gain * at_b.variance.numpy()) @ gain.T
            error = table.loc[(table["trained"] == a) & (table["tested"] == b), "r2_err"].item()
            assert matrix.loc[a, b] == pytest.approx(1 - mse[1, 1] / 4, abs=5 * error + 1e-4)
    for b in levels:  # nothing is better than to train at the noise of the test
        assert matrix[b].idxmax() == b
    assert "definitions" in table.attrs and {"mae", "mae_err", "unusable", "snr"} < set(table.columns)


def test_cross_noise_of_given_predictors(linear_gaussian):
    predictors = {5.0: PosteriorMean(linear_gaussian(5.0))}
    table = cross_noise_matrix(
        predictors, linear_gaussian, [5.0], test_levels=[1.0, 5.0], label="x", n=200, bootstrap=0, seed=3
    )
    assert list(table["tested"]) == [1.0, 5.0] and (table["trained"] == 5).all()
    direct = evaluate({"a": predictors[5.0]}, linear_gaussian(1.0), n=200, labels="x", limits=False, seed=3)
    assert table["r2"][0] == direct["r2"][0]
    with pytest.raises(ValueError, match="levels must be at least one"):
        cross_noise_matrix(predictors, linear_gaussian, [])

"""Quantile regression: against the quantiles that are known, and against linear programming."""

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import norm

from specvit.network.quantileregression import quantile_regression


def made(n, seed):
    """y = 1 + 2 x0 − x1 + (1 + 0.5 x1) e: all quantiles are linear in x."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, (n, 2))
    return x, 1 + 2 * x[:, 0] - x[:, 1] + (1 + 0.5 * x[:, 1]) * rng.normal(size=n)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.6827])
def test_known_quantiles_are_found(quantile):
    b = quantile_regression(*made(100_000, 0), quantile)
    z = norm.ppf(quantile)
    np.testing.assert_allclose(b, [1 + z, 2, -1 + 0.5 * z], atol=0.06)


def test_it_is_the_linear_programme_where_the_kernel_is_narrow():
    x, y = made(400, 1)
    design = np.column_stack([np.ones(len(y)), x])
    one = np.eye(len(y))
    # min τ·u + (1 − τ)·v with X b + u − v = y
    solved = linprog(
        np.r_[np.zeros(3), np.full(400, 0.7), np.full(400, 0.3)],
        A_eq=np.hstack([design, one, -one]),
        b_eq=y,
        bounds=[(None, None)] * 3 + [(0, None)] * 800,
    )
    np.testing.assert_allclose(
        quantile_regression(x, y, 0.7, bandwidth=0.005), solved.x[:3], atol=0.03, rtol=0
    )


def test_the_unit_of_a_term_does_not_matter():
    x, y = made(5000, 2)
    one, other = (quantile_regression(x * [1, unit], y, 0.6827, ridge=50.0) for unit in (1, 1000))
    np.testing.assert_allclose(other, one / [1, 1, 1000], rtol=1e-6)


def test_shrinkage_leaves_the_quantile_of_all():
    x, y = made(20_000, 3)
    b = quantile_regression(x, y, 0.6827, ridge=1e9)
    assert abs(b[1:]).max() < 1e-3
    assert (y < b[0] + x @ b[1:]).mean() == pytest.approx(0.6827, abs=0.003)


def test_a_term_that_does_not_vary_has_no_coefficient():
    x, y = made(5000, 4)
    b = quantile_regression(np.column_stack([x, np.full(len(y), 7.0)]), y, 0.5)
    assert b[3] == 0
    np.testing.assert_allclose(b[:3], quantile_regression(x, y, 0.5), rtol=1e-6)

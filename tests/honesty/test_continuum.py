"""Polynomials of the continuum and sums with them, against NumPy's and scipy's in double precision."""

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev
from scipy.optimize import lsq_linear

from specvit.honesty.continuum import Continuum

RNG = np.random.default_rng(8)
N, TERMS = 1001, 8


def seen(*ranges):
    good = np.zeros((len(ranges), N), bool)
    for row, (low, high) in zip(good, ranges, strict=True):
        row[low:high] = True
    return torch.as_tensor(good)


def tensor(values):
    return torch.as_tensor(values, dtype=torch.float32)


#: All spectra seen whole, which share their polynomials, and parts.
SEEN = {"whole": seen((0, N), (0, N), (0, N)), "parts": seen((0, N), (100, 600), (400, 500))}


def exact(good):
    """The polynomials of a spectrum, (8, n), by NumPy."""
    inside = np.flatnonzero(good)
    low, high = inside[0], inside[-1]
    x = np.clip(2 * (np.arange(N) - low) / (high - low) - 1, -1, 1)
    kept = max(3, int((TERMS - 1) * (high - low) / (N - 1)) + 1)
    return chebyshev.chebvander(x, TERMS - 1).T * (np.arange(TERMS) < kept)[:, None]


@pytest.mark.parametrize("name", SEEN)
def test_polynomials_are_chebyshevs_over_what_is_seen(name):
    good = SEEN[name]
    found = Continuum(good, TERMS).polynomials.expand(len(good), -1, -1)
    for row, one in zip(good, found, strict=True):
        np.testing.assert_allclose(one, exact(row), atol=2e-5)


@pytest.mark.parametrize(("share", "kept"), [(0.8, 6), (0.5, 4), (0.1, 3)])
def test_a_part_has_fewer_and_they_span_it(share, kept):
    """Of a constant order per pixel; at least a parabola. The ends of what is seen are at ±1."""
    good = seen((100, 100 + int(share * N)))
    basis = Continuum(good, TERMS).polynomials[0].numpy()
    assert (np.abs(basis).max(1) > 0).sum() == kept
    x = basis[1][good[0]]
    assert x[0] == pytest.approx(-1) and x[-1] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", SEEN)
def test_sums_and_curves_are_products_with_polynomials(name):
    good = SEEN[name]
    continuum, polynomials = Continuum(good, TERMS), [exact(row) for row in good]
    values, several = RNG.standard_normal((3, N)), RNG.standard_normal((3, 2, N))
    weight = RNG.random((3, N))
    found = [x.numpy() for x in map(continuum.sums, (tensor(values), tensor(several)))]
    gram = continuum.gram(tensor(weight)).numpy()
    curve = continuum.curve(tensor(values[:, :TERMS])).numpy()
    curves = continuum.curve(tensor(several[..., :TERMS])).numpy()
    for k, p in enumerate(polynomials):
        np.testing.assert_allclose(found[0][k], p @ values[k], atol=2e-4)
        np.testing.assert_allclose(found[1][k], several[k] @ p.T, atol=2e-4)
        np.testing.assert_allclose(gram[k], (p * weight[k]) @ p.T, atol=5e-4)
        np.testing.assert_allclose(curve[k], values[k, :TERMS] @ p, atol=2e-4)
        np.testing.assert_allclose(curves[k], several[k, :, :TERMS] @ p, atol=2e-4)


@pytest.mark.parametrize("name", SEEN)
def test_fits_are_those_of_scipy(name):
    good = SEEN[name]
    weight = RNG.random((3, N)) * good.numpy()
    target = RNG.standard_normal((3, N)) + 3 * weight
    found = Continuum(good, TERMS).fitted(tensor(weight), tensor(target)).numpy()
    for k, row in enumerate(good):
        p = exact(row)
        kept = np.abs(p).max(1) > 0
        np.testing.assert_allclose(
            found[k][kept], lsq_linear((p[kept] * weight[k]).T, target[k]).x, atol=2e-4
        )
        assert not found[k][~kept].any()


@pytest.mark.parametrize("width", [90, 200])
def test_fits_to_both_ends_alone_leave_the_noise(width):
    """Where polynomials over the gap are alike to single precision, what they do there must not grow."""
    n, b = 4096, 64
    good = np.zeros((b, n))
    good[:, :width] = good[:, -width:] = 1
    x = np.linspace(-1, 1, n)
    weight = good * 50 * RNG.uniform(0.7, 1.3, (b, n))
    target = weight * (1 + 0.3 * x - 0.2 * x**2 + 0.1 * np.sin(3 * x)) + good * RNG.standard_normal((b, n))
    basis = chebyshev.chebvander(x, TERMS - 1)
    found = Continuum(torch.as_tensor(good > 0), TERMS).fitted(tensor(weight), tensor(target)).numpy()
    assert np.abs(found).max() < 5
    for w, y, coefficients in zip(weight, target, found, strict=True):
        columns = basis * w[:, None]
        exact = columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
        worse = np.square(y - columns @ coefficients).sum() - np.square(y - exact).sum()
        assert worse < 25  # Δχ²


def test_polynomials_between_pixels():
    good = SEEN["parts"]
    position = np.array([0.0, 120.4, 450.7, 1000.0])
    found = Continuum(good, TERMS).at(tensor(position), 3).numpy()
    for k, row in enumerate(good):
        low, high = np.flatnonzero(row)[[0, -1]]
        x = np.clip(2 * (position - low) / (high - low) - 1, -1, 1)
        np.testing.assert_allclose(found[k], chebyshev.chebvander(x, 2).T, atol=1e-5)

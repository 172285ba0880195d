"""Arms and orders joined by weight, against means in closed form."""

import numpy as np
import pytest

from specvit.spectra.readers.joining import Piece, are_orders, average, join


def piece(low, high, step, level=1.0, variance=0.01):
    wave = np.arange(low, high, step)
    return Piece.of(wave, np.full(wave.size, level), variance=np.full(wave.size, variance))


def test_the_same_pixels_have_the_mean_with_inverse_variance():
    joined = join([piece(7000, 7600, 0.5, 1.0, 0.01), piece(7500, 8000, 0.5, 2.0, 0.03)])
    np.testing.assert_allclose(joined.wave, np.arange(7000, 8000, 0.5))
    overlap = (joined.wave >= 7500) & (joined.wave < 7600)
    np.testing.assert_allclose(joined.flux, np.where(overlap, 1.25, np.where(joined.wave < 7500, 1.0, 2.0)))
    np.testing.assert_allclose(joined.variance[overlap], 0.0075)


def test_other_pixels_are_rebinned_to_those_of_more_weight():
    coarse, fine = piece(7000, 7600, 1.0, 1.0, 0.04), piece(7500.3, 8000, 0.5, 3.0, 0.01)
    joined = join([coarse, fine])
    assert (np.diff(joined.wave) > 0).all()
    overlap = (joined.wave > 7502) & (joined.wave < 7598)
    np.testing.assert_allclose(np.diff(joined.wave[overlap]), 0.5)  # those of the finer piece
    # A pixel of half the width takes the flux of the coarse one, with its variance.
    inside = joined.variance[overlap]
    assert np.isclose(inside, 1 / (1 / 0.04 + 1 / 0.01)).mean() > 0.4
    weights = inside / 0.01
    np.testing.assert_allclose(joined.flux[overlap], weights * 3 + (1 - weights) * 1, rtol=1e-9)


def test_lost_pixels_have_no_weight():
    first, second = piece(7000, 7600, 0.5, 1.0), piece(7000, 7600, 0.5, 3.0)
    first.good[::2] = False
    mean = average([first, second])
    np.testing.assert_allclose(mean.flux[::2], 3.0)
    np.testing.assert_allclose(mean.flux[1::2], 2.0)
    assert mean.good.all()


def test_gaps_stay_gaps_and_unknown_errors_stay_unknown():
    joined = join([piece(8000, 8100, 0.5), piece(7000, 7100, 0.5)])
    np.testing.assert_allclose(
        joined.wave, np.concatenate([np.arange(7000, 7100, 0.5), np.arange(8000, 8100, 0.5)])
    )
    wave = np.arange(7500, 7600, 0.5)
    assert join([joined, Piece.of(wave, np.ones(wave.size))]).variance is None


def test_a_piece_of_arrays_in_any_order():
    one = Piece.of([7002.0, 7001.0, 0.0, 7000.0], [3, 2, 9, np.nan], ivar=[4, 0, 1, 1], mask=[0, 0, 0, 0])
    assert one.wave.tolist() == [7000, 7001, 7002]
    assert one.good.tolist() == [False, False, True]
    assert one.variance[2] == 0.25


def test_orders_lie_side_by_side_and_stars_do_not():
    assert are_orders([piece(7500, 8000, 1), piece(7000, 7600, 1)])
    assert not are_orders([piece(7000, 8000, 1), piece(7010, 8010, 1)])
    assert not are_orders([piece(7000, 8000, 1)])


def test_the_blaze_is_taken_out():
    wave = np.arange(7000, 7200, 0.1)
    x = (wave - 7100) / 100
    lines = 1 - 0.5 * np.exp(-(((wave - 7050) / 0.5) ** 2))
    one = Piece.of(wave, 500 * (1 - 0.5 * x**2) * lines, variance=np.full(wave.size, 4.0)).flattened()
    np.testing.assert_allclose(one.flux, lines, atol=0.01)
    np.testing.assert_allclose(np.sqrt(one.variance) * 500 * (1 - 0.5 * x**2), 2.0, rtol=0.02)


def test_nothing_to_join_is_an_error():
    with pytest.raises(ValueError, match="no arm or order has two pixels"):
        join([Piece.of([7000.0], [1.0])])

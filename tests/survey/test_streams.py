"""Streams that are reserved: apart from each other, and used by whom they are named after."""

from itertools import pairwise

from specvit.survey import streams


def test_streams_keep_their_numbers_and_their_distance():
    """Weights and records that exist were made with the first five; no survey uses up the distance."""
    names = ("SCALING", "VALIDATION", "CALIBRATION", "SCORING", "EVALUATION", "LIMITS")
    values = [getattr(streams, name) for name in names]
    assert values == [2**40, 2**41, 2**42, 2**43, 2**44, 2**45]
    assert sorted(names) == streams.__all__
    assert all(high - low >= 2**40 for low, high in pairwise([0, *values]))

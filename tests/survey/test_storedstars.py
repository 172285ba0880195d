"""Stored stars: which they are, the noise on them, and streams that can be resumed."""

from itertools import islice

import numpy as np
import pytest
import torch

from specvit.survey import Augmentation, SNRNoise, Survey
from specvit.survey.storedstars import StoredStars, StoredStream, at_noise_level


@pytest.fixture(scope="module")
def survey():
    return Survey("paper", seed=3)


@pytest.fixture(scope="module")
def stars(survey):
    return StoredStars(survey, 24)


def test_they_are_the_stars_of_a_survey_of_that_size(stars):
    flux, _, labels = next(iter(Survey("paper", n=24, seed=3).stream(1000)))
    assert torch.equal(stars.labels, labels)
    sigma = stars.model.variance(stars.noiseless, stars.magnitude).sqrt()
    # the same stars to the noise: 24 x 4096 pixels of unit variance
    assert ((flux - stars.noiseless) / sigma).square().mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("level", [0.5, 1.0, 2.0])
def test_noise_has_the_variance_of_the_model_times_the_level_squared(stars, level):
    flux, _, labels = stars.observe(torch.arange(24), [1], level)
    sigma = stars.model.variance(stars.noiseless, stars.magnitude).sqrt()
    scatter = (flux - stars.noiseless) / sigma / level
    assert scatter.mean() == pytest.approx(0, abs=0.015)
    assert scatter.square().mean() == pytest.approx(1, abs=0.02)
    assert torch.equal(labels, stars.labels)


def test_reported_errors_scale_with_the_noise(stars):
    rows = torch.arange(4)
    flux, ivar, _ = stars.observe(rows, [1])
    doubled, doubled_ivar, _ = stars.observe(rows, [1], 2.0)
    torch.testing.assert_close(doubled - flux, flux - stars.noiseless[:4], rtol=0, atol=1e-5)
    torch.testing.assert_close(doubled_ivar, ivar / 4)
    clean, clean_ivar, _ = stars.observe(rows, [1], 0.0)
    assert torch.equal(clean, stars.noiseless[:4])
    assert torch.equal(clean_ivar, ivar)


def test_levels_between_two_limits_are_drawn_for_each_spectrum(stars):
    flux, ivar, _ = stars.observe(torch.arange(24), [1], (0.5, 1.5))
    sigma = stars.model.variance(stars.noiseless, stars.magnitude).sqrt()
    level = ((flux - stars.noiseless) / sigma).square().mean(1).sqrt()  # each to 1 %
    assert (level > 0.47).all() and (level < 1.55).all()
    assert level.max() - level.min() > 0.5
    reported = stars.observe(torch.arange(24), [1])[1]
    torch.testing.assert_close((reported / ivar).sqrt()[:, 0], level, rtol=0.05, atol=0)


def test_levels_of_tensors_may_hold_zero():
    flux, ivar = torch.tensor([[3.0], [3.0]]), torch.ones(2, 1)
    noisy, weight = at_noise_level(flux, ivar, torch.ones(2, 1), torch.tensor([[0.0], [2.0]]))
    assert noisy.tolist() == [[1.0], [5.0]]
    assert weight.tolist() == [[1.0], [0.25]]


def test_a_round_holds_every_star_once_and_then_in_another_order(stars):
    first, second = (list(islice(iter(stream), 3)) for stream in (stars.stream(8), _at(stars.stream(8), 3)))
    for batches in (first, second):
        seen = torch.cat([labels for *_, labels in batches])
        assert sorted(seen.tolist()) == sorted(stars.labels.tolist())
    assert not torch.equal(first[0][2], second[0][2])


def _at(stream, step):
    stream.set_step(step)
    return stream


def test_a_stream_is_resumed_exactly_across_rounds(stars):
    whole = list(islice(iter(stars.stream(7, seed=5)), 8))  # three batches a round
    rest = list(islice(iter(_at(stars.stream(7, seed=5), 4)), 4))
    for a, b in zip(whole[4:], rest, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_all_batches_have_one_size_and_rounds_leave_out_different_stars(stars):
    batches = list(islice(iter(stars.stream(7)), 60))
    assert {len(flux) for flux, *_ in batches} == {7}
    seen = {tuple(row) for *_, labels in batches for row in labels.tolist()}
    assert len(seen) == 24
    assert StoredStream(stars, 100).batch_size == 24


def test_noise_is_new_in_each_round_and_of_each_seed(stars):
    rows = torch.arange(2)
    assert not torch.equal(stars.observe(rows, [0, 1])[0], stars.observe(rows, [0, 2])[0])
    one, other = (next(iter(stars.stream(24, seed=seed))) for seed in (0, 1))
    assert not torch.equal(one[2], other[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"augmentation": Augmentation(line_error=0.1)}, "no augmentation"),
        ({"masked": [(7200, 7300)]}, "no augmentation and no masked"),
        ({"noise": SNRNoise(20.0), "name": "own", "prior": Survey("paper").prior}, "magnitude, got SNRNoise"),
    ],
)
def test_surveys_that_cannot_be_stored_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        StoredStars(Survey(**{"name": "paper"} | arguments), 4)


@pytest.mark.parametrize("level", [-1.0, np.inf, (1.0, 0.5)])
def test_levels_out_of_order_are_refused(stars, level):
    with pytest.raises(ValueError, match="noise_level must be"):
        stars.stream(4, noise_level=level)

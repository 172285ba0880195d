"""A survey's stream, shared by processes: the parts are the whole, in equally many steps."""

import itertools
from types import SimpleNamespace

import pytest
import torch

from specvit.survey import Survey, SurveyStream


class Numbers:
    """Draws whose flux is (number of the star, number of the noise); nothing is simulated."""

    def __init__(self, n):
        self.n = n

    def draw(self, size, *, stream, stars=None, device="cpu"):
        row = torch.arange(size)
        flux = torch.stack([1000 * (stream if stars is None else stars) + row, 1000 * stream + row], 1)
        return SimpleNamespace(training=(flux, row, row))


def spectra(batches):
    return sorted(tuple(row) for flux, *_ in batches for row in flux.tolist())


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("batch_size", [2, 3, 7])
@pytest.mark.parametrize("n", [4, 5, 12, 13, 14, 15, 16, 29, 59])
def test_parts_of_a_finite_survey_make_up_each_epoch(n, batch_size, world_size):
    whole = SurveyStream(Numbers(n), batch_size)
    parts = [whole.part(rank, world_size) for rank in range(world_size)]
    steps = parts[0].steps
    assert {part.steps for part in parts} == {steps}
    batches = [list(itertools.islice(part, 2 * steps)) for part in parts]
    assert all(1 <= len(flux) <= batch_size for part in batches for flux, *_ in part)
    for epoch in range(2):
        together = [batch for part in batches for batch in part[epoch * steps : (epoch + 1) * steps]]
        assert spectra(together) == spectra(itertools.islice(whole, whole.steps))
        assert len({star for star, _ in spectra(together)}) == n


def test_parts_of_an_endless_survey_alternate():
    whole = SurveyStream(Numbers(None), 5, first=7)
    parts = [whole.part(rank, 3) for rank in range(3)]
    assert whole.steps is None and parts[0].steps is None
    dealt = [next(iter(parts[k % 3])) for k in range(12)]
    for mine, expected in zip(dealt, whole, strict=False):
        assert torch.equal(mine[0], expected[0])


def test_a_part_is_taken_up_at_any_step():
    part = SurveyStream(Numbers(13), 3).part(1, 2)
    batches = list(itertools.islice(part, 9))
    for step in (0, 2, 3, 7):
        part.set_step(step)
        assert all(torch.equal(a, b) for a, b in zip(next(iter(part)), batches[step], strict=True))


def test_stars_and_noise_are_those_of_the_whole():
    stream = Survey("paper", n=7, seed=3).stream(2)
    flux = torch.cat([batch[0] for batch in itertools.islice(stream, 4)])
    parts = [batch[0] for rank in range(2) for batch in itertools.islice(stream.part(rank, 2), 2)]
    shared = torch.cat(parts)
    distance = torch.cdist(flux.double(), shared.double())
    assert distance.min(0).values.max() == 0 == distance.min(1).values.max()


@pytest.mark.parametrize(
    ("n", "batch_size", "world_size", "message"),
    [
        (3, 4, 4, "3 stars in batches of 4 cannot be shared by 4 processes"),
        (5, 1, 2, "or a batch_size above 1"),
    ],
)
def test_too_few_stars_to_share(n, batch_size, world_size, message):
    with pytest.raises(ValueError, match=message):
        SurveyStream(Numbers(n), batch_size).part(0, world_size)


def test_a_rank_that_is_none():
    with pytest.raises(ValueError, match="rank must be from 0 to world_size − 1, got 2 of 2"):
        SurveyStream(Numbers(None), 4).part(2, 2)

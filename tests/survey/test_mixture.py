"""Two surveys in one stream: each batch holds the batches of both, at any step and in every process."""

import itertools

import pytest
import torch

from specvit.survey import Survey
from specvit.survey.mixture import BlockStream, MixedStream


@pytest.fixture(scope="module")
def surveys():
    return Survey("any"), Survey("pfs-mr", seed=3)


def mixed(surveys):
    return MixedStream(*(survey.stream(size) for survey, size in zip(surveys, (3, 2), strict=True)))


def test_a_batch_holds_both(surveys):
    flux, ivar, labels, lsf, sampling = next(iter(mixed(surveys)))
    instruments, home = (next(iter(s.stream(k))) for s, k in zip(surveys, (3, 2), strict=True))
    for got, first in zip((flux, ivar, labels, lsf, sampling), instruments, strict=True):
        assert torch.equal(got[:3], first)
    for got, last in zip((flux, ivar, labels), home, strict=True):
        assert torch.equal(got[3:], last)
    assert not lsf[3:].any() and not sampling[3:].any()


def test_parts_and_steps_are_those_of_the_streams(surveys):
    whole = list(itertools.islice(mixed(surveys), 4))
    part = mixed(surveys).part(1, 2)
    part.set_step(1)
    assert all(torch.equal(a, b) for a, b in zip(next(iter(part)), whole[3], strict=True))


def test_a_stream_with_an_end_is_refused(surveys):
    with pytest.raises(ValueError, match="endless"):
        MixedStream(surveys[0].stream(2), Survey("paper", n=10).stream(2))


def test_a_block_is_given_out_in_parts_that_mix_its_surveys(surveys):
    streams = [survey.stream(size) for survey, size in zip(surveys, (4, 2), strict=True)]
    block = next(iter(MixedStream(*streams).part(1, 2)))
    parts = list(itertools.islice(BlockStream(MixedStream(*streams), 2).part(1, 2), 2))
    for whole, first, second in zip(block, *parts, strict=True):
        assert torch.equal(whole[0::2], first) and torch.equal(whole[1::2], second)
    assert [int((part[3] == 0).all(1).sum()) >= 1 for part in parts] == [True, True]  # of pfs-mr


def test_blocks_go_on_in_their_middle(surveys):
    whole = list(itertools.islice(BlockStream(surveys[1].stream(4), 2), 4))
    resumed = BlockStream(surveys[1].stream(4), 2)
    resumed.set_step(3)
    assert all(torch.equal(a, b) for a, b in zip(next(iter(resumed)), whole[3], strict=True))


def test_blocks_without_sense_are_refused(surveys):
    with pytest.raises(ValueError, match="parts must be at least 1"):
        BlockStream(surveys[0].stream(4), 0)
    with pytest.raises(ValueError, match="endless"):
        BlockStream(Survey("paper", n=8).stream(4), 2)

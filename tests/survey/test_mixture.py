"""Two surveys in one stream: each batch holds the batches of both, at any step and in every process."""

import itertools

import pytest
import torch

from specvit.survey import Survey
from specvit.survey.mixture import MixedStream


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

"""Batches of several surveys in one stream, and many batches simulated at once."""

from __future__ import annotations

import torch

__all__ = ["BlockStream", "MixedStream"]


class MixedStream:
    """Batches that hold some spectra of each of several endless streams.

    A network that is to learn other instruments forgets less of one if spectra of that one stay among those
    that it is trained on. Spectra of a survey without `lsf` and `sampling` are on the grid's own pixels; both
    are 0 for them.

    Parameters
    ----------
    *streams : SurveyStream
        Streams of surveys on one grid, at least one with `lsf` and `sampling`. Their batches are
        concatenated.

    Raises
    ------
    ValueError
        If a stream has an end: its epochs would not be those of the others.

    Examples
    --------
    >>> from specvit import Survey
    >>> mixed = MixedStream(Survey("any").stream(4), Survey("pfs-mr").stream(2))
    >>> flux, ivar, labels, lsf, sampling = next(iter(mixed))
    >>> tuple(flux.shape)
    (6, 4096)
    """

    def __init__(self, *streams):
        for stream in streams:
            if stream.steps is not None:
                raise ValueError(f"streams must be endless, got one of a survey of {stream.survey.n} stars")
        self.streams = streams

    def set_step(self, step):
        """Continue with batch number `step` of this process."""
        for stream in self.streams:
            stream.set_step(step)

    def part(self, rank, world_size):
        """The part of this stream, from its beginning, that the process `rank` of `world_size` reads."""
        return type(self)(*(stream.part(rank, world_size) for stream in self.streams))

    def __iter__(self):
        for batches in zip(*self.streams, strict=True):
            told = [(*one, torch.zeros_like(one[0]), torch.zeros_like(one[0]))[:5] for one in batches]
            yield tuple(torch.cat(values) for values in zip(*told, strict=True))


class BlockStream:
    """The batches of an endless stream, each cut into several smaller ones.

    On a GPU a simulation takes about as long for a thousand spectra as for some thousands, because what it
    costs is the time in which a processor starts its kernels: so a block is simulated, and trained on in
    parts. The k-th part has the spectra k, k + parts, k + 2 parts … of the block, as many of each survey of
    a `MixedStream`.

    Parameters
    ----------
    stream : SurveyStream or MixedStream
        An endless stream, of batches `parts` times as large.
    parts : int
        Number of batches that one of the stream gives.

    Raises
    ------
    ValueError
        If `parts` is below 1, or the stream has an end.

    Examples
    --------
    >>> from itertools import islice
    >>> from specvit import Survey
    >>> parts = BlockStream(Survey("paper").stream(8), 4)
    >>> [len(batch[0]) for batch in islice(parts, 5)]
    [2, 2, 2, 2, 2]
    """

    steps = None

    def __init__(self, stream, parts):
        if parts < 1:
            raise ValueError(f"parts must be at least 1, got {parts!r}")
        if getattr(stream, "steps", None) is not None:
            raise ValueError(f"stream must be endless, got one of {stream.steps} batches")
        self.stream, self.parts, self._done = stream, parts, 0

    def set_step(self, step):
        """Continue with batch number `step` of this process."""
        block, self._done = divmod(step, self.parts)
        self.stream.set_step(block)

    def part(self, rank, world_size):
        """The part of this stream, from its beginning, that the process `rank` of `world_size` reads."""
        return type(self)(self.stream.part(rank, world_size), self.parts)

    def __iter__(self):
        for block in self.stream:
            done, self._done = self._done, 0
            for k in range(done, self.parts):
                yield tuple(values[k :: self.parts].contiguous() for values in block)

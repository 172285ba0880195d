"""Batches of several surveys in one stream."""

from __future__ import annotations

import torch

__all__ = ["MixedStream"]


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

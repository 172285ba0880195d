"""Batches of several surveys in one stream."""

from __future__ import annotations

import torch

__all__ = ["MixedStream"]


class MixedStream:
    """Batches that hold some spectra of each of several endless streams.

    A network for any instrument keeps what it knew of one if it goes on to see it. Spectra of a survey of one
    instrument, on the grid's own pixels, are told as such: a relative line spread function and sampling of 0.

    Parameters
    ----------
    *streams : SurveyStream
        Of surveys on one grid, at least one with `lsf` and `sampling`. Their batches are laid end to end.

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
        """What the process `rank` of `world_size` reads of this stream, from its beginning."""
        return type(self)(*(stream.part(rank, world_size) for stream in self.streams))

    def __iter__(self):
        for batches in zip(*self.streams, strict=True):
            told = [(*one, torch.zeros_like(one[0]), torch.zeros_like(one[0]))[:5] for one in batches]
            yield tuple(torch.cat(values) for values in zip(*told, strict=True))

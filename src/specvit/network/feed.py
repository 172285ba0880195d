"""Batches for training: any iterable, as one stream that can be taken up again at a step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch

__all__ = ["BatchStream", "Reiterable", "ShuffledArrays"]


class BatchStream:
    """Batches from step `start` to `stop`, going round a finite source as often as needed.

    Parameters
    ----------
    source : iterable of batches
        A `torch.utils.data.DataLoader`, a list, a generator, a simulated survey. If it has a method
        ``set_step(step)``, that is called with the number of the first step before iteration begins:
        a source that makes each batch from its step alone then continues exactly where an interrupted
        run stopped. Without it, a source that has a length is fast-forwarded within its current round
        (exact unless it shuffles), and any other simply goes on from where it is.
    stop : int
        Number of steps of the whole run.
    """

    def __init__(self, source, stop):
        self.source, self.start, self.stop = source, 0, stop

    def __iter__(self):
        return itertools.islice(self._rounds(), self.stop - self.start)

    def _rounds(self):
        skip = 0
        if hasattr(self.source, "set_step"):
            self.source.set_step(self.start)
        elif self.start and hasattr(self.source, "__len__") and len(self.source):
            skip = self.start % len(self.source)
        given = 0
        while True:
            before = given
            for batch in itertools.islice(self.source, skip, None):
                given += 1
                yield batch
            if given == 0:
                raise ValueError("train_batches must yield at least one batch, got none")
            if given == before:
                return  # an iterator that is used up: training ends here
            skip = 0


class Reiterable:
    """Validation batches: anything that can be gone through again and again.

    Lightning takes a bare list for several loaders; inside this it is one.
    """

    def __init__(self, source):
        if isinstance(source, Iterator):
            raise TypeError(
                "val_batches must be re-iterable (a list, a DataLoader), because validation is repeated; "
                f"got {type(source).__name__}, which can be read once"
            )
        self.source = source

    def __iter__(self):
        return iter(self.source)


class ShuffledArrays:
    """Batches of tensors held in memory, in a new order each round; endless.

    Parameters
    ----------
    *tensors : Tensor
        Of one length.
    batch_size : int
        The last batch of a round may be smaller.
    seed : int
        The order of a round is a function of seed and round, so `set_step` resumes exactly.
    """

    def __init__(self, *tensors, batch_size, seed):
        self.tensors, self.batch_size, self.seed = tensors, batch_size, seed
        self.step = 0

    def __len__(self):
        """Batches in a round."""
        return -(-len(self.tensors[0]) // self.batch_size)

    def set_step(self, step):
        """Continue with batch number `step`, counted over all rounds."""
        self.step = step

    def __iter__(self):
        while True:
            turn, position = divmod(self.step, len(self))
            generator = torch.Generator().manual_seed(self.seed + turn)
            order = torch.randperm(len(self.tensors[0]), generator=generator)
            for rows in order.split(self.batch_size)[position:]:
                self.step += 1
                yield tuple(tensor[rows] for tensor in self.tensors)

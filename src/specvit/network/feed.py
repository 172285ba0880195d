"""Batches for training: any iterable, as one stream that can be taken up again at a step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch

__all__ = ["BatchStream", "Reiterable", "ShuffledArrays", "share"]


def share(source, rank, world_size):
    """The part of the training batches `source` that is for one of several processes.

    Parameters
    ----------
    source : iterable of batches
        Batches with a method ``part(rank, world_size)`` where there are several processes. The parts must be
        disjoint, make up the whole in every round, and have equally many batches.
    rank, world_size : int
        Number of this process, and number of processes.

    Raises
    ------
    TypeError
        If a source cannot be parted. A ``DataLoader`` that shuffles cannot: each process would draw
        an order of its own.

    Examples
    --------
    >>> share(["first", "second"], rank=0, world_size=1)
    ['first', 'second']
    """
    if world_size == 1:
        return source
    if not hasattr(source, "part"):
        raise TypeError(
            f"train_batches must have a method part(rank, world_size), as streams of surveys and data sets "
            f"have, to be shared by {world_size} processes, got {type(source).__name__}"
        )
    return source.part(rank, world_size)


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

    Examples
    --------
    >>> list(BatchStream(["first", "second", "third"], 5))
    ['first', 'second', 'third', 'first', 'second']
    """

    def __init__(self, source, stop):
        self.source, self.start, self.stop = source, 0, stop

    def __iter__(self):
        return itertools.islice(self._rounds(), max(0, self.stop - self.start))

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

    Lightning takes a bare list for several loaders; inside this it is one. Of several processes each
    takes every `world_size`-th batch.

    Examples
    --------
    >>> list(Reiterable(["first", "second", "third"], rank=1, world_size=2))
    ['second']
    """

    def __init__(self, source, rank=0, world_size=1):
        if isinstance(source, Iterator):
            raise TypeError(
                "val_batches must be re-iterable (a list, a DataLoader), because validation is repeated; "
                f"got {type(source).__name__}, which can be read once"
            )
        self.source, self.rank, self.world_size = source, rank, world_size

    def __iter__(self):
        return itertools.islice(self.source, self.rank, None, self.world_size)


class ShuffledArrays:
    """Batches of tensors held in memory, in a new order each round; endless.

    A round is cut into batches of equal size, to one. Shared by w processes, each batch is the w-th part of
    what a batch of w times the size would be, so that w processes train as one does with that batch size.

    Parameters
    ----------
    *tensors : Tensor
        Tensors of one length.
    batch_size : int
        Largest number of rows in a batch of one process.
    seed : int
        The order of a round is a function of seed and round, so `set_step` resumes exactly.
    rank, world_size : int
        This process among those that train together.

    Attributes
    ----------
    steps : int
        Batches in a round, the same for every process.

    Raises
    ------
    ValueError
        If there is not a row for every process in every batch.

    Examples
    --------
    >>> batches = ShuffledArrays(torch.arange(10), batch_size=4, seed=0)
    >>> batches.steps, sorted(number for (batch,), _ in zip(batches, range(3)) for number in batch.tolist())
    (3, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """

    def __init__(self, *tensors, batch_size, seed, rank=0, world_size=1):
        self.tensors, self.batch_size, self.seed = tensors, batch_size, seed
        self.rank, self.world_size, self.step = rank, world_size, 0
        n = len(tensors[0])
        self.steps = -(-n // (batch_size * world_size))
        if n // self.steps < world_size:
            raise ValueError(
                f"{n} spectra in {self.steps} batches cannot be shared by {world_size} processes: "
                "take fewer, or a batch_size above 1"
            )

    def __len__(self):
        return self.steps

    def set_step(self, step):
        """Continue with batch number `step`, counted over all rounds."""
        self.step = step

    def part(self, rank, world_size):
        """The part, from the beginning, that the process `rank` of `world_size` reads."""
        return type(self)(
            *self.tensors, batch_size=self.batch_size, seed=self.seed, rank=rank, world_size=world_size
        )

    def __iter__(self):
        n, steps = len(self.tensors[0]), self.steps
        while True:
            turn, position = divmod(self.step, steps)
            generator = torch.Generator().manual_seed(self.seed + turn)
            order = torch.randperm(n, generator=generator)
            for k in range(position, steps):
                self.step += 1
                rows = order[n * k // steps : n * (k + 1) // steps].tensor_split(self.world_size)[self.rank]
                yield tuple(tensor[rows] for tensor in self.tensors)

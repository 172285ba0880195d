"""Batches for training: any iterable, as one stream that can be taken up again at a step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

__all__ = ["BatchStream", "Reiterable"]


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

"""Which rows of its files a data set consists of, and how a part of them is held out."""

from __future__ import annotations

import numpy as np

__all__ = ["RowMap"]

_PIECE = 64  # neighbours that are held out together, at most


class RowMap:
    """Pieces of a long row of numbers, put one after another.

    Parameters
    ----------
    starts, stops : array-like of int, shape (n_pieces,)
        Each piece has at least one row.
    """

    def __init__(self, starts, stops):
        starts, stops = np.asarray(starts), np.asarray(stops)
        self.ends = np.cumsum(stops - starts)
        self._shifts = stops - self.ends

    def __len__(self):
        return int(self.ends[-1])

    def __getitem__(self, numbers):
        """Rows behind these numbers, an array of int from 0 to the length − 1."""
        return numbers + self._shifts[np.searchsorted(self.ends, numbers, "right")]

    def part(self, starts, stops):
        """The rows behind pieces of this map's numbers, as a map of their own."""
        pieces = list(zip(starts, stops, strict=True))
        inner = [self.ends[(self.ends > start) & (self.ends < stop)] for start, stop in pieces]
        starts = np.concatenate([[start, *cuts] for (start, _), cuts in zip(pieces, inner, strict=True)])
        stops = np.concatenate([[*cuts, stop] for (_, stop), cuts in zip(pieces, inner, strict=True)])
        return RowMap(self[starts], self[stops - 1] + 1)

    def split(self, n, seed):
        """Two maps: the rows that are left, and `n` held out.

        Held out are pieces of at most 64 neighbours, one at a random place in each of as many equal parts
        of the whole.
        """
        pieces = max(-(-n // _PIECE), min(n, _PIECE))
        k, left = np.arange(pieces + 1), len(self) - n
        held_out, slack = np.diff(n * k // pieces), np.diff(left * k // pieces)
        parts = n * k[:-1] // pieces + left * k[:-1] // pieces  # where they begin
        starts = parts + np.random.default_rng([seed, len(self), n]).integers(slack + 1)
        stops = starts + held_out
        rest = np.stack([np.append(0, stops), np.append(starts, len(self))])
        return self.part(*rest[:, rest[0] < rest[1]]), self.part(starts, stops)

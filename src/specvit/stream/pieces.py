"""`Piece` and `Block`: how a source hands out its spectra, some at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from specvit.spectra import SpectrumBatch
from specvit.spectra.cutting import count_spectra, take_rows

__all__ = ["Block", "Piece", "Sliced", "block_of", "reason_of"]


@dataclass
class Block:
    """Spectra that are predicted by one call.

    Attributes
    ----------
    spectra : SpectrumBatch, specutils.Spectrum, sequence of these, ndarray (n, n_pixels), or None
        The spectra; None where they could not be read.
    size : int
        How many.
    ivar : ndarray, shape (n, n_pixels), or None
        Inverse variance of fluxes in an array.
    reason : str
        Why they could not be read.
    places : list of str or None
        Where each came from: its file, and the number in a file of several. None: counted by the source.
    names : list of str or None
        What the caller calls the objects; None: what their metadata say.
    notes : list of (str, str)
        What a reader assumed or left out, each with the place.
    """

    spectra: Any
    size: int
    ivar: np.ndarray | None = None
    reason: str = ""
    places: list[str] | None = None
    names: list[str] | None = None
    notes: list[tuple[str, str]] = field(default_factory=list)

    def part(self, start, stop):
        """The block of some of its rows."""
        some = slice(start, stop)
        return replace(
            self,
            spectra=None if self.spectra is None else take_rows(self.spectra, start, stop),
            size=stop - start,
            ivar=None if self.ivar is None else self.ivar[some],
            places=None if self.places is None else self.places[some],
            names=None if self.names is None else self.names[some],
            notes=self.notes if start == 0 else [],
        )

    def halves(self):
        """Two blocks of which it consists."""
        middle = self.size // 2
        return self.part(0, middle), self.part(middle, self.size)


@dataclass(frozen=True)
class Piece:
    """Consecutive spectra of a source, which become one part of the table.

    Attributes
    ----------
    number : int
        Its place among the pieces.
    size : int
        What it adds to the progress, in the source's unit (files or spectra).
    load : callable
        ``load(adapt)`` reads it and returns a list of `Block`, in a thread or process; ``adapt`` brings what
        it is given to the grid of the predictor.
    """

    number: int
    size: int
    load: Callable[..., list[Block]]
    first_row: int = 0


class Sliced:
    """Base of sources that know their number of spectra, ``total``, and read any ``batch_size`` of them.

    A subclass has ``_load(start, stop, adapt)``, which gives the blocks of the spectra between.
    """

    def pieces(self, first=0):
        """The pieces from number `first` on."""
        for number in range(first, -(-self.total // self.batch_size)):
            start = number * self.batch_size
            stop = min(start + self.batch_size, self.total)
            yield Piece(number, stop - start, partial(self._load, start, stop), start)


def block_of(spectra, ivar=None, **more):
    """The `Block` of spectra of any kind."""
    if isinstance(spectra, SpectrumBatch | list | tuple) or not hasattr(spectra, "flux"):
        size = len(spectra)
    else:
        size = count_spectra(spectra)
    return Block(spectra, size, ivar, **more)


def reason_of(error):
    """Message of an exception as one line, for the column ``error``."""
    # str of a KeyError is the repr of its argument
    text = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__

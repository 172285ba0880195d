"""Sources of spectra in arrays: NumPy, memory-mapped, HDF5, Zarr, cubes, data sets and generators."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from specvit.spectra.cutting import count_spectra, spectra_on_axis, take_rows
from specvit.spectra.kinds import Kind, kind_of
from specvit.stream.pieces import Piece, Sliced, block_of

__all__ = ["ArraySource", "BatchSource", "SpectraSource", "stamp"]

_PROBED = 64  # rows of an array that its fingerprint looks at


def stamp(path):
    """What tells whether a file has changed: list of its path, size and time, the path alone if absent."""
    try:
        status = Path(path).stat()
    except OSError:
        return [str(path)]
    return [str(path), status.st_size, status.st_mtime_ns]


def _digest(*arrays):
    total = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        total.update(str((array.dtype.str, array.shape)).encode() + array.tobytes())
    return total.hexdigest()


class ArraySource(Sliced):
    """Fluxes in anything that has a shape (n, n_pixels) and gives rows when sliced.

    Parameters
    ----------
    flux : array-like, shape (n, n_pixels)
        `numpy.ndarray`, memory map, data set of HDF5, array of Zarr; on the grid of the predictor, unless
        `wave` says where it is.
    ivar : array-like, shape (n, n_pixels), optional
        Inverse variance, of any of these kinds.
    wave : array-like, shape (n_pixels,), optional
        Wavelengths in Å, the same for all spectra.
    names : sequence of str, length n, optional
        Of the objects.
    batch_size : int
        Spectra in a piece.
    meta : dict, optional
        What is known of all, as ``medium``, if they have wavelengths.
    notes : list of (str, str)
        What was assumed, each with the place.
    """

    column, unit = "row", "spectra"

    def __init__(self, flux, ivar=None, *, wave=None, names=None, batch_size=256, meta=None, notes=()):
        shape = np.shape(flux) if hasattr(flux, "shape") else np.asarray(flux).shape
        if len(shape) != 2:
            raise ValueError(f"source must have shape (n, n_pixels), got {tuple(shape)}")
        flux = flux if hasattr(flux, "shape") else np.asarray(flux)
        if ivar is not None and tuple(np.shape(ivar)) != tuple(shape):
            raise ValueError(f"ivar must have the shape of the source {tuple(shape)}, got {np.shape(ivar)}")
        if wave is not None and np.shape(wave) != (shape[1],):
            raise ValueError(f"wave must have shape ({shape[1]},), got {np.shape(wave)}")
        if names is not None and len(names) != shape[0]:
            raise ValueError(f"names must be {shape[0]}, one a spectrum, got {len(names)}")
        self.flux, self.ivar, self.wave, self.names = flux, ivar, wave, names
        self.meta, self.notes = meta or {}, list(notes)
        self.batch_size, self.total, self.own_axis = batch_size, shape[0], wave is not None
        self.named = names is not None

    def fingerprint(self):
        """What tells this source from others: shape, type, and a digest of some rows."""
        rows = np.unique(np.linspace(0, self.total - 1, _PROBED).astype(int)) if self.total else []
        arrays = [a for a in (self.flux, self.ivar) if a is not None]
        probe = [np.asarray(array[int(row)]) for array in arrays for row in rows]
        wave = [] if self.wave is None else [np.asarray(getattr(self.wave, "value", self.wave))]
        return ["array", list(self.flux.shape), str(self.flux.dtype), _digest(*probe, *wave)]

    def _load(self, start, stop, adapt):
        flux = take_rows(self.flux, start, stop)
        ivar = None if self.ivar is None else take_rows(self.ivar, start, stop)
        names = None if self.names is None else [str(one) for one in self.names[start:stop]]
        notes = self.notes if start == 0 else []
        if self.wave is not None:
            spectra = spectra_on_axis(self.wave, flux, ivar)
            spectra.meta.update(self.meta)
            return adapt(block_of(spectra, names=names, notes=notes))
        return adapt(block_of(flux, ivar, names=names, notes=notes))


class SpectraSource(Sliced):
    """Spectra in memory: a list of `~specutils.Spectrum`, a cube, a collection, a `SpectrumBatch`.

    Parameters
    ----------
    spectra : list, specutils.Spectrum, specutils.SpectrumCollection or SpectrumBatch
        Anything that ``predict`` takes but arrays of numbers.
    names : sequence of str, optional
        Of the objects.
    batch_size : int
        Spectra in a piece.
    """

    column, unit, own_axis = "row", "spectra", True

    def __init__(self, spectra, *, names=None, batch_size=256):
        kind = kind_of(spectra)
        self.spectra = list(spectra) if kind is Kind.SEQUENCE else spectra
        sized = kind in (Kind.SEQUENCE, Kind.BATCH)
        self.total = len(spectra) if sized else count_spectra(spectra)
        if names is not None and len(names) != self.total:
            raise ValueError(f"names must be {self.total}, one a spectrum, got {len(names)}")
        self.names, self.batch_size = names, batch_size
        self.own_axis, self.named = kind is not Kind.BATCH, True

    def fingerprint(self):
        """What tells this source from others: its number of spectra, and a digest of some of them."""
        rows = np.unique(np.linspace(0, self.total - 1, _PROBED).astype(int)) if self.total else []
        probe = [self._some(int(row), int(row) + 1) for row in rows]
        fluxes = [getattr(one[0] if isinstance(one, list) else one, "flux", 0) for one in probe]
        return ["spectra", self.total, _digest(*(np.asarray(getattr(f, "value", f)) for f in fluxes))]

    def _some(self, start, stop):
        return take_rows(self.spectra, start, stop)

    def _load(self, start, stop, adapt):
        names = None if self.names is None else [str(one) for one in self.names[start:stop]]
        return adapt(block_of(self._some(start, stop), names=names))


class BatchSource:
    """Spectra that come one after the other, of which only some are in memory.

    Parameters
    ----------
    batches : iterable
        Of `~specutils.Spectrum` (one or more in each), lists of them, arrays (n, n_pixels), or tuples
        (flux, ivar, …) of arrays, of which what follows is not looked at; always of one kind. NumPy or torch.
    total : int, optional
        Number of spectra, if it is known.
    batch_size : int
        One-dimensional spectra in a piece. Other items are a piece each.
    mark : list
        What tells this source from others.
    """

    column, unit = "row", "spectra"

    def __init__(self, batches, *, total=None, batch_size=256, mark=("generator",)):
        self.batches, self.total, self.batch_size, self.mark = batches, total, batch_size, list(mark)
        self._items = self._gathered(iter(batches))
        self._first = next(self._items, None)
        spectra = None if self._first is None else self._first[0]
        self.named = self.own_axis = spectra is not None and kind_of(spectra) is not Kind.ARRAY

    def fingerprint(self):
        """What tells this source from others: its first spectra."""
        if self._first is None:
            return [*self.mark, 0]
        spectra, ivar = self._first
        one = spectra[0] if isinstance(spectra, list) else spectra
        flux = np.asarray(getattr(getattr(one, "flux", one), "value", getattr(one, "flux", one)))
        return [*self.mark, _digest(flux, *([] if ivar is None else [ivar]))]

    def pieces(self, first=0):
        """The pieces from number `first` on; those before are read and left."""
        number, row, item = 0, 0, self._first
        with ThreadPoolExecutor(1, "specvit-source") as reader:  # reads the next while this one is predicted
            while item is not None:
                coming = reader.submit(next, self._items, None)
                block = block_of(*item)
                if number >= first:
                    yield Piece(number, block.size, partial(_handed_on, block), row)
                item, number, row = coming.result(), number + 1, row + block.size

    def _gathered(self, items):
        """Pairs (spectra, ivar or None): single spectra are gathered into lists."""
        gathered = []
        for item in items:
            spectra, ivar = (item[0], item[1]) if isinstance(item, tuple) and len(item) > 1 else (item, None)
            if kind_of(spectra) is Kind.SPECTRUM and spectra.flux.ndim == 1:
                gathered.append(spectra)
                if len(gathered) == self.batch_size:
                    yield gathered, None
                    gathered = []
                continue
            if gathered:
                yield gathered, None
                gathered = []
            if kind_of(spectra) is Kind.ARRAY:
                spectra, ivar = (_rows(one) for one in (spectra, ivar))
            yield spectra, ivar
        if gathered:
            yield gathered, None


def _handed_on(block, adapt):
    return adapt(block)


def _rows(array):
    """An array of rows, of NumPy; None stays."""
    if array is None:
        return None
    array = array.detach().cpu().numpy() if hasattr(array, "detach") else np.array(array)
    return np.atleast_2d(array)

"""Sources of spectra in files, of any layout that `specvit.spectra.readers` knows."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from specvit.spectra.cutting import count_spectra, set_velocity
from specvit.spectra.readers import cube_rows, read
from specvit.stream.arraysources import stamp
from specvit.stream.pieces import Block, Piece, block_of, reason_of

__all__ = ["FileSource"]

#: Size in bytes of the files of a piece, above which no more are added: files may hold many spectra.
_LARGEST_PIECE = 64e6
#: How many times larger than its file a cube may be.
_PACKED = 16
#: Bytes in which the header of a cube begins.
_HEADERS = 2**19
#: Spectra of a cube that are read together.
_OF_CUBE = 512


class FileSource:
    """Files with one or more spectra each.

    Parameters
    ----------
    paths : sequence of str or path-like
        The files, in the order of the rows.
    velocities : sequence of float, optional
        Radial velocity in km/s of each file, which is removed; NaN: what the file says.
    names : sequence of str, optional
        Of the objects; those of a file with several get its number appended.
    batch_size : int
        Largest number of files in a piece.
    **reading : object
        Options of `specvit.spectra.readers.read`.

    Notes
    -----
    A file that cannot be read, or a spectrum of it that has no answer, costs its own row. A cube whose fluxes
    take more than 64 MB is read by some image rows at a time, compressed tiles too, unless the file is packed
    as a whole (``.fits.gz``) or a reader is named.
    """

    column, unit, own_axis, named = "file", "files", True, True

    def __init__(self, paths, *, velocities=None, names=None, batch_size=256, **reading):
        self.paths = [str(path) for path in paths]
        for what, values in (("velocities", velocities), ("names", names)):
            if values is not None and len(values) != len(self.paths):
                raise ValueError(f"{what} must be {len(self.paths)}, one a file, got {len(values)}")
        self.velocities, self.names, self.reading = velocities, names, reading
        self.total, self.batch_size = len(self.paths), batch_size
        self._stamps = [stamp(path) for path in self.paths]
        self._cuts = list(self._cut())
        if len(self.paths) == 1 and len(self._cuts) > 1:
            self.unit, self.total = "spectra", sum(size for *_, size in self._cuts)

    def fingerprint(self):
        """What tells this source from others: paths, sizes and times of the files, velocities, options."""
        velocities = None if self.velocities is None else [float(v) for v in self.velocities]
        names = None if self.names is None else [str(name) for name in self.names]
        return ["files", self._stamps, repr(velocities), names, repr(sorted(self.reading.items()))]

    def _cut(self):
        """The pieces: first file and the one after the last; image rows of a cube or None; size."""
        start, bytes_ = 0, 0
        for i, (_, *rest) in enumerate(self._stamps):
            size = rest[0] if rest else 0
            shape = self._cube(i, size)
            full = i - start == self.batch_size or bytes_ + size > _LARGEST_PIECE
            if i > start and (full or shape is not None):
                yield start, i, None, i - start
                start, bytes_ = i, 0
            bytes_ += size
            if shape is not None:
                yield from self._cut_cube(i, shape)
                start, bytes_ = i + 1, 0
        if start < self.total:
            yield start, self.total, None, self.total - start

    def _cube(self, i, size):
        """Shape of a cube that is read in parts, or None."""
        if self.reading.get("format") is not None or self.reading.get("columns") is not None:
            return None
        if size <= _LARGEST_PIECE / _PACKED or (
            size <= _LARGEST_PIECE and not _starts_as_cube(self.paths[i])
        ):
            return None
        try:
            shape = cube_rows(self.paths[i])
        except (OSError, ValueError):  # said when it is read
            return None
        return None if shape is None or shape.nbytes <= _LARGEST_PIECE else shape

    def _cut_cube(self, i, shape):
        """Pieces of one cube; among other files it counts as one, when its last piece is done."""
        tiles = max(1, _OF_CUBE // (shape.nx * shape.together))
        step = tiles * shape.together
        for low in range(0, shape.ny, step):
            high = min(low + step, shape.ny)
            size = (high - low) * shape.nx if len(self.paths) == 1 else int(high == shape.ny)
            yield i, i + 1, (low, high), size

    def pieces(self, first=0):
        """The pieces from number `first` on."""
        for number, (start, stop, rows, size) in enumerate(self._cuts[first:], first):
            yield Piece(number, size, partial(self._load, start, stop, rows))

    def _load(self, start, stop, rows, adapt):
        blocks, run = [], Block([], 0, places=[], names=[])
        for i in range(start, stop):
            for block in self._read(i, rows):
                alike = isinstance(block.spectra, list)
                if run.size and not (alike and run.size < self.batch_size):
                    blocks += adapt(run)
                    run = Block([], 0, places=[], names=[])
                if not alike:
                    blocks += [block] if block.spectra is None else adapt(block)
                    continue
                run.spectra += block.spectra
                run.places += block.places
                run.names += block.names
                run.notes += block.notes
                run.size += block.size
        return blocks + (adapt(run) if run.size else [])

    def _read(self, i, rows=None):
        """Blocks of one file: lists of one-dimensional spectra, and cubes, or `rows` of one."""
        path, called = self.paths[i], "" if self.names is None else str(self.names[i])
        try:
            found = read(Path(path), **self.reading, **({} if rows is None else {"rows": rows}))
            if not found:
                raise ValueError("no spectrum in this file")
            velocity = None if self.velocities is None else float(self.velocities[i])
            if velocity is not None and velocity == velocity:
                for spectrum in found:
                    set_velocity(spectrum, velocity)
        except (KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:  # readers of every kind, on files of every kind
            reason = reason_of(error).removeprefix(f"{path}: ").removeprefix(f"{Path(path).name}: ")
            return [Block(None, 1, reason=reason, places=[path], names=[called])]
        blocks = []
        for k, spectrum in enumerate(found):
            place = path if len(found) == 1 else f"{path}[{k}]"
            name = called if len(found) == 1 or not called else f"{called}[{k}]"
            notes = [(note, place) for note in spectrum.meta.get("notes", ())]
            if spectrum.flux.ndim == 1:
                blocks.append(Block([spectrum], 1, places=[place], names=[name], notes=notes))
                continue
            n = count_spectra(spectrum)
            first = 0 if rows is None else rows[0] * spectrum.shape[1]
            notes = notes if first == 0 else []
            places = [f"{place}[{j}]" for j in range(first, first + n)]
            names = [name and f"{name}[{j}]" for j in range(first, first + n)]
            blocks.append(block_of(spectrum, places=places, names=names, notes=notes))
        return blocks


def _starts_as_cube(path):
    """Whether one of the first headers of a file is that of a cube; to ask all readers takes longer."""
    with open(path, "rb") as file:
        return re.search(rb"Z?NAXIS +=  +3 ", file.read(_HEADERS)) is not None

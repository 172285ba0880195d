"""Sources of spectra in files, of any layout that `specvit.spectra.readers` knows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from specvit.spectra.cutting import count_spectra, set_velocity
from specvit.spectra.readers import read
from specvit.stream.arraysources import stamp
from specvit.stream.pieces import Block, Piece, block_of, reason_of

__all__ = ["FileSource"]

#: Size in bytes of the files of a piece, above which no more are added: files may hold many spectra.
_LARGEST_PIECE = 64e6


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
    A file that cannot be read, or a spectrum of it that has no answer, costs its own row.
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
        self._bounds = self._cuts()

    def fingerprint(self):
        """What tells this source from others: paths, sizes and times of the files, velocities, options."""
        velocities = None if self.velocities is None else [float(v) for v in self.velocities]
        names = None if self.names is None else [str(name) for name in self.names]
        return ["files", self._stamps, repr(velocities), names, repr(sorted(self.reading.items()))]

    def _cuts(self):
        """Where pieces begin and end."""
        bounds, bytes_ = [0], 0
        for i, (_, *rest) in enumerate(self._stamps):
            size = rest[0] if rest else 0
            if i > bounds[-1] and (i - bounds[-1] == self.batch_size or bytes_ + size > _LARGEST_PIECE):
                bounds.append(i)
                bytes_ = 0
            bytes_ += size
        return [*bounds, self.total] if self.total else [0]

    def pieces(self, first=0):
        """The pieces from number `first` on."""
        for number in range(first, len(self._bounds) - 1):
            start, stop = self._bounds[number : number + 2]
            yield Piece(number, stop - start, partial(self._load, start, stop))

    def _load(self, start, stop, adapt):
        blocks, run = [], Block([], 0, places=[], names=[])
        for i in range(start, stop):
            for block in self._read(i):
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

    def _read(self, i):
        """Blocks of one file: lists of one-dimensional spectra, and cubes."""
        path, called = self.paths[i], "" if self.names is None else str(self.names[i])
        try:
            found = read(Path(path), **self.reading)
            if not found:
                raise ValueError("no spectrum in this file")
            velocity = None if self.velocities is None else float(self.velocities[i])
            if velocity is not None and velocity == velocity:
                for spectrum in found:
                    set_velocity(spectrum, velocity)
        except (KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:  # readers of every kind, on files of every kind
            reason = reason_of(error).removeprefix(f"{path}: ")
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
            places = [f"{place}[{j}]" for j in range(n)]
            names = [name and f"{name}[{j}]" for j in range(n)]
            blocks.append(block_of(spectrum, places=places, names=names, notes=notes))
        return blocks

"""`PartFolder`: parts of a table on disk that appear whole or not at all, beside the file they become."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from specvit.paths import write_atomically

__all__ = ["PartFolder"]

_RECORD, _JOINED = "record.json", "joined"
_PREFIX = "column_"  # of the names in an archive: a column may be called as an argument of NumPy's


class PartFolder:
    """A folder ``<output>.parts`` with the rows that are known so far.

    Parameters
    ----------
    output : pathlib.Path
        The table that the parts become.
    fingerprint : list
        What the rows depend on: source, predictor, options. Parts of another are not taken up.

    See Also
    --------
    specvit.stream.predict_stream : Uses it.

    Notes
    -----
    A part is a NumPy archive of the columns, without loss and without pickles. It gets its name when it is on
    the disk, so that a kill leaves whole parts alone.

    Examples
    --------
    >>> import tempfile
    >>> folder = PartFolder(Path(tempfile.mkdtemp()) / "labels.ecsv", ["example"])
    >>> folder.open()
    0
    >>> folder.write(0, {"logg": np.array([2.5, 4.4])})
    >>> PartFolder(folder.output, ["example"]).open()
    1
    """

    def __init__(self, output, fingerprint):
        self.output = Path(output)
        self.path = self.output.with_name(self.output.name + ".parts")
        text = json.dumps(fingerprint, sort_keys=True, default=str)
        self._record = {"fingerprint": hashlib.sha256(text.encode()).hexdigest()}

    @property
    def exists(self):
        """Whether a run has begun and not ended."""
        return (self.path / _RECORD).is_file()

    @property
    def is_joined(self):
        """Whether the output was complete when the run was cut off."""
        return (self.path / _JOINED).is_file() and self.output.is_file()

    def open(self, anew=False):
        """Make the folder, or take up what is there.

        Parameters
        ----------
        anew : bool
            Whether parts of another run are removed.

        Returns
        -------
        int
            Number of parts that are there: the number of the next.

        Raises
        ------
        OSError
            If the folder cannot be written to.
        ValueError
            If the parts there are of another run, unless `anew`.
        """
        if self.exists and self._read_record() != self._record:
            if not anew:
                raise ValueError(
                    f"{self.path} holds parts of another run (other spectra, options, weights or version): "
                    "remove the folder, or overwrite"
                )
            self.remove()
        if not self.exists:
            self.remove()  # what is left of an earlier one that was being removed
            self.path.mkdir(exist_ok=True)
            write_atomically(self.path / _RECORD, lambda path: path.write_text(json.dumps(self._record)))
        for left in self.path.glob(".*"):  # half-written ones of a run that was killed
            left.unlink(missing_ok=True)
        number = 0
        while self._part(number).is_file():
            number += 1
        return number

    def _read_record(self):
        try:
            return json.loads((self.path / _RECORD).read_text())
        except (OSError, ValueError):
            return None

    def _part(self, number):
        return self.path / f"{number:07d}.npz"

    def write(self, number, columns):
        """Write a part: dict of column name to ndarray (n,)."""

        def write(path):
            with open(path, "wb") as file:
                np.savez(file, **{f"{_PREFIX}{name}": x for name, x in columns.items()})

        write_atomically(self._part(number), write)

    def read(self, number):
        """Read a part: dict of column name to ndarray (n,)."""
        path = self._part(number)
        try:
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                return {name.removeprefix(_PREFIX): file[name] for name in file.files}
        except (ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
            raise ValueError(f"{path} is damaged: remove it and those after it, and run again") from error

    def join(self, count, write):
        """Let ``write(path, parts)`` make the table of `count` parts, and remove them.

        Parameters
        ----------
        count : int
            Number of parts.
        write : callable
            Is given a path with the suffix of the output, and a function that gives an iterator over the
            parts, dicts of column name to ndarray.
        """

        def parts():
            return (self.read(number) for number in range(count))

        joined = self.path / f"joined-table{self.output.suffix}"
        write_atomically(joined, lambda path: write(path, parts))
        (self.path / _JOINED).touch()
        os.replace(joined, self.output)
        self.remove()

    def remove(self):
        """Remove what this class has put into the folder, the record first, and the folder if it is empty."""
        own = [_RECORD, _JOINED, ".*", "[0-9]*.npz", f"joined-table{self.output.suffix}"]
        for path in (path for pattern in own for path in self.path.glob(pattern)):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

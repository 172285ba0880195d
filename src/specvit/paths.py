"""Paths as users write them, and files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["user_path", "write_atomically"]


def user_path(path):
    """A path in which ``~`` is the home folder.

    Parameters
    ----------
    path : str or path-like
        As the user wrote it.

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> user_path("~/spectra").is_absolute()
    True
    """
    return Path(path).expanduser()


def write_atomically(path, write):
    """Let ``write(temporary_path)`` make a file, bring it to the disk and give it its name.

    Whatever stood under the name stays untouched until all is written. A link stays one: the file that it
    leads to is replaced.

    Parameters
    ----------
    path : pathlib.Path
        Name of the file.
    write : callable
        Writes to the path that it is given, which has the same suffix.

    Raises
    ------
    OSError
        If it cannot be written; what was written is removed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note.txt"
    >>> write_atomically(path, lambda part: part.write_text("whole"))
    >>> path.read_text()
    'whole'
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():  # a device or a pipe; a folder refuses by itself
        write(path)
        return
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as the user's other files have it, whatever `write` makes of it
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(mode)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

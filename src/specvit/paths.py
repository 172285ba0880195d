"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["user_path"]


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

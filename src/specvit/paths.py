"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["user_path"]


def user_path(path):
    """`path`, str or path-like, as a `pathlib.Path`, in which ``~`` is the home folder."""
    return Path(path).expanduser()

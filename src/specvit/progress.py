"""How far a long piece of work has come: a line on a terminal, and nothing elsewhere."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["ProgressLine", "clear_line", "no_lines", "on_terminal"]

_BETWEEN = 0.2  # seconds from one update of the line to the next
_HIDDEN: ContextVar[bool] = ContextVar("specvit_no_lines", default=False)


def on_terminal(progress=None):
    """What ``progress=None`` means: whether the standard error is a terminal.

    Parameters
    ----------
    progress : bool, optional
        What the user asked for: returned as it is, unless it is None.

    Returns
    -------
    bool

    Examples
    --------
    >>> on_terminal(True), on_terminal(False)
    (True, False)
    """
    return sys.stderr.isatty() if progress is None else progress


@contextmanager
def no_lines():
    """Work in which no `ProgressLine` is shown: a part of other work, which has a line of its own.

    Examples
    --------
    >>> with no_lines():
    ...     ProgressLine("spectra", shown=True).shown
    False
    """
    token = _HIDDEN.set(True)
    try:
        yield
    finally:
        _HIDDEN.reset(token)


def clear_line():
    """Take a line that has not ended off the terminal, so that something else can be written there.

    Examples
    --------
    >>> clear_line()  # there is none: nothing happens
    """
    line = ProgressLine.unfinished
    if line is not None:
        line.clear()


class ProgressLine:
    """A line on the standard error with the share that is done, the rate and the time that is left.

    Parameters
    ----------
    what : str
        What is counted, as "spectra".
    shown : bool, optional
        Whether to write; by default on a terminal only.
    stream : file, optional
        Where to write; by default the standard error.
    delay : float, optional
        Seconds before the first text: of work that takes less nothing is said.

    Attributes
    ----------
    found : int
        What an earlier run had done, which does not count for the rate.
    unfinished : ProgressLine or None
        Of the class: the line that the cursor stands behind.

    See Also
    --------
    on_terminal : Whether there is one.

    Examples
    --------
    >>> import io
    >>> text = io.StringIO()
    >>> line = ProgressLine("spectra", shown=True, stream=text)
    >>> line(20, 20)
    >>> text.getvalue().split(",")[0]
    '\\rspectra: 20/20'
    """

    unfinished = None

    def __init__(self, what, shown=None, stream=None, delay=0.0):
        self.what, self.stream, self.found = what, sys.stderr if stream is None else stream, 0
        self.shown = on_terminal(shown) and not _HIDDEN.get()
        self.started, self._width = time.monotonic(), 0
        self._next, self._begun = self.started + delay, False

    def __call__(self, done, total=None):
        """Say that `done` of `total` are done; None where nobody knows how many there will be."""
        now, ends = time.monotonic(), done == total
        if not self.shown or (now < self._next and not (ends and self._begun)):
            return
        self._next, self._begun, passed = now + _BETWEEN, True, max(now - self.started, 1e-9)
        text = f"{self.what}: " + (f"{done:,}/{total:,}" if total else f"{done:,}")
        rate = (done - self.found) / passed
        if rate > 0:
            left = f"{(total - done) / rate:.0f} s left" if total and not ends else f"{passed:.0f} s"
            text += f", {rate:.3g} a second, {left}"
        text = text[: _columns(self.stream) - 1]  # a line that wraps could not be written over
        self.stream.write("\r" + text.ljust(self._width) + ("\n" if ends else ""))
        self.stream.flush()
        self._width = len(text)
        ProgressLine.unfinished = None if ends else self

    def clear(self):
        """Take it off the terminal."""
        self.stream.write("\r" + " " * self._width + "\r")
        self.stream.flush()
        self._width, ProgressLine.unfinished = 0, None


def _columns(stream):
    """Width of a terminal; 80 of what is none, or does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (AttributeError, OSError, ValueError):
        return 80

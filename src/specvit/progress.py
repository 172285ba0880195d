"""How far a long piece of work has come: a line on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
import time

__all__ = ["ProgressLine", "on_terminal"]

_BETWEEN = 0.2  # seconds from one update of the line to the next


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

    Attributes
    ----------
    found : int
        What an earlier run had done, which does not count for the rate.

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

    def __init__(self, what, shown=None, stream=None):
        self.what, self.stream, self.found = what, sys.stderr if stream is None else stream, 0
        self.shown, self.started, self._last = on_terminal(shown), time.monotonic(), -_BETWEEN

    def __call__(self, done, total=None):
        """Say that `done` of `total` are done; None where nobody knows how many there will be."""
        now, ends = time.monotonic(), done == total
        if not self.shown or (not ends and now - self._last < _BETWEEN):
            return
        self._last, passed = now, max(now - self.started, 1e-9)
        rate = (done - self.found) / passed
        left = f"{(total - done) / rate:.0f} s left" if total and rate > 0 and not ends else f"{passed:.0f} s"
        share = f"{done:,}/{total:,}" if total else f"{done:,}"
        end = "\n" if ends else ""
        self.stream.write(f"\r{self.what}: {share}, {rate:.3g} a second, {left}    {end}")
        self.stream.flush()

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
    """
    return sys.stderr.isatty() if progress is None else progress


class ProgressLine:
    """A line on the standard error with the share that is done and the time that is left.

    Parameters
    ----------
    what : str
        What is counted, as "spectra".
    shown : bool, optional
        Whether to write; by default on a terminal only.
    stream : file, optional
        Where to write; by default the standard error.

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
        self.what, self.stream = what, sys.stderr if stream is None else stream
        self.shown, self.started, self._last = on_terminal(shown), time.monotonic(), -_BETWEEN

    def __call__(self, done, total):
        """Say that `done` of `total` are done."""
        now = time.monotonic()
        if not self.shown or (done < total and now - self._last < _BETWEEN):
            return
        self._last, passed = now, now - self.started
        left = f"{passed * (total - done) / done:.0f} s left" if 0 < done < total else f"{passed:.0f} s"
        end = "\n" if done >= total else ""
        self.stream.write(f"\r{self.what}: {done:,}/{total:,}, {left}    {end}")
        self.stream.flush()

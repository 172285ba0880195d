"""Progress is told on a terminal, and nowhere else unless asked for."""

import io

from specvit.progress import ProgressLine, on_terminal


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_default_follows_the_standard_error(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    assert on_terminal() is True and on_terminal(False) is False
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert on_terminal() is False and on_terminal(True) is True


def test_a_line_says_what_is_left(monkeypatch):
    clock = iter([0.0, 10.0, 10.1, 40.0])
    monkeypatch.setattr("specvit.progress.time.monotonic", lambda: next(clock))
    text = io.StringIO()
    line = ProgressLine("spectra", shown=True, stream=text)
    line(1_000, 4_000)
    line(1_001, 4_000)  # too soon after the last
    line(4_000, 4_000)
    first, second = text.getvalue().strip("\r\n").split("\r")
    assert first.strip() == "spectra: 1,000/4,000, 100 a second, 30 s left"
    assert second.strip() == "spectra: 4,000/4,000, 100 a second, 40 s"
    assert text.getvalue().endswith("\n")


def test_silent_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    line = ProgressLine("spectra")
    line(1, 2)
    assert line.stream.getvalue() == ""


def test_rate_leaves_out_what_was_there_and_a_total_may_be_unknown(monkeypatch):
    clock = iter([0.0, 10.0])
    monkeypatch.setattr("specvit.progress.time.monotonic", lambda: next(clock))
    line = ProgressLine("files", shown=True, stream=io.StringIO())
    line.found = 900
    line(1_000)
    assert line.stream.getvalue().strip() == "files: 1,000, 10 a second, 10 s"

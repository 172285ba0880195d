"""Progress is told on a terminal, and nowhere else unless asked for."""

import io

from specvit.progress import ProgressLine, clear_line, no_lines, on_terminal


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


def test_short_work_is_not_shown(monkeypatch):
    clock = iter([0.0, 0.5, 0.9])
    monkeypatch.setattr("specvit.progress.time.monotonic", lambda: next(clock))
    line = ProgressLine("spectra", shown=True, stream=io.StringIO(), delay=1.0)
    line(10, 20)
    line(20, 20)
    assert line.stream.getvalue() == ""


def test_a_line_that_has_begun_ends(monkeypatch):
    clock = iter([0.0, 1.5, 1.6])
    monkeypatch.setattr("specvit.progress.time.monotonic", lambda: next(clock))
    line = ProgressLine("spectra", shown=True, stream=io.StringIO(), delay=1.0)
    line(10, 20)
    line(20, 20)
    assert line.stream.getvalue().endswith(
        "\rspectra: 20/20, 12.5 a second, 2 s     \n"
    )  # the old text is gone


def test_before_the_first_nothing_is_said_of_rates():
    line = ProgressLine("spectra", shown=True, stream=io.StringIO())
    line(0, 2_000)
    assert line.stream.getvalue() == "\rspectra: 0/2,000"


def test_other_text_takes_the_place_of_a_line(screen):
    line = ProgressLine("spectra", shown=True, stream=screen)
    line(1_000, 4_000)
    clear_line()
    screen.write("star.fits  2.1\n")
    line(4_000, 4_000)
    first, second, _ = screen.lines()
    assert first == "star.fits  2.1" and second.startswith("spectra: 4,000/4,000")
    clear_line()  # the line has ended, and stays
    assert len(screen.lines()) == 3


def test_narrow_terminals_are_not_overrun(monkeypatch):
    monkeypatch.setattr("specvit.progress._columns", lambda stream: 20)
    line = ProgressLine("spectra", shown=True, stream=io.StringIO())
    line(1_000, 4_000)
    assert len(line.stream.getvalue().strip("\r")) == 19


def test_parts_of_other_work_have_no_line(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with no_lines():
        assert not ProgressLine("spectra").shown
    assert ProgressLine("spectra").shown

"""Tables in text of any habit: separators, decimal commas, headings, comments, units."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field

import numpy as np

from specvit.spectra.readers.columnroles import find_columns, split_unit
from specvit.spectra.readers.unitwords import wave_unit_of

__all__ = ["TextTable", "parse"]

_MISSING = {
    "",
    "nan",
    "-nan",
    "+nan",
    "inf",
    "-inf",
    "+inf",
    "null",
    "none",
    "n/a",
    "na",
    "--",
    "-",
    "...",
    "indef",
    "masked",
    "missing",
    "undef",
    "#n/a",
    "#na",
}
_TRUTHS = dict.fromkeys(("true", "yes", "t", "y"), 1.0) | dict.fromkeys(("false", "no", "f", "n"), 0.0)
_COMMENT = re.compile(r"^\s*(#|%|!|//|\\|\*|;|\"#)+\s*")
_POINT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eEdD][-+]?\d+)?")
_COMMA = re.compile(r"[-+]?\d[\d.]*,\d+([eEdD][-+]?\d+)?")
_FACT = re.compile(r"^\s*([A-Za-z][\w \-]{0,30}?)\s*[:=]\s*(\S.*?)\s*$")
_RESOLUTION = {"resolution", "resolving power", "resolving_power", "r", "spec_res"}
_ENOUGH = 50  # rows from which separator and decimal sign are told


@dataclass
class TextTable:
    """A table as its text has it.

    Attributes
    ----------
    names : list of str
        Names of the columns, units in brackets behind them; "" if there is no heading.
    columns : list of list of str
        Fields of each column.
    units : dict of str to str
        Units of a line below the heading.
    comma : bool
        Whether the decimal sign is a comma.
    facts : dict
        What comments say: medium, resolution, instrument.
    notes : list of str
        What was assumed.
    """

    names: list
    columns: list
    units: dict = field(default_factory=dict)
    comma: bool = False
    facts: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)

    @property
    def has_names(self):
        """Whether there is a heading."""
        return any(self.names)

    def values(self, which):
        """Numbers of a column.

        Parameters
        ----------
        which : int or str
            Its number, from 0, or its name.

        Returns
        -------
        numpy.ndarray of float64
            NaN where nothing stands.

        Raises
        ------
        ValueError
            If a field is no number.
        """
        index = which if isinstance(which, int) else self.names.index(which)
        fields = self.columns[index]
        try:
            return np.array(fields, dtype=np.float64)
        except ValueError:  # missing values, decimal commas, exponents of Fortran
            name = self.names[index] or index + 1
            return np.array([_number(text, self.comma, name, i) for i, text in enumerate(fields, 1)])


def parse(text):
    """Read a table from text.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    TextTable

    Raises
    ------
    ValueError
        If there are no two lines of at least two numbers, or a line among them is none; the message has its
        number.

    Notes
    -----
    The separator is a semicolon, a tab, a bar, a comma or white space, in this order, whichever parts lines
    into numbers; a comma between digits is a decimal sign unless it is the separator. The heading is the line
    of as many words before the first numbers in which a wavelength and a flux are known, else the last such
    line, commented out or not; a comment without a word that is known is none, nor is a card of a header.
    """
    lines = text.splitlines()
    separator, comma = _habit(lines)
    head, rows, width = [], [], 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = _split(line, separator)
        if _is_row(fields, comma, width):
            if len(rows) == 1 and len(fields) > width:  # numbers before the table, as its length
                head, rows = [*head, " ".join(rows[0])], []
            if rows and len(fields) != width:
                raise ValueError(
                    f"line {number} has {len(fields)} columns, those before {width}: {line.strip()[:60]!r}"
                )
            width = len(fields)
            rows.append(fields)
        elif not rows:
            head.append(line)
        elif not _COMMENT.match(line) and any(field.strip() for field in fields):
            raise ValueError(f"line {number} is no row of numbers: {line.strip()[:60]!r}")
    if len(rows) < 2:
        raise ValueError("no table of numbers: there must be at least 2 lines of at least 2 numbers")
    table = TextTable([""] * width, [list(column) for column in zip(*rows, strict=True)], comma=comma)
    _read_head(table, head, separator)
    return table


def _habit(lines):
    """Separator and whether the decimal sign is a comma, of the lines that look like numbers."""
    tail = lines[-2 * _ENOUGH :]
    sample = [line for line in tail if not _COMMENT.match(line) and re.search(r"\d", line)][-_ENOUGH:]
    best, most = (None, False), 0
    for separator in (";", "\t", "|", ",", None):
        for comma in (False,) if separator == "," else (False, True):
            rows = [fields for line in sample if _is_row(fields := _split(line, separator), comma)]
            decimals = sum(bool(_COMMA.fullmatch(field.strip())) for fields in rows for field in fields)
            if len(rows) > most and (not comma or decimals):
                best, most = (separator, comma), len(rows)
    return best


def _split(line, separator):
    """Fields of a line."""
    if separator is None:
        return line.split()
    quoted = '"' in line
    try:
        fields = next(csv.reader([line], delimiter=separator)) if quoted else line.split(separator)
    except csv.Error:  # a line too long to be one of a table
        fields = line.split(separator)
    fields = [field.strip() for field in fields]
    if separator == "|":
        fields = fields[1:] if fields and not fields[0] else fields
    while len(fields) > 1 and not fields[-1] and separator in ("|", ";", "\t"):
        fields.pop()
    return fields


def _is_row(fields, comma, width=None):
    """Whether at least two fields are numbers, and the first of all that are not missing is one.

    If there are `width` of them, as in the rows before, the first one tells.
    """
    pattern = _COMMA if comma else _POINT
    if len(fields) == width and pattern.fullmatch(fields[0]):
        return True
    numbers = 0
    for text in fields:
        text = text.strip()
        if pattern.fullmatch(text) or (comma and _POINT.fullmatch(text) and "." not in text):
            numbers += 1
        elif text.lower() not in _MISSING and not numbers:
            return text.startswith("[") and len(fields) > 1
    missing = sum(text.strip().lower() in _MISSING for text in fields)
    arrays = sum(text.startswith(("[", "(")) for text in fields)
    return numbers > 0 and numbers + missing + arrays > 1


def _number(text, comma, name, row):
    """A number of a field; the name of its column and the number of its row are for the message."""
    text = text.strip()
    if text.lower() in _MISSING:
        return np.nan
    if comma and "," in text:
        text = text.replace(".", "").replace(",", ".")
    if text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    try:
        return float(text.replace("D", "e").replace("d", "e"))
    except ValueError:
        raise ValueError(f"column {name} must hold numbers, got {text[:40]!r} in row {row}") from None


def _read_head(table, head, separator):
    """Names, units and facts from the lines before and between the numbers."""
    width, best = len(table.columns), None
    for i, line in enumerate(head):
        bare = _COMMENT.sub("", line).strip()
        words = _heading(bare, separator, width)
        if words and not all(_POINT.fullmatch(word) for word in words):
            known = find_columns(words)
            complete = known.complete
            is_comment = bare != line.strip()
            if "=" in words or (is_comment and not known):
                _read_fact(table, bare)
                continue
            if best is None or not best[0]:
                best = (complete, i, words)
        _read_fact(table, bare)
    if best is None:
        return
    _, i, words = best
    seen = {}
    for k, word in enumerate(words):  # names must differ, and have some letters
        word = word or f"column {k + 1}"
        seen[word] = seen.get(word, 0) + 1
        table.names[k] = word if seen[word] == 1 else f"{word} {seen[word]}"
    columns = find_columns(table.names)
    axis = columns.get("wave")
    for line in head[i + 1 : i + 2]:
        units = _heading(_COMMENT.sub("", line).strip(), separator, width)
        if units and axis and wave_unit_of(units[table.names.index(axis)]) is not None:
            table.units = {name: unit for name, unit in zip(table.names, units, strict=True) if unit}


def _heading(line, separator, width):
    """The line as `width` words, units in brackets kept with their names, or None."""
    ways = [_split(line, separator)] if separator is not None else []
    ways += [
        re.findall(r"[^\s\[(,;]+(?:\s*[\[(][^\])]*[\])])?", line),
        line.split(),
        re.split(r"\s*[,;\t|]\s*", line.strip("| ")),
    ]
    for words in ways:
        words = [word.strip().strip("\"'") for word in words]
        if len(words) == width and any(re.search(r"[^\W\d_]", split_unit(word)[0]) for word in words):
            return words
    return None


def _read_fact(table, line):
    """Medium, resolution and instrument that a comment states."""
    low = line.lower()
    if re.search(r"\b(wave|lambda|wl|medium)", low) or low.startswith(("air", "vac")):
        vacuum, air = re.search(r"\bvac(uum)?\b", low), re.search(r"\bair\b", low)
        if bool(vacuum) != bool(air) and "medium" not in table.facts:
            table.facts["medium"] = "vacuum" if vacuum else "air"
            table.notes.append(
                f"wavelengths are in {table.facts['medium']}, as a comment says: {line[:60]!r}"
            )
    match = _FACT.match(line)
    if match is None:
        return
    key, value = match[1].strip().lower(), match[2].strip("'\" ")
    if key in _RESOLUTION and (number := re.match(r"[\d_.]+(e\d+)?", value)) and float(number[0]) > 100:
        table.facts["resolution"] = float(number[0])
        table.notes.append(f"resolution {table.facts['resolution']:g}, as a comment says")
    if key in ("instrument", "instrume", "spectrograph"):
        table.facts["instrument"] = value

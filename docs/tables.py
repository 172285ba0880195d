"""Tables and headings that fit a phone: cells know the head of their column, and wide tables become lists.

`static/specvit.css` does the rest. Whether a table is wide is estimated from its longest words. The directive
``measured-table`` is a csv-table that leaves out columns of the file.
"""

import re

from bs4 import BeautifulSoup
from docutils.parsers.rst import directives
from docutils.parsers.rst.directives.tables import CSVTable

_TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
_MODULE = re.compile(r"(?<=<h[1-6]>)specvit[\w.]+")
_WORD = re.compile(r"[^ \n-]+")  # a space that does not break is part of it
_MARKS = re.compile(r"(?<=[●○]) (?=[●○])")
_PHONE, _DESKTOP = 366, 850  # pixels
#: Letter and padding of cells, in pixels: on a phone, on a screen, and there in small letters.
_ON_PHONE, _ON_SCREEN, _SMALL = (7.2, 9), (7.6, 13), (6.7, 13)
_MANY = 6  # columns from which on letters are smaller on every screen


class MeasuredTable(CSVTable):
    """A csv-table without the columns that ``:leave-out:`` names, separated by commas."""

    option_spec = CSVTable.option_spec | {"leave-out": directives.unchanged_required}

    def parse_csv_data_into_rows(self, csv_data, dialect, source):
        """Rows of cells, as the base class has them, and their number of columns."""
        rows, _ = super().parse_csv_data_into_rows(csv_data, dialect, source)
        heads = ["".join(cell[3]).strip() for cell in rows[0]]
        left_out = {name.strip() for name in self.options.get("leave-out", "").split(",")} - {""}
        if not left_out <= set(heads):
            raise self.error(f"leave-out names no columns of the file: {sorted(left_out - set(heads))}")
        kept = [k for k, head in enumerate(heads) if head not in left_out]
        return [[row[k] for k in kept] for row in rows], len(kept)


def _make_entry(cell, label):
    """A cell that can stand in a list: it says what it is, and its content is one box."""
    cell["data-label"] = label.replace("_", "_\u200b")
    if not cell.get_text(strip=True):
        cell["class"] = [*cell.get("class", []), "empty"]
    box = BeautifulSoup("<div></div>", "html.parser").div
    for child in list(cell.contents):
        box.append(child.extract())
    cell.append(box)


def _broken(head):
    """Let the names of columns, as OUT_OF_DOMAIN, go on in the next line after each underscore."""
    for text in [text for row in head for text in row.find_all(string=True) if "_" in text]:
        text.replace_with(text.replace("_", "_\u200b"))


def _broken_code(cell):
    """The same for the names of flags in cells, by a mark that is not copied with them."""
    if not re.fullmatch("[A-Z_]+", cell.get_text()):
        return
    cell["class"] = [*cell["class"], "flag"]
    first, *rest = re.split(r"(?<=_)", cell.get_text())
    cell.string = first
    for part in rest:
        cell.append(BeautifulSoup("", "html.parser").new_tag("wbr"))
        cell.append(part)


def fitted(match):
    """A table, as HTML, with the heads of columns in its cells and classes that say how wide it is."""
    whole = _MARKS.sub("", match[0].replace(" ± ", "\u00a0±\u00a0"))
    table = BeautifulSoup(whole, "html.parser").table
    head = table.select("thead tr")
    rows = [row.find_all(["td", "th"], recursive=False) for row in table.select("tbody tr")]
    labels = [cell.get_text(" ", strip=True) for cell in head[-1].find_all("th")] if head else []
    if len({len(cells) for cells in (*rows, *filter(None, [labels]))}) != 1:  # cells span others
        return match[0]
    breakable = [label.replace("_", "_ ") for label in labels]  # where `_broken` lets them
    texts = [*filter(None, [breakable]), *([cell.get_text(" ") for cell in row] for row in rows)]
    columns = ([*column, "."] for column in zip(*texts, strict=True))
    longest = [max(len(word) for text in column for word in _WORD.findall(text)) for column in columns]

    def width(letter, padding):
        return sum(longest) * letter + len(longest) * padding

    _broken(head)
    for cell in table.select("tbody code .pre"):
        _broken_code(cell)
    classes = table.get("class", [])
    if len(labels) > 2 and width(*_ON_PHONE) > _PHONE:
        classes.append("as-list")
        for row in rows:
            for label, cell in zip(labels, row, strict=True):
                _make_entry(cell, label)
    if len(longest) >= _MANY:
        classes.append("small-letters" if width(*_ON_SCREEN) > _DESKTOP else "many-columns")
    table["class"] = classes
    fits = width(*_SMALL) <= _DESKTOP
    return str(table) if fits else str(table).replace("\u00a0±\u00a0", " ± ")


def fit_tables(app, page, template, context, doctree):
    """Apply `fitted` to all tables of a page; names of modules in headings may go on after each dot."""
    if "body" in context:
        body = _TABLE.sub(fitted, context["body"])
        context["body"] = _MODULE.sub(lambda found: found[0].replace(".", ".<wbr/>"), body)


def setup(app):
    """Connect with Sphinx."""
    app.add_directive("measured-table", MeasuredTable)
    app.connect("html-page-context", fit_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

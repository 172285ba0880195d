"""What ``specvit predict`` prints: a line for each spectrum as it is made, for people or programs."""

from __future__ import annotations

import json
import sys

from specvit.cli.common import tell
from specvit.labels import LABELS, label_of
from specvit.progress import clear_line

__all__ = ["FORMATS", "RowPrinter"]

#: For programs, by name.
FORMATS = ("csv", "ecsv", "jsonl")
#: Labels printed on the terminal, log g first.
_SHOWN = sorted(map(label_of, LABELS), key=lambda label: label.name != "logg")


class RowPrinter:
    """Prints the parts of a table as they come, and counts.

    Parameters
    ----------
    args : argparse.Namespace
        Options of the command.
    machine : bool
        Whether rows go to the standard output for programs, as CSV unless the options say otherwise.
    """

    def __init__(self, args, machine=False):
        self.count = self.failed = 0
        self.sizes, self._widths, self._notes = [], None, {}
        self._stops, self._alone = args.on_error == "raise", len(args.files) <= 1
        self._form = args.output_format or ("csv" if machine else None)
        self._shown = machine or not args.quiet

    def add(self, part):
        """Print the rows of a part.

        Raises
        ------
        ValueError
            If a spectrum has no answer and the options ask for a stop, or it was the only file.
        """
        table = part.table
        place = table.colnames[0]
        reasons = [
            (f"{where}" if place == "file" else f"spectrum {where}", reason)
            for where, reason in zip(_values(table, place), _values(table, "error"), strict=True)
            if reason
        ]
        first = (part.unread[:1] if self._alone and len(table) == 1 and self.count == 0 else []) or (
            reasons[:1] if self._stops else []
        )
        for note, where in part.notes:
            self._notes.setdefault(note, []).append(where)
        if first:
            self.tell_notes()  # of what was read until then: it may be the cause
            raise ValueError(": ".join(first[0]))
        for where, reason in part.unread:
            tell(f"specvit: error: {where}: {reason}")
        if self._shown:
            if sys.stdout.isatty():
                clear_line()  # which is on the same terminal
            self._print(table, place, {where for where, _ in part.unread})
        self.count += len(table)
        self.failed += len(reasons)
        self.sizes.append(part.size)

    def tell_notes(self):
        """Tell what readers assumed or left out, each once."""
        for note, where in self._notes.items():
            more = f" (and {len(where) - 1} more)" if len(where) > 1 else ""
            tell(f"specvit: note: {where[0]}{more}: {note}")

    def _print(self, table, place, told):
        if self._form == "jsonl":
            for row in zip(*(_values(table, name) for name in table.colnames), strict=True):
                known = {k: None if x != x else x for k, x in zip(table.colnames, row, strict=True)}
                print(json.dumps(known))
        elif self._form is not None:
            from specvit.stream.tablefiles import text_of

            print(text_of(table, f".{self._form}", header=self.count == 0), end="")
        elif len(table) > len(told):
            self._print_lines(table[[where not in told for where in _values(table, place)]], place)

    def _print_lines(self, table, place):
        """The main columns as aligned text, one line a spectrum, and why where there is no answer."""
        from specvit.spectra import Flag

        columns = [list(map(str, _values(table, place)))]
        shown = [label for label in _SHOWN if label.name in table.colnames]
        for label in shown:
            pairs = zip(_values(table, label.name), _values(table, f"{label.name}_err"), strict=True)
            form = f".{label.decimals}f"
            columns.append(["-" if x != x else f"{x:{form}} ± {sigma:{form}}" for x, sigma in pairs])
        columns.append(["-" if x != x else f"{x:.1f}" for x in _values(table, "snr")])
        notes = zip(_values(table, "error"), _values(table, "flags"), strict=True)
        columns.append([error or Flag.describe(flags) or "ok" for error, flags in notes])
        heading = [] if self._widths else [[place, *(_heading(label) for label in shown), "S/N", "notes"]]
        rows = [*heading, *zip(*columns, strict=True)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        self._widths = [*map(max, widths, self._widths or widths)]
        print("\n".join("  ".join(map(str.ljust, row, self._widths)).rstrip() for row in rows), flush=True)


def _values(table, name):
    """Column as a list of plain Python numbers or strings."""
    column = table[name]
    return getattr(column, "value", column).tolist()


def _heading(label):
    """Name and unit; a name in brackets is known to be in dex."""
    return label.plain if label.plain.startswith("[") else f"{label.plain} [{label.error_unit}]"

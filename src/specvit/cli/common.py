"""What the commands share: types of arguments, options and how errors are told."""

from __future__ import annotations

import argparse
import sys
import textwrap

from specvit.paths import user_path
from specvit.progress import clear_line

__all__ = [
    "SPECTROGRAPH",
    "add_output",
    "add_spectrograph",
    "add_traceback",
    "check_output",
    "count",
    "examples",
    "given",
    "one_line",
    "own_grid",
    "positive",
    "tell",
]


#: What `add_spectrograph` adds, as names of attributes.
SPECTROGRAPH = ("instrument", "range", "resolving_power")


def positive(text):
    """Type of arguments that are finite and above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return value


def count(text):
    """Type of arguments that are whole numbers above zero, which may be written as 1_000_000 or 1e6."""
    value = float(text)
    if not (value >= 1 and value == int(value)):
        raise argparse.ArgumentTypeError(f"must be a whole number above zero, got {text}")
    return int(value)


def given(args, *names):
    """Arguments that were given, as a dict: what was not is left to the defaults of the library."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def add_spectrograph(parser):
    """Options ``--instrument``, or ``--range`` and ``--resolving-power``: whose pixels are meant."""
    parser.add_argument("--instrument", metavar="NAME", help="a preset by name, as SDSS, LAMOST, MUSE")
    parser.add_argument(
        "--range", nargs=2, type=positive, metavar=("LOW", "HIGH"), help="vacuum wavelengths in Angstrom"
    )
    parser.add_argument("--resolving-power", type=positive, metavar="R", help="of the range, constant")


def own_grid(args):
    """The `~specvit.PixelGrid` of ``--range`` and ``--resolving-power``, or None without them."""
    if (args.range is None) != (args.resolving_power is None):
        raise ValueError("--range and --resolving-power go together")
    if args.range is None:
        return None
    if args.instrument is not None:
        raise ValueError("--instrument must not be given with --range and --resolving-power")

    from specvit.grid import PixelGrid

    return PixelGrid.from_resolving_power(*args.range, args.resolving_power, name="own grid")


def add_output(parser, what):
    """Options ``--out``, a file to write, and ``--overwrite``."""
    parser.add_argument(
        "--out", type=user_path, required=True, metavar="FILE", help=f"file to write {what} to"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")


def check_output(args):
    """Raise OSError if ``--out`` cannot be written: better before the work than after."""
    if args.out.exists() and not args.overwrite:
        raise FileExistsError(f"{args.out} exists; --overwrite replaces it")
    if not args.out.resolve().parent.is_dir():
        raise FileNotFoundError(f"{args.out.resolve().parent}: no such folder")


def add_traceback(parser):
    """Option ``--traceback``, which every command has."""
    parser.add_argument("--traceback", action="store_true", help="show the Python traceback of an error")


def examples(*lines, about=""):
    """Keywords of a parser whose help ends with what it says `about` files and with examples, `lines`."""
    text = textwrap.fill(about, 78) + "\n\n" if about else ""
    epilog = text + "examples:\n" + "\n".join(f"  {line}" for line in lines)
    return {"epilog": epilog, "formatter_class": _HelpFormatter}


class _HelpFormatter(argparse.HelpFormatter):
    """Descriptions are wrapped, as usual; examples stay as they are."""

    def _fill_text(self, text, width, indent):
        if "examples:\n" in text:
            return "".join(indent + line for line in text.splitlines(keepends=True))
        return super()._fill_text(text, width, indent)


def tell(text):
    """Print on the standard error: how far a command has come."""
    clear_line()
    print(text, file=sys.stderr, flush=True)


def one_line(error):
    """Message of an exception or warning as one line."""
    # str of a KeyError is the repr of its argument
    text = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__

"""The program: its commands, and what happens to their errors and warnings."""

from __future__ import annotations

import argparse
import codecs
import os
import sys
import warnings
from importlib import metadata

from specvit.cli import completion, emulator, evaluate, info, limit, predict, simulate, train
from specvit.cli.common import examples, one_line, tell

__all__ = ["COMMANDS", "build_parser", "main"]

#: Modules of the commands, in the order of the help. Each has ``add_parser(commands)``, which adds options
#: and sets the default ``run``, and ``run(args)``, which imports what is slow and returns the exit status.
COMMANDS = (predict, simulate, train, evaluate, limit, emulator, info, completion)


#: Exit status of a program whose output nobody reads, 128 + SIGPIPE, as shells have it.
_BROKEN_PIPE = 141


def build_parser():
    """The parser of the command line, an `argparse.ArgumentParser`.

    Examples
    --------
    >>> build_parser().parse_args(["predict", "--example"]).example
    True
    """
    parser = argparse.ArgumentParser(
        prog="specvit",
        description="Surface gravities of cool stars from spectra.",
        **examples("specvit predict --example", "specvit predict --help", "specvit info"),
    )
    parser.add_argument("--version", action="version", version=f"specvit {metadata.version('specvit')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit status, see `specvit.cli`.

    Examples
    --------
    >>> main(["predict", "--example", "--quiet", "--output", "labels.csv"])  # doctest: +SKIP
    0
    """
    _print_anything()
    argv = sys.argv[1:] if argv is None else list(argv)
    args = build_parser().parse_args(predict.join_windows(argv) if argv[:1] == ["predict"] else argv)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            status = args.run(args)
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            # The reader, as ``head``, has seen enough. What is left must not be written at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return _BROKEN_PIPE
        except KeyboardInterrupt:
            tell("\nspecvit: interrupted")
            return 130  # 128 + SIGINT
        except (ArithmeticError, ImportError, LookupError, OSError, TypeError, ValueError) as error:
            if args.traceback:
                raise
            tell(f"specvit: error: {one_line(error)}")
            return 2


#: How signs are written on terminals that do not have them.
_PLAIN = {
    "±": "+-",
    "Å": "A",
    "–": "-",
    "−": "-",
    "χ": "chi",
    "²": "2",
    "σ": "sigma",
    "α": "alpha",
    "…": "...",
}


def _print_anything():
    """Let no terminal's encoding stop a command: signs that it does not know are written in letters."""
    codecs.register_error("specvit", _in_letters)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="specvit")


def _in_letters(error):
    return "".join(_PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def _show_warning(message, category, filename, lineno, file=None, line=None):
    tell(f"specvit: warning: {one_line(message)}")

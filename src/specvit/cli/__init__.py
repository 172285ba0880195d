"""The command line, ``specvit COMMAND``: a module for each command, listed in `specvit.cli.program`.

Exit status: 0 when every spectrum has an answer, 1 when some have none (their rows are NaN and say
why) or an audit was not passed, 2 when the command could not be carried out; then one line on the
standard error says why.
Importing this package is quick: what is slow to import is imported by the commands that need it.
"""

from specvit.cli.program import build_parser, main
from specvit.cli.reading import read_spectrum

__all__ = ["build_parser", "main", "read_spectrum"]

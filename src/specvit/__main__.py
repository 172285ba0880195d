"""``python -m specvit``, the command line where the script ``specvit`` is not on the path."""

import sys

from specvit.cli import main

__all__ = []

if __name__ == "__main__":
    sys.exit(main())

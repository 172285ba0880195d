"""The readers of files, registered with specutils as soon as a program has imported both, in either order.

specutils knows no entry points: a reader exists once its module is imported. Importing the readers with
``import specvit`` would load specutils for those who never read a file; so the import waits for specutils.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec

__all__ = ["register_readers"]


def register_readers():
    """Register the readers: now, if specutils is imported, else right after it will be.

    See Also
    --------
    specvit.spectra.readers : The readers; importing them registers them too.
    """
    if "specutils" in sys.modules:
        _import_readers()
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


class _Watch(MetaPathFinder):
    """Finds nothing, but sees specutils being imported, once."""

    def find_spec(self, name, path=None, target=None):
        if name != "specutils":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module):
                execute(module)
                _import_readers()

            spec.loader.exec_module = execute_and_register
        return spec


def _import_readers():
    """Import the readers; if they cannot be, specutils must work all the same."""
    try:
        import specvit.spectra.readers  # noqa: F401
    except ImportError as error:
        import warnings

        warnings.warn(f"specvit's readers of files are not registered: {error}", ImportWarning, stacklevel=2)

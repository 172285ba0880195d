"""The readers of files, registered with specutils as soon as a program has imported both, in either order.

specutils knows no entry points: a reader exists once its module is imported. Importing the readers with
``import specvit`` would load specutils for those who never read a file; so the import waits for specutils.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

__all__ = ["register_readers"]


def register_readers():
    """Register the readers: now, if specutils is imported, else right after it will be.

    See Also
    --------
    specvit.spectra.readers : The readers; importing them registers them too.

    Examples
    --------
    ``import specvit`` does it. Whichever is imported first, specutils then knows the formats:

    >>> register_readers()
    >>> from astropy.io import registry
    >>> from specutils import Spectrum
    >>> "PFS" in registry.get_formats(Spectrum)["Format"]
    True
    """
    if "specutils" in sys.modules:
        _import_readers()
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


class _Watch(MetaPathFinder):
    """Finds what the other finders find, and sees specutils being executed, once."""

    def find_spec(self, name, path=None, target=None):
        if name != "specutils":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((one for one in found if one is not None), None)
        if spec is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module):
                execute(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                _import_readers()

            spec.loader.exec_module = execute_and_register
        return spec


def _import_readers():
    """Import the readers; if they cannot be, specutils must work all the same."""
    try:
        import specvit.spectra.readers  # noqa: F401
    except ImportError as error:
        import warnings

        warnings.warn(f"specvit's readers of files are not registered: {error}", RuntimeWarning, stacklevel=2)

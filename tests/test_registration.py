"""Who has imported the package and specutils reads files without more ado, in whatever order."""

import pytest

_COUNT = """
for one in (specutils.Spectrum, specutils.SpectrumList):
    print(list(one.read.registry.get_formats(one)["Format"]).count("PFS"))
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import specvit, specutils",
        "import specutils, specvit",
        "import specutils\nfrom specvit import PixelGrid",
        "import specvit, specvit.spectra.readers, specutils",
        "import specvit\nfrom specutils import Spectrum\nimport specutils",
        "import specvit, importlib.util\nimportlib.util.find_spec('specutils')\nimport specutils",
    ],
)
def test_readers_are_there_once(imports, fresh):
    assert fresh(imports + _COUNT) == ["1", "1"]


def test_without_the_package_they_are_not(fresh):
    assert fresh("import specutils" + _COUNT) == ["0", "0"]


def test_specutils_is_left_as_it_was(fresh):
    code = """
import specvit, sys, specutils
print([finder for finder in sys.meta_path if type(finder).__module__.startswith("specvit")])
print(specutils.__spec__.loader.name, specutils.__file__.endswith("__init__.py"))
"""
    assert fresh(code) == ["[]", "specutils", "True"]


def test_a_failure_of_the_readers_leaves_specutils_working(fresh):
    code = """
import sys, specvit
sys.modules["specvit.spectra.readers"] = None
import specutils
print(specutils.Spectrum.__name__)
"""
    assert fresh(code) == ["Spectrum"]

"""Who has imported the package and specutils reads files without more ado, in whatever order."""

import subprocess
import sys

import pytest

_COUNT = """
for one in (specutils.Spectrum, specutils.SpectrumList):
    print(list(one.read.registry.get_formats(one)["Format"]).count("PFS"))
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    return done.stdout.split()


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
def test_readers_are_there_once(imports):
    assert run(imports + _COUNT) == ["1", "1"]


def test_without_the_package_they_are_not():
    assert run("import specutils" + _COUNT) == ["0", "0"]


def test_specutils_is_left_as_it_was():
    code = """
import specvit, sys, specutils
print([finder for finder in sys.meta_path if type(finder).__module__.startswith("specvit")])
print(specutils.__spec__.loader.name, specutils.__file__.endswith("__init__.py"))
"""
    assert run(code) == ["[]", "specutils", "True"]


def test_a_failure_of_the_readers_leaves_specutils_working():
    code = """
import sys, specvit
sys.modules["specvit.spectra.readers"] = None
import specutils
print(specutils.Spectrum.__name__)
"""
    assert run(code) == ["Spectrum"]

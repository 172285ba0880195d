"""Options and data shared by every test."""

from pathlib import Path

import pytest

try:
    from pytest_astropy_header.display import PYTEST_HEADER_MODULES, TESTED_VERSIONS
except ImportError:  # the header is a convenience
    PYTEST_HEADER_MODULES, TESTED_VERSIONS = {}, {}


#: Small extracts of larger data: their README says of which, and what made them.
DATA = Path(__file__).parent / "data"


def pytest_addoption(parser):
    parser.addoption("--run-slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config):
    import specvit

    config.option.astropy_header = True
    PYTEST_HEADER_MODULES.clear()
    for name in ("numpy", "scipy", "torch", "lightning", "astropy", "specutils", "sklearn", "safetensors"):
        PYTEST_HEADER_MODULES[name] = name
    TESTED_VERSIONS["specvit"] = specvit.__version__


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--run-slow"):
        skip = pytest.mark.skip(reason="slow: runs with --run-slow")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def test_data():
    """Folder of the extracts."""
    return DATA


@pytest.fixture(scope="session")
def emulator():
    """The one that ships."""
    from specvit.stars import Emulator

    return Emulator.load()


@pytest.fixture(scope="session")
def library():
    """Spectra of the library that the emulator was fitted on, held out of the fit: every fourth of them."""
    from specvit.stars import read_library

    return read_library(DATA / "library")

"""Options and fixtures shared by every test."""

from pathlib import Path

import pytest

try:
    from pytest_astropy_header.display import PYTEST_HEADER_MODULES, TESTED_VERSIONS
except ImportError:  # the header is a convenience
    PYTEST_HEADER_MODULES, TESTED_VERSIONS = {}, {}


SHARED = Path(__file__).parents[1].parent / "shared"


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
def emulator():
    from specvit.stars import Emulator

    return Emulator.load()


@pytest.fixture(scope="session")
def library():
    """The library that the emulator was fitted on; it does not ship."""
    from specvit.stars import read_library

    if not (SHARED / "library").is_dir():
        pytest.skip("the synthetic library is not here")
    return read_library(SHARED / "library")


@pytest.fixture(scope="session")
def shared():
    if not SHARED.is_dir():
        pytest.skip("the shared data are not here")
    return SHARED

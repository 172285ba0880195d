"""What the tests of simulations share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"


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

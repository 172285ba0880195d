"""Spectra of known levels, in files and arrays, and a predictor that finds the level."""

import shutil

import numpy as np
import pytest

from specvit import PFS_MR
from tests.stream.levels import LevelPredictor


@pytest.fixture
def predictor():
    return LevelPredictor()


@pytest.fixture(scope="session")
def levels():
    """Levels of 25 spectra."""
    return np.linspace(1.0, 4.0, 25)


@pytest.fixture(scope="session")
def flux(levels):
    """Fluxes on the grid, of those levels."""
    return levels[:, None] * (1 + 0.01 * np.sin(PFS_MR.wave / 5))


@pytest.fixture(scope="session")
def written(tmp_path_factory, levels):
    """Folder of text files of the spectra."""
    wave, folder = np.linspace(7000, 8900, 2000), tmp_path_factory.mktemp("written")
    for k, level in enumerate(levels):
        columns = np.c_[wave, np.full(wave.size, level), np.full(wave.size, 0.1)]
        np.savetxt(folder / f"star{k:02d}.txt", columns, fmt="%.12g")
    return folder


@pytest.fixture
def files(tmp_path, written):
    """Text files of the spectra, in a folder of the test's own."""
    shutil.copytree(written, tmp_path / "stars")
    return sorted(str(path) for path in (tmp_path / "stars").iterdir())

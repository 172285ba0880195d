"""Spectra of known levels, in files and arrays, and a predictor that finds the level."""

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


@pytest.fixture
def files(tmp_path, levels):
    """Text files of the spectra, in a folder."""
    wave = np.linspace(7000, 8900, 4000)
    (tmp_path / "stars").mkdir()
    paths = []
    for k, level in enumerate(levels):
        paths.append(tmp_path / "stars" / f"star{k:02d}.txt")
        np.savetxt(paths[-1], np.c_[wave, np.full(wave.size, level), np.full(wave.size, 0.1)])
    return [str(path) for path in paths]

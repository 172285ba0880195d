"""Libraries of synthetic spectra: smoothing, and files that are refused."""

import numpy as np
import pytest

from specvit.constants import FWHM_PER_SIGMA
from specvit.grid import PFS_MR
from specvit.stars import read_library
from specvit.stars.library import library_files


def test_truth_is_smoothed_by_an_independent_convolution(library):
    """`SyntheticLibrary.smoothed` against a brute-force Gaussian convolution of one spectrum."""
    one = library[:1]
    for j in (10, 2000, 4090):
        centre, sigma = PFS_MR.wave[j], PFS_MR.lsf_sigma[j]
        own = centre / library.resolving_power / FWHM_PER_SIGMA
        fine = np.linspace(centre - 4, centre + 4, 16_001)
        kernel = np.exp(-0.5 * (fine - centre) ** 2 / (sigma**2 - own**2))
        expected = np.average(np.interp(fine, one.wave, one.normalised[0]), weights=kernel)
        made = one.smoothed(np.array([sigma]), np.array([centre]))[0, 0]
        # linear interpolation between the library's own pixels is the coarser of the two
        assert made == pytest.approx(expected, abs=4e-4)


def test_library_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no library files"):
        read_library(tmp_path)
    np.savez(tmp_path / "d1.npz", labels=np.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"d1.npz: not a library file, it lacks \['cont', 'norm'\]"):
        read_library(tmp_path)
    np.savez(tmp_path / "d1.npz", labels=np.zeros((2, 5)), norm=np.zeros((3, 9)), cont=np.ones((2, 32)))
    with pytest.raises(ValueError, match="must have shapes"):
        read_library(tmp_path)


def test_files_of_a_folder_are_those_that_belong(tmp_path):
    for name in ("b.npz", "a.npz", "sub/c.npz", "a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = library_files(tmp_path, lambda path: path.suffix == ".npz")
    assert found == [tmp_path / name for name in ("a.npz", "b.npz", "sub/c.npz")]
    assert library_files(tmp_path / "a.txt", lambda path: False) == [tmp_path / "a.txt"]
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such file"):
        library_files([tmp_path / "none.npz"], lambda path: True)

"""Objects that are no cool stars raise an alarm; good real stars do not."""

import os
from pathlib import Path

import numpy as np
import pytest

from specvit import PFS_MR, LoggEstimator
from specvit.assess.foreign import FOREIGN, foreign_cells
from specvit.spectra import Flag

#: Folder of the real stars that scripts/judge_real_stars.py describes: they are no part of the project.
REAL = os.environ.get("SPECVIT_REAL_STARS")


@pytest.fixture(scope="module")
def estimator():
    return LoggEstimator(device="cpu")


def test_noise_is_as_stated():
    """Of each class, at S/N 20: the median over pixels of the noiseless flux over σ is that."""
    for foreign in FOREIGN:
        quiet, _ = foreign.spectra(PFS_MR, 1e6, 2, 1)
        flux, ivar = foreign.spectra(PFS_MR, 20, 2, 1)
        pulls = (flux - quiet) * np.sqrt(ivar)
        assert abs(pulls.std() - 1) < 0.04 and abs(pulls.mean()) < 0.05, foreign.name
        assert np.median(quiet * np.sqrt(ivar), 1) == pytest.approx([20, 20], rel=0.1), foreign.name


def test_objects_of_a_class_differ():
    for foreign in FOREIGN:
        one, other = foreign.spectra(PFS_MR, 1e6, 2, 1)[0]
        assert abs(one / np.median(one) - other / np.median(other)).max() > 0.01, foreign.name


def test_foreign_objects_are_told(estimator):
    """Six of each class at S/N 20: at most one of the 36 passes for a star."""
    cells = list(foreign_cells(estimator, snr=(20,), draws=6))
    assert len(cells) == 6 and np.mean([cell.told for cell in cells]) > 0.97


@pytest.mark.slow
def test_every_class_is_told(estimator):
    for cell in foreign_cells(estimator):
        assert cell.told >= 0.95, cell


@pytest.mark.skipif(REAL is None, reason="SPECVIT_REAL_STARS is not set")
def test_an_a_star_is_told_and_cool_stars_are_not(estimator):
    """Ten early spectra of LAMOST at R 1,800: the fourth is of 8,400 K."""
    import astropy.units as u
    from astropy.nddata import StdDevUncertainty
    from specutils import Spectrum

    rows = np.genfromtxt(Path(REAL) / "lamost.csv", delimiter=",", names=True)
    with np.load(Path(REAL) / "lamost.npz") as arrays:
        spectra = [
            Spectrum(
                arrays[f"flux_{i}"].astype(float) * u.one,
                arrays[f"wave_{i}"] * u.AA,
                uncertainty=StdDevUncertainty(arrays[f"err_{i}"].astype(float)),
                mask=~arrays[f"good_{i}"],
                radial_velocity=rows["velocity_kms"][i] * u.km / u.s,
            )
            for i in range(len(rows))
        ]
    table = estimator.predict_table(spectra, instrument="LAMOST", medium="vacuum")
    alarmed = (table["flags"] & Flag.ALARMS) > 0
    assert alarmed.tolist() == (rows["teff"] > 7000).tolist()

"""MaStar: rows of arrays, visits of a star averaged, resolution of each pixel."""

import numpy as np
import pytest
from astropy.io import fits
from specutils import SpectrumList

WAVE = 10 ** (3.5589 + 1e-4 * np.arange(4563))


def test_visits_of_a_star_are_averaged(tmp_path, observe, table, check):
    stars = [observe(WAVE, seed=seed) for seed in (0, 1)]
    visits = [stars[0], stars[1], stars[0]]
    n = WAVE.size
    disp = WAVE / 1900 / np.sqrt(8 * np.log(2))
    columns = [
        ("MANGAID", "10A", ["7-1", "7-2", "7-1"]),
        ("MJD", "J", [57000, 57000, 57001]),
        ("WAVE", f"{n}D", [WAVE] * 3),
        ("FLUX", f"{n}E", [one.flux for one in visits]),
        ("IVAR", f"{n}D", [np.where(one.lost, 0, one.sigma.astype(float) ** -2) for one in visits]),
        ("MASK", f"{n}J", [one.lost.astype("i4") for one in visits]),
        ("DISP", f"{n}D", [disp] * 3),
    ]
    fits.HDUList([fits.PrimaryHDU(), table("GOODVISITS", columns)]).writeto(tmp_path / "mastar-goodspec.fits")
    spectra = SpectrumList.read(tmp_path / "mastar-goodspec.fits")
    assert [one.meta["mangaid"] for one in spectra] == ["7-1", "7-2"]
    stars[0].sigma = stars[0].sigma / np.sqrt(2).astype("f4")
    check(spectra[0], stars[0], resolution=np.full(n, 1900.0))
    check(spectra[1], stars[1], resolution=np.full(n, 1900.0), predict=False)
    (one,) = SpectrumList.read(tmp_path / "mastar-goodspec.fits", mangaid="7-2")
    assert one.meta["mangaid"] == "7-2"
    with pytest.raises(ValueError, match="no star with the MANGAID '7-3'"):
        SpectrumList.read(tmp_path / "mastar-goodspec.fits", mangaid="7-3")

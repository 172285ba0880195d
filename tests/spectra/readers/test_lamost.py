"""LAMOST files of old and new data releases, read without naming a format."""

import numpy as np
import pytest
from astropy.io import fits
from specutils import Spectrum

COEFF0, COEFF1, NPIX = 3.5682, 1e-4, 3909
WAVE = 10 ** (COEFF0 + COEFF1 * np.arange(NPIX))
CARDS = {"TELESCOP": "LAMOST", "COEFF0": COEFF0, "COEFF1": COEFF1, "VACUUM": True, "DATA_V": "LAMOST DR5"}


@pytest.fixture
def star(observe):
    return observe(WAVE)


def ivar(star):
    return np.where(star.lost, 0, star.sigma.astype(float) ** -2).astype("f4")


def test_image(tmp_path, star, check):
    mask = np.where(star.lost, 1 << 24, 0)
    rows = np.stack([star.flux, ivar(star), WAVE, mask, mask | 1 << 16]).astype("f4")
    fits.PrimaryHDU(rows, fits.Header(CARDS)).writeto(tmp_path / "spec-55859-F5902_sp01-001.fits.gz")
    check(Spectrum.read(tmp_path / "spec-55859-F5902_sp01-001.fits.gz"), star, resolution=1800.0)


@pytest.mark.parametrize("coefficients", [True, False])
def test_table(tmp_path, star, table, check, coefficients):
    n = star.wave.size
    columns = [
        ("FLUX", f"{n}E", [star.flux]),
        ("IVAR", f"{n}E", [ivar(star)]),
        ("WAVELENGTH", f"{n}E", [WAVE.astype("f4")]),
        ("ANDMASK", f"{n}J", [np.where(star.lost, 1 << 24, 0)]),
        ("ORMASK", f"{n}J", [np.full(n, 1 << 16)]),
        ("NORMALIZATION", f"{n}E", [star.flux]),
    ]
    cards = CARDS if coefficients else {"TELESCOP": "LAMOST"}
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(cards)), table("COADD", columns)]).writeto(
        tmp_path / "a.fits"
    )
    if not coefficients:
        star.wave = WAVE.astype("f4").astype(float)
    check(Spectrum.read(tmp_path / "a.fits"), star, resolution=1800.0)


def test_arms_of_medium_resolution_are_joined(tmp_path, observe, table):
    hdus = [fits.PrimaryHDU(header=fits.Header({"TELESCOP": "LAMOST"}))]
    arms = {"COADD_B": np.arange(3.694, 3.729, 1e-5), "COADD_R": np.arange(3.799, 3.833, 1e-5)}
    for name, loglam in {"B-1": arms["COADD_B"], **arms}.items():
        star = observe(10**loglam)
        columns = [("FLUX", "E", star.flux), ("IVAR", "E", ivar(star)), ("LOGLAM", "D", loglam)]
        hdus.append(table(name, [*columns, ("PIXMASK", "J", star.lost.astype("i4"))]))
    fits.HDUList(hdus).writeto(tmp_path / "med.fits")
    spectrum = Spectrum.read(tmp_path / "med.fits")
    np.testing.assert_allclose(
        spectrum.spectral_axis.value, 10 ** np.concatenate([*arms.values()]), atol=1e-4
    )
    assert spectrum.meta["resolution"] == 7500

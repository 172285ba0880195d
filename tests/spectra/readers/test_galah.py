"""GALAH files: one an arm, errors relative to the flux, CRPIX1 = 0 for 1."""

import numpy as np
import pytest
from astropy.io import fits
from specutils import Spectrum

STEP = 0.0737
ARMS = {1: 4713.6, 2: 5648.0, 3: 6478.0, 4: 7585.0}


def write(path, star, crpix):
    axis = {
        "CRVAL1": star.wave[0],
        "CDELT1": STEP,
        "CRPIX1": crpix,
        "CTYPE1": "Wavelength",
        "CUNIT1": "Angstrom",
    }
    normalised = {**axis, "CRVAL1": star.wave[50], "CRPIX1": crpix}
    flux = np.where(star.lost, np.nan, star.flux).astype("f4")
    hdus = [
        fits.PrimaryHDU(flux, fits.Header({**axis, "ORIGIN": "GALAH", "OBJECT": "x"})),
        fits.ImageHDU(star.sigma / star.flux, fits.Header(axis)),
        fits.ImageHDU(flux * 1.1, fits.Header(axis)),
        fits.ImageHDU(flux * 0.9, fits.Header(axis)),
        fits.ImageHDU(flux[50:-50], fits.Header(normalised)),
    ]
    fits.HDUList(hdus).writeto(path)


@pytest.mark.parametrize("crpix", [0, 1])
def test_infrared_arm(tmp_path, observe, check, crpix):
    star = observe(ARMS[4] + STEP * np.arange(4096), "air")
    write(tmp_path / "1403060014010154.fits", star, crpix)
    spectrum = Spectrum.read(tmp_path / "1403060014010154.fits")
    check(spectrum, star, resolution=28000.0)
    assert spectrum.meta["notes"] == ("flux in counts is taken as relative",)


def test_another_arm_is_said_to_be_one(tmp_path, observe):
    write(tmp_path / "1403060014010151.fits", observe(ARMS[1] + STEP * np.arange(4096), "air"), 1)
    spectrum = Spectrum.read(tmp_path / "1403060014010151.fits")
    assert "the file whose name ends in 4" in spectrum.meta["notes"][-1]


def test_a_file_with_all_arms_gives_the_infrared_one(tmp_path, observe, check):
    hdus = [fits.PrimaryHDU(header=fits.Header({"ORIGIN": "GALAH"}))]
    for start in ARMS.values():
        star = observe(start + STEP * np.arange(4096), "air")
        axis = fits.Header({"CRVAL1": start, "CDELT1": STEP, "CRPIX1": 1})
        flux = np.where(star.lost, np.nan, star.flux).astype("f4")
        hdus += [fits.ImageHDU(flux, axis), fits.ImageHDU(star.sigma / star.flux, axis)]
    fits.HDUList(hdus).writeto(tmp_path / "all.fits")
    check(Spectrum.read(tmp_path / "all.fits"), star, resolution=28000.0)


def test_a_normalised_flux_is_no_error(tmp_path, observe, check):
    """Reductions after DR3 have it in HDU 1, the relative error in HDU 2."""
    star = observe(ARMS[4] + STEP * np.arange(4096), "air")
    star.lost[:] = False
    axis = fits.Header({"CRVAL1": star.wave[0], "CDELT1": STEP, "CRPIX1": 1, "INSTRUME": "HERMES-2dF"})
    hdus = [fits.PrimaryHDU(star.flux * 500, axis), fits.ImageHDU(star.flux, axis)]
    hdus.append(fits.ImageHDU(star.sigma / star.flux, axis))
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    check(Spectrum.read(tmp_path / "a.fits"), star, resolution=28000.0, scale=500)

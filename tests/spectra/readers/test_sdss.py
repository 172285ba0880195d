"""SDSS files in the layouts of their data models, read without naming a format."""

import numpy as np
import pytest
from astropy.io import fits
from specutils import Spectrum, SpectrumList

from specvit.grid import find_instrument

LOGLAM = 3.58 + 1e-4 * np.arange(3830)
PRESET = find_instrument("SDSS/BOSS")


@pytest.fixture
def star(observe):
    return observe(10**LOGLAM)


def write_spec(path, star, table, *, wdisp=1.0, cards=None, capitals=False):
    """spec-PLATE-MJD-FIBER.fits: the coadd in HDU 1, catalogues after it."""
    mask = np.where(star.lost, 1 << 24, 0) | 1 << 2  # NODATA; a bit of the fibre
    columns = [
        ("flux", "E", star.flux),
        ("loglam", "E", LOGLAM.astype("f4")),
        ("ivar", "E", np.where(star.lost, 0, star.sigma.astype(float) ** -2)),
        ("and_mask", "J", mask),
        ("or_mask", "J", np.full(mask.shape, 1 << 16)),
        ("wdisp", "E", np.full(mask.shape, wdisp)),
        ("sky", "E", star.flux),
        ("model", "E", star.flux),
    ]
    columns = [(name.upper() if capitals else name, *rest) for name, *rest in columns]
    primary = fits.PrimaryHDU(
        header=fits.Header(
            {"TELESCOP": "SDSS 2.5-M", "PLATEID": 266, "MJD": 51630, "FIBERID": 1, **(cards or {})}
        )
    )
    fits.HDUList([primary, table("COADD", columns), table("SPECOBJ", [("Z", "E", [1e-4])])]).writeto(path)


@pytest.mark.parametrize("capitals", [False, True])
@pytest.mark.parametrize("cards", [{"VERS2D": "v5_13_2"}, {"VERS2D": "26"}, {}])
def test_spec(tmp_path, star, table, check, cards, capitals):
    path = tmp_path / "spec-0266-51630-0001.fits"
    write_spec(path, star, table, cards=cards, capitals=capitals)
    star.wave = 10 ** LOGLAM.astype("f4").astype(float)
    spectrum = Spectrum.read(path)
    power = 1 / (np.sqrt(8 * np.log(2)) * 1e-4 * np.log(10))
    check(spectrum, star, resolution=np.full(star.wave.shape, power), predict=capitals)
    assert spectrum.flux.unit.to("erg / (s cm2 Angstrom)") == pytest.approx(1e-17)


def test_without_dispersion_the_preset_tells_the_resolution(tmp_path, star, table):
    write_spec(tmp_path / "a.fits", star, table, wdisp=0.0)
    spectrum = Spectrum.read(tmp_path / "a.fits")
    expected = star.wave / PRESET.fwhm_at(star.wave)
    np.testing.assert_allclose(spectrum.meta["resolution"], expected, rtol=1e-5)


def test_spspec(tmp_path, star, check):
    mask = np.where(star.lost, 1 << 24, 0) | (np.arange(star.wave.size) % 50 == 0) << 30  # emission lines
    rows = np.stack([star.flux, star.flux - 1, star.sigma, mask, star.flux])
    cards = {"TELESCOP": "SDSS 2.5-M", "FIBERID": 7, "COEFF0": LOGLAM[0], "COEFF1": 1e-4, "DC-FLAG": 1}
    cards |= {
        "CRVAL1": LOGLAM[0],
        "CD1_1": 1e-4,
        "CRPIX1": 1,
        "CTYPE1": "LINEAR",
        "WCSDIM": 2,
        "BUNIT": "1.0E-17 erg/cm/s/Ang",
    }
    fits.PrimaryHDU(rows.astype("f4"), fits.Header(cards)).writeto(tmp_path / "spSpec-51630-0266-007.fit")
    spectrum = Spectrum.read(tmp_path / "spSpec-51630-0266-007.fit")
    check(spectrum, star, resolution=star.wave / PRESET.fwhm_at(star.wave))
    assert spectrum.flux.unit.to("erg / (s cm2 Angstrom)") == pytest.approx(1e-17)


def test_plate(tmp_path, star, observe, table, check):
    stars = [observe(10**LOGLAM, seed=seed) for seed in range(8)]
    cards = {"TELESCOP": "SDSS 2.5-M", "COEFF0": LOGLAM[0], "COEFF1": 1e-4, "BUNIT": "1E-17 erg/cm^2/s/Ang"}
    masks = [np.where(star.lost, 1 << 24, 0) for star in stars]
    hdus = [
        fits.PrimaryHDU(np.stack([star.flux for star in stars]), fits.Header(cards)),
        fits.ImageHDU(np.stack([star.sigma.astype(float) ** -2 for star in stars]).astype("f4")),
        fits.ImageHDU(np.stack(masks).astype("i4")),
        *(fits.ImageHDU(np.zeros((8, 4), "f4")) for _ in range(2)),
        table("PLUGMAP", [("FIBERID", "J", np.arange(1, 9))]),
    ]
    fits.HDUList(hdus).writeto(tmp_path / "plate.fits")
    spectra = SpectrumList.read(tmp_path / "plate.fits")
    assert [one.meta["fiberid"] for one in spectra] == list(range(1, 9))
    check(spectra[3], stars[3], resolution=star.wave / PRESET.fwhm_at(star.wave))
    assert Spectrum.read(tmp_path / "plate.fits").shape == (8, LOGLAM.size)

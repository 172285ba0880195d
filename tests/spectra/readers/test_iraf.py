"""IRAF spectra: one dimension, equispec, multispec, bands; against axes in closed form."""

import numpy as np
import pytest
from astropy.io import fits
from numpy.polynomial import chebyshev, legendre
from scipy.interpolate import BSpline
from specutils import Spectrum, SpectrumList

from specvit.spectra.readers.iraf import multispec_axis

NPIX = 2048


def wat2(specs):
    """Cards WAT2_001 …: the text cut into pieces of 68 letters, as IRAF does."""
    text = "wtype=multispec " + " ".join(f'spec{i} = "{spec}"' for i, spec in enumerate(specs, 1))
    return {f"WAT2_{k + 1:03d}": text[68 * k : 68 * k + 68] for k in range(-(-len(text) // 68))}


@pytest.mark.parametrize(("flag", "medium"), [(0, "vacuum"), (1, "vacuum"), (1, "air")])
def test_one_dimension(tmp_path, observe, check, flag, medium):
    step = 0.9 if flag == 0 else np.log10(8900 / 6900) / NPIX
    start = 6900.0 if flag == 0 else np.log10(6900)
    raw = start + step * np.arange(NPIX)
    star = observe(raw if flag == 0 else 10**raw, medium)
    cards = {
        "CRVAL1": start,
        "CDELT1": step,
        "CD1_1": step,
        "CRPIX1": 1.0,
        "CTYPE1": "LINEAR",
        "DC-FLAG": flag,
    }
    cards |= {
        "WCSDIM": 1,
        "WAT0_001": "system=equispec",
        "WAT1_001": "wtype=linear label=Wavelength units=angstroms",
    }
    cards |= {"AIRORVAC": "vac" if medium == "vacuum" else "air", "BUNIT": "erg/cm2/s/A"}
    flux = np.where(star.lost, np.nan, star.flux).astype("f4")
    fits.PrimaryHDU(flux, fits.Header(cards)).writeto(tmp_path / "star.ms.fits")
    spectrum = Spectrum.read(tmp_path / "star.ms.fits")
    spectrum.meta["medium"] = medium
    check(spectrum, star, sigma=False)


def test_bands_and_stars(tmp_path, observe):
    wave = 6900 + 0.9 * np.arange(NPIX)
    stars = [observe(wave, seed=seed) for seed in range(3)]
    bands = [[star.flux for star in stars], [star.flux * 2 for star in stars], [star.sigma for star in stars]]
    cards = {"CRVAL1": 6900.0, "CD1_1": 0.9, "CTYPE1": "LINEAR", "WCSDIM": 3, "DC-FLAG": 0}
    cards |= {"BANDID1": "spectrum - background fit, weights variance", "BANDID2": "raw - background fit"}
    cards |= {"BANDID3": "sigma - background fit", "WAT0_001": "system=equispec"}
    fits.PrimaryHDU(np.array(bands, "f4"), fits.Header(cards)).writeto(tmp_path / "a.fits")
    spectra = SpectrumList.read(tmp_path / "a.fits")
    for spectrum, star in zip(spectra, stars, strict=True):
        np.testing.assert_allclose(spectrum.spectral_axis.value, wave, atol=1e-4)
        np.testing.assert_array_equal(spectrum.flux.value, star.flux)
        np.testing.assert_array_equal(spectrum.uncertainty.array, star.sigma)


def test_orders_of_a_multispec_image_are_joined(tmp_path, observe):
    pixels = np.arange(1, NPIX + 1)
    x = (2 * pixels - (NPIX + 1)) / (NPIX - 1)
    coefficients = [[low + 160, 160, -2.0, 0.3] for low in (7000, 7250, 7500, 7750, 8000, 8250, 8500)]
    waves = [chebyshev.chebval(x, one) for one in coefficients]
    specs = [
        f"{i} {90 - i} 2 {wave[0]:.6f} {np.diff(wave).mean():.8f} {NPIX} 0. 1.0 2.0 1. 0. 1 4 1. {NPIX}. "
        + " ".join(f"{value:.8f}" for value in one)
        for i, (wave, one) in enumerate(zip(waves, coefficients, strict=True), 1)
    ]
    blaze = np.sinc(0.8 * x) ** 2
    flux = np.stack([1000 * blaze * observe(wave, seed=3, snr=1e5).flux for wave in waves])
    cards = {"CTYPE1": "MULTISPE", "CTYPE2": "MULTISPE", "WCSDIM": 2, "WAT0_001": "system=multispec"}
    cards |= {"WAT1_001": "wtype=multispec label=Wavelength units=angstroms", **wat2(specs)}
    fits.PrimaryHDU(flux.astype("f4"), fits.Header(cards)).writeto(tmp_path / "echelle.fits")
    spectrum = Spectrum.read(tmp_path / "echelle.fits")
    assert spectrum.meta["joined"] == 7
    found = spectrum.spectral_axis.value
    assert (np.diff(found) > 0).all()
    for wave in waves:  # each pixel is one of some order's
        inside = np.isclose(found[:, None], wave[None, ::200], rtol=0, atol=1e-4)
        assert inside.any(axis=0).sum() >= 5
    # The blaze is gone: where there are no deep lines the flux is near 1, within what lines take away.
    assert 0.9 < np.percentile(spectrum.flux.value, 80) < 1.1
    assert np.percentile(spectrum.flux.value, 95) < 1.2


def test_multispec_of_fibres(tmp_path, observe):
    waves = [10 ** (np.log10(6900 + i) + 5.5e-5 * np.arange(NPIX)) / 1.0001 for i in range(3)]
    specs = [f"{i + 1} {i + 1} 1 {np.log10(6900 + i):.12f} 5.5e-5 {NPIX} 1.0e-4 1 2" for i in range(3)]
    cards = {
        "CTYPE1": "MULTISPE",
        "CTYPE2": "MULTISPE",
        "WCSDIM": 2,
        "WAT1_001": "wtype=multispec",
        **wat2(specs),
    }
    fits.PrimaryHDU(np.ones((3, NPIX), "f4"), fits.Header(cards)).writeto(tmp_path / "fibres.fits")
    for spectrum, wave in zip(SpectrumList.read(tmp_path / "fibres.fits"), waves, strict=True):
        np.testing.assert_allclose(spectrum.spectral_axis.value, wave, atol=1e-4)


def test_functions_of_multispec_axes():
    pixels = np.arange(1, NPIX + 1)
    x = (2 * pixels - (NPIX + 1)) / (NPIX - 1)
    head = f"1 1 2 0 0 {NPIX} 0. 1 2"
    found = multispec_axis(f"{head} 1. 0.5 2 3 1 {NPIX} 8000 400 7", NPIX)
    np.testing.assert_allclose(found, 0.5 + legendre.legval(x, [8000, 400, 7]), rtol=1e-12)
    # The cubic spline of IRAF is one of uniform B-splines of degree 3, six times as high.
    coefficients = np.array([1300.0, 1350.0, 1402.0, 1449.0, 1500.0])
    found = multispec_axis(f"{head} 1. 0. 3 2 1 {NPIX} " + " ".join(map(str, coefficients)), NPIX)
    s = (pixels - 1) / (NPIX - 1) * 2
    spline = BSpline(np.arange(-3, 6), 6 * coefficients, 3)
    np.testing.assert_allclose(found, spline(s), rtol=1e-12)
    found = multispec_axis(f"{head} 1. 0. 4 2 1 {NPIX} 8000 8100 8250", NPIX)
    np.testing.assert_allclose(found, np.interp(s, [0, 1, 2], [8000, 8100, 8250]), rtol=1e-12)
    values = 8000 + pixels**1.01
    found = multispec_axis(f"{head} 1. 0. 5 {NPIX} " + " ".join(f"{v:.9f}" for v in values), NPIX)
    np.testing.assert_allclose(found, values, rtol=1e-12)
    found = multispec_axis(f"{head} 0.5 0. 2 2 1 {NPIX} 8000 400 0.5 10. 2 2 1 {NPIX} 8002 400", NPIX)
    np.testing.assert_allclose(found, 8006 + 400 * x, rtol=1e-12)
    with pytest.raises(ValueError, match="no wavelengths"):
        multispec_axis("1 1 -1 1 1 2048 0 1 2", NPIX)


def test_multispec_in_an_extension(tmp_path):
    """As the Gemini package of IRAF writes it: the primary HDU is empty."""
    text = 'wtype=multispec spec1 = "1 1 0 7000. 0.5 2000 0. 10. 20."'
    axis = {"CTYPE1": "MULTISPE", "CTYPE2": "MULTISPE", "WAT2_001": text, "WCSDIM": 2}
    axis["WAT1_001"] = "wtype=multispec label=Wavelength units=angstroms"
    hdus = [fits.PrimaryHDU(header=fits.Header({"INSTRUME": "GMOS-N"}))]
    hdus.append(fits.ImageHDU(np.ones((1, 2000)), fits.Header(axis), name="SCI"))
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    spectrum = Spectrum.read(tmp_path / "a.fits")
    np.testing.assert_allclose(spectrum.spectral_axis.value, 7000 + 0.5 * np.arange(2000))
    assert spectrum.meta["header"]["INSTRUME"] == "GMOS-N"

"""FITS images: MUSE, RAVE, and any with wavelengths in its header or in an HDU."""

import numpy as np
import pytest
from astropy.io import fits
from specutils import Spectrum, SpectrumList

from specvit.grid import air_to_vacuum, find_instrument

WAVE = 4750 + 1.25 * np.arange(3682)
UNIT = "10**(-20)*erg/s/cm**2/Angstrom"
MUSE = find_instrument("MUSE")


def power(star):
    vacuum = air_to_vacuum(star.wave) if star.medium == "air" else star.wave
    return vacuum / MUSE.fwhm_at(vacuum)


@pytest.mark.parametrize(("kind", "medium"), [("AWAV", "air"), ("WAVE", "vacuum")])
@pytest.mark.parametrize("cards", [{"CD3_3": 1.25}, {"CDELT3": 1.25e-10, "CUNIT3": "m", "CRVAL3": 4750e-10}])
def test_cube(tmp_path, observe, check, kind, medium, cards):
    stars = [observe(WAVE, medium, seed) for seed in range(6)]
    axis = {"CTYPE3": kind, "CUNIT3": "Angstrom", "CRVAL3": 4750.0, "CRPIX3": 1.0, "BUNIT": UNIT, **cards}
    axis |= {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}

    def cube(values):
        return np.moveaxis(np.reshape(values, (2, 3, -1)), -1, 0)

    hdus = [
        fits.PrimaryHDU(header=fits.Header({"INSTRUME": "MUSE"})),
        fits.ImageHDU(
            cube([np.where(s.lost, np.nan, s.flux) for s in stars]).astype("f4"),
            fits.Header(axis),
            name="DATA",
        ),
        fits.ImageHDU(
            cube([s.sigma.astype(float) ** 2 for s in stars]).astype("f4"), fits.Header(axis), name="STAT"
        ),
    ]
    fits.HDUList(hdus).writeto(tmp_path / "cube.fits")
    whole = Spectrum.read(tmp_path / "cube.fits")
    assert whole.shape == (2, 3, WAVE.size)
    assert whole.flux.unit.to("erg / (s cm2 Angstrom)") == pytest.approx(1e-20)
    check(
        SpectrumList.read(tmp_path / "cube.fits")[4],
        stars[4],
        resolution=power(stars[4]),
        predict=kind == "AWAV",
    )


def test_spectra_of_pampelmuse(tmp_path, observe, check):
    """Its wavelengths are in metres, with or without the unit; it does not name the instrument."""
    star = observe(WAVE, "air")
    flux = np.where(star.lost, np.nan, star.flux).astype("f4")
    for name, unit in (("a.fits", {"CUNIT1": "m"}), ("b.fits", {})):
        cards = {
            "CRVAL1": 4750e-10,
            "CRPIX1": 1.0,
            "CDELT1": 1.25e-10,
            **unit,
            "HIERARCH SPECTRUM SNRATIO": 30.0,
        }
        hdus = [fits.PrimaryHDU(flux, fits.Header(cards)), fits.ImageHDU(star.sigma, name="SIGMA")]
        fits.HDUList(hdus).writeto(tmp_path / name)
        check(Spectrum.read(tmp_path / name), star, resolution=power(star), predict=not unit)


@pytest.mark.parametrize(("base", "value"), [(np.e, "AWAV-LOG"), (10, "WAVE-LOG"), (None, "WAVE-LOG")])
def test_logarithmic_axes_of_all_kinds(tmp_path, observe, base, value):
    """The natural and the decimal logarithm, and λ0 exp((p - p0) Δλ / λ0) of the standard."""
    step = 1e-4
    wave = 6900 * np.exp(step * np.arange(2500))
    start, step = (6900.0, 6900 * step) if base is None else (np.log([6900, np.exp(step)]) / np.log(base))
    cards = fits.Header({"CTYPE1": value, "CRVAL1": start, "CDELT1": step, "CRPIX1": 1.0})
    fits.PrimaryHDU(observe(wave).flux, cards).writeto(tmp_path / "a.fits")
    np.testing.assert_allclose(
        Spectrum.read(tmp_path / "a.fits").spectral_axis.to_value("Angstrom"), wave, atol=1e-4
    )


@pytest.mark.parametrize("error", ["STAT", "SIGMA"])
def test_spectra_of_mpdaf(tmp_path, observe, check, error):
    star = observe(WAVE, "air")
    axis = fits.Header(
        {"CTYPE1": "AWAV", "CUNIT1": "Angstrom", "CRVAL1": 4750.0, "CRPIX1": 1.0, "CDELT1": 1.25}
    )
    axis["BUNIT"] = UNIT
    flux = np.where(star.lost, np.nan, star.flux).astype("f4")
    if error == "STAT":
        hdus = [
            fits.PrimaryHDU(header=fits.Header({"INSTRUME": "MUSE"})),
            fits.ImageHDU(flux, axis, name="DATA"),
        ]
        hdus.append(fits.ImageHDU(star.sigma.astype(float) ** 2, axis, name="STAT"))
    else:
        hdus = [fits.PrimaryHDU(flux, axis), fits.ImageHDU(star.sigma, name="SIGMA")]
        hdus[0].header["INSTRUME"] = "MUSE"
        hdus[0].header["HIERARCH STAR ID"] = 17
    fits.HDUList(hdus).writeto(tmp_path / "specid000000017.fits")
    check(Spectrum.read(tmp_path / "specid000000017.fits"), star, resolution=power(star))


@pytest.mark.parametrize("error", ["row", "hdu", None])
def test_rave(tmp_path, observe, check, error):
    star = observe(8410.65 + 0.3757 * np.arange(1024), "air")
    star.lost[:] = False
    cards = fits.Header(
        {"CRVAL1": 8410.65, "CDELT1": 0.3757, "CRPIX1": 1, "CTYPE1": "LAMBDA", "CUNIT1": "ANGSTROMS"}
    )
    cards.update({"TELESCOP": "UKST", "INSTRUME": "6dF", "OBJECT": "RAVE J1"})
    rows = star.flux if error != "row" else np.stack([star.flux, star.sigma])
    hdus = [fits.PrimaryHDU(rows, cards)]
    if error == "hdu":
        hdus.append(fits.ImageHDU(star.sigma, name="ERROR"))
    fits.HDUList(hdus).writeto(tmp_path / "20030411.fits")
    check(Spectrum.read(tmp_path / "20030411.fits"), star, resolution=7500.0, sigma=error is not None)


@pytest.mark.parametrize("unit", ["counts", "adu", "erg/s/cm2/A", None])
def test_any_image_with_an_axis(tmp_path, observe, check, unit):
    star = observe(6900 + 0.5 * np.arange(4000))
    cards = fits.Header(
        {"CRVAL1": 6950.0, "CRPIX1": 101.0, "CDELT1": 0.5, "CUNIT1": "Angstroms", "AIRORVAC": "vac"}
    )
    if unit:
        cards["BUNIT"] = unit
    flux = np.where(star.lost, np.nan, star.flux).astype(">f4")
    hdus = [fits.PrimaryHDU(flux, cards), fits.ImageHDU(star.sigma.astype(float) ** -2, name="IVAR")]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    spectrum = Spectrum.read(tmp_path / "a.fits")
    spectrum.meta["medium"] = "vacuum"
    check(spectrum, star, predict=unit == "adu")


def test_wavelengths_in_an_hdu_and_scaled_integers(tmp_path, observe):
    star = observe(np.sort(np.random.default_rng(1).uniform(6900, 9000, 4000)))
    counts = fits.ImageHDU(np.round(star.flux * 1000).astype("f4"), name="FLUX")
    counts.scale("int16", bzero=100, bscale=0.5)
    hdus = [fits.PrimaryHDU(), counts, fits.ImageHDU(star.wave, name="WAVELENGTH")]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    spectrum = Spectrum.read(tmp_path / "a.fits")
    np.testing.assert_array_equal(spectrum.spectral_axis.value, star.wave)
    np.testing.assert_allclose(spectrum.flux.value, np.round(star.flux * 1000))


@pytest.mark.parametrize("cards", [{}, {"CRVAL1": 1.0, "CDELT1": 1.0}])
def test_pixel_numbers_are_refused(tmp_path, observe, cards):
    fits.PrimaryHDU(np.ones(4000, "f4"), fits.Header(cards)).writeto(tmp_path / "a.fits")
    with pytest.raises(Exception, match=r"pixels|wavelengths|format"):
        Spectrum.read(tmp_path / "a.fits", **({} if cards else {"format": "FITS image"}))


def test_images_of_feros_are_in_air(tmp_path, observe, check):
    star = observe(6900 + 0.03 * np.arange(70000), "air")
    star.lost[:] = False
    cards = fits.Header({"CRVAL1": 6900.0, "CDELT1": 0.03, "CRPIX1": 1.0, "INSTRUME": "FEROS"})
    fits.PrimaryHDU(star.flux, cards).writeto(tmp_path / "feros.fits")
    check(Spectrum.read(tmp_path / "feros.fits"), star, sigma=False)

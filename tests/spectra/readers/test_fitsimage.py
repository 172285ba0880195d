"""FITS images: MUSE, RAVE, and any with wavelengths in its header or in an HDU."""

import numpy as np
import pytest
from astropy.io import fits
from specutils import Spectrum, SpectrumList

from specvit.grid import air_to_vacuum, find_instrument
from specvit.spectra.readers import cube_rows, read

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


def test_image_rows_of_a_cube_are_read_by_themselves(tmp_path):
    data = np.arange(4 * 5 * 3, dtype=">f4").reshape(4, 5, 3)
    axis = {"CTYPE3": "AWAV", "CUNIT3": "nm", "CRVAL3": 800.0, "CRPIX3": 1.0, "CDELT3": 1.0}
    cube = [fits.PrimaryHDU(), fits.ImageHDU(data, fits.Header(axis), name="DATA")]
    fits.HDUList(cube).writeto(tmp_path / "cube.fits")
    fits.HDUList(cube).writeto(tmp_path / "cube.fits.gz")
    assert cube_rows(tmp_path / "cube.fits") == (5, 3, 4, 1)
    assert cube_rows(tmp_path / "cube.fits.gz") is None
    (some,) = read(tmp_path / "cube.fits", rows=(3, 5))
    np.testing.assert_array_equal(some.flux.value, data[:, 3:5].transpose(1, 2, 0))
    assert some.meta["name"] == ["1,4", "2,4", "3,4", "1,5", "2,5", "3,5"]
    (whole,) = read(tmp_path / "cube.fits")
    assert whole.meta["name"][9:] == some.meta["name"]
    assert SpectrumList.read(tmp_path / "cube.fits")[4].meta["name"] == "2,2"


@pytest.mark.parametrize("kind", ["scaled", "tiles", "scaled tiles", "tiles of two rows"])
def test_image_rows_of_packed_cubes(tmp_path, kind):
    """A spaxel has the level 1 + x + 10 y, to half a step of 16-bit numbers; DQ marks one pixel."""
    y, x = np.mgrid[:7, :9]
    data = np.tile(1.0 + x + 10 * y, (50, 1, 1))
    lost = np.zeros(data.shape, "i4")
    lost[7, 4, 2] = 1
    axis = fits.Header({"CTYPE3": "AWAV", "CUNIT3": "nm", "CRVAL3": 800.0, "CRPIX3": 1.0, "CDELT3": 0.1})
    step = 0.01 if "scaled" in kind else 0.0
    rows = 2 if "two" in kind else 1
    if kind == "scaled":
        flux = fits.ImageHDU(data.copy(), axis, name="DATA")
        flux.scale("int16", bscale=step, bzero=40.0)
        hdus = [flux, fits.ImageHDU(lost, name="DQ")]
    else:
        values = data.astype("f4")
        if step:
            values = np.round((data - 40) / step).astype("i2")
        options = {"tile_shape": (1, rows, 9)}
        if values.dtype.kind == "f":
            options |= {"compression_type": "GZIP_2", "quantize_level": 0}
        flux = fits.CompImageHDU(values, axis, name="DATA", **options)
        hdus = [flux, fits.CompImageHDU(lost, name="DQ", tile_shape=(1, rows, 9))]
    path = tmp_path / "cube.fits"
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    if kind == "scaled tiles":
        with fits.open(path, mode="update", disable_image_compression=True) as file:
            file["DATA"].header.update({"BSCALE": step, "BZERO": 40.0})
    assert cube_rows(path) == (7, 9, 50, rows)
    (some,) = read(path, rows=(4, 6))
    np.testing.assert_allclose(some.flux.value, data[:, 4:6].transpose(1, 2, 0), rtol=0, atol=step / 2 + 1e-6)
    assert np.argwhere(some.mask).tolist() == [[0, 2, 7]]
    (whole,) = read(path)
    np.testing.assert_array_equal(whole.flux[4:6], some.flux)


def test_tiles_as_high_as_the_image_are_read_at_once(tmp_path):
    axis = fits.Header({"CTYPE3": "AWAV", "CUNIT3": "nm", "CRVAL3": 800.0, "CRPIX3": 1.0, "CDELT3": 0.1})
    cube = fits.CompImageHDU(np.ones((20, 6, 5), "i4"), axis, name="DATA", tile_shape=(1, 6, 5))
    fits.HDUList([fits.PrimaryHDU(), cube]).writeto(tmp_path / "cube.fits")
    assert cube_rows(tmp_path / "cube.fits") is None
    assert read(tmp_path / "cube.fits")[0].shape == (6, 5, 20)


@pytest.mark.parametrize("names", [("SPEC", "SIG", "WAVE"), ("FLUX_STACK", "SIGMA_STACK", "WAVE_STACK")])
def test_orders_with_their_wavelengths_in_images(tmp_path, names):
    """As CARMENES and PypeIt write them; joined, each divided by its blaze."""
    waves = np.stack([7000 + 150 * k + 0.05 * np.arange(4000) for k in range(4)])
    blaze = 1000 * np.exp(-0.5 * ((np.arange(4000) - 2000) / 1500) ** 2)
    line = 1 - 0.5 * np.exp(-0.5 * ((waves - 7320) / 0.5) ** 2)
    images = (blaze * line, 0.01 * blaze * np.ones_like(line), waves)
    hdus = [fits.PrimaryHDU()] + [fits.ImageHDU(x, name=n) for x, n in zip(images, names, strict=True)]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    spectrum = Spectrum.read(tmp_path / "a.fits")
    wave = spectrum.spectral_axis.value
    assert (wave[0], wave[-1]) == (7000, pytest.approx(7649.95)) and (np.diff(wave) > 0).all()
    expected = 1 - 0.5 * np.exp(-0.5 * ((wave - 7320) / 0.5) ** 2)
    assert np.median(np.abs(spectrum.flux.value - expected)) < 0.01
    assert spectrum.uncertainty is not None
    assert "4 arms or orders are joined, each divided by its continuum" in spectrum.meta["notes"]


def test_rows_of_wavelength_flux_and_error(tmp_path, observe, check):
    star = observe(6900 + 0.5 * np.arange(4000))
    star.lost[:] = False
    rows = np.stack([star.wave / 1e4, star.flux, star.sigma])
    fits.PrimaryHDU(rows, fits.Header({"INSTRUME": "SpeX", "XUNITS": "um"})).writeto(tmp_path / "a.fits")
    spectrum = Spectrum.read(tmp_path / "a.fits")
    assert "rows of an image are taken for wavelength, flux, error" in spectrum.meta["notes"]
    spectrum.meta["medium"] = "vacuum"
    check(spectrum, star, predict=False)
    fits.PrimaryHDU(np.ones((3, 4000))).writeto(tmp_path / "b.fits")
    with pytest.raises(ValueError, match="not recognised"):
        read(tmp_path / "b.fits")


def test_fibres_are_called_as_their_table_calls_them(tmp_path, table):
    """2dFdr: rows of AAOmega, the reference pixel in the middle."""
    axis = fits.Header({"CRVAL1": 8500.0, "CDELT1": 0.5, "CRPIX1": 1000.0, "CUNIT1": "Angstroms"})
    hdus = [fits.PrimaryHDU(np.ones((3, 2000)), axis), fits.ImageHDU(np.ones((3, 2000)), name="VARIANCE")]
    hdus += [table("FIBRES", [("NAME", "10A", ["s1", "s2", "sky"]), ("TYPE", "1A", ["P", "P", "S"])])]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    rows = SpectrumList.read(tmp_path / "a.fits")
    assert [row.meta["name"] for row in rows] == ["s1", "s2", "sky"]
    np.testing.assert_allclose(rows[0].spectral_axis.value, 8500 + 0.5 * np.arange(-999, 1001))

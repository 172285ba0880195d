"""Which reader a file gets, and what is said of one that has none."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from specutils import Spectrum

from specvit.spectra.readers import read, reader_names
from specvit.spectra.readers.anyfile import LAYOUTS

WAVE = np.arange(6900.0, 9000.0, 0.5)


def test_readers_of_specutils_are_used_for_their_surveys(tmp_path):
    """A SED of MUSCLES: `FITS table` would read it as well, but specutils' reader knows it."""
    unit = "erg/s/cm2/Angstrom"
    columns = [fits.Column("WAVELENGTH", "D", "Angstrom", array=WAVE)]
    columns += [fits.Column(name, "E", unit, array=WAVE) for name in ("FLUX", "ERROR")]
    cards = fits.Header({"TELESCOP": "MULTI", "HLSPACRN": "MUSCLES", "PROPOSID": 13650})
    hdus = [fits.PrimaryHDU(header=cards), fits.BinTableHDU.from_columns(columns)]
    fits.HDUList(hdus).writeto(tmp_path / "sed.fits")
    assert "notes" in Spectrum.read(tmp_path / "sed.fits", format="FITS table").meta
    (spectrum,) = read(tmp_path / "sed.fits")
    for one in (spectrum, Spectrum.read(tmp_path / "sed.fits")):
        assert "notes" not in one.meta
        np.testing.assert_array_equal(one.spectral_axis.value, WAVE)


def test_counts_of_a_reader_of_specutils_are_relative(tmp_path):
    flux = np.ones(WAVE.size) * u.ct
    one = Spectrum(flux=flux, spectral_axis=WAVE * u.AA, uncertainty=StdDevUncertainty(0.1 * flux))
    one.write(tmp_path / "a.fits", format="tabular-fits")
    (spectrum,) = read(tmp_path / "a.fits", format="tabular-fits")
    assert spectrum.flux.unit == u.dimensionless_unscaled
    assert spectrum.meta["notes"] == ("flux in 'ct' is taken as relative",)
    np.testing.assert_allclose(spectrum.uncertainty.array, 0.1)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_format_that_is_not_the_file_s_is_refused(tmp_path, layout):
    fits.PrimaryHDU(np.ones((10, 10), "f4")).writeto(tmp_path / "a.fits")
    with pytest.raises(
        ValueError, match=f"no file of the format '{layout.name}': its HDUs are PRIMARY .image 10x10."
    ):
        read(tmp_path / "a.fits", format=layout.name)


def test_names_are_of_all_readers():
    names = reader_names()
    assert {layout.name for layout in LAYOUTS} | {"PFS", "text", "NumPy archive", "tabular-fits"} <= set(
        names
    )
    assert names == sorted(set(names), key=lambda name: (name.lower(), name))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_no_layout_takes_a_file_of_another_kind(tmp_path, layout):
    image = fits.PrimaryHDU(np.ones((10, 10), "f4"))
    stars = fits.BinTableHDU.from_columns([fits.Column("ra", "D", array=[1.0])], name="STARS")
    fits.HDUList([image, stars]).writeto(tmp_path / "a.fits")
    from specvit.spectra.readers.fitsfile import open_fits

    with open_fits(str(tmp_path / "a.fits")) as file:
        assert not layout.recognises(file)


def test_archives_hold_several_spectra(tmp_path):
    arrays = {f"wave_{i}": WAVE + i for i in range(12)} | {f"flux_{i}": WAVE * i for i in range(12)}
    np.savez(tmp_path / "a.npz", **arrays)
    spectra = read(tmp_path / "a.npz")
    assert [one.flux.value[0] / 6900 for one in spectra] == list(range(12))
    np.savez(tmp_path / "b.npz", wave_nm=WAVE / 10, flux=WAVE, good=WAVE > 7000)
    one = Spectrum.read(tmp_path / "b.npz")
    np.testing.assert_allclose(one.spectral_axis.to_value(u.AA), WAVE)
    np.testing.assert_array_equal(one.mask, WAVE <= 7000)
    np.savez(tmp_path / "c.npz", teff=WAVE)
    with pytest.raises(ValueError, match="no column of wavelength and flux is known by its name among teff"):
        read(tmp_path / "c.npz")


@pytest.mark.parametrize("order", ["import specvit, specutils", "import specutils, specvit"])
def test_readers_are_there_in_either_order(tmp_path, order, fresh):
    np.savetxt(tmp_path / "a.dat", np.stack([WAVE, WAVE], axis=1))
    strict = "import warnings\nwarnings.simplefilter('error')\n"
    code = f"{order}\nprint(specutils.Spectrum.read({str(tmp_path / 'a.dat')!r}).shape)"
    assert fresh(strict + code) == [f"({WAVE.size},)"]

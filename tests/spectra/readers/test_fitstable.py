"""FITS tables: ESO phase 3, 4MOST, CALSPEC, and any by the names of its columns."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from astropy.table import Table
from specutils import Spectrum, SpectrumList

from specvit.spectra import Flag, adapt
from specvit.spectra.objectname import object_name
from specvit.spectra.readers import read

NM = 559 + 0.02 * np.arange(22000)


def write_phase3(
    path, star, *, camera="XSHOOTER", ucd="em.wl;obs.atmos", unit="nm", power=8900.0, wave=NM, names=None
):
    """A spectrum of the phase 3 standard: one row of arrays."""
    n = star.wave.size
    names = names or ("WAVE", "FLUX", "ERR", "QUAL")
    columns = [
        fits.Column(names[0], f"{n}D", unit, array=[wave]),
        fits.Column(names[1], f"{n}D", "erg cm**(-2) s**(-1) angstrom**(-1)", array=[star.flux * 1e-16]),
        fits.Column(names[2], f"{n}D", "erg cm**(-2) s**(-1) angstrom**(-1)", array=[star.sigma * 1e-16]),
        fits.Column(names[3], f"{n}J", array=[star.lost.astype("i4")]),
        fits.Column("SNR", f"{n}D", array=[star.flux / star.sigma]),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    hdu.header.update({"VOCLASS": "SPECTRUM V2.0", "TUTYP1": "Spectrum.Data.SpectralAxis.Value"})
    if ucd:
        hdu.header["TUCD1"] = ucd
    cards = {"PRODCATG": "SCIENCE.SPECTRUM", "INSTRUME": camera, "OBJECT": "star"}
    cards |= {"SPEC_RES": power} if power else {}
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(cards)), hdu]).writeto(path)


@pytest.mark.parametrize(
    ("camera", "ucd", "unit", "medium"),
    [
        ("XSHOOTER", "em.wl;obs.atmos", "nm", "air"),
        ("UVES", "em.wl;obs.atmos", "angstrom", "air"),
        ("FEROS", "", "Angstrom", "air"),
        ("ESPRESSO", "em.wl", "angstrom", "vacuum"),
    ],
)
def test_phase3(tmp_path, observe, check, camera, ucd, unit, medium):
    star = observe(10 * NM, medium)
    wave = NM if unit == "nm" else 10 * NM
    write_phase3(tmp_path / "ADP.fits", star, camera=camera, ucd=ucd, unit=unit, wave=wave, power=18000.0)
    spectrum = Spectrum.read(tmp_path / "ADP.fits")
    check(spectrum, star, resolution=18000.0, scale=1e-16, predict=camera == "UVES")
    assert spectrum.flux.unit == "erg / (s cm2 Angstrom)"
    assert spectrum.meta["notes"] == ("column SNR is not used",)


def test_xshooter_without_its_card_has_that_of_the_preset(tmp_path, observe):
    write_phase3(tmp_path / "a.fits", observe(10 * NM, "air"), power=None)
    assert Spectrum.read(tmp_path / "a.fits").meta["resolution"] == 8900


def test_4most(tmp_path, observe, check):
    star = observe(10 * NM)
    names = ("WAVE", "FLUX", "ERR_FLUX", "QUAL")
    write_phase3(tmp_path / "l1.fits", star, camera="QMOST", ucd="", names=names, power=None)
    check(Spectrum.read(tmp_path / "l1.fits"), star, resolution=6500.0, scale=1e-16)


def test_4most_before_it_names_itself(tmp_path, observe, check):
    """As a simulator of the facility writes: no INSTRUME, the name of the HDU and the columns say it."""
    star = observe(10 * NM)
    n = NM.size
    arrays = {"WAVE": star.wave, "FLUX": star.flux, "ERR_FLUX": star.sigma, "QUAL": star.lost.astype(int)}
    arrays |= {"FLUX_NOSS": star.flux, "ERR_FLUX_NOSS": star.sigma}
    columns = [fits.Column(name, f"{n}D", array=[one]) for name, one in arrays.items()]
    hdu = fits.BinTableHDU.from_columns(columns, name="PHASE3SPECTRUM")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "LJ1.fits")
    check(Spectrum.read(tmp_path / "LJ1.fits"), star, resolution=6500.0, predict=False)


def test_errors_of_nothing_but_nan_are_none(tmp_path, observe):
    star = observe(10 * NM, "air")
    star.sigma[:] = np.nan
    write_phase3(tmp_path / "feros.fits", star, camera="FEROS")
    spectrum = Spectrum.read(tmp_path / "feros.fits")
    assert spectrum.uncertainty is None
    assert any("no error that is finite" in note for note in spectrum.meta["notes"])


def test_reduced_fluxes_where_nothing_is_calibrated(tmp_path, observe):
    star = observe(10 * NM, "air")
    n = star.wave.size
    arrays = {
        "WAVE": NM,
        "FLUX": NM * np.nan,
        "FLUX_REDUCED": star.flux,
        "ERR_REDUCED": star.sigma,
        "ERR": NM * np.nan,
    }
    columns = [
        fits.Column(name, f"{n}D", "nm" if name == "WAVE" else "adu", array=[one])
        for name, one in arrays.items()
    ]
    primary = fits.PrimaryHDU(header=fits.Header({"PRODCATG": "SCIENCE.SPECTRUM", "INSTRUME": "UVES"}))
    fits.HDUList([primary, fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "uves.fits")
    spectrum = Spectrum.read(tmp_path / "uves.fits")
    np.testing.assert_array_equal(spectrum.flux.value, star.flux)
    np.testing.assert_array_equal(spectrum.uncertainty.array, star.sigma)


def test_calspec(tmp_path, observe, table, check):
    star = observe(np.arange(5500.0, 10000.0, 1.0))
    star.lost[:] = False
    fwhm = np.full(star.wave.size, 4.9)
    columns = [
        fits.Column("WAVELENGTH", "D", "ANGSTROMS", array=star.wave),
        fits.Column("FLUX", "E", "FLAM", array=star.flux * 1e-13),
        fits.Column("STATERROR", "E", "FLAM", array=star.sigma * 0.6e-13),
        fits.Column("SYSERROR", "E", "FLAM", array=star.sigma * 0.8e-13),
        fits.Column("FWHM", "E", "ANGSTROMS", array=fwhm),
        fits.Column("DATAQUAL", "I", array=np.ones(star.wave.size)),
        fits.Column("TOTEXP", "E", array=fwhm),
    ]
    primary = fits.PrimaryHDU(header=fits.Header({"TARGETID": "HD1"}))
    fits.HDUList([primary, fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "hd1_stis_001.fits")
    spectrum = Spectrum.read(tmp_path / "hd1_stis_001.fits")
    check(spectrum, star, resolution=star.wave / np.float32(4.9), scale=1e-13)
    assert spectrum.flux.unit == "erg / (s cm2 Angstrom)"


@pytest.mark.parametrize(
    ("names", "unit"),
    [
        (("wave", "flux", "err", "mask"), "counts"),
        (("LAMBDA", "FLUX_NORM", "SIGMA", "BAD"), "ADU"),
        (("WaveObs", "Flux", "UNC", "DQ"), "10**-17 erg/s/cm^2/Ang"),
        (("loglam", "flux", "ivar", "mask"), "1E-17 erg/cm^2/s/Ang"),
        (("wave_air", "flux", "var", "flags"), "DU/PIXEL"),
    ],
)
def test_any_table(tmp_path, observe, check, names, unit):
    star = observe(np.arange(6900.0, 9000.0, 0.4), "air" if "air" in names[0] else "vacuum")
    error = {"ivar": star.sigma.astype(float) ** -2, "var": star.sigma.astype(float) ** 2}.get(
        names[2], star.sigma
    )
    wave = np.log10(star.wave) if names[0] == "loglam" else star.wave
    columns = [
        fits.Column(names[0], "D", array=wave),
        fits.Column(names[1], "E", unit, array=star.flux),
        fits.Column(names[2], "D", array=error),
        fits.Column(names[3], "J", array=star.lost.astype(int)),
        fits.Column("comment", "3A", array=["abc"] * wave.size),
    ]
    cards = fits.Header({"AIRORVAC": "vac"}) if star.medium == "vacuum" else None
    fits.HDUList([fits.PrimaryHDU(header=cards), fits.BinTableHDU.from_columns(columns)]).writeto(
        tmp_path / "a.fits"
    )
    spectrum = Spectrum.read(tmp_path / "a.fits")
    spectrum.meta.setdefault("medium", "vacuum")  # what the header says is not copied
    check(spectrum, star, predict=names[2] == "ivar")
    assert any("comment is not used" in note for note in spectrum.meta["notes"])


def test_of_two_tables_the_first_with_a_spectrum_is_read(tmp_path, observe, table):
    star = observe(np.arange(6900.0, 9000.0, 0.4))
    columns = [("wave", "D", star.wave), ("flux", "E", star.flux)]
    hdus = [
        fits.PrimaryHDU(),
        table("STARS", [("ra", "D", [1.0])]),
        table("BLUE", columns),
        table("RED", columns),
    ]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    spectrum = Spectrum.read(tmp_path / "a.fits")
    assert any("the table BLUE is read, not RED" in note for note in spectrum.meta["notes"])


@pytest.mark.parametrize(
    ("cards", "medium"),
    [({"AIRORVAC": "air"}, "air"), ({"VACUUM": False}, "air"), ({"AIRORVAC": "vac"}, "vacuum")],
)
def test_what_the_header_of_the_table_says(tmp_path, observe, cards, medium):
    """`Table.write` puts the metadata of a table there, not into the primary header."""
    star = observe(np.arange(6900.0, 9000.0, 0.4), medium)
    table = Table({"wave": star.wave, "flux": star.flux, "err": star.sigma})
    table.meta.update({"OBJECT": "HD 1", "HIERARCH resolution": 8000} | cards)
    table.write(tmp_path / "a.fits")
    batch = adapt(Spectrum.read(tmp_path / "a.fits"))
    stated = Spectrum(
        star.flux * u.one,
        star.wave * u.AA,
        uncertainty=StdDevUncertainty(star.sigma),
        meta={"object": "HD 1"},
    )
    expected = adapt(stated, medium=medium, resolution=8000)
    assert batch.flags.tolist() == expected.flags.tolist() and not batch.flags[0] & Flag.MEDIUM_ASSUMED
    np.testing.assert_allclose(batch.flux, expected.flux, rtol=1e-6)
    assert object_name(Spectrum.read(tmp_path / "a.fits").meta) == "HD 1"


def test_columns_can_be_chosen(tmp_path, observe, table):
    star = observe(np.arange(6900.0, 9000.0, 0.4))
    columns = [("a", "D", star.wave), ("b", "E", star.flux), ("c", "E", star.sigma)]
    fits.HDUList([fits.PrimaryHDU(), table("X", columns)]).writeto(tmp_path / "a.fits")
    (spectrum,) = read(tmp_path / "a.fits", columns={"wave": "a", "flux": 2, "err": "C"})
    np.testing.assert_array_equal(spectrum.uncertainty.array, star.sigma)
    with pytest.raises(ValueError, match="its HDUs are PRIMARY \\(empty\\); X \\(columns a, b, c\\)"):
        read(tmp_path / "a.fits")


def test_rows_that_lie_side_by_side_are_orders(tmp_path, observe):
    stars = [observe(np.arange(low, low + 800.0, 0.4)) for low in (7000.0, 7700.0, 8400.0)]
    columns = [
        fits.Column("WAVE", "2000D", "Angstrom", array=np.stack([star.wave for star in stars])),
        fits.Column("FLUX", "2000D", "erg/s/cm2/Angstrom", array=np.stack([star.flux for star in stars])),
        fits.Column("ERR", "2000D", "erg/s/cm2/Angstrom", array=np.stack([star.sigma for star in stars])),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "a.fits")
    spectrum = Spectrum.read(tmp_path / "a.fits")
    assert spectrum.meta["joined"] == 3
    assert spectrum.spectral_axis.value[[0, -1]].tolist() == [7000.0, pytest.approx(9199.6)]


def test_rows_of_unequal_lengths(tmp_path, observe):
    stars = [observe(np.arange(low, low + length, 0.4)) for low, length in ((7000.0, 800.0), (7700.0, 900.0))]
    columns = []
    for name in ("wave", "flux", "sigma"):
        arrays = np.empty(2, dtype=object)
        arrays[:] = [getattr(star, name) for star in stars]
        columns.append(fits.Column(name, "PD()", array=arrays))
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "a.fits")
    (spectrum,) = read(tmp_path / "a.fits")
    assert spectrum.spectral_axis.value[[0, -1]].tolist() == [7000.0, pytest.approx(8599.6)]
    assert not spectrum.mask.any()


def test_arms_in_tables_of_their_own_are_joined(tmp_path, observe, table):
    arms = [observe(np.arange(low, low + 1500, 0.5), "air") for low in (5500.0, 7000.0, 8500.0)]
    hdus = [fits.PrimaryHDU(header=fits.Header({"INSTRUME": "FORS2"}))]
    for name, arm in zip("BRI", arms, strict=True):
        hdus.append(table(name, [("wave", "D", arm.wave), ("flux", "E", arm.flux), ("err", "E", arm.sigma)]))
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    (spectrum,) = read(tmp_path / "a.fits")
    np.testing.assert_allclose(spectrum.spectral_axis.value, np.arange(5500, 10000, 0.5))
    np.testing.assert_array_equal(spectrum.flux.value, np.concatenate([arm.flux for arm in arms]))
    assert spectrum.meta["medium"] == "air"
    assert spectrum.meta["joined"] == 3


def test_stars_of_a_4most_file_are_rows(tmp_path, observe, check):
    stars = [observe(10 * NM, seed=seed) for seed in (0, 1)]
    n = NM.size
    arrays = {"WAVE": "wave", "FLUX": "flux", "ERR_FLUX": "sigma", "QUAL": "lost"}
    columns = [
        fits.Column(name, f"{n}D", array=np.stack([getattr(star, key) for star in stars]).astype(float))
        for name, key in arrays.items()
    ]
    primary = fits.PrimaryHDU(header=fits.Header({"INSTRUME": "QMOST", "SPEC_RES": 6000.0}))
    fits.HDUList([primary, fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "l1.fits")
    spectra = read(tmp_path / "l1.fits")
    for spectrum, star in zip(spectra, stars, strict=True):
        check(spectrum, star, resolution=6000.0, predict=False)


def test_arms_in_tables_are_joined_and_what_covers_the_same_is_left(tmp_path, table):
    """As DEEP2 writes them: both arms by one extraction, and by another."""
    hdus = [fits.PrimaryHDU()]
    for name, level in (("Bxspf", 2.0), ("Horne", 3.0)):
        for arm, first in (("B", 6500.0), ("R", 7870.0)):
            wave = first + 0.33 * np.arange(4096)
            row = [("SPEC", "4096E", [np.full(4096, level)]), ("LAMBDA", "4096E", [wave])]
            hdus.append(table(f"{name}-{arm}", [*row, ("IVAR", "4096E", [np.ones(4096)])]))
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    spectrum = Spectrum.read(tmp_path / "a.fits")
    assert spectrum.shape == (8192,) and set(spectrum.flux.value) == {2.0}
    note = "the tables BXSPF-B and BXSPF-R are read, not HORNE-B, HORNE-R: "
    note += "Spectrum.read(..., hdu=) reads another"
    assert note in spectrum.meta["notes"]


def test_rows_are_called_as_their_column_calls_them(tmp_path, table):
    wave = np.stack([7000 + 0.5 * np.arange(3000)] * 2)
    columns = [("object", "8A", ["a", "b"]), ("wave", "3000D", wave), ("flux", "3000D", np.ones_like(wave))]
    fits.HDUList([fits.PrimaryHDU(), table("STARS", columns)]).writeto(tmp_path / "a.fits")
    assert [row.meta["name"] for row in SpectrumList.read(tmp_path / "a.fits")] == ["a", "b"]

"""Text tables of every habit, all of one star, read without naming a format."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from astropy.table import Table
from specutils import Spectrum

from specvit.spectra.readers import read
from specvit.spectra.readers.textlines import parse

WAVE = np.round(7000 + 0.5 * np.arange(3800), 1)


@pytest.fixture(scope="module")
def star():
    rng = np.random.default_rng(4)
    flux = np.round(1 - 0.5 * np.exp(-(((WAVE - 8544) / 4) ** 2)) + rng.normal(0, 0.01, WAVE.size), 5)
    return np.stack([WAVE, flux, np.full(WAVE.size, 0.01)])


def lines(columns, separator=" ", comma=False, form="{:.6g}"):
    for row in zip(*columns, strict=True):
        text = separator.join(form.format(value) for value in row)
        yield text.replace(".", ",") if comma else text


def check(spectrum, star, wave=WAVE, rows=slice(None)):
    np.testing.assert_allclose(spectrum.spectral_axis.to_value("Angstrom"), wave[rows], rtol=0, atol=1e-4)
    np.testing.assert_allclose(spectrum.flux.value, star[1][rows], rtol=1e-6)
    if spectrum.uncertainty is not None:
        np.testing.assert_allclose(spectrum.uncertainty.array, star[2][rows])


HABITS = {
    "plain": ((), " ", False),
    "tabs": (("wave\tflux\terr",), "\t", False),
    "commas": (("wavelength,flux,error",), ",", False),
    "comma and space": (("# a star", "wave, flux, err"), ", ", False),
    "semicolons": (("Wave;Flux;Sigma",), ";", False),
    "german": (("Wellenlänge;Fluss;Fehler",), ";", True),
    "german, tabs": (("Wellenlänge [Å]\tFluss\tFehler",), "\t", True),
    "german, spaces": (("Wellenlaenge Fluss Fehler",), "  ", True),
    "bars": (("wave|flux|err",), " | ", False),
    "comments": (("! star 1", "% 2 January 2024", "# wave flux err"), " ", False),
    "units": (("# Wavelength (Angstrom)   Flux (erg/s/cm^2/A)   Error (erg/s/cm^2/A)",), "   ", False),
    "line of units": (("wave flux err", "Angstrom counts counts"), " ", False),
    "a star's name in as many words": (("# HD 12345 K0III",), " ", False),
    "header words": (("Object: HD 1", "Date 2024 01 05", "", "lambda f sigma"), " ", False),
}


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_habits(tmp_path, star, habit, coding):
    head, separator, comma = HABITS[habit]
    text = "\r\n".join([*head, *lines(star, separator, comma)])
    path = tmp_path / "ein Stern für uns.dat"
    path.write_bytes(text.replace("Å", "A").encode(coding))
    spectrum = Spectrum.read(path)
    check(spectrum, star)
    assert spectrum.uncertainty is not None


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_packed(tmp_path, star, suffix, pack):
    path = tmp_path / f"star.csv.{suffix}"
    path.write_bytes(pack("\n".join(["wave,flux,err", *lines(star, ",")]).encode()))
    check(Spectrum.read(path), star)
    cut = tmp_path / f"cut.csv.{suffix}"
    cut.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"cut|damaged"):
        read(cut)


@pytest.mark.parametrize(
    ("name", "factor", "note"),
    [
        ("wave", 10.0, "taken for nm"),
        ("wave", 1e4, "taken for µm"),
        ("wave_nm", 10.0, None),
        ("wave [um]", 1e4, None),
    ],
)
def test_units_of_wavelengths(tmp_path, star, name, factor, note):
    path = tmp_path / "star.txt"
    path.write_text("\n".join([f"{name},flux", *lines([star[0] / factor, star[1]], ",", form="{:.9g}")]))
    spectrum = Spectrum.read(path)
    check(spectrum, star)
    assert any(note in one for one in spectrum.meta["notes"]) if note else not spectrum.meta["notes"]


def test_logarithms(tmp_path, star):
    for name in ("loglam", "wave"):
        path = tmp_path / f"{name}.csv"
        path.write_text(
            "\n".join([f"{name},flux", *lines([np.log10(star[0]), star[1]], ",", form="{:.12g}")])
        )
        check(Spectrum.read(path), star)


def test_what_comments_say(tmp_path, star):
    head = ["# wavelengths in air", "# R = 21000", "# Instrument: MUSE", "# wave flux err"]
    (tmp_path / "a.txt").write_text("\n".join([*head, *lines(star)]))
    meta = Spectrum.read(tmp_path / "a.txt").meta
    assert (meta["medium"], meta["resolution"], meta["instrument"]) == ("air", 21000, "MUSE")
    (tmp_path / "b.csv").write_text("\n".join(["wave_vac,flux", *lines(star[:2], ",")]))
    assert Spectrum.read(tmp_path / "b.csv").meta["medium"] == "vacuum"


def test_missing_values_masks_and_columns_not_used(tmp_path, star):
    rows = list(lines(star, ","))
    rows[3] = "7001.5,,0.01"
    rows[5] = "7002.5,nan,0.01"
    bad = np.arange(WAVE.size) % 100 == 7
    text = [f"{row},{int(lost)},K0 III" for row, lost in zip(rows, bad, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["wave,flux,err,mask,type", *text]))
    spectrum = Spectrum.read(tmp_path / "a.csv")
    bad[[3, 5]] = True
    np.testing.assert_array_equal(spectrum.mask, bad)
    assert spectrum.meta["notes"] == ("column type is not used",)


def test_good_pixels_are_no_mask(tmp_path, star):
    good = np.arange(WAVE.size) % 10 != 0
    Table([*star, good], names=("wave", "flux", "err", "good")).write(tmp_path / "a.ecsv")
    np.testing.assert_array_equal(Spectrum.read(tmp_path / "a.ecsv").mask, ~good)
    np.savetxt(
        tmp_path / "b.txt", np.stack([*star, ~good], axis=1)
    )  # no names: a column of 0 and 1 is a mask
    np.testing.assert_array_equal(Spectrum.read(tmp_path / "b.txt").mask, ~good)


def test_columns_can_be_chosen(tmp_path, star):
    (tmp_path / "a.txt").write_text("\n".join(lines([star[1], star[1], star[0], star[2], star[2]])))
    (spectrum,) = read(tmp_path / "a.txt", columns={"wave": 3, "flux": 1, "err": "5"})
    check(spectrum, star)
    with pytest.raises(ValueError, match="must be two or three, got 5: choose them by their numbers"):
        read(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="got 'x'; it has column 1, column 2"):
        read(tmp_path / "a.txt", columns={"wave": "x", "flux": 1})


def test_fortran_exponents_and_thousands():
    assert parse("7000.0 1.5D-17\n7001.0 -2d-17").values(1).tolist() == [1.5e-17, -2e-17]
    assert parse("a;b\n7.000,5;1,5\n7.001,5;2,5").values(0).tolist() == [7000.5, 7001.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7000 1 2\n7001 1\n7002 1 2", "line 2 has 2 columns, those before 3"),
        ("7000 1\nno number\n7002 1", "line 2 is no row of numbers: 'no number'"),
        ("a letter\nto a friend", "no table of numbers"),
        ("7000 1", "at least 2 lines"),
    ],
)
def test_what_is_no_table_says_where(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_comments_behind_the_table_are_no_heading(tmp_path, star):
    (tmp_path / "a.txt").write_text("\n".join([*lines(star), "# end of file", ""]))
    check(read(tmp_path / "a.txt")[0], star)


def test_header_of_fits_as_text(tmp_path, star):
    """As the task wspectext of IRAF writes it."""
    head = ["SIMPLE  =                    T", "NAXIS   =                    1", "END", ""]
    (tmp_path / "a.txt").write_text("\n".join([*head, *lines(star, "  ")]))
    check(read(tmp_path / "a.txt")[0], star)


def test_orders_below_each_other_are_joined(tmp_path, star):
    """Echelle orders, as programs print them; wavelengths in disorder are brought into order."""
    orders = [star[:, 1800:], star[:, 900:2000], star[:, :1000]]
    (tmp_path / "a.txt").write_text("\n".join(line for one in orders for line in lines(one)))
    (spectrum,) = read(tmp_path / "a.txt")
    assert "3 arms or orders are joined" in spectrum.meta["notes"]
    np.testing.assert_allclose(spectrum.spectral_axis.value, WAVE, atol=1e-6)
    np.testing.assert_allclose(spectrum.flux.value, star[1], rtol=1e-6)
    mixed = star[:, np.random.default_rng(0).permutation(WAVE.size)]
    (tmp_path / "b.txt").write_text("\n".join(lines(mixed)))
    check(read(tmp_path / "b.txt")[0], star)


def test_the_same_wavelengths_again_are_another_spectrum(tmp_path, star):
    (tmp_path / "a.txt").write_text("\n".join([*lines(star), *lines(star)]))
    first, second = read(tmp_path / "a.txt")
    check(first, star)
    check(second, star)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("7000 1\n7001 1\n70x2 1\n7003 1\n", "line 3 is no row of numbers: '70x2 1'"),
        ("<!DOCTYPE html><html>404</html>", "at least 2 lines of at least 2 numbers"),
        ("SIMPLE  =  T\nEND\n", "at least 2 lines of at least 2 numbers"),
        ("%PDF-1.4\n" + "\0" * 100, "binary, no text"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line_that_says_why(tmp_path, content, words):
    (tmp_path / "a.dat").write_text(content)
    with pytest.raises(ValueError, match="format is not recognised") as caught:
        read(tmp_path / "a.dat")
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert "--columns wave=NAME,flux=NAME" in str(caught.value)

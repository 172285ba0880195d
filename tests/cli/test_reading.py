"""Which files arguments mean; awkward files, each answered or refused by ``specvit predict`` in one line."""

import argparse
import gzip

import numpy as np
import pytest
from astropy.io import fits

from specvit import cli
from specvit.cli.reading import chosen_columns, expand, files_with_velocities

WAVE = 7000 + 0.5 * np.arange(3800)
FLUX = 1 + 0.1 * np.sin(WAVE / 300)
for CENTRE, DEPTH in (
    (8500.4, 0.5),
    (8544.4, 0.7),
    (8664.5, 0.6),
    *((7100 + 19 * k, 0.2) for k in range(90)),
):
    FLUX = FLUX * (1 - DEPTH * np.exp(-(((WAVE - CENTRE) / 2) ** 2)))
FLUX = FLUX + np.random.default_rng(0).normal(0, 0.01, WAVE.size)
ERROR = np.full(WAVE.size, 0.01)


# -- arguments ---------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.csv", "a.csv", "c.fits", ".hidden", "ein Stern.csv"):
        (tmp_path / name).write_text("")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.csv").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("\ufeff# stars\na.csv\n\nsub\n", encoding="utf-8")
    (tmp_path / "sub" / "here.lst").write_text("d.csv\n")
    (tmp_path / "only_comments.lst").write_text("# none yet\n\n")
    (tmp_path / "no_rows.lst").write_text("file,velocity\n")
    return tmp_path


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("c.fits", ["c.fits"]),
        ("*.csv", ["a.csv", "b.csv", "ein Stern.csv"]),
        ("[ab].csv", ["a.csv", "b.csv"]),
        ("sub", ["sub/d.csv", "sub/here.lst"]),
        ("@list.txt", ["a.csv", "sub/d.csv", "sub/here.lst"]),
        ("@sub/here.lst", ["sub/d.csv"]),
    ],
)
def test_files_of_an_argument(files, argument, expected):
    assert [path.replace(f"{files}/", "") for path in expand([argument])] == expected


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("no.fits", "no such file"),
        ("*.dat", "no file matches"),
        ("@no", "no such list"),
        ("empty", "no file in"),
        ("empt*", "no file matches"),
        ("@only_comments.lst", "only_comments.lst: no file in this list"),
    ],
)
def test_arguments_that_mean_no_file(files, argument, message):
    with pytest.raises(FileNotFoundError, match=message):
        expand([argument])


def test_a_file_that_is_missing_in_a_list_costs_its_row(files):
    (files / "some.lst").write_text("a.csv\nno.fits\nb.csv\n")
    assert expand(["@some.lst"])[::2] == ["a.csv", "b.csv"]
    assert expand(["@some.lst"])[1].endswith("no.fits")
    (files / "none.lst").write_text("no.fits\nnor.fits\n")
    with pytest.raises(
        FileNotFoundError, match=r"no.fits: no such file, nor is any other of the list none.lst"
    ):
        expand(["@none.lst"])


def test_a_table_without_rows_means_no_file(files):
    with pytest.raises(FileNotFoundError, match=r"no_rows.lst: no file in this list"):
        files_with_velocities(["@no_rows.lst"])


def test_columns():
    assert chosen_columns("wave=A,flux=B, err = C") == {"wave": "A", "flux": "B", "err": "C"}
    assert chosen_columns("A,B,C,D") == {"wave": "A", "flux": "B", "err": "C", "mask": "D"}
    for text in ("A", "wave=A,B", "1,2,3,4,5"):
        with pytest.raises(argparse.ArgumentTypeError, match="must be ROLE=NAME"):
            chosen_columns(text)


# -- awkward files -----------------------------------------------------------------------------------------


def rows(separator=",", comma=False, columns=(WAVE, FLUX, ERROR)):
    lines = (separator.join(f"{value:.6f}" for value in row) for row in zip(*columns, strict=True))
    return "\n".join(line.replace(".", ",") if comma else line for line in lines)


def table(*columns):
    return fits.BinTableHDU.from_columns(
        [fits.Column(name, form, unit, array=one) for name, form, unit, one in columns]
    )


def good_files(folder):
    """Awkward files with a spectrum in them; all hold the same."""

    def text(name, content, coding="utf-8"):
        (folder / name).write_bytes(content.encode(coding))

    def hdus(name, *hdus):
        fits.HDUList([*hdus]).writeto(folder / name)

    text("bom.csv", "\ufeffwave,flux,err\n" + rows())
    text("semicolons.csv", "wave;flux;err\n" + rows(";"))
    text("german.csv", "Wellenlänge;Fluß;Fehler\n".replace("ß", "ss") + rows(";", comma=True), "latin-1")
    text("mit Leerzeichen für uns.txt", rows(" "))
    text("utf16.txt", "wave\tflux\terr\n" + rows("\t"), "utf-16")
    text("falling.dat", rows(" ", columns=(WAVE[::-1], FLUX[::-1], ERROR[::-1])))
    text("nm.csv", "lambda,f,sigma\n" + rows(columns=(WAVE / 10, FLUX, ERROR)))
    text("no_suffix", "# wave flux err\n" + rows("   "))
    (folder / "packed.csv.gz").write_bytes(gzip.compress(("wave,flux,err\n" + rows()).encode()))
    np.savez(
        folder / "big_endian.npz", wave=WAVE.astype(">f8"), flux=FLUX.astype(">f4"), err=ERROR.astype(">f4")
    )
    axis = fits.Header({"CRVAL1": 7000.0, "CDELT1": 0.5, "CRPIX1": 1.0})
    scaled = fits.PrimaryHDU(np.round(FLUX * 1e4).astype("i4"), axis)
    scaled.scale("int16", bzero=10000, bscale=1)
    hdus("scaled.fits", scaled)
    columns = [
        ("WAVE", "D", "ANGSTROMS", WAVE),
        ("FLUX", "E", "FLAM", FLUX * 1e-15),
        ("ERR", "E", "FLAM", ERROR * 1e-15),
    ]
    hdus("empty_primary.fits", fits.PrimaryHDU(), table(*columns))
    stars = table(("name", "4A", None, ["star"]), ("ra", "D", "deg", [1.0]))
    hdus("two_tables.fits", fits.PrimaryHDU(), stars, table(*columns))
    columns = [("loglam", "D", None, np.log10(WAVE)), ("flux", "E", "1E-17 erg/cm^2/s/Ang", FLUX)]
    hdus("loglam.fit", fits.PrimaryHDU(), table(*columns, ("ivar", "E", None, ERROR**-2)))
    hdus(
        "counts.fits.gz",
        fits.PrimaryHDU(),
        table(("wl", "D", "Angstrom", WAVE), ("flux", "E", "DU/PIXEL", FLUX * 900)),
    )
    return sorted(path.name for path in folder.iterdir())


BAD = {
    "empty.fits": (b"", "the file is empty"),
    "letter.txt": (b"Dear reader,\nthis is no spectrum.\n", "its format is not recognised"),
    "catalogue.csv": (b"name,teff\n1,5777\n2,4500\n", "no column of wavelength and flux"),
    "hdf5.h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "no HDF5 file that can be read"),
    "picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "its format is not recognised"),
    "cut.csv.gz": (gzip.compress(rows().encode())[:-500], "the packed file is cut"),
    "pixels.txt": (rows(columns=(np.arange(1.0, 3801), FLUX)).encode(), "the numbers of its 3800 pixels"),
    "torn.txt": (rows(" ").encode() + b"\n7000 1", "has 2 columns, those before 3"),
}


def test_awkward_files_are_answered_or_refused_in_one_line(tmp_path, capsys):
    good = good_files(tmp_path)
    for name, (content, _) in BAD.items():
        (tmp_path / name).write_bytes(content)
    fits.PrimaryHDU(np.ones((5, 100))).writeto(tmp_path / "no_axis.fits")
    fits.PrimaryHDU(FLUX, fits.Header({"CRVAL1": 1.0, "CDELT1": 1.0})).writeto(tmp_path / "pixel_axis.fits")
    whole = (tmp_path / "two_tables.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(whole[:9000])
    assert cli.main(["predict", str(tmp_path), "--medium", "vacuum", "--resolution", "3000"]) == 1
    output = capsys.readouterr()
    answers = {}
    for line in output.out.splitlines()[1:]:
        for name in good:
            if line.startswith(f"{tmp_path}/{name} "):
                answers[name] = line[len(f"{tmp_path}/{name}") :].split()[0]
    assert sorted(answers) == good
    assert len(output.out.splitlines()) == 1 + len(good)
    logg = np.array([float(value) for value in answers.values()])
    with_errors = [name for name in good if name not in ("scaled.fits", "counts.fits.gz")]
    same = np.array([float(answers[name]) for name in with_errors])
    assert np.ptp(same) <= 0.011  # text has six decimals, FITS single precision
    assert np.isfinite(logg).all()
    refused = [line for line in output.err.splitlines() if "error:" in line]
    assert len(refused) == len(BAD) + 3
    for name, (_, message) in BAD.items():
        (line,) = [line for line in refused if f"/{name}: " in line]
        assert message in line
    for name, message in (
        ("no_axis.fits", "HDUs are"),
        ("pixel_axis.fits", "pixels"),
        ("cut.fits", "cut.fits"),
    ):
        (line,) = [line for line in refused if f"/{name}: " in line]
        assert message in line
    assert "two_tables.fits" not in output.err or "is read" in output.err
    assert "flux in 'DU/PIXEL' is taken as relative" in output.err


def test_the_list_of_readers_in_a_message_is_the_whole_list(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("no table")
    assert cli.main(["predict", str(tmp_path / "a.txt")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    from specvit.spectra.readers import reader_names

    names = line.partition("--format a reader: ")[2].split(", ")
    assert names == reader_names()
    assert {
        "PFS",
        "SDSS spec",
        "LAMOST table",
        "DESI",
        "Gaia RVS",
        "GALAH arm",
        "text",
        "tabular-fits",
    } <= set(names)

"""``specvit predict``: what it reads, prints and returns. A stand-in predicts, but for the last test."""

import csv
import io
import json
import subprocess
import sys

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import InverseVariance, StdDevUncertainty
from astropy.table import QTable
from specutils import Spectrum

import specvit
from specvit import PFS_MR, cli
from specvit.labels import LABELS
from specvit.predictors import Predictor, read_table
from specvit.spectra.readers import read

WAVE = np.linspace(7050, 8900, 400)
FLUX = 1 + 0.1 * np.sin(WAVE / 50)
SIGMA = np.full_like(WAVE, 0.05)
FLAM = u.Unit("erg / (s cm2 Angstrom)")


class StandIn(Predictor):
    """An estimator that answers at once, and remembers what it was asked."""

    calls, label_names = (), tuple(LABELS)

    def __init__(self, weights="default", device="cpu", labels=None):
        if weights not in ("default", "other"):
            raise FileNotFoundError(f"weights must name bundled weights, got {weights!r}")
        self.weights, self.device, self.labels = weights, device, labels

    def _own_grid(self):
        return PFS_MR

    def _instrument_rules(self):
        return {"lower_resolution": "flag", "min_coverage": 0.05}

    def _infer(self, flux, ivar):
        mean, sigma = [4655.2, 2.714, -0.3, 0.1, 0.0], [41.0, 0.081, 0.06, 0.06, 0.06]
        return np.tile(mean, (len(flux), 1)), np.tile(sigma, (len(flux), 1))

    def predict_table(self, spectra, **options):
        told = {name: x for name, x in options.items() if name != "on_error"}
        type(self).calls += ((self, spectra, told),)
        return super().predict_table(spectra, **options | {"given": None})


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(StandIn, "calls", ())
    monkeypatch.setattr(specvit, "LoggEstimator", StandIn, raising=False)
    return StandIn


@pytest.fixture
def star(tmp_path):
    path = tmp_path / "star.txt"
    np.savetxt(path, np.c_[WAVE, FLUX, SIGMA])
    return str(path)


# -- reading ---------------------------------------------------------------------------------------


def test_reads_columns_without_names(star):
    spectrum = cli.read_spectrum(star)
    assert spectrum.spectral_axis.unit == u.AA
    assert spectrum.flux.unit == FLAM
    np.testing.assert_allclose(spectrum.spectral_axis.value, WAVE)
    np.testing.assert_allclose(spectrum.uncertainty.array, SIGMA)
    assert isinstance(spectrum.uncertainty, StdDevUncertainty)


def test_two_columns_have_no_uncertainty(tmp_path):
    np.savetxt(tmp_path / "star.dat", np.c_[WAVE, FLUX])
    assert cli.read_spectrum(tmp_path / "star.dat").uncertainty is None


def test_units_of_bare_columns_can_be_given(tmp_path):
    np.savetxt(tmp_path / "star.dat", np.c_[WAVE / 10, FLUX, SIGMA])
    spectrum = cli.read_spectrum(tmp_path / "star.dat", wave_unit="nm", flux_unit="Jy")
    assert spectrum.spectral_axis.unit == u.nm
    assert spectrum.flux.unit == u.Jy


def test_names_find_columns_in_any_order(tmp_path):
    table = QTable({"IVAR": SIGMA**-2 / u.Jy**2, "Flux": FLUX * u.Jy, "WAVE": WAVE / 10 * u.nm})
    table["mask"] = WAVE > 8800
    table.write(tmp_path / "star.ecsv")
    spectrum = cli.read_spectrum(tmp_path / "star.ecsv")
    assert isinstance(spectrum.uncertainty, InverseVariance)
    assert spectrum.flux.unit == u.Jy
    np.testing.assert_allclose(spectrum.uncertainty.array, SIGMA**-2)
    np.testing.assert_array_equal(spectrum.mask, WAVE > 8800)


def test_missing_values_become_nan(tmp_path):
    lines = ["wave,flux", *(f"{w},{'' if i == 3 else 1.5}" for i, w in enumerate(WAVE))]
    (tmp_path / "star.csv").write_text("\n".join(lines))
    flux = cli.read_spectrum(tmp_path / "star.csv").flux.value
    assert np.flatnonzero(np.isnan(flux)).tolist() == [3]


def test_fits_is_read_by_specutils(tmp_path):
    spectrum = Spectrum(
        flux=FLUX * u.Jy, spectral_axis=WAVE * u.AA, uncertainty=StdDevUncertainty(SIGMA * u.Jy)
    )
    spectrum.write(tmp_path / "star.fits", format="tabular-fits")
    for options in ({}, {"format": "tabular-fits"}):
        found = cli.read_spectrum(tmp_path / "star.fits", **options)
        np.testing.assert_allclose(found.flux.value, FLUX)
        np.testing.assert_allclose(found.uncertainty.array, SIGMA)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "a.txt"),
        ("a.txt", "1 2 3 4\n2 3 4 5\n", "must be two or three, got 4"),
        (
            "a.csv",
            "wave,brightness\n1,2\n2,3\n",
            "no column of flux .* among wave, brightness: choose columns",
        ),
        (
            "a.csv",
            "wave,flux\n7000,abc\n7001,def\n",
            "a.csv: its format is not recognised: no FITS file, and as text no table of numbers",
        ),
        ("a.fits", "SIMPLE  = no", "a.fits: its format is not recognised"),
        ("a.npz", "PK", "a.npz: no NumPy archive that can be read"),
        ("a.h5", "\x89HDF", "a.h5: its format is not recognised"),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        cli.read_spectrum(tmp_path / name)


def test_an_unknown_format_is_named(star):
    with pytest.raises(ValueError, match="no reader is called 'nonsense'"):
        cli.read_spectrum(star, format="nonsense")


# -- predict ---------------------------------------------------------------------------------------


def test_predict_prints_a_line_for_each_spectrum(stand_in, star, capsys):
    assert cli.main(["predict", star, star]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split()[:4] == ["file", "log", "g", "[dex]"]
    assert len(rows) == 2
    assert all(row.startswith(star) and "2.71 ± 0.08" in row and "4655 ± 41" in row for row in rows)
    (_, _, options), (_, spectra, _) = stand_in.calls  # one without information, then both at once
    assert len(spectra) == 2
    assert options == {}  # what is not said is left to the library


def test_options_reach_the_estimator(stand_in, star):
    arguments = ["--medium", "air", "--resolution", "21000", "--weights", "other", "--device", "auto"]
    assert cli.main(["predict", star, *arguments]) == 0
    estimator, _, options = stand_in.calls[0]
    assert (estimator.weights, estimator.device) == ("other", "auto")
    assert options == {"medium": "air", "resolution": 21000.0}


def test_what_is_said_of_the_instrument_reaches_the_estimator(stand_in, star):
    arguments = ["--instrument", "LAMOST", "--mask", "telluric", "--mask", "8400-8410.5"]
    arguments += ["--mask", "7600", "7700.5", "--velocity", "fit"]
    arguments += ["--lower-resolution", "1200", "--min-coverage", "0.02"]
    assert cli.main(["predict", *arguments, star]) == 0
    assert cli.main(["predict", star, "--lower-resolution", "flag"]) == 0
    assert stand_in.calls[0][2] == {
        "instrument": "LAMOST",
        "mask": ["telluric", (8400.0, 8410.5), (7600.0, 7700.5)],
        "velocity": "fit",
        "lower_resolution": 1200.0,
        "min_coverage": 0.02,
    }
    assert stand_in.calls[2][2] == {"lower_resolution": "flag"}


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--lower-resolution", "must be raise, flag or a positive resolving power, got low"),
        ("--resolution", "must be a positive number, got low"),
    ],
)
def test_a_word_that_is_no_resolution_is_told_so(star, option, words, capsys):
    with pytest.raises(SystemExit):
        cli.main(["predict", star, option, "low"])
    assert words in capsys.readouterr().err


def test_outside_knowledge_reaches_the_estimator(stand_in, star, capsys):
    assert cli.main(["predict", star, "--given", "teff=4750±50", "--given", "logg=2.4+-0.1"]) == 0
    assert stand_in.calls[0][2] == {"given": {"teff": (4750.0, 50.0), "logg": (2.4, 0.1)}}
    for text in ("teff", "teff=4750", "teff=4750±-5", "=3±1", "teff=hot±5"):
        with pytest.raises(SystemExit):
            cli.main(["predict", star, "--given", text])
        assert "got " in capsys.readouterr().err


def test_a_window_that_is_none_is_a_mistake(stand_in, star, capsys):
    with pytest.raises(SystemExit):
        cli.main(["predict", star, "--mask", "O2-A"])
    assert "must be a name or LOW-HIGH in Angstrom, got O2-A" in capsys.readouterr().err


def test_rows_of_a_file_with_several_spectra_are_numbered(stand_in, star, monkeypatch, capsys):
    (one,) = read(star)
    cube = Spectrum(flux=np.ones((2, WAVE.size)) * u.Jy, spectral_axis=WAVE * u.AA)
    found = {"one": [one], "cube": [cube], "list": [one, cube, one]}
    monkeypatch.setattr("specvit.stream.filesource.read", lambda path, **options: found[str(path)])
    monkeypatch.setattr("specvit.cli.reading.expand", list)
    assert cli.main(["predict", "one", "cube", "one", "list"]) == 0
    names = [row.split()[0] for row in capsys.readouterr().out.splitlines()[1:]]
    assert names == ["one", "cube[0]", "cube[1]", "one", "list[0]", "list[1][0]", "list[1][1]", "list[2]"]


def test_a_spectrum_without_an_answer_says_why(stand_in, star, tmp_path, capsys):
    zero = tmp_path / "zero.txt"
    np.savetxt(zero, np.c_[WAVE, 0 * FLUX])
    assert cli.main(["predict", star, str(zero)]) == 1
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith(str(zero))
    assert last.endswith("flux is zero in all valid pixels")
    assert cli.main(["predict", star, str(zero), "--on-error", "raise"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err == f"specvit: error: {zero}: flux is zero in all valid pixels\n"


def test_output_keeps_every_column(stand_in, star, tmp_path, capsys):
    output = tmp_path / "labels.ecsv"
    assert cli.main(["predict", star, "--output", str(output)]) == 0
    table = QTable.read(output)
    assert table.colnames[:4] == ["file", "name", "teff", "teff_err"]
    assert table["logg"].unit == u.dex(u.cm / u.s**2)
    assert {"coverage", "flags", "error"} <= set(table.colnames)
    assert cli.main(["predict", star, "--output", str(output)]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert cli.main(["predict", star, "--output", str(output), "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give at least one FILE, or --example"),
        (["nowhere.fits"], "nowhere.fits: no such file"),
        (["{star}", "--weights", "missing"], "weights must name bundled weights, got 'missing'"),
        (["{star}", "--flux-unit", "apples"], "apples"),
    ],
)
def test_a_mistake_is_one_line_on_stderr(stand_in, star, arguments, message, capsys):
    assert cli.main(["predict", *(argument.format(star=star) for argument in arguments)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("specvit: error: ")
    assert message in err
    assert err.count("\n") == 1


# -- many files -------------------------------------------------------------------------------------


@pytest.fixture
def listed(tmp_path):
    """Three files and a table of them, with velocities, a missing one, and a name beyond ASCII."""
    for k in range(3):
        np.savetxt(tmp_path / f"s{k}.txt", np.c_[WAVE, FLUX, SIGMA])
    rows = "file,rv,vhelio,name\ns0.txt,10,100,Anna\ns1.txt,,,Bärbel\ns2.txt,-20,200,Carl\n"
    (tmp_path / "list.csv").write_text(rows, encoding="utf-8")
    return f"@{tmp_path}/list.csv"


def test_a_table_of_files_names_them_and_their_velocities(stand_in, listed, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr("specvit.stream.filesource.set_velocity", lambda _, velocity: seen.append(velocity))
    assert cli.main(["predict", listed, "--output", "-"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["name"] for row in rows] == ["Anna", "Bärbel", "Carl"]
    assert seen == [10, -20]  # of the column that is called so; none where none is stated
    for option, expected in (("vhelio", [100, 200]), ("-35.5", [-35.5] * 3), ("fit", [])):
        seen.clear()
        assert cli.main(["predict", listed, "--velocity", option, "--quiet"]) == 0
        assert seen == expected
    assert cli.main(["predict", listed, "--velocity", "speed"]) == 2
    assert "velocity must be a column of the table" in capsys.readouterr().err
    assert cli.main(["predict", listed.replace("list.csv", "s0.txt")[1:], "--velocity", "speed"]) == 2
    assert "no number, and no @TABLE with a column" in capsys.readouterr().err


def test_rows_for_programs(stand_in, listed, capsys):
    found = {}
    for form in ("csv", "ecsv", "jsonl"):
        assert cli.main(["predict", listed, "--output", "-", "--output-format", form]) == 0
        found[form] = capsys.readouterr().out
    rows = [json.loads(line) for line in found["jsonl"].splitlines()]
    table = QTable.read(found["ecsv"].splitlines(), format="ascii.ecsv")
    assert table["logg"].unit == u.dex(u.cm / u.s**2)
    for k, row in enumerate(csv.DictReader(io.StringIO(found["csv"]))):
        assert list(row) == list(rows[k]) == table.colnames
        assert float(row["logg"]) == rows[k]["logg"] == table["logg"][k].value == 2.714


def test_rows_of_several_parts_have_one_heading(stand_in, listed, capsys):
    assert cli.main(["predict", listed, "--output", "-", "--batch-size", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and sum(line.startswith("file,") for line in lines) == 1
    assert cli.main(["predict", listed, "--batch-size", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_rows_and_progress_share_a_terminal(stand_in, listed, screen, tmp_path, monkeypatch):
    (tmp_path / "s1.txt").write_text("nothing\n")  # which is told in between
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("sys.stderr", screen)
    for more in ([], ["--output", str(tmp_path / "labels.ecsv")]):
        assert cli.main(["predict", listed, "--batch-size", "1", *more]) == 1
    written, lines = screen.getvalue(), screen.lines()
    assert written.count("files: 1/3") == 2 and written.count("files: 3/3") == 2
    assert sum(line.startswith("files:") for line in lines) == 2  # when all is done
    assert all(line.count("s0.txt") + line.count("files:") + line.count("error:") <= 1 for line in lines)
    rows = [line for line in lines if "2.71 ± 0.08" in line]
    assert len(rows) == 4 and all(row.startswith(("s0.txt", "s2.txt", str(tmp_path))) for row in rows)


def test_a_broken_file_costs_its_own_row(stand_in, listed, tmp_path, capsys):
    (tmp_path / "s1.txt").write_text("no numbers\nhere\n")
    output = tmp_path / "labels.fits"
    assert cli.main(["predict", listed, "--output", str(output), "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"specvit: error: {tmp_path}/s1.txt: ") and err.count("\n") == 1
    table = read_table(output)
    assert np.isnan(table["logg"].value).tolist() == [False, True, False]
    assert [bool(reason) for reason in table["error"]] == [False, True, False]
    assert not list(tmp_path.glob("*.parts"))


def test_arrays_in_hdf5_and_npy_files(stand_in, tmp_path, capsys):
    flux = np.tile(np.interp(PFS_MR.wave, WAVE, FLUX), (3, 1))
    with h5py.File(tmp_path / "stars.h5", "w") as file:
        file["group/flux"], file["group/ivar"] = flux, np.full(flux.shape, 400.0)
        file["group/name"] = ["a", "b", "ö"]
    np.save(tmp_path / "stars.npy", flux)
    assert cli.main(["predict", str(tmp_path / "stars.h5"), "--output", "-"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["row"], row["name"]) for row in rows] == [("0", "a"), ("1", "b"), ("2", "ö")]
    assert float(rows[0]["snr"]) == pytest.approx(20 * np.median(flux[0]))
    assert cli.main(["predict", str(tmp_path / "stars.npy")]) == 0
    assert "NO_UNCERTAINTY" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("labels.docx", "output must end in one of .ecsv"),
        ("nowhere/labels.csv", "nowhere: no such folder"),
        ("folder.csv", "is a folder"),
    ],
)
def test_outputs_are_checked_before_the_work(stand_in, star, tmp_path, capsys, output, message):
    (tmp_path / "folder.csv").mkdir()
    assert cli.main(["predict", star, "--output", str(tmp_path / output), "--overwrite"]) == 2
    assert message in capsys.readouterr().err
    assert not [call for call in stand_in.calls if len(call[1]) and "names" in vars(call[1])]


def test_ctrl_c_is_one_line_and_keeps_the_parts(stand_in, listed, tmp_path, monkeypatch, capsys):
    output, before = tmp_path / "labels.csv", StandIn._infer

    def interrupted(self, flux, ivar):
        if (tmp_path / "labels.csv.parts" / "0000000.npz").exists():
            raise KeyboardInterrupt
        return before(self, flux, ivar)

    monkeypatch.setattr(StandIn, "_infer", interrupted)
    arguments = ["predict", listed, "--output", str(output), "--batch-size", "1", "--quiet"]
    assert cli.main(arguments) == 130
    assert capsys.readouterr().err.strip().endswith(f"the same command goes on from {output}.parts")
    monkeypatch.setattr(StandIn, "_infer", before)
    assert cli.main(arguments) == 0
    assert len(read_table(output)) == 3


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_terminals_of_few_letters(encoding, monkeypatch):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    for name, stream in zip(("stdout", "stderr"), streams, strict=True):
        monkeypatch.setattr(sys, name, stream)
    assert cli.main(["predict", "--example"]) == 0
    streams[0].flush()
    printed = streams[0].buffer.getvalue().decode(encoding)
    assert printed.count("+-" if encoding == "ascii" else "±") == 5


# -- with the weights ------------------------------------------------------------------------------


def test_the_example_as_a_user_types_it():
    code = "import sys; from specvit.cli import main; sys.exit(main(['predict', '--example']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    heading, row = done.stdout.splitlines()
    assert heading.startswith("file")
    assert row.startswith("example")
    assert row.count("±") == 5


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".tsv"])
def test_a_byte_order_mark_and_a_mask_of_words(tmp_path, suffix):
    """As spreadsheets write them."""
    separator = {".csv": ",", ".txt": " ", ".tsv": "\t"}[suffix]
    rows = [("wave", "flux", "mask"), *((w, 1.0, w > 8800) for w in WAVE.tolist())]
    text = "\n".join(separator.join(map(str, row)) for row in rows)
    (tmp_path / f"star{suffix}").write_bytes(b"\xef\xbb\xbf" + text.encode())
    spectrum = cli.read_spectrum(tmp_path / f"star{suffix}")
    np.testing.assert_allclose(spectrum.wavelength.value, WAVE)
    np.testing.assert_array_equal(spectrum.mask, WAVE > 8800)


@pytest.fixture
def unnamed(tmp_path):
    """A file of PFS that does not name its mask bits, of which one is set in all pixels."""
    path = tmp_path / "pfsObject-00001-00001-0,0-0000000000000001-001-0x0000000000000001.fits"
    wave = np.linspace(710, 885, 3000)
    arrays = {"WAVELENGTH": wave, "FLUX": 1 + 0.1 * np.sin(wave), "MASK": np.full(wave.size, 64)}
    arrays["COVAR"] = np.stack([np.full(wave.size, 0.01), 0 * wave, 0 * wave])
    target = fits.ImageHDU(name="TARGET", header=fits.Header({"CATID": 1, "OBJID": 1}))
    images = [fits.ImageHDU(values, name=name) for name, values in arrays.items()]
    fits.HDUList([fits.PrimaryHDU(), target, *images]).writeto(path)
    return str(path)


@pytest.mark.parametrize("more", [[], ["--on-error", "raise"]])
def test_masks_without_names_and_the_option_that_looks_at_none(stand_in, unnamed, capsys, more):
    assert cli.main(["predict", unnamed, *more]) != 0
    told = capsys.readouterr()
    assert "no valid pixel" in told.out + told.err
    assert "names no mask bits (cards MP_…)" in told.err and "--damage none" in told.err
    assert cli.main(["predict", unnamed, "--damage", "none", *more]) == 0
    told = capsys.readouterr()
    assert "4655 ± 41" in told.out and "mask" not in told.err
    assert cli.main(["predict", unnamed, "--damage", "CR,NO_DATA", *more]) != 0


def test_names_of_mask_bits(stand_in, unnamed, star, capsys, tmp_path):
    assert cli.main(["predict", unnamed, "--damage", "COSMIC"]) == 2
    assert "damage must be names of mask bits, of which the file states none" in capsys.readouterr().err
    assert cli.main(["predict", star, "--damage", "none"]) == 2
    assert "damage is for mask bits of PFS" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["predict", star, "--damage", "CR,,"])
    assert "must be NAME,… or none" in capsys.readouterr().err
    np.save(tmp_path / "flux.npy", np.ones((2, 4096)))
    assert cli.main(["predict", str(tmp_path / "flux.npy"), "--damage", "none"]) == 2
    assert "damage does not go with this source" in capsys.readouterr().err


def test_figures_are_of_the_same_pixels(stand_in, unnamed, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        "specvit.assess.plots.fitpages.save_fits", lambda _, spectra, __: seen.extend(spectra) or {}
    )
    command = ["predict", unnamed, "--damage", "none", "--plot", str(tmp_path / "figures"), "--quiet"]
    assert cli.main(command) == 0
    ((_, spectrum, _),) = seen
    assert not spectrum.mask.any()

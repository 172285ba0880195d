"""``specvit predict``: what it reads, prints and returns. A stand-in predicts, but for the last test."""

import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty
from astropy.table import QTable
from specutils import Spectrum, SpectrumList

import specvit
from specvit import cli

WAVE = np.linspace(7050, 8900, 400)
FLUX = 1 + 0.1 * np.sin(WAVE / 50)
SIGMA = np.full_like(WAVE, 0.05)
FLAM = u.Unit("erg / (s cm2 Angstrom)")


class StandIn:
    """An estimator that answers at once, and remembers what it was asked."""

    calls = ()

    def __init__(self, weights="default"):
        if weights not in ("default", "other"):
            raise FileNotFoundError(f"weights must name bundled weights, got {weights!r}")
        self.weights = weights

    def predict_table(self, spectra, **options):
        type(self).calls += ((self.weights, spectra, options),)
        rows = spectra if isinstance(spectra, SpectrumList) else [*spectra.flux.value.reshape(-1, WAVE.size)]
        bad = np.array([not getattr(getattr(row, "flux", row), "value", row).any() for row in rows])
        nan = np.where(bad, np.nan, 1.0)
        columns = {"logg": 2.714 * nan * u.dex(u.cm / u.s**2), "logg_err": 0.081 * nan * u.dex}
        columns |= {"teff": 4655.2 * nan * u.K, "teff_err": 41.0 * nan * u.K}
        for name in ("mh", "alpham", "cm"):
            columns |= {name: -0.3 * nan * u.dex, f"{name}_err": 0.06 * nan * u.dex}
        columns |= {"snr": 24.0 * nan, "coverage": 1.0 - bad, "flags": np.where(bad, 64, 4)}
        columns |= {"error": np.where(bad, "flux is zero in all valid pixels", "")}
        return QTable(columns)


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
            "a.csv: its format is not recognised: no table of numbers",
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
    ((_, spectra, options),) = stand_in.calls  # both at once
    assert len(spectra) == 2
    assert options == {}  # what is not said is left to the library


def test_options_reach_the_estimator(stand_in, star):
    arguments = ["--medium", "air", "--resolution", "21000", "--weights", "other"]
    assert cli.main(["predict", star, *arguments]) == 0
    ((weights, _, options),) = stand_in.calls
    assert weights == "other"
    assert options == {"medium": "air", "resolution": 21000.0}


def test_what_is_said_of_the_instrument_reaches_the_estimator(stand_in, star):
    arguments = ["--instrument", "LAMOST", "--mask", "telluric", "--mask", "8400-8410.5"]
    arguments += ["--lower-resolution", "1200", "--min-coverage", "0.02"]
    assert cli.main(["predict", *arguments, star]) == 0
    assert cli.main(["predict", star, "--lower-resolution", "flag"]) == 0
    assert stand_in.calls[0][2] == {
        "instrument": "LAMOST",
        "mask": ["telluric", (8400.0, 8410.5)],
        "lower_resolution": 1200.0,
        "min_coverage": 0.02,
    }
    assert stand_in.calls[1][2] == {"lower_resolution": "flag"}


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


def test_rows_of_a_file_with_several_spectra_are_numbered(stand_in, star, tmp_path, monkeypatch, capsys):
    one = cli.read_spectrum(star)
    cube = Spectrum(flux=np.ones((2, WAVE.size)) * u.Jy, spectral_axis=WAVE * u.AA)
    files = {"one": one, "cube": cube, "list": SpectrumList([one, cube, one])}
    monkeypatch.setattr(cli.predict, "read_spectrum", lambda path, **options: files[path])
    monkeypatch.setattr(cli.predict, "expand", list)
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
    assert table.colnames[:3] == ["file", "logg", "logg_err"]
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

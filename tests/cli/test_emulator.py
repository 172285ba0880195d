"""``specvit emulator``, on a small library of our own kind."""

import json

import numpy as np
import pytest

import specvit.stars
from specvit import cli
from specvit.grid import FWHM_PER_SIGMA, PixelGrid
from specvit.stars import Emulator

#: On the toy library; quick.
GRID = ["--range", "7930", "8070", "--pixels", "120", "--fwhm", "1.6"]
OPTIONS = [*GRID, "--components", "4", "--width", "16", "--members", "1", "--steps", "40"]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A folder with spectra of two lines."""
    rng = np.random.default_rng(0)
    low, high = np.array([(4000, 1, -1, 0, 0), (6000, 5, 0, 0.4, 0.1)])
    labels = low + (high - low) * rng.random((80, 5))
    wave = np.exp(np.arange(np.log(7900), np.log(8100), 2e-5))
    depth = np.c_[labels[:, 0] / 1e4, 0.1 + 0.1 * labels[:, 1]]
    lines = [np.exp(-0.5 * ((wave - centre) / 0.3) ** 2) for centre in (7960, 8030)]
    knots = np.linspace(7900, 8100, 8)
    folder = tmp_path_factory.mktemp("library")
    np.savez(
        folder / "d1.npz",
        labels=labels,
        norm=np.round((1 - depth @ lines) * 50_000).astype(np.uint16),
        cont=np.exp(labels[:, :1] / 5000) * np.ones(8),
        wave=wave,
        continuum_wave=knots,
    )
    return folder


def test_fit_saves_and_prints_the_report(library, tmp_path, capsys):
    out = tmp_path / "emulator.safetensors"
    arguments = [
        "emulator",
        "fit",
        str(library),
        "--out",
        str(out),
        "--seed",
        "3",
        "--held-out",
        "0.25",
        *OPTIONS,
    ]
    assert cli.main(arguments) == 0
    printed, progress = capsys.readouterr()
    assert "80 spectra at R = 20000" in progress
    emulator = Emulator.load(out)
    assert emulator.grid == PixelGrid.linear(7930, 8070, 120, 1.6 / FWHM_PER_SIGMA)
    assert emulator.record["seed"] == 3 and emulator.record["steps"] == 40
    assert emulator.record["n_spectra"] + len(emulator.record["held_out"]) == 80
    report = emulator.record["validation"]
    assert report["n"] == 20
    lines = printed.splitlines()
    assert lines[0] == (
        "emulator on own grid: 120 pixels, 7930.0–8070.0 Å (vacuum), "
        f"R = {emulator.grid.resolving_power.min():.0f}–{emulator.grid.resolving_power.max():.0f}"
    )
    table = [
        line.split() for line in lines[lines.index("    Teff [K]        n    median    90 % below") + 1 :]
    ]
    for row, numbers in zip([*report["by_teff"], report], table, strict=False):
        expected = [str(row["n"]), f"{100 * row['median']:.3f}", f"{100 * row['p90']:.3f}"]
        assert numbers[1:] == expected
    assert f"float32 against float64: {report['float32']:.1e}" in printed
    assert f"finite differences: {report['derivatives']:.1e}" in printed

    assert cli.main(["emulator", "info", str(out)]) == 0
    assert capsys.readouterr().out == printed
    assert cli.main(["emulator", "info", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == emulator.record

    assert cli.main(arguments) == 2
    assert "exists; --overwrite replaces it" in capsys.readouterr().err
    assert cli.main([*arguments, "--overwrite"]) == 0


def test_info_of_the_one_that_ships(capsys):
    assert cli.main(["emulator", "info"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("emulator on PFS MR: 4096 pixels, 7100.0–8850.0 Å (vacuum)")
    assert "no validation report" not in out


def test_info_of_one_without_a_report(tmp_path, capsys):
    emulator = Emulator.load()
    emulator.record = {}
    emulator.save(tmp_path / "bare.safetensors")
    assert cli.main(["emulator", "info", str(tmp_path / "bare.safetensors")]) == 0
    assert capsys.readouterr().out.endswith("no validation report\n")


def test_choices_for_bosz_reach_the_reader(monkeypatch, tmp_path, capsys):
    asked = {}

    def read_library(source, **options):
        asked.update(options, source=source)
        raise ValueError("enough")

    monkeypatch.setattr(specvit.stars, "read_library", read_library)
    command = ["emulator", "fit", "a", "b", "--out", str(tmp_path / "e"), "--grid", "pfs-mr"]
    choices = ["--microturbulence", "0", "--resolving-power", "1e4", "--limit", "teff", "3500", "6500"]
    assert cli.main([*command, *choices, "--limit", "logg", "1", "5"]) == 2
    assert capsys.readouterr().err == "specvit: error: enough\n"
    assert [str(path) for path in asked.pop("source")] == ["a", "b"]
    low, high = asked.pop("wave_range")
    assert 7080 < low < 7100 and 8850 < high < 8870
    assert asked == {
        "microturbulence": 0.0,
        "resolving_power": 1e4,
        "limits": {"teff": (3500.0, 6500.0), "logg": (1.0, 5.0)},
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--out", "{tmp}/e"], "nowhere: no such file"),
        (["{tmp}", "--out", "{tmp}/e"], "holds no library files"),
        (["{library}", "--out", "{tmp}/none/e"], "none: no such folder"),
        (["{library}", "--out", "{tmp}/e"], "must cover 709"),
        (["{library}", "--out", "{tmp}/e", "--range", "7950", "8050"], "--pixels, --fwhm is missing"),
        (["{library}", "--out", "{tmp}/e", *OPTIONS, "--grid", "pfs-mr"], "--grid must not be given with"),
        (
            ["{library}", "--out", "{tmp}/e", *OPTIONS, "--fwhm", "0.2"],
            "sigma must exceed the library's own LSF",
        ),
        (["{library}", "--out", "{tmp}/e", *OPTIONS, "--limit", "teff", "a", "b"], "could not convert"),
        (["{library}", "--out", "{tmp}/e", *OPTIONS, "--microturbulence", "2"], "are for BOSZ"),
    ],
)
def test_mistakes_are_one_line(library, tmp_path, arguments, message, capsys):
    arguments = [argument.format(tmp=tmp_path, library=library) for argument in arguments]
    assert cli.main(["emulator", "fit", *arguments]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("specvit: error: ") and message in err
    assert not (tmp_path / "e").exists()


def test_info_of_a_foreign_file(tmp_path, capsys):
    (tmp_path / "foreign").write_bytes(b"x")
    assert cli.main(["emulator", "info", str(tmp_path / "foreign")]) == 2
    assert "truncated or not a safetensors file" in capsys.readouterr().err

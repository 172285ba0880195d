"""The program: usage, version, errors and ``specvit info``."""

import json

import pytest

import specvit
from specvit import cli
from specvit.cli.program import COMMANDS


def test_traceback_shows_where():
    with pytest.raises(FileNotFoundError):
        cli.main(["predict", "nowhere.fits", "--traceback"])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["predict", "x", "--medium", "water"],
        ["predict", "x", "--resolution", "-3"],
        ["predict", "x", "--resolution", "nan"],
        ["predict", "x", "--resolution", "high"],
    ],
)
def test_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: specvit" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"specvit {specvit.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda module: module.__name__)
def test_every_command_explains_itself(command, capsys):
    name = command.__name__.rsplit(".")[-1]
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: specvit {name}" in capsys.readouterr().out


def test_info_shows_weights_and_sources(capsys):
    from specvit.weights import list_weights

    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"specvit {specvit.__version__}\n")
    assert list_weights()
    assert all(f"weights {name!r}" in out for name in list_weights())
    assert "spt_ExposureTimeCalculator" in out
    assert cli.main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"] == list_weights()

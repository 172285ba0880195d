"""The program: usage, version, errors and ``specvit info``."""

import json
import shutil
import subprocess
import sys
from importlib import metadata

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


@pytest.mark.parametrize(
    "words", [*([command.__name__.rpartition(".")[2]] for command in COMMANDS), ["emulator", "fit"]]
)
def test_help_fits_a_terminal_but_for_its_examples(words, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    text, _, examples = capsys.readouterr().out.partition("\nexamples:\n")
    assert max(map(len, text.splitlines())) <= 80
    assert all(line.startswith("  specvit ") or "$(specvit" in line for line in examples.splitlines())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda module: module.__name__)
def test_every_command_explains_itself(command, capsys):
    name = command.__name__.rsplit(".")[-1]
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f"usage: specvit {name}" in out
    examples = [line.split() for line in out.partition("\nexamples:\n")[2].splitlines() if line.strip()]
    assert examples and all("specvit" in " ".join(words) for words in examples)


def test_a_reader_that_has_seen_enough_is_no_error():
    """As ``specvit info | head -1``."""
    code = "import sys; from specvit.cli import main; sys.exit(main(['info', '--json']))"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pre"], {"predict"}),
        (["predict", "--giv"], {"--given"}),
        (["predict", "vac"], {"vacuum"}),
        (["emulator", "fit", "--pix"], {"--pixels"}),
        (["info", "--zz"], set()),
    ],
)
def test_bash_completes(words, expected, tmp_path, capsys):
    assert cli.main(["completion", "bash"]) == 0
    script = tmp_path / "completion"
    script.write_text(capsys.readouterr().out)
    array = " ".join(["specvit", *words])
    code = f"source {script}; COMP_WORDS=({array}); COMP_CWORD={len(words)}; _specvit; "
    code += 'printf "%s\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert set(done.stdout.split()) == expected and not done.stderr
    assert cli.main(["completion", "zsh"]) == 0
    assert "bashcompinit" in capsys.readouterr().out


def test_info_shows_weights_and_sources(capsys):
    from specvit.weights import list_weights

    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"specvit {specvit.__version__}\n")
    assert list_weights()
    assert all(f"weights {name!r}" in out for name in list_weights())
    assert "spt_ExposureTimeCalculator" in out
    assert cli.main(["info", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["weights"] == list_weights() and "PFS" in record["readers"]
    assert record["versions"]["torch"] == metadata.version("torch")
    assert any(device.startswith("cpu") for device in record["devices"])

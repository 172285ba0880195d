"""``specvit limit``: what it prints is `star_limit`, and the figure is written."""

import pytest

from specvit import PixelGrid, cli
from specvit.limits import star_limit

STAR = ["limit", "--teff", "4500", "--logg", "2", "--mh", "-0.3"]
GIANT = {"teff": 4500, "logg": 2, "mh": -0.3}


def test_prints_the_limit(capsys):
    grid = PixelGrid.from_resolving_power(7150, 8800, 2500, name="own grid")
    words = ["--range", "7150", "8800", "--resolving-power", "2500", "--snr", "40", "--given", "teff=30"]
    assert cli.main([*STAR, *words]) == 0
    expected = star_limit(GIANT, snr=40, grid=grid, given={"teff": 30})
    assert capsys.readouterr().out == f"{expected}\n"


def test_draws_it(capsys, tmp_path):
    assert cli.main([*STAR, "--instrument", "Gaia RVS", "--plot", str(tmp_path / "limit.png")]) == 0
    assert (tmp_path / "limit.png").read_bytes()[:4] == b"\x89PNG"
    assert "Gaia RVS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--range", "7150", "8800"], "go together"),
        (["--instrument", "nothing"], "instrument must be one of"),
        (["--logg", "9"], "logg must lie in"),
    ],
)
def test_mistakes_are_one_line(words, message, capsys):
    assert cli.main([*STAR, *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["teff", "teff=wide", "teff=-3"])
def test_what_is_known_is_a_label_and_an_error(text, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*STAR, "--given", text])
    assert stop.value.code == 2 and f"must be LABEL=SIGMA, as teff=50, got {text}" in capsys.readouterr().err

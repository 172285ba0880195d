"""``~`` is the home folder wherever a path is given."""

from pathlib import Path

import pytest

from specvit import LoggEstimator, Survey, cli
from specvit.dataset import SpectrumDataset, write_dataset
from specvit.paths import user_path
from specvit.predictors import read_table
from specvit.stars import Emulator, LineCalibration
from specvit.stream import predict_stream


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def test_home_and_others(home):
    assert user_path("~/a/b") == home / "a" / "b"
    assert user_path(Path("~")) == home
    assert user_path("a~b") == Path("a~b")


def test_files_of_every_kind(home):
    LoggEstimator("paper").save("~/weights.safetensors")
    assert (home / "weights.safetensors").is_file()
    assert LoggEstimator("~/weights.safetensors").label_names[1] == "logg"
    Emulator.load().save("~/emulator.safetensors")
    assert Emulator.load("~/emulator.safetensors").grid.name == "PFS MR"
    write_dataset(Survey("paper"), "~/set.h5", 4)
    assert len(SpectrumDataset("~/set.h5")) == 4
    LineCalibration.load().save("~/lines.npz")
    assert LineCalibration.load("~/lines.npz").wave[0] == LineCalibration.load().wave[0]
    done = predict_stream(
        SpectrumDataset("~/set.h5"), "~/labels.fits", LoggEstimator("~/weights.safetensors")
    )
    assert done.rows == 4 and len(read_table("~/labels.fits")) == 4


def test_on_the_command_line(home, capsys):
    (home / "star.txt").write_text("7000 1\n7001 1\n")
    assert cli.main(["predict", "~/star.txt", "--output", "~/no/table.ecsv"]) in (1, 2)
    assert "no such file" not in capsys.readouterr().err.split("star.txt")[-1]

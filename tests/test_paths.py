"""``~`` is the home folder wherever a path is given, and files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from specvit import LoggEstimator, Survey, cli
from specvit.dataset import SpectrumDataset, write_dataset
from specvit.paths import user_path, write_atomically
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
    LineCalibration.load().save("~/lines.safetensors")
    assert LineCalibration.load("~/lines.safetensors").wave[0] == LineCalibration.load().wave[0]
    done = predict_stream(
        SpectrumDataset("~/set.h5"), "~/labels.fits", LoggEstimator("~/weights.safetensors")
    )
    assert done.rows == 4 and len(read_table("~/labels.fits")) == 4


def test_on_the_command_line(home, capsys):
    (home / "star.txt").write_text("7000 1\n7001 1\n")
    assert cli.main(["predict", "~/star.txt", "--output", "~/no/table.ecsv"]) in (1, 2)
    assert "no such file" not in capsys.readouterr().err.split("star.txt")[-1]


def test_a_file_is_replaced_when_the_new_one_is_whole(tmp_path):
    path, seen = tmp_path / "a.txt", []
    path.write_text("old")

    def write(part):
        seen.append((part.suffix, path.read_text()))
        part.write_text("new")
        part.chmod(0o600)

    write_atomically(path, write)
    (tmp_path / "b.txt").touch()
    assert seen == [(".txt", "old")] and path.read_text() == "new"
    assert path.stat().st_mode == (tmp_path / "b.txt").stat().st_mode
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt"]


def test_what_fails_leaves_all_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(part):
        part.write_text("ne")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, fail)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_links_and_devices_stay_what_they_are(tmp_path):
    (tmp_path / "deep").mkdir()
    target, link = tmp_path / "deep" / "a.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_atomically(link, lambda part: part.write_text("new"))
    assert link.is_symlink() and target.read_text() == "new"
    write_atomically(Path(os.devnull), lambda part: part.write_text("new"))
    assert not Path(os.devnull).is_file()

"""Tables of streams: complete, identical after kills, and nothing that was there is lost."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from specvit.predictors import read_table
from specvit.stream import partfolder, predict_stream
from tests.stream.levels import LevelPredictor

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("suffix", ["ecsv", "csv", "fits", "vot", "h5", "parquet"])
def test_a_table_of_every_format(suffix, files, levels, predictor, tmp_path):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    done = predict_stream(files, tmp_path / f"labels.{suffix}", predictor, batch_size=4)
    assert (done.rows, done.failed, done.resumed) == (25, 0, 0)
    table = read_table(done.path)
    assert [str(one) for one in table["file"]] == files
    np.testing.assert_allclose(table["logg"].value, levels, rtol=1e-9)
    assert str(table["logg"].unit) == "dex(cm / s2)"
    assert not list(tmp_path.glob("*.parts"))


def test_metadata_count_all_parts(files, predictor, tmp_path):
    done = predict_stream(files, tmp_path / "labels.ecsv", predictor, batch_size=4)
    assert read_table(done.path).meta["MEDIUM"] == "vacuum, assumed for 25 of 25"


def test_text_is_the_same_whatever_the_size_of_parts(files, predictor, tmp_path):
    texts = set()
    for size in (1, 7, 100):
        predict_stream(files, tmp_path / f"{size}.ecsv", predictor, batch_size=size)
        texts.add((tmp_path / f"{size}.ecsv").read_bytes())
    assert len(texts) == 1


class Stop(Exception):
    pass


def stop_after(number):
    def on_part(part):
        if part.number == number:
            raise Stop

    return on_part


def test_a_stopped_run_goes_on_where_it_was(files, predictor, tmp_path):
    output, whole = tmp_path / "labels.ecsv", tmp_path / "whole.ecsv"
    predict_stream(files, whole, predictor, batch_size=4)
    with pytest.raises(Stop):
        predict_stream(files, output, predictor, batch_size=4, on_part=stop_after(2))
    assert not output.exists()
    done = predict_stream(files, output, predictor, batch_size=4)
    assert (done.rows, done.resumed) == (25, 12)
    assert output.read_bytes() == whole.read_bytes()


def test_generators_are_read_again_and_go_on(flux, predictor, tmp_path):
    def batches():
        return (flux[k : k + 5] for k in range(0, 25, 5))

    with pytest.raises(Stop):
        predict_stream(batches(), tmp_path / "labels.csv", predictor, on_part=stop_after(1))
    done = predict_stream(batches(), tmp_path / "labels.csv", predictor)
    assert done.resumed == 10
    assert read_table(done.path)["row"].tolist() == list(range(25))


@pytest.mark.parametrize("change", ["file", "option", "predictor", "order"])
def test_parts_of_another_run_are_not_taken_up(change, files, predictor, tmp_path):
    output = tmp_path / "labels.csv"
    with pytest.raises(Stop):
        predict_stream(files, output, predictor, batch_size=4, on_part=stop_after(1))
    options, paths = {}, list(files)
    if change == "file":
        os.utime(files[0], ns=(1, 1))
    elif change == "option":
        options = {"medium": "air"}
    elif change == "predictor":
        predictor = LevelPredictor(pause=1e-6)
    else:
        paths.reverse()
    with pytest.raises(ValueError, match="holds parts of another run"):
        predict_stream(paths, output, predictor, batch_size=4, **options)
    done = predict_stream(paths, output, predictor, batch_size=4, overwrite=True, **options)
    assert (done.rows, done.resumed) == (25, 0)


def test_a_full_disk_loses_nothing(files, predictor, tmp_path, monkeypatch):
    output = tmp_path / "labels.fits"
    predict_stream(files, output, predictor, batch_size=4)
    before, savez = output.read_bytes(), np.savez
    written = []

    def full(file, **columns):
        if len(written) == 3:
            file.write(b"half of a part")
            raise OSError(28, "No space left on device")
        written.append(columns)
        savez(file, **columns)

    monkeypatch.setattr(partfolder.np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        predict_stream(files, output, predictor, batch_size=4, overwrite=True)
    assert output.read_bytes() == before
    monkeypatch.setattr(partfolder.np, "savez", savez)

    def cannot_join(path, parts, like):
        path.write_bytes(b"half of a table")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("specvit.stream.streaming.write_joined", cannot_join)
        with pytest.raises(OSError, match="No space left"):
            predict_stream(files, output, predictor, batch_size=4, overwrite=True)
    assert output.read_bytes() == before
    done = predict_stream(files, output, predictor, batch_size=4, overwrite=True)
    assert done.resumed == 25
    assert read_table(output)["logg"].value.tolist() == read_table(done.path)["logg"].value.tolist()


def test_outputs_are_checked_before_the_work(files, tmp_path):
    class Never(LevelPredictor):
        def predict_table(self, *arguments, **options):
            raise AssertionError("the work has begun")

    (tmp_path / "there.csv").write_text("mine")
    (tmp_path / "folder.csv").mkdir()
    for name, error, message in (
        ("labels.docx", ValueError, "output must end in one of"),
        ("nowhere/labels.csv", FileNotFoundError, "no such folder"),
        ("there.csv", FileExistsError, "exists; overwrite replaces it"),
        ("folder.csv", IsADirectoryError, "is a folder"),
    ):
        with pytest.raises(error, match=message):
            predict_stream(files, tmp_path / name, Never())
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_a_folder_without_permission_is_refused(files, predictor, tmp_path, monkeypatch):
    monkeypatch.setattr("specvit.stream.tablefiles.os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(PermissionError, match="no permission to write there"):
        predict_stream(files, tmp_path / "labels.csv", predictor)


def test_a_run_cut_off_between_table_and_tidying_is_complete(files, predictor, tmp_path, monkeypatch):
    output, tidy = tmp_path / "labels.ecsv", partfolder.PartFolder.remove

    def cut_off(folder):
        if output.exists():
            raise Stop
        tidy(folder)

    with monkeypatch.context() as patch:
        patch.setattr(partfolder.PartFolder, "remove", cut_off)
        with pytest.raises(Stop):
            predict_stream(files, output, predictor)
    text = output.read_bytes()
    assert predict_stream(files, output, predictor).rows == 25
    assert output.read_bytes() == text
    assert not list(tmp_path.glob("*.parts"))
    with pytest.raises(FileExistsError):
        predict_stream(files, output, predictor)


def test_a_damaged_part_is_named(files, predictor, tmp_path):
    output = tmp_path / "labels.csv"
    with pytest.raises(Stop):
        predict_stream(files, output, predictor, batch_size=4, on_part=stop_after(1))
    part = tmp_path / "labels.csv.parts" / "0000000.npz"
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"0000000\.npz is damaged"):
        predict_stream(files, output, predictor, batch_size=4)


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
from specvit.stream import predict_stream
from tests.stream.levels import LevelPredictor

output, files = sys.argv[1], sys.argv[2:]
chance, kills = random.Random(0), 0
for _ in range(100):
    child = os.fork()
    if not child:
        predict_stream(files, output, LevelPredictor(pause=0.1), batch_size=1)
        os._exit(0)
    if kills < 10:
        time.sleep(chance.uniform(0.05, 0.6))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        break
    kills += os.WIFSIGNALED(status)
sys.exit(kills != 10)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, which is quicker than to start")
def test_ten_random_kills_change_nothing(files, tmp_path):
    """Killed at ten random moments and started again, a run ends with the bytes of an undisturbed one."""
    whole, output = tmp_path / "whole.ecsv", tmp_path / "labels.ecsv"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-W", "ignore", "-c", KILLS, str(output), *files]
    assert subprocess.run(command, env=environment).returncode == 0
    predict_stream(files, whole, LevelPredictor(pause=0.1), batch_size=1)
    assert output.read_bytes() == whole.read_bytes()
    assert read_table(output)["file"].tolist() == files
    assert not list(tmp_path.glob("*.parts"))

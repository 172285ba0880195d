"""``specvit simulate`` and ``specvit train``; a stand-in trains, but for the slow tests."""

import h5py
import numpy as np
import pytest

import specvit
from specvit import cli
from specvit.dataset import SpectrumDataset
from specvit.exceptions import AlarmWarning
from specvit.grid import PixelGrid
from specvit.stars import Emulator, regrid_emulator
from specvit.survey import Survey, preset_survey

TINY = ["--width", "16", "--depth", "1", "--heads", "2", "--patch-size", "256", "--batch-size", "8"]
TINY += ["--device", "cpu", "--quiet"]


class StandIn:
    """An estimator that remembers what it was asked to learn."""

    made = ()

    def __init__(self, **parameters):
        self.parameters, self.batch_size = parameters, parameters.get("batch_size", 256)
        type(self).made += (self,)

    def fit(self, data):
        self.data = data
        return self

    def save(self, path):
        path.write_text("weights")


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(StandIn, "made", ())
    monkeypatch.setattr(specvit, "LoggEstimator", StandIn, raising=False)
    return StandIn


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("set") / "set.h5"
    assert cli.main(["simulate", "paper", "--n", "130", "--out", str(path), "--seed", "5", "--quiet"]) == 0
    return path


# -- simulate --------------------------------------------------------------------------------------


def test_simulate_writes_the_survey(dataset):
    with h5py.File(dataset) as file:
        flux = file["dataset/arrays/flux/value"][:]
    assert flux.shape == (130, 4096)
    expected = Survey("paper", seed=5).draw(130).noiseless.numpy()
    expected = 0.5 * expected / np.median(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(flux, expected, rtol=1e-5)


def test_simulate_writes_shards(tmp_path, capsys):
    command = ["simulate", "pfs-mr", "--n", "5", "--shard-size", "2", "--out", str(tmp_path / "set")]
    assert cli.main([*command, "--magnitude", "18", "18.5", "--first-stream", "7"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("5 spectra of Survey('pfs-mr'") and f"in 3 files: {tmp_path / 'set'}" in out
    assert err == ""  # progress is for terminals
    found = SpectrumDataset(tmp_path / "set")
    assert found.file_sizes == [2, 2, 1]
    assert ((found.column("mag") >= 18) & (found.column("mag") <= 18.5)).all()
    assert found.column("random_seed").min() == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense", "--n", "2", "--out", "{tmp}/a.h5"], "name must be one of"),
        (["paper", "--n", "2", "--out", "{tmp}/a.h5", "--magnitude", "22", "20"], "magnitude must be"),
        (["paper", "--n", "2", "--out", "{tmp}/a.h5", "--emulator", "nowhere"], "nowhere"),
        (
            ["paper", "--n", "2", "--out", "{tmp}/a.h5", "--shard-size", "2", "--seed", "1"],
            "another data set",
        ),
    ],
)
def test_simulate_mistakes_are_one_line(tmp_path, arguments, message, capsys):
    if message == "another data set":
        assert cli.main(["simulate", "paper", "--n", "2", "--out", str(tmp_path / "a.h5"), "--quiet"]) == 0
    assert cli.main(["simulate", *(argument.format(tmp=tmp_path) for argument in arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("specvit: error: ") and message in err and err.count("\n") == 1


def test_simulate_for_another_spectrograph(tmp_path):
    grid = PixelGrid.linear(7200, 8800, 300, 2.5)
    regrid_emulator(Emulator.load(), grid).save(tmp_path / "e.safetensors")
    command = ["simulate", "pfs-mr", "--n", "20", "--out", str(tmp_path / "a.h5"), "--quiet"]
    command += ["--emulator", str(tmp_path / "e.safetensors"), "--snr", "20", "30"]
    assert cli.main([*command, "--mask", "7590", "7700", "--mask", "8120", "8350"]) == 0
    found = SpectrumDataset(tmp_path / "a.h5")
    assert found.grid == grid
    assert ((found.column("snr") > 18) & (found.column("snr") < 32)).all()
    masked = [(grid.edges[1:] > low) & (grid.edges[:-1] < high) for low, high in ((7590, 7700), (8120, 8350))]
    np.testing.assert_array_equal(found[:20].mask, np.tile(masked[0] | masked[1], (20, 1)))


def made(tmp_path, *options):
    """The data set of ``simulate --snr 20 30`` with `options`."""
    command = [
        "simulate",
        "paper",
        "--n",
        "4",
        "--out",
        str(tmp_path / "a.h5"),
        "--quiet",
        "--snr",
        "20",
        "30",
    ]
    assert cli.main([*command, *options]) == 0
    return SpectrumDataset(tmp_path / "a.h5")


def test_simulate_at_a_resolving_power(tmp_path):
    found = made(tmp_path, "--range", "7100", "8850", "--resolving-power", "2500")
    np.testing.assert_allclose(found.grid.resolving_power, 2500, rtol=1e-6)
    np.testing.assert_allclose(found.grid.edges[[0, -1]], [7100, 8850], rtol=1e-3)
    assert not found[:4].mask.any()


def test_simulate_for_a_preset(tmp_path):
    found = made(tmp_path, "--instrument", "SDSS", "--mask", "8700", "8720")
    survey = preset_survey("SDSS")
    assert found.grid == survey.grid
    wave, lost = found.grid.wave, [*survey.masked, (8700, 8720)]
    centre = np.any([(wave > low) & (wave < high) for low, high in lost], axis=0)
    assert found[:4].mask[:, centre].all() and found[:4].mask.mean() < centre.mean() + 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--instrument", "SDSS"], "--snr must say how good"),
        (["--range", "7100", "8850", "--snr", "20", "30"], "--range and --resolving-power go together"),
        (
            [
                "--range",
                "7100",
                "8850",
                "--resolving-power",
                "2000",
                "--instrument",
                "SDSS",
                "--snr",
                "20",
                "30",
            ],
            "--instrument must not be given with --range",
        ),
    ],
)
def test_spectrographs_are_said_once_and_whole(tmp_path, options, message, capsys):
    assert cli.main(["simulate", "paper", "--n", "4", "--out", str(tmp_path / "a.h5"), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("n", ["0", "-3", "2.5", "many"])
def test_numbers_of_spectra_are_whole(n, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["simulate", "paper", "--n", n, "--out", "x"])
    assert stop.value.code == 2
    assert "--n" in capsys.readouterr().err


# -- train -----------------------------------------------------------------------------------------


def test_train_on_a_survey(stand_in, tmp_path, capsys):
    out = tmp_path / "w.safetensors"
    command = ["train", "paper", "--out", str(out), "--n", "1e6", "--epochs", "3", "--seed", "4", *TINY]
    assert cli.main([*command, "--labels", "logg", "teff", "--magnitude", "20", "21"]) == 0
    (made,) = stand_in.made
    assert made.data.n == 1_000_000 and made.data.seed == 4 and made.data.magnitude == (20, 21)
    assert made.parameters == {
        "weights": None,
        "labels": ("logg", "teff"),
        "epochs": 3,
        "width": 16,
        "depth": 1,
        "heads": 2,
        "patch_size": 256,
        "batch_size": 8,
        "device": "cpu",
        "random_state": 4,
        "progress": False,
    }
    assert out.read_text() == "weights"
    assert capsys.readouterr().out.startswith("network trained on Survey('paper'")


def test_steps_are_batches_of_new_stars(stand_in, tmp_path):
    assert cli.main(["train", "pfs-mr", "--out", str(tmp_path / "w"), "--steps", "50", *TINY]) == 0
    made = stand_in.made[-1]
    assert made.data.n == 400 and made.parameters["epochs"] == 1


def test_train_on_a_data_set(stand_in, dataset, tmp_path):
    command = [
        "train",
        str(dataset),
        "--out",
        str(tmp_path / "w"),
        "--weights",
        "paper",
        "--checkpoint-dir",
        "c",
    ]
    assert cli.main(command) == 0
    (made,) = stand_in.made
    assert isinstance(made.data, SpectrumDataset) and len(made.data) == 130
    assert made.parameters["weights"] == "paper" and str(made.parameters["checkpoint_dir"]) == "c"
    assert made.parameters["progress"] is None  # on a terminal only


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense", "--out", "{tmp}/w"], "name must be one of"),
        (["paper", "--out", "{tmp}/none/w"], "no such folder"),
        (["paper", "--out", "{data}"], "exists; --overwrite replaces it"),
        (["paper", "--out", "{tmp}/w", "--steps", "5", "--n", "9"], "--steps must not be given with"),
        (["{data}", "--out", "{tmp}/w", "--steps", "5"], "--steps is for surveys"),
        (["{data}", "--out", "{tmp}/w", "--magnitude", "20", "21"], "--magnitude is for surveys"),
        (["{data}", "--out", "{tmp}/w", "--resolving-power", "9"], "--resolving-power is for surveys"),
        (["{folder}", "--out", "{tmp}/w"], "has no .h5 or .hdf5 files"),
    ],
)
def test_train_mistakes_are_one_line(stand_in, dataset, tmp_path, arguments, message, capsys):
    (tmp_path / "empty").mkdir()
    names = {"tmp": tmp_path, "data": dataset, "folder": tmp_path / "empty"}
    assert cli.main(["train", *(argument.format(**names) for argument in arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("specvit: error: ") and message in err and err.count("\n") == 1


def test_train_refuses_what_contradicts_the_weights(tmp_path, capsys):
    command = [
        "train",
        "paper",
        "--out",
        str(tmp_path / "w"),
        "--n",
        "9",
        "--weights",
        "any",
        "--depth",
        "1",
    ]
    assert cli.main(command) == 2
    err = capsys.readouterr().err
    assert "depth=1 contradicts weights='any', whose depth is 6" in err and not (tmp_path / "w").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["survey", "dataset"])
def test_what_is_trained_predicts(kind, dataset, tmp_path):
    out = tmp_path / "w.safetensors"
    data = ["paper", "--steps", "3"] if kind == "survey" else [str(dataset), "--epochs", "1"]
    assert cli.main(["train", *data, "--out", str(out), *TINY]) == 0
    flux = SpectrumDataset(dataset)[:4].flux
    with pytest.warns(AlarmWarning, match="BAD_FIT 4"):  # after three steps no label fits
        logg = specvit.LoggEstimator(weights=str(out)).predict(flux, ivar=np.ones_like(flux))
    assert logg.shape == (4,) and np.isfinite(logg).all()

"""State that is taken up again is that of the same fit, and what is reloaded says the same as before."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from specvit import LoggEstimator, Survey
from specvit.dataset import SpectrumDataset, write_dataset
from specvit.grid import PixelGrid
from specvit.network import LabelRegressor, ViTConfig
from specvit.predictors.learning.fingerprints import fingerprint
from specvit.weights import load_weights

SMALL = {
    "weights": None,
    "encoding": "none",
    "tokenizer": "sliding_window",
    "patch_size": 4,
    "width": 16,
    "depth": 1,
    "heads": 2,
    "epochs": 2,
    "batch_size": 32,
    "learning_rate": 1e-2,
    "device": "cpu",
    "random_state": 0,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny networks spend their time waiting for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).normal(size=(60, 8))
    return x, 3 + x[:, 0]


class TestCheckpoints:
    def test_each_fold_and_parameter_has_its_own(self, data, tmp_path):
        """A grid search gives what it gives without checkpoints, and again when it is repeated."""

        def scores(**more):
            search = GridSearchCV(LoggEstimator(**SMALL, **more), {"learning_rate": [1e-2, 3e-3]}, cv=2)
            return [search.fit(*data).cv_results_[f"split{k}_test_score"].tolist() for k in (0, 1)]

        expected = scores()
        assert len(set(np.ravel(expected))) == 4
        assert scores(checkpoint_dir=tmp_path) == expected
        assert scores(checkpoint_dir=tmp_path) == expected
        assert len(list(tmp_path.glob("*/last.ckpt"))) == 5  # two folds of two rates, and the best of all

    @pytest.mark.parametrize(
        "change",
        [
            {"X": 1},
            {"y": 1},
            {"ivar": 1},
            {"labels": "teff"},
            {"epochs": 3},
            {"weight_decay": 0.1},
            {"width": 32},
            {"random_state": 1},
        ],
    )
    def test_other_fits_start_anew(self, data, tmp_path, change):
        (x, y), ivar = data, np.ones((60, 8))
        LoggEstimator(**SMALL, checkpoint_dir=tmp_path).fit(x, y, ivar=ivar)
        x, y = x[::-1] if "X" in change else x, y[::-1] if "y" in change else y
        ivar = np.tri(60, 8, 5) if "ivar" in change else ivar
        settings = SMALL | {name: value for name, value in change.items() if name in SMALL | {"labels": 0}}
        if "weight_decay" in change:
            settings |= change
        guarded = LoggEstimator(**settings, checkpoint_dir=tmp_path).fit(x, y, ivar=ivar)
        free = LoggEstimator(**settings).fit(x, y, ivar=ivar)
        np.testing.assert_array_equal(guarded.predict(x), free.predict(x))
        assert len(list(tmp_path.glob("*/last.ckpt"))) == 2

    def test_a_seed_that_is_drawn_is_the_same_when_the_fit_is_repeated(self, data, tmp_path):
        """Else spectra that were trained on would be held out."""
        settings = SMALL | {"random_state": None, "checkpoint_dir": tmp_path}
        first, again = (LoggEstimator(**settings).fit(*data) for _ in range(2))
        assert first.record_["seed"] == again.record_["seed"]
        np.testing.assert_array_equal(first.predict(data[0]), again.predict(data[0]))
        drawn = [LoggEstimator(**SMALL | {"random_state": None}).fit(*data).record_["seed"] for _ in range(2)]
        assert drawn[0] != drawn[1]

    @pytest.mark.usefixtures("small_samples")
    def test_surveys_and_data_sets(self, tmp_path):
        settings = SMALL | {"encoding": "weighted", "tokenizer": "local", "patch_size": 256, "epochs": 1}
        settings |= {"checkpoint_dir": tmp_path / "run"}
        fits = []
        for seed in (1, 2):
            survey = Survey("paper", n=40, seed=seed)
            write_dataset(survey, tmp_path / f"{seed}.h5", 40, progress=False)
            dataset = SpectrumDataset(tmp_path / f"{seed}.h5")
            fits += [LoggEstimator(**settings).fit(source) for source in (survey, dataset)]
        assert len({tuple(fit.regressor_.network.head.weight.ravel().tolist()) for fit in fits}) == 4
        assert len(list(tmp_path.glob("run/*/last.ckpt"))) == 4


def test_parts_of_a_fingerprint():
    grid = PixelGrid.linear(5000, 5100, 20, 0.7)
    torch.manual_seed(0)
    config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    first, second = (LabelRegressor.build(config, ("logg",)) for _ in range(2))
    parts = [np.ones(2), np.ones((2, 1)), np.ones(2, np.float32), torch.ones(2), first, second, grid]
    parts += [PixelGrid.linear(5000, 5100, 20, 0.8), None, "logg", ("logg",), {"a": 1}, {"a": 2}]
    parts += [Survey("paper", seed=1), Survey("paper", seed=2), Survey("pfs-mr", seed=1)]
    found = [fingerprint(part) for part in parts]
    assert len(set(found)) == len(found) - 1  # a tensor is the array of its numbers
    assert found == [fingerprint(part) for part in parts]


class TestReloaded:
    @pytest.mark.parametrize("again", [LoggEstimator.load, LoggEstimator, lambda p: LoggEstimator(str(p))])
    def test_plain_features(self, data, tmp_path, again):
        frame = pd.DataFrame(data[0], columns=[f"f{k}" for k in range(8)])
        fitted = LoggEstimator(**SMALL).fit(frame, data[1][:, None])
        fitted.save(tmp_path / "plain.safetensors")
        reloaded = again(tmp_path / "plain.safetensors")
        assert fitted.predict(frame).shape == (60, 1)  # y had an axis of labels
        np.testing.assert_array_equal(reloaded.predict(frame), fitted.predict(frame))
        assert reloaded.n_features_in_ == 8 and reloaded.columns_ == ("logg",)
        with pytest.raises(ValueError, match="feature names should match"):
            reloaded.predict(frame[frame.columns[::-1]])
        with pytest.raises(ValueError, match="feature names should match"):
            reloaded.predict(frame[frame.columns[:7]])

    def test_several_labels(self, data, tmp_path):
        y = np.stack([data[1], 10 * data[1]], 1)
        fitted = LoggEstimator(**SMALL, labels=("mh", "logg")).fit(data[0], y)
        fitted.save(tmp_path / "two.safetensors")
        for again in (
            LoggEstimator(tmp_path / "two.safetensors"),
            LoggEstimator.load(tmp_path / "two.safetensors"),
        ):
            np.testing.assert_array_equal(again.predict(data[0]), fitted.predict(data[0]))
            assert again.output_names == ("mh", "logg")
        flat = LoggEstimator(**SMALL).fit(*data)
        flat.save(tmp_path / "one.safetensors")
        assert LoggEstimator(tmp_path / "one.safetensors").predict(data[0]).shape == (60,)


@pytest.fixture(scope="module", params=[4, 24])  # without and with spectra held out
def tuned(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("specvit.predictors.learning.arraysource.FEWEST_TO_SPLIT", 20)
        yield fine_tuned(request.param)


def fine_tuned(n):
    """The bundled network, tuned on a few stars, and these."""
    batch = Survey("paper", seed=1, magnitude=20.0).draw(n)
    x, y = batch.flux.numpy(), batch.labels[:, 1].numpy()
    options = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-5, "validation_fraction": 0.25}
    estimator = LoggEstimator(device="cpu", random_state=0, **options)
    return estimator.fit(x, y, ivar=batch.ivar.numpy()), batch


class TestFineTuning:
    def test_other_labels_have_no_stale_errors(self, tuned):
        estimator, batch = tuned
        table = estimator.predict_table(batch.flux[:4].numpy(), ivar=batch.ivar[:4].numpy())
        assert np.isfinite(table["logg_err"].value).all() and (table["logg_err"].value > 0).all()
        for name in ("teff", "mh", "alpham", "cm"):
            assert np.isfinite(table[name].value).all() and np.isnan(table[f"{name}_err"].value).all()

    def test_other_labels_keep_the_range_that_they_were_learned_in(self, tuned):
        estimator, batch = tuned
        before, found = load_weights("any")[2]["label_range"], estimator.record_["label_range"]
        assert {name: found[name] for name in found if name != "logg"} == {
            name: before[name] for name in before if name != "logg"
        }
        logg = batch.labels[:, 1].double()
        assert found["logg"] == [logg.min(), logg.max()]
        assert estimator.record_["labels_learned"] == ["logg"]

    @pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # one ends at the range
    def test_it_is_so_in_a_file_and_changes_when_they_are_learned(self, tuned, tmp_path):
        estimator, batch = tuned
        x, ivar = batch.flux[:4].numpy(), batch.ivar[:4].numpy()
        estimator.save(tmp_path / "tuned.safetensors")
        again = LoggEstimator(tmp_path / "tuned.safetensors", device="cpu", epochs=1, labels="teff")
        assert np.isnan(again.predict(x, True, ivar=ivar)[1]).all()
        teff = again.fit(x, batch.labels[:4, 0].numpy(), ivar=ivar).predict(x, True, ivar=ivar)
        assert np.isfinite(teff).all()
        assert np.isnan(again.set_params(labels="logg").predict(x, True, ivar=ivar)[1]).all()

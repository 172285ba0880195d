"""What a user says of a network: without weights it is built so, with weights it must agree."""

import numpy as np
import pytest

from specvit import LoggEstimator, PixelGrid, example_spectrum
from specvit.network import LabelRegressor, ViTConfig
from specvit.predictors.networkchoices import NetworkChoices
from specvit.weights import load_weights, save_weights

#: What the bundled weights are, as stated in their documentation, and something else.
BUNDLED = {
    "encoding": ("instrument", "weighted"),
    "tokenizer": ("local", "conv1d"),
    "patch_size": (64, 16),
    "position": ("learned", "rope"),
    "width": (256, 128),
    "depth": (6, 1),
    "heads": (4, 8),
    "dropout": (0.0, 0.1),
    "loss": ("gaussian_nll", "mse"),
}


@pytest.fixture(scope="module")
def star():
    return example_spectrum()


@pytest.fixture(scope="module")
def estimator():
    return LoggEstimator(device="cpu")


@pytest.fixture
def choose(estimator):
    """Set parameters of the estimator, whose weights are read once, for one test."""
    before = estimator.get_params()
    yield estimator.set_params
    estimator.set_params(**before)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_contradiction_raises_and_agreement_does_not(choose, star, name):
    same, other = BUNDLED[name]
    assert choose(**{name: same}).label_names[1] == "logg"
    wrong = choose(**{name: other})
    message = f"{name}={other!r} contradicts weights='any', whose {name} is {same!r}: .*weights=None"
    for method in (lambda: wrong.predict(star), lambda: wrong.predict_table(star), lambda: wrong.label_names):
        with pytest.raises(ValueError, match=message):
            method()
    with pytest.raises(ValueError, match=message):
        wrong.fit([star] * 3, [2.0, 2.0, 2.0])


def test_all_that_agrees(choose, star):
    expected = choose().predict(star)
    assert choose(**{name: same for name, (same, _) in BUNDLED.items()}).predict(star) == expected
    shape = {name: same for name, (same, _) in BUNDLED.items()} | {"encoding": "weighted", "patch_size": 32}
    paper = LoggEstimator("paper", **shape)
    assert paper.output_names == ("logg",)


def test_a_contradicting_grid_raises(choose, star):
    assert choose(grid=load_weights("any")[1]).label_names
    wrong = choose(grid=PixelGrid.linear(7100, 8850, 500, 1.5, name="coarse"))
    message = r"grid=PixelGrid.*coarse.* contradicts weights='any', whose grid is"
    for method in (lambda: wrong.predict(star), lambda: wrong.fit(np.ones((3, 500)), np.ones(3))):
        with pytest.raises(ValueError, match=message):
            method()


def test_an_unknown_label_raises(choose, star):
    for method in (
        lambda: choose(labels="age").predict(star),
        lambda: choose(labels=("logg", "age")).fit([star] * 2, np.ones((2, 2))),
    ):
        with pytest.raises(ValueError, match=r"labels must be among \('teff', .*, got 'age'"):
            method()


def test_weights_from_a_file_are_compared_too(estimator, tmp_path):
    estimator.save(tmp_path / "again.safetensors")
    with pytest.raises(ValueError, match=r"heads=2 contradicts weights=.*again.safetensors', whose heads is"):
        LoggEstimator.load(tmp_path / "again.safetensors", heads=2)


def test_without_weights_what_is_not_said_is_as_in_the_bundled_ones():
    regressor = NetworkChoices().build(("logg",), 4096, None, seed=0)
    bundled = load_weights("any")[0]
    # But for the instrument, which arrays and surveys of one spectrograph do not tell.
    own = {"n_outputs": 2, "in_channels": 2}
    assert regressor.config == ViTConfig.from_dict(bundled.config.to_dict() | own)
    assert regressor.encoding == "weighted" and regressor.heteroscedastic
    changed = NetworkChoices(width=64, heads=2, loss="l1", encoding="median", dropout=0.2)
    regressor = changed.build(("logg", "teff"), 512, None, seed=0)
    config = regressor.config
    assert (config.width, config.mlp, config.heads, config.dropout, config.depth) == (64, 256, 2, 0.2, 6)
    assert (config.in_channels, config.n_outputs, config.n_pixels) == (1, 2, 512)
    with pytest.raises(ValueError, match=r"loss must be one of .*got 'gauss'"):
        NetworkChoices(loss="gauss")


@pytest.mark.parametrize(
    ("loss", "record", "expected"),
    [
        (None, {"loss": "l1"}, "l1"),
        (None, {"training": {"loss": "huber"}}, "huber"),
        (None, {}, "mse"),
        ("l1", {"loss": "huber"}, "l1"),
    ],
)
def test_weights_without_sigma_are_trained_on_with_their_loss(loss, record, expected, tmp_path, star):
    """Of the losses without σ any may be chosen; the one of the record is the default."""
    config = ViTConfig(n_pixels=4096, width=32, depth=1, heads=2, patch_size=128)
    regressor = LabelRegressor.build(config, ("logg",), heteroscedastic=False)
    regressor.set_label_scaling([2.0], [1.0])
    path = tmp_path / "point.safetensors"
    save_weights(path, regressor, grid=load_weights("paper")[1], record=record)
    estimator = LoggEstimator(path, loss=loss, epochs=1, device="cpu").fit([star] * 2, [2.0, 2.5])
    assert estimator.record_["loss"] == expected
    with pytest.raises(ValueError, match="loss='gaussian_nll' contradicts"):
        LoggEstimator(path, loss="gaussian_nll").predict(star)

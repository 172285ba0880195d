"""How a fit is configured, and what an unset seed does."""

import numpy as np
import pytest

from specvit import LoggEstimator
from specvit.network.feed import ShuffledArrays
from specvit.predictors.learning import FitConfig
from specvit.predictors.learning.trainingsources import Feed

SMALL = {"weights": None, "encoding": "none", "patch_size": 4, "width": 32, "depth": 1, "heads": 2}
SMALL |= {"epochs": 1}


def feed(n, **more):
    return Feed(ShuffledArrays(np.zeros((n, 3)), batch_size=10, seed=0), **more)


def test_a_training_of_so_many_epochs():
    config = FitConfig(epochs=3, batch_size=10, learning_rate=0.2, patience=4, seed=7)
    training = config.training(feed(45), "l1", new=True)
    assert (training.max_steps, training.val_every_steps, training.loss, training.seed) == (15, 5, "l1", 7)
    assert training.learning_rate == 0.2 and training.min_learning_rate == 0.002
    assert training.patience is None  # there is nothing to validate on
    assert config.training(feed(45, validation=[]), "l1", new=True).patience == 4


def test_long_fits_are_compiled_where_that_works():
    def compiled(epochs, possible=True):
        return FitConfig(epochs=epochs).training(feed(45), "l1", new=True, compile=possible).compile

    assert [compiled(1), compiled(2000), compiled(2000, possible=False)] == [False, True, False]


def test_the_learning_rate_of_fine_tuning_is_lower():
    rates = [FitConfig().training(feed(45), "mse", new=new).learning_rate for new in (True, False)]
    assert rates == [5e-4, 5e-5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer >= 1, got 0"),
        ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
        ({"devices": 0}, "devices must be an integer >= 1, got 0"),
        ({"validation_fraction": 1.0}, r"validation_fraction must be a number in \[0, 1\), got 1.0"),
        ({"learning_rate": 0.0}, "learning_rate must be a number in"),
        ({"precision": "8-true"}, "precision must be one of"),
    ],
)
def test_what_is_refused(settings, message):
    x = np.random.default_rng(0).normal(size=(20, 8))
    with pytest.raises(ValueError, match=message):
        LoggEstimator(**SMALL | settings, device="cpu").fit(x, x[:, 0])


def test_seeds():
    assert FitConfig.seed_of(3, 2) == FitConfig.seed_of(3, 1)
    assert FitConfig.seed_of(None, 1) != FitConfig.seed_of(None, 1)
    with pytest.raises(ValueError, match="random_state must be an integer where devices > 1"):
        FitConfig.seed_of(None, 2)


def test_an_unset_random_state_is_drawn_for_each_fit_and_kept():
    x = np.random.default_rng(0).normal(size=(20, 8))
    one, two = (LoggEstimator(**SMALL, device="cpu").fit(x, x[:, 0]) for _ in range(2))
    assert one.record_["seed"] != two.record_["seed"]
    assert not np.array_equal(one.predict(x), two.predict(x))

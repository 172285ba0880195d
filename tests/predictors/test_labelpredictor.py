"""How predictors of other makes are asked."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import BayesianRidge, Ridge

from specvit import LoggEstimator
from specvit.network import LabelRegressor, ViTConfig
from specvit.predictors import ForeignPredictor, LabelPredictor
from specvit.predictors.labelpredictor import NetworkPredictor, as_label_predictor


@pytest.fixture(scope="module")
def numbers():
    x = np.random.default_rng(0).normal(size=(60, 4))
    return x, x @ [1.0, 2, 0, 0], np.stack([x[:, 0], x[:, 1]], 1)


def test_one_number_a_star_is_log_g(numbers):
    x, y, _ = numbers
    fitted = Ridge().fit(x, y)
    found = as_label_predictor(fitted).predict_labels(x, ivar=np.ones_like(x), on_error="nan")
    assert found.names == ("logg",) and np.isnan(found.sigma).all()
    np.testing.assert_array_equal(found.mean[:, 0], fitted.predict(x))


def test_an_attribute_or_an_argument_says_what_else_it_is(numbers):
    x, _, both = numbers
    fitted = Ridge().fit(x, both)
    assert ForeignPredictor(fitted, ("T_eff", "age")).predict_labels(x).names == ("teff", "age")
    fitted.label_names = ["[M/H]", "log g"]
    found = as_label_predictor(fitted).predict_labels(x)
    assert found.names == ("mh", "logg")
    np.testing.assert_array_equal(found.columns(["logg"])[0][:, 0], fitted.predict(x)[:, 1])


def test_sigma_and_inverse_variance_on_request(numbers):
    x, y, _ = numbers
    fitted = BayesianRidge().fit(x, y)
    found = ForeignPredictor(fitted, return_std=True).predict_labels(x)
    mean, sigma = fitted.predict(x, return_std=True)
    np.testing.assert_array_equal(found.mean[:, 0], mean)
    np.testing.assert_array_equal(found.sigma[:, 0], sigma)

    class Weighted:
        def predict(self, flux, ivar):
            return (flux * ivar).sum(1)

    found = ForeignPredictor(Weighted(), ivar=True).predict_labels(x, ivar=2 * np.ones_like(x))
    np.testing.assert_allclose(found.mean[:, 0], 2 * x.sum(1))


def test_a_network_is_asked_as_it_is(numbers):
    x = np.abs(numbers[0]) + 1
    config = ViTConfig(n_pixels=4, patch_size=1, width=8, depth=1, heads=1)
    regressor = LabelRegressor.build(config, ("teff", "logg"))
    asked = as_label_predictor(regressor)
    assert isinstance(asked, NetworkPredictor) and asked.label_names == ("teff", "logg")
    found = asked.predict_labels(x, ivar=np.ones_like(x))
    mean, sigma = regressor.predict(torch.as_tensor(x), torch.ones(60, 4))
    np.testing.assert_array_equal(found.mean, mean.numpy())
    np.testing.assert_array_equal(found.sigma, sigma.numpy())
    with pytest.raises(ValueError, match="ivar must be given to a network"):
        asked.predict_labels(x)


def test_whoever_keeps_the_protocol_is_asked_himself():
    estimator = LoggEstimator()
    assert as_label_predictor(estimator) is estimator and isinstance(estimator, LabelPredictor)
    assert not isinstance(Ridge(), LabelPredictor)


def test_what_is_refused(numbers):
    x, _, both = numbers
    with pytest.raises(TypeError, match="mine must have a method predict_labels or predict, int has neither"):
        as_label_predictor(3, "mine")
    with pytest.raises(ValueError, match=r"Ridge must predict shape \(60, 1\) for its labels \('logg',\)"):
        ForeignPredictor(Ridge().fit(x, both)).predict_labels(x)

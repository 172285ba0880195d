"""Boosted trees against LightGBM called directly on the same numbers."""

import pickle
import sys
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from specvit.dataset import SpectrumDataset, write_dataset
from specvit.grid import PixelGrid
from specvit.network import encode
from specvit.predictors import LightGBMEstimator, boosting
from specvit.spectra import SpectrumError
from specvit.survey import Survey

lightgbm = pytest.importorskip("lightgbm")

QUICK = {"n_trees": 40, "learning_rate": 0.2, "feature_fraction": 0.5, "n_jobs": 1}


#: Trees for spectra of 30 pixels.
trees30 = partial(LightGBMEstimator, grid=PixelGrid.linear(7100, 7400, 30, 4.0, name="coarse"))


@pytest.fixture(scope="module")
def spectra():
    """2000 spectra of 30 pixels; log g is a product, which no linear fit finds."""
    rng = np.random.default_rng(0)
    hidden = rng.uniform(-1, 1, (2000, 2))
    flux = 1 + 0.2 * np.repeat(hidden, 5, 1) @ np.eye(10, 30) + 0.03 * rng.normal(size=(2000, 30))
    return flux, np.full(flux.shape, 1 / 0.03**2), 3 + hidden[:, 0] * hidden[:, 1]


def held_out(n, fraction=0.1, seed=0):
    mask = np.zeros(n, bool)
    mask[np.random.default_rng(seed).permutation(n)[: int(fraction * n)]] = True
    return mask


def test_against_lightgbm_itself(spectra):
    flux, ivar, logg = spectra
    ours = trees30(**QUICK).fit(flux, logg, ivar=ivar)
    x = encode(torch.as_tensor(flux), torch.as_tensor(ivar), "median")[0][:, 0].float().numpy()
    test = held_out(2000)
    parameters = {
        "learning_rate": 0.2,
        "min_data_in_leaf": 50,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "reg_lambda": 1.0,
        "max_bin": 63,
        "num_threads": 1,
        "seed": 0,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    training = lightgbm.Dataset(x[~test], logg[~test])
    peer = lightgbm.train(
        parameters,
        training,
        40,
        valid_sets=[lightgbm.Dataset(x[test], logg[test], reference=training)],
        callbacks=[lightgbm.early_stopping(50, verbose=False)],
    )
    direct = peer.predict(x, num_iteration=peer.best_iteration)
    np.testing.assert_allclose(ours.predict(flux, ivar=ivar), direct, rtol=1e-9)
    residual = direct[test] - logg[test]
    assert ours.validation_r2_[0] == pytest.approx(1 - np.mean(residual**2) / logg[test].var())
    assert ours.validation_r2_[0] > 0.7 and ours.label_names == ("logg",)


def test_the_same_seed_gives_the_same_trees(spectra):
    flux, ivar, logg = spectra
    first, second = (trees30(**QUICK).fit(flux, logg, ivar=ivar).predict(flux) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = trees30(**QUICK, random_state=1).fit(flux, logg, ivar=ivar).predict(flux)
    assert np.abs(other - first).max() > 0


def test_training_stops_when_the_held_out_error_does(spectra):
    flux, ivar, _ = spectra
    noise = np.random.default_rng(1).normal(size=2000)
    stopped = trees30(**QUICK | {"n_trees": 500}, patience=5).fit(flux, noise, ivar=ivar)
    assert stopped.n_trees_[0] < 50 and stopped.validation_r2_[0] < 0.1


def test_components_are_principal(spectra, monkeypatch):
    flux, ivar, logg = spectra
    fitted = trees30(**QUICK, n_components=2).fit(flux, logg, ivar=ivar)
    x = encode(torch.as_tensor(flux), torch.as_tensor(ivar), "median")[0][:, 0].numpy()
    pca = PCA(2).fit(x[~held_out(2000)])
    overlap = np.abs(np.sum(fitted.components_[1] * pca.components_, 1))
    np.testing.assert_allclose(overlap, 1, atol=1e-3)
    assert fitted.boosters_[0].num_feature() == 2
    assert fitted.validation_r2_[0] > 0.9  # what is spread over pixels is seen at once
    assert np.abs(fitted.components_[0] - x[~held_out(2000)].mean(0)).max() < 1e-5
    # Found from the first batches, the rest projected as it comes: the same.
    monkeypatch.setattr(boosting, "_MOST_FOR_COMPONENTS", 1000)
    early = trees30(**QUICK, n_components=2).fit(flux, logg, ivar=ivar)
    assert early.n_spectra_ == 2000
    np.testing.assert_allclose(early.validation_r2_, fitted.validation_r2_, atol=0.03)


def test_several_labels_and_their_sigma(spectra):
    flux, ivar, logg = spectra
    y = np.stack([logg, 100 * logg], 1)
    fitted = trees30(**QUICK, labels=("logg", "teff"), validation_fraction=0.3).fit(flux, y, ivar=ivar)
    mean, sigma = fitted.predict(flux, return_std=True, ivar=ivar)
    assert mean.shape == (2000, 2) and fitted.label_names == ("logg", "teff")
    np.testing.assert_allclose(mean[:, 1], 100 * mean[:, 0], rtol=0.02)
    test = held_out(2000, 0.3)
    covered = (np.abs(mean - y) < sigma)[test].mean(0)
    np.testing.assert_allclose(covered, 0.683, atol=0.03)


def test_unusable_spectra_and_masked_pixels(spectra):
    flux, ivar, logg = (x.copy() for x in spectra)
    fitted = trees30(**QUICK).fit(flux, logg, ivar=ivar)
    ivar[:, 25:] = 0
    expected = fitted.predict(flux, ivar=ivar)
    np.testing.assert_array_equal(fitted.predict(np.where(ivar > 0, flux, np.nan), ivar=ivar), expected)
    flux[3] *= -1
    mean, sigma = fitted.predict(flux, return_std=True, ivar=ivar, on_error="nan")
    assert np.flatnonzero(np.isnan(mean)).tolist() == np.flatnonzero(np.isnan(sigma)).tolist() == [3]


def test_surveys_and_data_sets(tmp_path):
    settings = QUICK | {"n_trees": 20, "feature_fraction": 0.05, "min_child_samples": 10}
    survey = Survey("paper", n=200, seed=2, magnitude=18.0)
    fitted = LightGBMEstimator(**settings).fit(survey)
    new = survey.draw(100, stream=9)
    assert fitted.score(new.flux, new.labels[:, 1].numpy()) > 0.5
    write_dataset(survey, tmp_path, 200)
    stored = LightGBMEstimator(**settings).fit(SpectrumDataset(tmp_path))
    assert stored.n_spectra_ == 200
    assert stored.score(new.flux, new.labels[:, 1].numpy()) > 0.5


def test_scikit_learn_manners(spectra):
    flux, _, logg = spectra
    model = trees30(**QUICK)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        model.predict(flux)
    model.fit(flux, logg)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(flux), model.predict(flux))


def test_what_is_refused(spectra, monkeypatch):
    flux, _, logg = spectra
    with pytest.raises(ValueError, match="n_components must be at least 1, got 0"):
        trees30(n_components=0).fit(flux, logg)
    with pytest.raises(ValueError, match=r"n_components must be below .* 30, got 30"):
        trees30(n_components=30).fit(flux, logg)
    with pytest.raises(SpectrumError, match=r"spectra\[0\]: flux must have a positive median"):
        trees30().fit(-flux, logg)
    with pytest.raises(ValueError, match="X must hold spectra of positive median flux, got 0 of 2000"):
        trees30().fit(-flux, logg, on_error="nan")
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ImportError, match=r"pip install specvit\[evaluate\]"):
        trees30().fit(flux, logg)

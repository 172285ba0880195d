"""Ridge in one pass against scikit-learn's on the same numbers."""

import itertools
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from specvit.exceptions import AlarmWarning
from specvit.grid import PixelGrid
from specvit.network import encode
from specvit.predictors import RidgeEstimator
from specvit.predictors import features as features_module
from specvit.predictors import ridge as module
from specvit.predictors.features import FeatureBatches, source_batches
from specvit.spectra import SpectrumError
from specvit.survey import Survey

#: Ridge for spectra of 40 pixels.
ridge40 = partial(RidgeEstimator, grid=PixelGrid.linear(7100, 7500, 40, 4.0, name="coarse"))


@pytest.fixture(scope="module")
def spectra():
    """2600 spectra of 40 pixels whose S/N differs, and two labels; some pixels masked."""
    rng = np.random.default_rng(0)
    labels = rng.normal(size=(2600, 2))
    flux = 1 + 0.05 * labels @ rng.normal(size=(2, 40))
    sigma = rng.uniform(0.02, 0.3, 2600)[:, None] * np.linspace(0.7, 1.3, 40)
    scale = 10 ** rng.uniform(-1, 1, 2600)[:, None]
    flux = scale * (flux + sigma * rng.normal(size=flux.shape))
    ivar = (scale * sigma) ** -2 * (rng.random(flux.shape) > 0.03)
    return flux, ivar, labels * [1.0, 20.0] + [2.0, 500.0]


def features(flux, ivar):
    return encode(torch.as_tensor(flux), torch.as_tensor(ivar), "median")[0][:, 0].numpy()


def held_out(n, fraction=0.1, seed=0):
    mask = np.zeros(n, bool)
    mask[np.random.default_rng(seed).permutation(n)[: int(fraction * n)]] = True
    return mask


@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_against_scikit_learn(spectra, alpha):
    flux, ivar, labels = spectra
    ours = ridge40(alpha).fit(flux, labels, ivar=ivar)
    peer = Ridge(alpha, solver="svd").fit(features(flux, ivar), labels)
    np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-7)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, rtol=1e-7)
    np.testing.assert_allclose(
        ours.predict(flux[:50], ivar=ivar[:50]), peer.predict(features(flux[:50], ivar[:50])), rtol=1e-9
    )
    assert ours.n_spectra_ == 2600 and ours.n_features_in_ == 40


def test_the_penalty_is_that_of_the_least_held_out_error(spectra):
    flux, ivar, labels = (x[:120] for x in spectra)
    ridge = ridge40(validation_fraction=0.3).fit(flux, labels, ivar=ivar)
    x, test = features(flux, ivar), held_out(120, 0.3)
    centred = x[~test] - x[~test].mean(0)
    mean_eigenvalue = np.square(centred).sum() / 40
    penalties = module._PENALTIES * mean_eigenvalue
    error = np.array(
        [
            np.square(
                Ridge(a, solver="svd").fit(x[~test], labels[~test]).predict(x[test]) - labels[test]
            ).mean(0)
            for a in penalties
        ]
    )
    np.testing.assert_allclose(ridge.alpha_, penalties[error.argmin(0)], rtol=1e-5)
    np.testing.assert_allclose(ridge.validation_r2_, 1 - error.min(0) / labels[test].var(0), atol=1e-5)
    for k, alpha in enumerate(ridge.alpha_):  # found again from all of them
        peer = Ridge(alpha, solver="svd").fit(x, labels[:, k])
        np.testing.assert_allclose(ridge.coef_[k], peer.coef_, rtol=1e-6)


# With a tenth held out, 40 to learn from are 44 in all: as many as there are features.
@pytest.mark.parametrize(("n", "batch"), [(30, 1000), (40, 16), (41, 16), (44, 16), (45, 16), (45, 1000)])
def test_fewer_spectra_than_features_and_as_many(spectra, monkeypatch, n, batch):
    monkeypatch.setattr(features_module, "_BATCH", batch)
    rng = np.random.default_rng(n)
    x, y = (
        rng.normal(size=(n, 40)) * rng.uniform(0.1, 10, 40) + 5,
        rng.normal(size=(n, 2)) * [1, 100] + [3, 500],
    )
    plain = partial(RidgeEstimator, encoding="none")
    for alpha in (0.01, 30.0):
        ours, peer = plain(alpha).fit(x, y), Ridge(alpha, solver="svd").fit(x, y)
        np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(ours.intercept_, peer.intercept_, rtol=1e-8)
    test = held_out(n)
    centred = x[~test] - x[~test].mean(0)
    penalties = module._PENALTIES * np.square(centred).sum() / 40
    peers = [Ridge(a, solver="svd").fit(x[~test], y[~test]) for a in penalties]
    error = np.array([np.square(peer.predict(x[test]) - y[test]).mean(0) for peer in peers])
    best = plain().fit(x, y)
    np.testing.assert_allclose(best.alpha_, penalties[error.argmin(0)], rtol=1e-8)
    np.testing.assert_allclose(best.validation_r2_, 1 - error.min(0) / y[test].var(0), rtol=1e-8)
    for k, alpha in enumerate(best.alpha_):
        np.testing.assert_allclose(best.coef_[k], Ridge(alpha, solver="svd").fit(x, y[:, k]).coef_, rtol=1e-6)


@pytest.mark.parametrize("n", [30, 44, 45, 60])
def test_without_a_penalty_there_must_be_more_spectra_than_features(n):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(n, 40)), rng.normal(size=n)
    plain = RidgeEstimator(0.0, encoding="none", validation_fraction=0.1)
    if n - n // 10 > 40:
        peer = Ridge(0.0, solver="svd").fit(x, y)
        np.testing.assert_allclose(plain.fit(x, y).coef_[0], peer.coef_, rtol=1e-6)
        x[:, 7] = 2 * x[:, 3] - x[:, 5]
    with pytest.raises(np.linalg.LinAlgError, match=f"40 features from {n - n // 10} spectra"):
        plain.fit(x, y)


@pytest.mark.parametrize("n", [30, 100])
def test_equal_spectra_teach_the_mean(n):
    y = np.random.default_rng(2).normal(size=n)
    ridge = RidgeEstimator(encoding="none").fit(np.full((n, 40), 0.5), y)
    np.testing.assert_allclose(ridge.predict(np.full((3, 40), 0.5)), y.mean(), rtol=1e-9)
    np.testing.assert_allclose(ridge.coef_, 0, atol=1e-9)


def test_memory_does_not_grow_with_the_spectra():
    sums, rng = module._Sums(), np.random.default_rng(3)
    for _ in range(10):
        sums.add(torch.as_tensor(rng.normal(size=(7, 20))), torch.as_tensor(rng.normal(size=(7, 1))))
        numbers = sum(
            x.numel() for x in itertools.chain(*(sums.kept or []), vars(sums).values()) if torch.is_tensor(x)
        )
        assert numbers < 20 * 20 + 5 * 20
    assert sums.kept is None and sums.n == 70


def test_sigma_covers_and_follows_the_noise(spectra):
    flux, ivar, labels = spectra
    ridge = ridge40(validation_fraction=0.4).fit(flux[:2000], labels[:2000], ivar=ivar[:2000])
    mean, sigma = ridge.predict(flux[2000:], return_std=True, ivar=ivar[2000:])
    assert mean.shape == sigma.shape == (600, 2)
    inside = np.abs(mean - labels[2000:]) < sigma
    np.testing.assert_allclose(inside.mean(0), 0.683, atol=0.06)
    snr = np.median(flux[2000:] * np.sqrt(ivar[2000:]), 1)
    order = np.argsort(snr)
    assert (sigma[order[:60]].mean(0) > 2 * sigma[order[-60:]].mean(0)).all()
    # Without inverse variances nothing tells one spectrum's noise from another's.
    alone = ridge.predict(flux[2000:], return_std=True)[1]
    assert (alone > 0).all()


def test_a_label_is_one_dimensional(spectra):
    flux, ivar, labels = spectra
    ridge = ridge40(1.0).fit(flux, labels[:, 0], ivar=ivar)
    assert ridge.label_names == ("logg",)
    assert ridge.predict(flux[:7], ivar=ivar[:7]).shape == (7,)
    assert ridge.score(flux, labels[:, 0]) > 0.5


@pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # a few end at the range
def test_what_is_masked_and_the_scale_do_not_matter(spectra):
    flux, ivar, labels = (x.copy() for x in spectra)
    ridge = ridge40(1.0).fit(flux, labels, ivar=ivar)
    expected = ridge.predict(flux, ivar=ivar)
    before = flux.copy()
    dirty = np.where(ivar > 0, 1e-17 * flux, np.nan)
    np.testing.assert_allclose(ridge.predict(dirty, ivar=ivar * 1e34), expected, rtol=1e-9)
    np.testing.assert_array_equal(flux, before)
    again = ridge40(1.0).fit(dirty, labels, ivar=ivar * 1e34)
    np.testing.assert_allclose(again.coef_, ridge.coef_, rtol=1e-7)


def test_unusable_spectra(spectra):
    flux, ivar, labels = (x.copy() for x in spectra)
    reference = ridge40(1.0).fit(flux[:1500], labels[:1500], ivar=ivar[:1500])
    flux[1500:1503] *= -1
    ivar[1503] = 0
    ridge = ridge40(1.0).fit(flux[:1504], labels[:1504], ivar=ivar[:1504], on_error="nan")
    assert ridge.n_spectra_ == 1500
    np.testing.assert_allclose(ridge.coef_, reference.coef_, rtol=1e-7)
    mean, sigma = ridge.predict(flux[1499:1504], return_std=True, ivar=ivar[1499:1504], on_error="nan")
    assert np.isfinite(mean[0]).all() and np.isnan(mean[1:]).all() and np.isnan(sigma[1:]).all()
    with pytest.raises(SpectrumError, match=r"spectra\[1500\]: flux must have a positive median"):
        ridge40(1.0).fit(flux[:1504], labels[:1504], ivar=ivar[:1504])
    with pytest.raises(ValueError, match=r"X must hold spectra of positive median flux, got 0 of 100"):
        ridge40().fit(-np.ones((100, 40)), np.linspace(0, 5, 100), on_error="nan")


def test_a_survey_is_its_spectra():
    survey = Survey("paper", n=1100, seed=3)
    batches = [batch for batch, _ in zip(survey.stream(1000), range(2), strict=False)]
    flux, ivar, labels = (torch.cat(column) for column in zip(*batches, strict=True))
    streamed = FeatureBatches(source_batches(survey, 0, "cpu"), 1100, (1, 0), "median", 0.1, 0)
    x, y, snr, chosen = (torch.cat(column).numpy() for column in zip(*streamed, strict=True))
    np.testing.assert_array_equal(x, encode(flux, ivar, "median")[0][:, 0])
    np.testing.assert_array_equal(y, labels[:, [1, 0]])
    np.testing.assert_allclose(snr, np.median(flux * ivar.sqrt(), 1), rtol=1e-5)
    np.testing.assert_array_equal(chosen, held_out(1100))


@pytest.mark.slow
def test_a_survey_is_learned():
    survey = Survey("paper", seed=3)
    new = survey.draw(1000, stream=77)
    ridge = RidgeEstimator(labels=("logg", "teff")).fit(Survey("paper", n=5000, seed=3))
    truth = new.labels.numpy()[:, [1, 0]]
    with pytest.warns(AlarmWarning, match="OUT_OF_DOMAIN"):  # what is linear leaves the range of labels
        mean, sigma = ridge.predict(new.flux, return_std=True, ivar=new.ivar)
    r2 = 1 - np.square(mean - truth).sum(0) / np.square(truth - truth.mean(0)).sum(0)
    np.testing.assert_allclose(r2, ridge.validation_r2_, atol=0.05)
    assert r2[0] > 0.6 and r2[1] > 0.95
    np.testing.assert_allclose((np.abs(mean - truth) < sigma).mean(0), 0.683, atol=0.06)


def test_scikit_learn_manners(spectra):
    flux, ivar, labels = spectra
    ridge = ridge40(2.0, encoding="none", random_state=5)
    assert clone(ridge).get_params() == ridge.get_params()
    with pytest.raises(NotFittedError):
        ridge.predict(flux)
    ridge.fit(flux, labels, ivar=ivar)
    again = pickle.loads(pickle.dumps(ridge))
    np.testing.assert_array_equal(again.predict(flux), ridge.predict(flux))


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({"alpha": -1.0}, {}, "alpha must be 'auto' or a finite number not below 0, got -1.0"),
        ({"labels": ("logg",)}, {}, r"labels must name the 2 columns of y, got \('logg',\)"),
        ({"validation_fraction": 0}, {}, "validation_fraction must be between 0 and 1, got 0"),
        ({"encoding": "nice"}, {}, "encoding must be"),
        (
            {},
            {"y": None},
            "requires y to be passed, but the target y is None: only a Survey or SpectrumDataset",
        ),
        ({}, {"y": np.ones(3)}, r"y must have shape \(30,\) or \(30, n_labels\), got \(3,\)"),
        ({}, {"y": np.full(30, np.nan)}, "y must be finite"),
        ({}, {"ivar": np.ones((30, 3))}, r"ivar must have the shape of spectra \(30, 40\), got \(30, 3\)"),
        ({}, {"X": np.ones(40)}, r"y must have shape \(1,\) or \(1, n_labels\), got \(30, 2\)"),
        ({}, {"X": np.ones((5, 40)), "y": np.ones(5)}, "X must hold at least 20 spectra, got 5"),
        ({"grid": None}, {"X": Survey("paper"), "y": None}, "X must be a survey of n stars"),
        ({}, {"X": Survey("paper", n=99), "y": None}, "grid must be that of the survey"),
        ({}, {"X": Survey("paper", n=9)}, "y must be None for a survey"),
        ({"labels": ("age",), "grid": None}, {"X": Survey("paper", n=9), "y": None}, "labels must be among"),
    ],
)
def test_what_is_refused(spectra, settings, arguments, message):
    flux, _, labels = (x[:30] for x in spectra)
    arguments = {"X": flux, "y": labels, "ivar": None} | arguments
    with pytest.raises(ValueError, match=message):
        ridge40(**settings).fit(arguments["X"], arguments["y"], ivar=arguments["ivar"])


def test_what_else_is_refused(spectra):
    flux, ivar, labels = spectra
    with pytest.raises(np.linalg.LinAlgError, match="alpha must be larger: 0 does not determine"):
        ridge40(0.0, validation_fraction=0.2).fit(flux[:30], labels[:30])
    with pytest.raises(
        TypeError,
        match="spectra must be Spectrum, a list or collection of them, or an array of fluxes, got str",
    ):
        ridge40().fit("spectra.fits", labels)
    ridge = ridge40(1.0).fit(flux, labels, ivar=ivar)
    with pytest.raises(
        ValueError,
        match=r"spectra must have shape \(40,\) or \(n, 40\) to be on the grid coarse, got \(2600, 39\)",
    ):
        ridge.predict(flux[:, :39])

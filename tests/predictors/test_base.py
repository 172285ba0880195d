"""What all four predictors share: the same input gives the same answer, and the same fault the same error."""

import inspect
import re
from functools import partial

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.nddata import InverseVariance
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from specutils import Spectrum, SpectrumCollection, SpectrumList

from specvit import Emulator, LoggEstimator, PixelGrid, Survey
from specvit.labels import LABELS
from specvit.predictors import LabelPredictor, LightGBMEstimator, Predictor, RidgeEstimator, TemplateFit
from specvit.spectra import Flag, SpectrumBatch, SpectrumError, adapt
from specvit.stars import regrid_emulator
from specvit.survey import SNRNoise

DEX = u.dex(u.cm / u.s**2)
PIXELS = 256
SMALL = {
    "width": 32,
    "depth": 1,
    "heads": 2,
    "patch_size": 32,
    "epochs": 2,
    "device": "cpu",
    "random_state": 0,
}
TREES = {"n_trees": 20, "learning_rate": 0.3, "min_child_samples": 10, "n_jobs": 1}
NEW = {
    "network": partial(LoggEstimator, weights=None, **SMALL),
    "ridge": partial(RidgeEstimator, 1.0),
    "trees": partial(LightGBMEstimator, **TREES),
    "templates": partial(TemplateFit, n_templates=512, n_starts=1),
}
every_predictor = pytest.mark.parametrize("name", NEW)


@pytest.fixture(scope="module")
def survey():
    grid = PixelGrid.linear(7120, 8830, PIXELS, 3.5, name="coarse")
    emulator = regrid_emulator(Emulator.load(), grid)
    return Survey(
        "coarse", n=400, seed=1, prior=Survey("paper").prior, noise=SNRNoise(100), emulator=emulator
    )


@pytest.fixture(scope="module")
def fitted(survey):
    pytest.importorskip("lightgbm")
    asked = {"network": None, "ridge": None, "trees": None, "templates": None}
    return {name: NEW[name](labels=labels).fit(survey) for name, labels in asked.items()}


@pytest.fixture(scope="module")
def stars(survey):
    """Flux and inverse variance of four stars, float64 (4, 256), and their labels."""
    labels = [
        [4800, 2.5, -0.5, 0.1, 0.0],
        [5300, 4.4, -0.2, 0.0, 0.0],
        [4200, 1.5, -0.8, 0.2, 0.1],
        [5000, 3, 0, 0, 0],
    ]
    batch = survey.observe(labels, snr=100, stream=5)
    return batch.flux.double().numpy(), batch.ivar.double().numpy(), np.array(labels)


@pytest.fixture(scope="module")
def spectra(survey, stars):
    return [spectrum(survey.grid, flux, ivar) for flux, ivar in zip(*stars[:2], strict=True)]


def spectrum(grid, flux, ivar):
    wave, uncertainty = grid.wave * u.AA, InverseVariance(ivar)
    meta = {"medium": "vacuum", "resolution": grid.resolving_power}
    mask = np.zeros(flux.shape, bool)
    return Spectrum(flux=flux * u.one, spectral_axis=wave, uncertainty=uncertainty, mask=mask, meta=meta)


def as_given(kind, grid, stars, spectra):
    """The four stars in one form, the keywords that go with it, and the shape of the answer."""
    flux, ivar, _ = stars
    objects = np.empty(4, dtype=object)
    objects[:] = spectra
    cube = spectrum(grid, flux.reshape(2, 2, -1), ivar.reshape(2, 2, -1))
    forms = {
        "list": (spectra, {}, (4,)),
        "tuple": (tuple(spectra), {}, (4,)),
        "SpectrumList": (SpectrumList(spectra), {}, (4,)),
        "SpectrumCollection": (SpectrumCollection.from_spectra(spectra), {"medium": "vacuum"}, (4,)),
        "object array": (objects, {}, (4,)),
        "cube": (cube, {}, (2, 2)),
        "Spectrum": (spectra[1], {}, ()),
        "SpectrumBatch": (adapt(spectra, grid=grid), {}, (4,)),
        "array": (flux, {"ivar": ivar}, (4,)),
        "list of rows": (flux.tolist(), {"ivar": ivar.tolist()}, (4,)),
        "tensor": (torch.as_tensor(flux), {"ivar": torch.as_tensor(ivar)}, (4,)),
        "one row": (flux[1], {"ivar": ivar[1]}, ()),
    }
    return forms[kind]


KINDS = ["list", "tuple", "SpectrumList", "SpectrumCollection", "object array", "cube", "Spectrum"]
KINDS += ["SpectrumBatch", "array", "list of rows", "tensor", "one row"]
NUMBERS = {"array", "list of rows", "tensor", "one row"}


@every_predictor
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # a nuisance label at its bound
def test_the_same_star_gives_the_same_answer_in_every_form(fitted, survey, stars, spectra, name, kind):
    predictor = fitted[name]
    expected = predictor.predict_labels(stars[0], ivar=stars[1])
    assert expected.mean.shape == expected.sigma.shape == (4, len(predictor.label_names))
    X, options, shape = as_given(kind, survey.grid, stars, spectra)
    rows = slice(1, 2) if shape == () else slice(None)
    column = expected.names.index("logg")
    found = predictor.predict_labels(X, **options)
    assert found.names == expected.names == predictor.label_names and found.shape == shape
    # float32 in the network; steps of a thousandth of σ in the fits; a tree may see a pixel on its threshold
    np.testing.assert_allclose(found.mean, expected.mean[rows], atol=1e-5, rtol=2e-5)
    np.testing.assert_allclose(found.sigma, expected.sigma[rows], rtol=1e-4)
    mean, sigma = predictor.predict(X, return_std=True, **options)
    if kind in NUMBERS:
        assert type(mean) is type(sigma) is np.ndarray
    else:
        assert isinstance(mean, u.Dex) and mean.unit == DEX and sigma.unit == u.dex
        mean, sigma = mean.value, sigma.value
    assert mean.shape == sigma.shape == shape
    np.testing.assert_array_equal(mean.ravel(), found.mean[:, column])
    np.testing.assert_array_equal(sigma.ravel(), found.sigma[:, column])
    table = predictor.predict_table(X, **options)
    np.testing.assert_array_equal(table["logg"].value, found.mean[:, column])
    assert table["logg"].unit == DEX and table["logg_err"].unit == u.dex and len(table) == mean.size
    assert {"snr", "coverage", "chi2", "flags", "error"} < set(table.colnames)
    np.testing.assert_allclose(table["coverage"], 1)


@every_predictor
@pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # a nuisance label at its bound
def test_the_labels_asked_for(fitted, survey, stars, spectra, name):
    """Several: floats with a last axis for arrays, a dict of quantities for spectra; spelled as one likes."""
    predictor = clone(fitted[name]).set_params(labels=("Teff", "log g")).fit(survey)
    assert predictor.output_names == ("teff", "logg") and set(predictor.label_names) >= {"teff", "logg"}
    mean, sigma = predictor.predict(stars[0], return_std=True, ivar=stars[1])
    assert mean.shape == sigma.shape == (4, 2) and (mean[:, 0] > 3000).all() and (mean[:, 1] < 6).all()
    found, errors = predictor.predict(spectra, return_std=True)
    assert list(found) == list(errors) == ["teff", "logg"]
    assert found["teff"].unit == errors["teff"].unit == u.K and found["logg"].unit == DEX
    np.testing.assert_allclose(found["teff"].value, mean[:, 0], rtol=2e-5)
    expected = np.mean([r2_score(stars[2][:, k], mean[:, k]) for k in (0, 1)])
    assert predictor.score(stars[0], stars[2][:, :2], ivar=stars[1]) == pytest.approx(expected)
    predictor.set_params(labels="age")
    with pytest.raises(ValueError, match=r"labels must be among \(.*'logg'.*\), got 'age'"):
        predictor.predict(spectra)


def faults(grid, stars, spectra):
    """What is wrong, as (X, keywords, type, beginning of the message)."""
    flux, ivar, _ = stars
    dead = spectrum(grid, 0 * flux[0], ivar[0])
    half = spectrum(grid, flux[0], np.where(np.arange(PIXELS) < 150, 0, ivar[0]))
    blurred = Spectrum(flux=spectra[0].flux, spectral_axis=spectra[0].spectral_axis, meta={"resolution": 300})
    other = PixelGrid.linear(7100, 8850, 100, 5.0, name="other")
    rejected = adapt([spectra[0], dead], grid=grid, on_error="nan")
    batch = adapt(spectra, grid=grid)
    shape = r"spectra must have shape (256,) or (n, 256) to be on the grid coarse, got "
    return {
        "pixels": (flux[:, :9], {}, ValueError, shape + "(4, 9)"),
        "dimensions": (flux[None], {}, ValueError, shape + "(1, 4, 256)"),
        "complex": (flux + 0j, {}, TypeError, "spectra must be an array of real numbers, got complex"),
        "text": ("star.fits", {}, TypeError, "spectra must be Spectrum, a list or collection of them, or an"),
        "nothing": ([], {}, ValueError, "spectra must not be empty"),
        "mixed": (
            [spectra[0], flux[0]],
            {},
            TypeError,
            "spectra[1] must be a Spectrum like others here",
        ),
        "ivar of spectra": (
            spectra,
            {"ivar": ivar},
            ValueError,
            "ivar is for arrays; a Spectrum carries",
        ),
        "ivar of a batch": (batch, {"ivar": ivar}, ValueError, "ivar is for arrays; a SpectrumBatch"),
        "ivar's shape": (
            flux,
            {"ivar": ivar[:2]},
            ValueError,
            "ivar must have the shape of spectra (4,",
        ),
        "medium": (flux, {"medium": "air"}, ValueError, "medium must be that of the grid, 'vacuum', for an"),
        "no medium": (
            spectra,
            {"medium": "sea"},
            ValueError,
            "medium must be one of None, 'air', 'vacuum'",
        ),
        "resolution": (
            flux,
            {"resolution": 9e3},
            ValueError,
            "resolution is for Spectrum: an array must",
        ),
        "of a batch": (
            batch,
            {"resolution": 9e3},
            ValueError,
            "medium and resolution are for Spectrum: a",
        ),
        "option": (
            spectra,
            {"on_error": "stop"},
            ValueError,
            "on_error must be one of 'raise', 'nan'",
        ),
        "dead": ([spectra[0], dead], {}, SpectrumError, "spectra[1]: flux is zero in all valid pixels"),
        "negative": (
            -flux,
            {"ivar": ivar},
            SpectrumError,
            "spectra[0]: flux must have a positive median",
        ),
        "coverage": (half, {}, SpectrumError, "spectrum: coverage must be at least 50% of the grid coarse"),
        "blurred": (
            blurred,
            {},
            SpectrumError,
            "spectrum: resolution must not be lower than the grid's",
        ),
        "rejected": (rejected, {}, SpectrumError, "spectra[1]: flux is zero in all valid pixels"),
        "grid": (SpectrumBatch.empty((2,), other), {}, ValueError, "spectra must be on the grid PixelGrid("),
    }


FAULTS = ["pixels", "dimensions", "complex", "text", "nothing", "mixed", "ivar of spectra", "ivar of a batch"]
FAULTS += ["ivar's shape", "medium", "no medium", "resolution", "of a batch", "option", "dead", "negative"]
FAULTS += ["coverage", "blurred", "rejected", "grid"]


@every_predictor
@pytest.mark.parametrize("fault", FAULTS)
def test_the_same_fault_gives_the_same_error(fitted, survey, stars, spectra, name, fault):
    X, options, error, message = faults(survey.grid, stars, spectra)[fault]
    for method in ("predict", "predict_labels", "predict_table"):
        if method == "predict_table":
            options = {"on_error": "raise"} | options
        with pytest.raises(error) as raised:
            getattr(fitted[name], method)(X, **options)
        assert type(raised.value) is error and str(raised.value).startswith(message)


@pytest.mark.parametrize("name", ["network", "ridge", "trees"])
def test_the_same_fault_in_fit(survey, stars, spectra, name):
    """Templates learn nothing from spectra: what is wrong with them does not matter."""
    flux, ivar, labels = stars
    new = NEW[name](grid=survey.grid)
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        new.fit(flux, ivar=ivar)
    with pytest.raises(ValueError, match=r"y must have shape \(4,\) or \(4, n_labels\), got \(3,\)"):
        new.fit(spectra, labels[:3, 1])
    with pytest.raises(SpectrumError, match=r"spectra\[0\]: flux must have a positive median"):
        new.fit(-flux, labels[:, 1], ivar=ivar)
    with pytest.raises(ValueError, match="y must be None for a survey, which knows its own"):
        new.fit(survey, labels[:, 1])
    with pytest.raises(ValueError, match="medium must be None for a survey"):
        new.fit(survey, medium="air")
    with pytest.raises(ValueError, match="grid must be that of the survey"):
        NEW[name](grid=PixelGrid.linear(7100, 8850, 100, 5.0)).fit(survey)
    with pytest.raises(ValueError, match=r"labels must be among \('teff', .*, got 'age'"):
        new.set_params(labels="age").fit(survey)
    with pytest.raises(NotFittedError):
        NEW[name]().predict(spectra)


@every_predictor
@pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # a nuisance label at its bound
def test_spectra_without_an_answer(fitted, survey, stars, spectra, name):
    flux, ivar, _ = (values.copy() for values in stars)
    flux[1] *= -1
    ivar[2] = 0
    expected = [False, True, True, False]
    mean, sigma = fitted[name].predict(flux, return_std=True, ivar=ivar, on_error="nan")
    assert np.isnan(mean).tolist() == np.isnan(sigma).tolist() == expected
    found = fitted[name].predict_labels(flux, ivar=ivar, on_error="nan")
    assert np.isnan(found.mean).all(1).tolist() == expected
    table = fitted[name].predict_table(flux, ivar=ivar)
    assert (table["flags"] & Flag.UNUSABLE > 0).tolist() == [bool(why) for why in table["error"]] == expected


@every_predictor
def test_what_is_known_of_a_spectrum_is_flagged(fitted, stars, survey, name):
    """Without errors of its own; lost in noise; at the end of what was learned."""
    flux = stars[0]
    table = fitted[name].predict_table(flux)
    assert (table["flags"] & Flag.NO_UNCERTAINTY > 0).all()
    noise = flux + 30 * np.median(flux) * np.random.default_rng(2).normal(0.05, 1, flux.shape)
    table = fitted[name].predict_table(noise, ivar=np.full(flux.shape, (30 * np.median(flux)) ** -2))
    used = table["flags"] & Flag.UNUSABLE == 0
    assert (table["flags"] & Flag.LOW_SNR > 0)[used].all() and (table["snr"][used] < 1).all()
    if name == "templates":
        corner = survey.observe([[6000, 5.2, 0.5, 0, 0]] * 3, snr=100)  # beyond the prior: ends at its edge
        table = fitted[name].predict_table(corner.flux, ivar=corner.ivar)
        assert (table["flags"] & Flag.OUT_OF_DOMAIN > 0).all() and all(table["at_bound"])


def test_a_label_at_the_end_of_what_was_learned_is_flagged(fitted, stars):
    ridge = clone(fitted["ridge"]).set_params(alpha=1e-3, grid=fitted["ridge"].grid_)
    rng = np.random.default_rng(0)
    flux = 1 + 0.1 * rng.normal(size=(300, PIXELS))
    ridge.fit(flux, 3 + 10 * (flux[:, 0] - 1), ivar=np.full(flux.shape, 100.0))
    high = ridge.label_range_["logg"][1]
    beyond = np.ones((2, PIXELS))
    beyond[:, 0] = 1.0, 1 + (high - 3) / 5
    table = ridge.predict_table(beyond, ivar=np.full(beyond.shape, 100.0))
    assert (table["flags"] & Flag.OUT_OF_DOMAIN > 0).tolist() == [False, True]


@every_predictor
def test_nothing_given_is_written_to(fitted, survey, stars, spectra, name):
    flux, ivar, _ = (values.copy() for values in stars)
    flux[0, 3], ivar[1] = np.nan, 0
    batch = SpectrumBatch.empty((4,), survey.grid)  # filled by hand: judged when it is used
    batch.flux[:], batch.ivar[:] = np.nan_to_num(flux), ivar
    before = batch.flux.copy(), batch.ivar.copy(), batch.flags.copy(), batch.coverage.copy()
    for values in (flux, ivar):
        values.flags.writeable = False
    by_array = fitted[name].predict_labels(flux, ivar=ivar, on_error="nan").mean
    by_batch = fitted[name].predict_labels(batch, on_error="nan")
    for value, old in zip((batch.flux, batch.ivar, batch.flags, batch.coverage), before, strict=True):
        np.testing.assert_array_equal(value, old)
    assert batch.errors == [None] * 4 and by_batch.batch.errors[1].startswith("coverage must be")
    np.testing.assert_allclose(by_batch.mean[[1, 2, 3]], by_array[[1, 2, 3]], rtol=1e-5)


@every_predictor
def test_the_documentation_lists_what_a_fit_leaves_behind(fitted, name):
    predictor = fitted[name]
    assert isinstance(predictor, Predictor) and isinstance(predictor, LabelPredictor)
    left = {key for key in vars(predictor) if key.endswith("_")} | {"output_names"}
    documented = "\n".join(inspect.getdoc(cls) for cls in (type(predictor), Predictor))
    headings = re.findall(r"^(\w[\w, ]*) : ", documented, re.MULTILINE)
    told = {name for heading in headings for name in heading.split(", ")}
    assert not (left | set(predictor.get_params())) - told


@every_predictor
def test_a_clone_is_unfitted_and_alike(fitted, name):
    again = clone(fitted[name])
    assert again.get_params().keys() == fitted[name].get_params().keys()
    assert not [key for key in vars(again) if key.endswith("_")]


@pytest.mark.parametrize("name", ["network", "ridge", "trees"])
def test_plain_features(name):
    """``encoding="none"``: any numbers, in arrays; a batch of spectra as its pixels; no medium, no table."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 8))
    y = x @ [1.0, 2, 0, 0, -1, 0.5, 0, 0]
    options = (
        {"patch_size": 4, "epochs": 40, "learning_rate": 1e-2, "batch_size": 32} if name == "network" else {}
    )
    predictor = NEW[name](**options, encoding="none").fit(x, y)
    assert predictor.score(x, y) > 0.5 and predictor.grid_ is None
    assert predictor.predict(x).shape == (200,)
    np.testing.assert_array_equal(predictor.predict(torch.as_tensor(x)), predictor.predict(x))
    # A weight says only whether a feature is there.
    weight = np.full(x.shape, 7.0)
    np.testing.assert_array_equal(predictor.predict(x, ivar=weight), predictor.predict(x))
    weight[:, 1] = 0
    gone = np.where(weight > 0, x, np.nan)
    np.testing.assert_array_equal(predictor.predict(x, ivar=weight), predictor.predict(gone))
    batch = SpectrumBatch.empty((2,), PixelGrid.linear(7100, 7180, 8, 4.0))
    batch.flux[:], batch.ivar[:] = x[:2], 1.0
    np.testing.assert_allclose(predictor.predict(batch), predictor.predict(x[:2]), rtol=1e-6)
    with pytest.raises(ValueError, match="medium and resolution are for spectra, not for plain features"):
        predictor.predict(x, medium="air")
    with pytest.raises(ValueError, match="predict_table needs spectra"):
        predictor.predict_table(x)
    with pytest.raises(TypeError, match=r"X must be an array for an estimator of plain features"):
        predictor.predict([Spectrum(flux=np.ones(8) * u.one, spectral_axis=np.arange(1, 9) * u.AA)])
    with pytest.raises(ValueError, match="8 features"):
        predictor.predict(x[:, :5])


def test_two_columns_of_y_are_two_columns_of_the_answer(survey, stars):
    flux, ivar, labels = (np.tile(values, (10, 1)) for values in stars)
    flux = flux * np.random.default_rng(0).normal(1, 0.01, flux.shape)
    ridge = RidgeEstimator(1.0, grid=survey.grid, validation_fraction=0.2).fit(
        flux, labels[:, 1:2], ivar=ivar
    )
    assert ridge.columns_ == ("logg",) and ridge.predict(flux, ivar=ivar).shape == (40, 1)
    ridge.fit(flux, labels, ivar=ivar)
    assert ridge.columns_ == ridge.output_names == LABELS
    assert ridge.predict(flux, ivar=ivar).shape == (40, 5)
    ridge.fit(flux, labels[:, 1], ivar=ivar)
    assert ridge.columns_ is None and ridge.predict(flux, ivar=ivar).shape == (40,)

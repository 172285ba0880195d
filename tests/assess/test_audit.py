"""Audits find what is planted and pass what is clean."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge, RidgeCV

from specvit.assess import (
    audit_leakage,
    audit_predictor,
)
from specvit.predictors import ForeignPredictor, Predictions
from specvit.survey import Survey, SurveyBatch

# -- leakage ----------------------------------------------------------------------------------------------


class Photons:
    """Stars of one line: its depth is the label, magnitude what is left, Poisson noise in the Gaussian limit.

    Parameters
    ----------
    leaky : bool
        Report the errors of the noiseless flux, as no instrument can.
    dwarfs_are_faint : float
        How much the label follows the magnitude.
    """

    label_names = ("logg",)
    n_pixels = 48

    def __init__(self, leaky=False, dwarfs_are_faint=0.0):
        self.leaky, self.slope = leaky, dwarfs_are_faint

    def draw(self, n, *, stream, device="cpu", magnitude=None):
        rng = np.random.default_rng(stream)
        mag = torch.as_tensor(rng.uniform(18, 21, n))
        labels = torch.as_tensor(rng.normal(3, 1, (n, 1))) + self.slope * (mag[:, None] - 19.5)
        line = torch.exp(-0.5 * ((torch.arange(self.n_pixels) - 20) / 4.0) ** 2)
        level = 10 ** (-0.4 * (mag[:, None] - 19.5))
        clean = 1 - (0.5 + 0.1 * (labels - 3)).clamp(0.05, 0.95) * line
        clean = level * clean / clean.mean(1, keepdim=True)  # the magnitude is of the mean flux
        sigma = 0.05 * clean.sqrt()
        noisy = clean + sigma * torch.as_tensor(rng.normal(size=clean.shape))
        reported = sigma if self.leaky else 0.05 * noisy.mean(1, keepdim=True).sqrt().expand_as(sigma)
        return SurveyBatch(noisy, reported**-2, labels, mag, clean, sigma)


def by_input(table):
    return table.set_index("input")


def test_clean_errors_pass():
    table = audit_leakage(Photons(), n=800)
    rows = by_input(table)
    assert table.attrs["passed"] and set(table["n"]) == {800} and table.attrs["label"] == "logg"
    assert list(rows["verdict"]) == ["reference", "pass", "control", "pass", "control"]
    assert abs(rows.loc["magnitude only", "r2"]) < 0.02 and rows.loc["error only", "r2"] < 0.02
    assert rows.loc["spectrum, labels shuffled", "r2"] < 0.02
    assert rows.loc["spectrum", "r2"] > 0.8  # there is something to find
    assert rows.loc["noiseless sigma", "r2"] > 0.95  # and a leak would be found
    assert set(rows.index) < set(table.attrs["definitions"])
    np.testing.assert_allclose(rows["excess"], rows["r2"] - rows.loc["magnitude only", "r2"])


def test_errors_of_the_noiseless_flux_fail():
    table = audit_leakage(Photons(leaky=True), n=800)
    assert not table.attrs["passed"]
    assert by_input(table).loc["error only", "verdict"] == "fail"
    assert by_input(table).loc["error only", "r2"] > 0.95


def test_a_planted_leak_is_caught_where_the_pipeline_passes():
    table = audit_leakage(Photons(), n=800, inputs=lambda batch: batch.noiseless_sigma)
    assert not table.attrs["passed"] and by_input(table).loc["given inputs", "r2"] > 0.8
    weak = audit_leakage(Photons(), n=800, inputs=lambda batch: batch.magnitude[:, None])
    assert weak.attrs["passed"]


def test_what_brightness_tells_is_no_leak():
    rows = by_input(audit_leakage(Photons(dwarfs_are_faint=2.0), n=800))
    expected = 4 * 0.75 / (1 + 4 * 0.75)  # slope² Var(magnitude) of the label's variance
    assert rows.loc["magnitude only", "r2"] == pytest.approx(expected, abs=0.05)
    assert rows.loc["error only", "r2"] == pytest.approx(expected, abs=0.05)
    assert rows.loc["error only", "verdict"] == "pass"


def test_masked_pixels_tell_nothing():
    class Masked(Photons):
        def draw(self, n, **options):
            batch = super().draw(n, **options)
            batch.ivar[:, 5:9] = 0
            batch.ivar[::7] = 0
            batch.flux[:, 5:9] = torch.nan
            return batch

    table = audit_leakage(Masked(), n=400)
    assert table.attrs["passed"] and np.isfinite(table["r2"]).all()


def test_what_audit_leakage_refuses():
    with pytest.raises(ValueError, match=r"label must be among \('logg',\), got 'teff'"):
        audit_leakage(Photons(), n=50, label="teff")
    with pytest.raises(ValueError, match=r"inputs must give an array of shape \(50, p\), got \(50,\)"):
        audit_leakage(Photons(), n=50, inputs=lambda batch: batch.magnitude)


@pytest.mark.parametrize("name", ["paper", "pfs-mr"])
def test_the_shipped_pipeline_passes_and_its_noiseless_errors_do_not(name):
    survey = Survey(name, seed=3)
    table = audit_leakage(survey, n=300)
    rows = by_input(table)
    assert rows.loc["error only", "excess"] < 0.02 and rows.loc["error only", "verdict"] == "pass"
    if name == "paper":
        planted = audit_leakage(survey, n=300, inputs=lambda batch: batch.noiseless_sigma)
        assert not planted.attrs["passed"] and by_input(planted).loc["given inputs", "r2"] > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "pfs-mr"])
def test_the_shipped_pipeline_on_many_stars(name):
    table = audit_leakage(Survey(name, seed=3), n=3000)
    rows = by_input(table)
    assert table.attrs["passed"] and rows.loc["error only", "excess"] < 0.02
    assert rows.loc["noiseless sigma", "r2"] > (0.98 if name == "paper" else 0.4)


def test_data_sets_are_audited(tmp_path):
    from specvit.dataset import SpectrumDataset, write_dataset

    write_dataset(Survey("paper", seed=3), tmp_path / "stars.h5", 200)
    table = audit_leakage(SpectrumDataset(tmp_path / "stars.h5"), n=200)
    rows = by_input(table)
    assert rows.loc["error only", "verdict"] == "pass" and set(table["n"]) == {200}
    assert rows.loc["noiseless sigma", "r2"] > 0.6


# -- predictors -------------------------------------------------------------------------------------------


class Honest:
    """Learns from the scaled flux."""

    model = RidgeCV(np.logspace(-2, 3, 11))

    def fit(self, survey):
        batch = survey.draw(2000, stream=0)
        inputs = self.inputs(batch.flux.numpy(), batch.ivar.numpy())
        self.model = clone(self.model).fit(inputs, batch.labels[:, 0].numpy())
        return self

    def inputs(self, flux, ivar):
        return flux / np.median(flux, axis=1, keepdims=True)

    def predict(self, flux, ivar=None):
        return self.model.predict(self.inputs(flux, ivar))

    def predict_labels(self, flux, *, ivar=None, on_error="raise"):
        mean = self.predict(flux, ivar)[:, None]
        return Predictions(("logg",), mean, np.full_like(mean, np.nan), (len(flux),))


class Dishonest(Honest):
    """Learns from the errors."""

    model = Ridge(1e-3)

    def inputs(self, flux, ivar):
        return np.log(ivar)


def test_predictors_that_read_the_errors_are_found():
    clean, leaky = Photons(), Photons(leaky=True)
    table = audit_predictor(Honest().fit(clean), clean, n=800)
    rows = by_input(table)
    assert table.attrs["passed"] and rows.loc["flux exchanged", "r2"] < 0.02
    assert rows.loc["as observed", "r2"] > 0.8
    table = audit_predictor(Dishonest().fit(leaky), leaky, n=800)
    assert not table.attrs["passed"] and by_input(table).loc["flux exchanged", "r2"] > 0.9
    # An honest predictor passes where there is a leak that it does not use.
    assert audit_predictor(Honest().fit(leaky), leaky, n=800).attrs["passed"]


def test_brightness_in_the_exchanged_flux_is_allowed():
    survey = Photons(dwarfs_are_faint=2.0)
    table = audit_predictor(Honest().fit(survey), survey, n=800)
    rows = by_input(table)
    assert table.attrs["passed"] and rows.loc["flux exchanged", "r2"] > 0.5  # stars as bright are alike
    assert rows.loc["flux exchanged", "r2"] < rows.loc["magnitude only", "r2"] + 0.02


def test_fluxes_are_exchanged_among_stars_of_like_brightness():
    """The predictor is handed all as observed, then every star's errors with another star's flux."""
    seen = []

    class Witness:
        def predict(self, flux, ivar):
            seen.append((np.array(flux), np.array(ivar)))
            return np.linspace(0, 1, len(flux))

    audit_predictor(ForeignPredictor(Witness(), ivar=True), Photons(), n=1000)
    half = len(seen) // 2
    flux, ivar = (np.concatenate(arrays) for arrays in zip(*seen[:half], strict=True))
    swapped, same = (np.concatenate(arrays) for arrays in zip(*seen[half:], strict=True))
    np.testing.assert_array_equal(ivar, same)
    level = np.median(flux, axis=1)
    np.testing.assert_allclose(np.median(swapped, axis=1), level, rtol=0.03)  # of 48 pixels, the lower middle
    shapes, found = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (flux, swapped))
    likeness = found @ shapes.T
    other = likeness.argmax(1)
    assert likeness.max(1) == pytest.approx(np.ones(1000), abs=1e-6)
    assert sorted(other) == list(range(1000)) and not (other == np.arange(1000)).any()
    rank = np.argsort(np.argsort(level))
    assert np.quantile(np.abs(rank - rank[other]), 0.95) < 40  # of 1000


def test_what_audit_predictor_refuses():
    class Silent:
        def predict(self, X):
            return np.full(len(X), np.nan)

    class Teff:
        label_names = ("teff",)

        def predict(self, X):
            return np.zeros((len(X), 1))

    with pytest.raises(ValueError, match="finite numbers for at least 10 spectra, got 0"):
        audit_predictor(Silent(), Photons(), n=50)
    with pytest.raises(ValueError, match=r"predictor must predict 'logg', it predicts \('teff',\)"):
        audit_predictor(Teff(), Photons(), n=50)
    constant = audit_predictor(type("C", (), {"predict": lambda self, X: np.ones(len(X))})(), Photons(), n=50)
    assert by_input(constant).loc["flux exchanged", "r2"] == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("weights", "survey"), [("paper", "paper"), ("any", "pfs-mr")])
def test_the_bundled_networks_read_no_labels_in_the_errors(weights, survey):
    from specvit.weights import load_weights

    table = audit_predictor(load_weights(weights)[0], Survey(survey, seed=9), n=1500, batch_size=250)
    assert table.attrs["passed"]

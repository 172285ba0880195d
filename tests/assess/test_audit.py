"""Audits find what is planted and pass what is clean; calibration and cross-noise against closed forms."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn.base import clone
from sklearn.linear_model import Ridge, RidgeCV

from specvit.assess import (
    audit_calibration,
    audit_leakage,
    audit_predictor,
    coverage_curve,
    cross_noise_matrix,
    evaluate,
    pit,
    reliability,
)
from specvit.assess.outoffold import out_of_fold
from specvit.survey import Survey, SurveyBatch

# -- the regression ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p"), [(60, 7), (40, 90)])  # by products of inputs, and of spectra
def test_ridge_is_scikit_learns(n, p):
    rng = np.random.default_rng(0)
    X = rng.normal(5, [1 + k for k in range(p)], (n, p))
    y = np.stack([X[:, 0] + rng.normal(0, 1, n), rng.normal(3, 1, n)], 1)
    inputs = np.concatenate([X, np.full((n, 1), 4.2)], 1)  # a column that never varies is left out
    scaled, penalties = X / X.std(0, ddof=1), (1e-3, 0.3)
    parts = np.array_split(np.random.default_rng([2, 3]).permutation(n), 4)
    expected = np.empty((2, n, 2))
    for k, test in enumerate(parts):
        train = np.concatenate([part for i, part in enumerate(parts) if i != k])
        for i, penalty in enumerate(penalties):
            model = Ridge(alpha=penalty * len(train), solver="svd").fit(scaled[train], y[train])
            expected[i, test] = model.predict(scaled[test])
    for i, penalty in enumerate(penalties):
        found = out_of_fold(torch.as_tensor(inputs), y, folds=4, penalties=[penalty], seed=2)
        np.testing.assert_allclose(found, expected[i], rtol=1e-8)
    first = parts[0]
    best = np.square(expected[:, first] - y[first]).sum(1).argmin(0)
    chosen = np.stack([expected[best[t], :, t] for t in range(2)], 1)
    found = out_of_fold(torch.as_tensor(inputs), y, folds=4, penalties=penalties, seed=2)
    np.testing.assert_allclose(found, chosen, rtol=1e-8)


def test_ridge_refuses():
    with pytest.raises(ValueError, match="n must be at least 10 for 5 folds, got 9"):
        out_of_fold(torch.zeros(9, 2), np.zeros((9, 1)))
    with pytest.raises(ValueError, match="inputs must be finite"):
        out_of_fold(torch.full((20, 2), torch.nan), np.zeros((20, 1)))


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
    with pytest.raises(ValueError, match=r"label must be among those of the data, \('logg',\), got 'teff'"):
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

    audit_predictor(Witness(), Photons(), n=1000)
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
@pytest.mark.parametrize("name", ["paper", "pfs-mr"])
def test_the_bundled_networks_read_no_labels_in_the_errors(name):
    from specvit.weights import load_weights

    table = audit_predictor(load_weights(name)[0], Survey(name, seed=9), n=1500, batch_size=250)
    assert table.attrs["passed"]


# -- calibration ------------------------------------------------------------------------------------------


def gaussian(bias=0.0, scale=1.0, n=40_000):
    """Truth N(0, 1)-distributed about predictions off by bias σ, with σ too small by `scale`."""
    rng = np.random.default_rng(6)
    sigma = rng.uniform(0.1, 1.0, n)
    truth = rng.normal(3, 1, n)
    return truth, truth - sigma * (bias + scale * rng.normal(size=n)), sigma


def test_calibrated_errors_are_found_so():
    columns = gaussian()
    np.testing.assert_allclose(np.histogram(pit(*columns), 10, (0, 1))[0], 4000, atol=4 * 60)
    curve = coverage_curve(*columns)
    assert list(curve["nominal"]) == pytest.approx(np.arange(0.05, 0.96, 0.05))
    assert (np.abs(curve["actual"] - curve["nominal"]) < 4 * curve["actual_err"]).all()
    table = reliability(*columns, bins=8)
    assert (np.abs(table["actual"] - table["predicted"]) < 4 * table["actual_err"]).all()
    assert (table["n"] == 5000).all() and (table["low"].to_numpy()[1:] >= table["high"].to_numpy()[:-1]).all()
    np.testing.assert_allclose(table["predicted"], np.linspace(0.16, 0.94, 8), atol=0.02)
    np.testing.assert_allclose(table["actual_err"] / table["actual"], 1 / np.sqrt(2 * 5000), rtol=0.1)


def test_wrong_errors_in_closed_form():
    """σ too small by 2: intervals of nominal p hold 2Φ(Φ⁻¹((1 + p)/2)/2) − 1, and the rms is 2 σ."""
    columns = gaussian(scale=2.0)
    curve = coverage_curve(*columns, levels=(0.5, 0.9))
    np.testing.assert_allclose(curve["actual"], 2 * norm.cdf(norm.ppf([0.75, 0.95]) / 2) - 1, atol=0.01)
    np.testing.assert_allclose(reliability(*columns)["ratio"], 2, rtol=0.06)


def test_summary_of_every_predictor():
    frames = []
    for name, options in {"good": {}, "biased": {"bias": 0.5}, "no sigma": {}}.items():
        truth, prediction, sigma = gaussian(**options)
        frame = pd.DataFrame({"truth": truth, "prediction": prediction, "sigma": sigma})
        frames.append(frame.assign(predictor=name, label="logg"))
    frames[2]["sigma"] = np.nan
    frames[0].loc[:9, "prediction"] = np.nan
    table = audit_calibration(pd.concat(frames)).set_index("predictor")
    assert list(table.index) == ["good", "biased"]
    good, biased = table.loc["good"], table.loc["biased"]
    assert good["n"] == 39_990 and good["mean"] == pytest.approx(0, abs=0.02)
    assert good["std"] == pytest.approx(1, abs=0.02)
    assert good["p_value"] > 0.001 and good["miscoverage"] < 0.015
    # sup |Φ(x) − Φ(x − b)| is at x = b/2.
    assert biased["ks"] == pytest.approx(2 * norm.cdf(0.25) - 1, abs=0.01) and biased["p_value"] < 1e-10
    assert biased["mean"] == pytest.approx(0.5, abs=0.02)
    z = norm.ppf((1 + biased["at"]) / 2)
    expected = biased["at"] - (norm.cdf(z - 0.5) - norm.cdf(-z - 0.5))
    assert biased["miscoverage"] == pytest.approx(expected, abs=0.01)


def test_what_calibration_refuses():
    with pytest.raises(ValueError, match=r"sigma must be positive, the least is 0\.0"):
        pit([1, 2], [1, 2], [1, 0])
    with pytest.raises(ValueError, match="truth must be finite, 1 of 2 are not"):
        reliability([1, np.nan], [1, 2], [1, 1])
    with pytest.raises(ValueError, match=r"one shape \(n,\), n > 0, got \(0,\)"):
        coverage_curve([], [], [])
    with pytest.raises(ValueError, match=r"levels must lie between 0 and 1, got \[1.0\]"):
        coverage_curve([1], [1], [1], levels=[1])
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        reliability([1], [1], [1], bins=0)


# -- noise ------------------------------------------------------------------------------------------------


class PosteriorMean:
    label_names = ("x", "y")

    def __init__(self, toy):
        self.toy = toy

    def predict(self, X):
        return self.toy.posterior_mean(X)


def test_cross_noise_in_closed_form(linear_gaussian):
    levels = (1.0, 5.0, 12.0)
    asked = []

    def trainer(level):
        asked.append(level)
        return PosteriorMean(linear_gaussian(level))

    table = cross_noise_matrix(trainer, linear_gaussian, levels, label="y", n=20_000, bootstrap=20)
    assert tuple(asked) == levels
    matrix = table.pivot(index="trained", columns="tested", values="r2")
    assert list(matrix.index) == list(matrix.columns) == list(levels)
    for a in levels:
        at_a = linear_gaussian(a)
        slopes = at_a.basis[1:].numpy().T  # (n_pixels, 2)
        gain = at_a.covariance @ (slopes / at_a.variance.numpy()[:, None]).T
        for b in levels:
            at_b = linear_gaussian(b)
            loss = gain @ slopes - np.eye(2)
            mse = loss @ np.diag(at_b.prior_sigma**2) @ loss.T + (gain * at_b.variance.numpy()) @ gain.T
            error = table.loc[(table["trained"] == a) & (table["tested"] == b), "r2_err"].item()
            assert matrix.loc[a, b] == pytest.approx(1 - mse[1, 1] / 4, abs=5 * error + 1e-4)
    for b in levels:  # nothing is better than to train at the noise of the test
        assert matrix[b].idxmax() == b
    assert "definitions" in table.attrs and {"mae", "mae_err", "unusable", "snr"} < set(table.columns)


def test_cross_noise_of_given_predictors(linear_gaussian):
    predictors = {5.0: PosteriorMean(linear_gaussian(5.0))}
    table = cross_noise_matrix(
        predictors, linear_gaussian, [5.0], test_levels=[1.0, 5.0], label="x", n=200, bootstrap=0, seed=3
    )
    assert list(table["tested"]) == [1.0, 5.0] and (table["trained"] == 5).all()
    direct = evaluate({"a": predictors[5.0]}, linear_gaussian(1.0), n=200, labels="x", limits=False, seed=3)
    assert table["r2"][0] == direct["r2"][0]
    with pytest.raises(ValueError, match="levels must be at least one"):
        cross_noise_matrix(predictors, linear_gaussian, [])

"""One table for all predictors: against closed forms, scikit-learn and the predictors' own records."""

import io
import sys
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from specvit.assess import METRICS, check_limits, evaluate
from specvit.grid import FWHM_PER_SIGMA, PixelGrid
from specvit.labels import LABELS
from specvit.limits import bayes_limit, survey_fisher
from specvit.limits.compressed import CompressedSpectra
from specvit.network import LabelRegressor, ViTConfig
from specvit.network.inputs import median_snr
from specvit.predictors import ForeignPredictor, LoggEstimator, Predictions, RidgeEstimator
from specvit.stars import Emulator, regrid_emulator
from specvit.survey import NoNoise, SNRNoise, Survey, SurveyBatch, TablePrior
from specvit.survey.streams import EVALUATION

COLUMNS = ["predictor", "kind", "label", "by", "low", "high", "centre", "snr", "n", "unusable"]
COLUMNS += [column for name in METRICS for column in (name, f"{name}_err")]
LIMITS = ("Bayes limit", "van Trees bound")
EXACT = {"amplitude": 1.0, "n_draws": 2000, "target_ess": 4000}


@pytest.fixture(scope="module")
def paper_spectra():
    return CompressedSpectra(Survey("paper", seed=4), 22.5, n=300)


class Best:
    """The posterior mean and its σ in closed form."""

    def __init__(self, toy):
        self.toy = toy

    def predict_labels(self, X, *, ivar=None, on_error="raise"):
        mean = self.toy.posterior_mean(X)
        sigma = np.broadcast_to(np.sqrt(np.diag(self.toy.covariance)), mean.shape)
        return Predictions(("x", "y"), mean, sigma, mean.shape[:1])


@pytest.mark.parametrize(("noise", "n"), [(0.3, 20_000), (5.0, 80_000)])
def test_linear_gaussian_survey_in_closed_form(linear_gaussian, noise, n):
    """The optimal predictor reaches R²_Bayes to 1 % and its intervals cover; ridge does not exceed it."""
    toy = linear_gaussian(noise)
    train = toy.draw(3000, stream=1)
    ridge = Ridge(alpha=1.0).fit(train.flux.numpy(), train.labels.numpy())
    ridge.label_names = ("x", "y")
    table, predictions = evaluate(
        {"best": Best(toy), "ridge": ridge},
        toy,
        n=n,
        labels=("x", "y"),
        limits={"spectra": toy, **EXACT},
        limit_stars=32,
        batch_size=20_000,
        bootstrap=30,
        return_predictions=True,
    )
    overall = table[table["by"] == "overall"].set_index(["predictor", "label"])
    for k, label in enumerate(toy.label_names):
        best, limit = overall.loc["best", label], overall.loc["Bayes limit", label]
        assert best["r2"] == pytest.approx(toy.r2[k], rel=0.01)
        assert limit["r2"] == pytest.approx(toy.r2[k], rel=0.01)
        sigma = np.sqrt(toy.covariance[k, k])
        assert best["rmse"] == pytest.approx(sigma, rel=0.02)
        assert best["scatter"] == pytest.approx(sigma, rel=0.03)
        assert best["mae"] == pytest.approx(np.sqrt(2 / np.pi) * sigma, rel=0.02)
        assert best["coverage68"] == pytest.approx(0.6827, abs=4 * best["coverage68_err"])
        assert best["coverage95"] == pytest.approx(0.95, abs=4 * best["coverage95_err"])
        assert abs(best["bias"]) < 4 * best["bias_err"]
        assert np.isnan(overall.loc["ridge", label]["coverage68"])
        assert overall.loc["ridge", label]["r2"] < toy.r2[k] + 2 * overall.loc["ridge", label]["r2_err"]
    assert not len(check_limits(table, 3.0)) and not len(check_limits(table, 3.0, predictions=predictions))


class Cheat:
    """Knows the truth of the stars to come, and mixes a share of it into the best estimate."""

    label_names = ("x", "y")

    def __init__(self, toy, truth, share):
        self.toy, self.truth, self.share = toy, truth, share

    def predict(self, X):
        return (1 - self.share) * self.toy.posterior_mean(X) + self.share * self.truth


def test_whoever_beats_the_limit_is_found(linear_gaussian):
    toy = linear_gaussian(5.0)
    options = {
        "n": 100,
        "labels": "x",
        "limits": {"spectra": toy, **EXACT},
        "limit_stars": 100,
        "bootstrap": 100,
    }
    _, honest = evaluate({"best": Best(toy)}, toy, return_predictions=True, **options)
    honest = honest[honest["predictor"] == "best"]
    truth = toy.draw(100, stream=EVALUATION).labels.numpy()
    np.testing.assert_array_equal(truth[:, 0], honest["truth"])
    cheats = {str(share): Cheat(toy, truth, share) for share in (0.03, 0.9)}
    table, predictions = evaluate({"best": Best(toy)} | cheats, toy, return_predictions=True, **options)
    assert set(check_limits(table)["predictor"]) == {"0.9"}
    found = check_limits(table, predictions=predictions)
    assert set(found["predictor"]) == {"0.03", "0.9"}  # on the same spectra a small excess is seen
    overall = found[found["by"] == "overall"].set_index("predictor")
    limit = overall["limit"].iloc[0]
    assert limit == pytest.approx(r2_score(honest["truth"], honest["prediction"]), abs=0.01)
    assert overall.loc["0.03", "excess"] == pytest.approx((1 - 0.97**2) * (1 - limit), rel=0.15)
    assert (found["n"] == 100).all() and (found["error"] > 0).all()
    with pytest.raises(ValueError, match="table has no 'Bayes limit'"):
        check_limits(table[table["kind"] == "predictor"])
    with pytest.raises(ValueError, match="tolerance must not be negative, got -1"):
        check_limits(table, -1)


class Magnitudes:
    """A survey without physics: two pixels hold a number of the star and its magnitude."""

    label_names = LABELS
    streams = ()

    def __init__(self, low=20.0, high=22.0):
        self.range = low, high

    def __repr__(self):
        return "Magnitudes()"

    def draw(self, n, *, stream, device="cpu", magnitude=None):
        self.streams = (*self.streams, stream)
        rng = np.random.default_rng(stream)
        labels = torch.as_tensor(rng.normal([5000, 3, -1, 0, 0], [500, 1, 0.5, 0.1, 0.1], (n, 5)))
        own = torch.as_tensor(rng.uniform(*self.range, n), dtype=torch.float32)
        mag = own if magnitude is None else torch.full((n,), float(magnitude))
        flux = torch.stack([labels[:, 1] + 20, labels[:, 1] + 20, mag], 1)
        sigma = (flux[:, :1] * 10 ** (0.4 * (mag[:, None] - 24))).expand(-1, 3)  # S/N = 10^(−0.4 (m − 24))
        return SurveyBatch(flux, 1 / sigma**2, labels, mag, flux, sigma)


class Offset:
    """log g from the first pixel, with an error that is the star's own whatever its magnitude."""

    def predict(self, X):
        return X[:, 0] - 20 + np.sin(1e4 * X[:, 0])


def test_every_row_is_what_the_predictions_say():
    rng = np.random.default_rng(0)

    class Noisy(Offset):
        def predict(self, X, return_std=False):
            return super().predict(X) + rng.normal(0, 0.3, len(X)), np.full(len(X), 0.7)

    table, predictions = evaluate(
        {"offset": Offset(), "noisy": ForeignPredictor(Noisy(), return_std=True)},
        Magnitudes(),
        n=1500,
        batch_size=400,
        return_predictions=True,
    )
    assert list(table.columns) == COLUMNS
    assert table["n"].dtype == table["unusable"].dtype == int
    assert set(predictions["predictor"]) == {"offset", "noisy"} and len(predictions) == 3000
    assert list(predictions.columns) == [
        *("predictor", "label", "star", "magnitude", "snr", "truth", "prediction", "sigma"),
        *LABELS,
    ]
    np.testing.assert_array_equal(predictions["truth"], predictions["logg"])
    np.testing.assert_allclose(predictions["snr"], 10 ** (-0.4 * (predictions["magnitude"] - 24)), rtol=1e-3)
    assert list(table.loc[(table["predictor"] == "noisy") & (table["by"] == "magnitude"), "low"]) == [
        *(20.0, 20.5, 21.0, 21.5)
    ]
    for _, row in table.iterrows():
        own = predictions[predictions["predictor"] == row["predictor"]]
        if row["by"] != "overall":
            own = own[(own[row["by"]] >= row["low"]) & (own[row["by"]] < row["high"])]
            assert row["centre"] == pytest.approx(own[row["by"]].median())
        assert row["n"] == len(own) and row["unusable"] == 0 and row["kind"] == "predictor"
        assert row["snr"] == pytest.approx(own["snr"].median())
        assert row["r2"] == pytest.approx(r2_score(own["truth"], own["prediction"]))
        assert row["mae"] == pytest.approx(mean_absolute_error(own["truth"], own["prediction"]))
        assert row["bias_err"] == pytest.approx(
            np.std(own["prediction"] - own["truth"]) / len(own) ** 0.5, rel=0.3
        )
    assert table.attrs["survey"] == "Magnitudes()" and table.attrs["seed"] == 0
    assert set(METRICS) < set(table.attrs["definitions"]) and "no model" in table.attrs["limits"]
    again = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    pd.testing.assert_frame_equal(again, table, check_dtype=False)


def test_stars_at_several_magnitudes_are_the_same_and_resampled_together():
    survey = Magnitudes()
    table, predictions = evaluate(
        {"a": Offset()}, survey, n=400, magnitudes=(20.1, 21.3), return_predictions=True, seed=7
    )
    one, two = (group for _, group in predictions.groupby("magnitude"))
    np.testing.assert_array_equal(one["truth"], two["truth"])
    np.testing.assert_array_equal(one["star"], two["star"])
    rows = table[table["by"] == "magnitude"]
    assert list(rows["low"]) == list(rows["high"]) == list(rows["centre"]) == [20.1, 21.3]
    # The residuals repeat: twice the spectra of the same stars know no more of the mean.
    overall = table[table["by"] == "overall"].iloc[0]
    assert overall["n"] == 800
    assert overall["bias_err"] == pytest.approx(rows["bias_err"].iloc[0], rel=1e-6)
    assert min(survey.streams) >= EVALUATION and len(set(survey.streams)) == 1
    other = evaluate({"a": Offset()}, survey, n=400, seed=8)
    assert survey.streams[-1] != survey.streams[0] and other["r2"][0] != overall["r2"]


def test_one_magnitude_is_one_bin():
    table = evaluate({"a": Offset()}, Magnitudes(20.1, 20.1), n=100, snr_bins=(10, 60))
    assert list(table["by"]) == ["overall", "magnitude", "snr"]
    assert table["low"][1] == table["high"][1] == 20.1
    few = evaluate({"a": Offset()}, Magnitudes(20.1, 20.1), n=19)
    assert list(few["by"]) == ["overall"]


def test_unusable_spectra_count_against_their_predictor_alone():
    class Partial(Offset):
        def predict(self, X):
            return np.where(X[:, 2] > 21, np.nan, super().predict(X))

    table = evaluate({"partial": Partial(), "whole": Offset()}, Magnitudes(), n=600, bootstrap=50)
    table = table[table["by"] == "magnitude"].set_index(["predictor", "low"])
    for low in (20.0, 20.5):
        pd.testing.assert_series_equal(
            table.loc["partial", low], table.loc["whole", low], check_names=False
        )  # the same stars and the same resamples
    for low in (21.0, 21.5):
        row = table.loc["partial", low]
        assert row["n"] == 0 and row["unusable"] == table.loc["whole", low]["n"] and np.isnan(row["r2"])


class Recorder(Offset):
    def __init__(self, spoil=False):
        self.seen, self.spoil = [], spoil

    def predict(self, flux, *, ivar=None):
        self.seen.append((flux.copy(), ivar.copy()))
        result = super().predict(flux)
        if self.spoil:
            flux[:], ivar[:] = -1, 0
        return result


def test_all_predictors_see_identical_spectra_and_noise():
    spoiler, second = Recorder(spoil=True), Recorder()
    predictors = {"spoiler": spoiler, "second": second}
    predictors = {name: ForeignPredictor(one, ivar=True) for name, one in predictors.items()}
    evaluate(predictors, Magnitudes(), n=90, batch_size=40)
    assert [len(flux) for flux, _ in second.seen] == [40, 40, 10]
    for first, other in zip(spoiler.seen, second.seen, strict=True):
        for a, b in zip(first, other, strict=True):
            assert isinstance(a, np.ndarray)
            np.testing.assert_array_equal(a, b)


def test_every_kind_of_predictor_is_asked_in_its_way():
    survey = Magnitudes()
    train = survey.draw(500, stream=0)
    X, y = train.flux.numpy(), train.labels.numpy()[:, 1]

    class Careful:
        def predict(self, X):
            raise AssertionError("what tells labels and σ is asked for these")

        def predict_labels(self, X, *, ivar=None, on_error="raise"):
            assert on_error == "nan" and ivar.shape == X.shape
            mean = X[:, :1] - 20
            return Predictions(("logg",), mean, np.ones_like(mean), mean.shape[:1])

    network = LabelRegressor.build(
        ViTConfig(n_pixels=3, patch_size=1, width=8, depth=1, heads=1), ("teff", "logg")
    )
    many = Ridge().fit(X, train.labels.numpy())
    many.label_names = LABELS
    table = evaluate(
        {
            "plain": Ridge().fit(X, y),
            "pipeline": make_pipeline(StandardScaler(), Ridge()).fit(X, y),
            "column": Ridge().fit(X, y[:, None]),
            "with sigma": ForeignPredictor(BayesianRidge().fit(X, y), "log g", return_std=True),
            "careful": Careful(),
            "network": network,
            "many": many,
        },
        survey,
        n=50,
        labels=("log g", "Teff"),
    )
    overall = table[table["by"] == "overall"].set_index(["predictor", "label"])
    assert set(overall.loc["network"].index) == set(overall.loc["many"].index) == {"logg", "teff"}
    assert list(overall.loc["plain"].index) == ["logg"]
    assert overall.loc["plain", "logg"]["r2"] > 0.99
    for name, known in (("plain", False), ("with sigma", True), ("careful", True), ("network", True)):
        assert np.isfinite(overall.loc[name, "logg"]["coverage68"]) == known
    batch = survey.draw(50, stream=EVALUATION)
    mean, _ = network.predict(batch.flux.float(), batch.ivar.float())
    expected = r2_score(batch.labels[:, 0].numpy(), mean[:, 0].numpy())
    assert overall.loc["network", "teff"]["r2"] == pytest.approx(expected, rel=1e-5)


def test_every_label_of_every_predictor_is_measured():
    ridge = RidgeEstimator(3.0, labels=("logg", "teff")).fit(Survey("paper", n=300, seed=3, magnitude=19.0))
    predictors = {"net": LoggEstimator("paper", device="cpu"), "ridge": ridge}
    options = {"n": 60, "magnitudes": (19.0,), "limits": False, "bootstrap": 0, "return_predictions": True}
    table, predictions = evaluate(predictors, Survey("paper"), labels=("logg", "teff"), **options)
    overall = table[table["by"] == "overall"].set_index(["predictor", "label"])
    assert list(overall.index) == [(name, label) for name in predictors for label in ("logg", "teff")]
    assert (overall["unusable"] == 0).all() and overall["coverage68"].between(0.3, 1).all()
    assert (overall.loc["net", "r2"] > 0.9).all() and overall.loc[("ridge", "teff"), "r2"] > 0.8
    # The numbers are those that the predictors give by themselves.
    batch = Survey("paper").draw(60, stream=EVALUATION, magnitude=19.0)
    own = predictors["net"].predict_table(batch.flux, ivar=batch.ivar)["teff"].value
    seen = predictions[(predictions["predictor"] == "net") & (predictions["label"] == "teff")]
    np.testing.assert_allclose(seen["prediction"], own, rtol=1e-6)


def test_what_is_refused():
    survey, good = Magnitudes(), {"a": Offset()}

    class Wrong:
        def predict(self, X):
            return np.zeros((len(X), 2))

    with pytest.raises(TypeError, match="predictors must be a dict"):
        evaluate(Offset(), survey)
    with pytest.raises(
        TypeError, match=r"predictors\['b'\] must have a method predict_labels or predict, int"
    ):
        evaluate({"b": 3}, survey)
    with pytest.raises(
        ValueError, match=r"must predict shape \(50, 1\) for its labels \('logg',\), got \(50, 2\)"
    ):
        evaluate({"b": Wrong()}, survey, n=50)
    with pytest.raises(ValueError, match="must not have the name of a limit, got 'Bayes limit'"):
        evaluate({"Bayes limit": Offset()}, survey)
    with pytest.raises(ValueError, match=r"labels must be among \('teff', .*, got 'age'"):
        evaluate(good, survey, labels="age")

    class Shapeless:
        def predict_labels(self, X, *, ivar=None, on_error="raise"):
            return Predictions(("logg", "teff"), X[:, :2], X[:, :1], (len(X),))

    with pytest.raises(ValueError, match=r"predictors\['c'\] must predict shape \(50, 2\) .*sigma \(50, 1\)"):
        evaluate({"c": Shapeless()}, survey, n=50)
    with pytest.raises(ValueError, match="none of the predictors predicts 'teff'"):
        evaluate(good, survey, n=50, labels=("logg", "teff"))
    for name, value in {
        "n": 1,
        "limit_stars": 1,
        "bootstrap": -1,
        "snr_bins": (3, 2),
        "magnitudes": (),
    }.items():
        with pytest.raises(ValueError, match=f"{name} must"):
            evaluate(good, survey, **{name: value})


def test_progress_of_predictions_and_of_limits(paper_spectra):
    told = []
    survey = Survey("paper", seed=2)
    regressor = LabelRegressor.build(ViTConfig(n_pixels=4096, width=16, depth=1, heads=2, mlp=16), LABELS)
    options = {"n": 30, "batch_size": 20, "limit_stars": 4, "bootstrap": 0, "magnitudes": [20.5, 22.0]}
    options["limits"] = {"spectra": paper_spectra, "n_prior": 512, "n_draws": 50, "n_rounds": 1}
    evaluate({"a": regressor}, survey, **options, progress=lambda *now: told.append(now))
    assert told == [
        *(("predictions", done, 60) for done in (0, 20, 30, 50, 60)),
        *(("limits", done, 8) for done in (0, 4, 8)),
    ]


def test_surveys_of_many_instruments_are_refused():
    with pytest.raises(ValueError, match=r"data must be seen by one instrument.*instrumentcells"):
        evaluate({"a": Offset()}, Survey("any"), n=20)


def test_lines_of_progress_on_a_terminal_only(monkeypatch, capsys):
    options = {"n": 20, "bootstrap": 0, "limits": False}
    evaluate({"a": Offset(), "b": Offset()}, Magnitudes(), **options)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("specvit.progress.on_terminal", lambda shown=None: shown is None)
    evaluate({"a": Offset(), "b": Offset()}, Magnitudes(), **options)
    told = capsys.readouterr().err
    assert "predictions: 0/20\r" in told and "predictions: 20/20" in told and told.endswith("\n")
    evaluate({"a": Offset()}, Magnitudes(), progress=False, **options)
    assert capsys.readouterr().err == ""


def test_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install specvit\[evaluate\]"):
        evaluate({"a": Offset()}, Magnitudes(), n=20)


class Constant:
    def predict(self, flux, ivar=None):
        return np.full(len(flux), 3.0)


def test_data_sets_are_read_with_frozen_noise(tmp_path):
    from specvit.dataset import SpectrumDataset, write_dataset

    survey = Survey("paper", seed=3)
    write_dataset(survey, tmp_path / "stars.h5", 60)
    dataset = SpectrumDataset(tmp_path / "stars.h5")
    recorder = Recorder()
    table, predictions = evaluate(
        {"a": ForeignPredictor(recorder, ivar=True)},
        dataset,
        n=50,
        batch_size=30,
        seed=42,
        bootstrap=0,
        return_predictions=True,
    )
    assert table["n"][0] == 50 and np.isnan(table["r2_err"]).all() and "data set" in table.attrs["limits"]
    flux, ivar, labels = next(iter(dataset.frozen(50, seed=42)))
    for k, expected in enumerate((flux, ivar)):
        np.testing.assert_array_equal(np.concatenate([seen[k] for seen in recorder.seen]), expected)
    np.testing.assert_allclose(predictions["snr"], median_snr(flux, ivar), atol=1e-4)
    np.testing.assert_allclose(predictions["magnitude"], dataset.column("mag")[:50], atol=1e-4)
    np.testing.assert_array_equal(predictions["mh"], labels[:, 2])
    quiet = evaluate(
        {"a": ForeignPredictor(Recorder(), ivar=True)}, dataset.frozen(30, noise_level=0.5), n=50, bootstrap=0
    )
    assert quiet["snr"][0] == pytest.approx(2 * table["snr"][0], rel=0.1)
    with pytest.raises(ValueError, match="magnitudes are for surveys"):
        evaluate({"a": Constant()}, dataset, magnitudes=(20,))


def test_limits_of_the_paper_survey(paper_spectra):
    survey = Survey("paper", seed=4)
    options = {"spectra": paper_spectra, "n_prior": 2048, "n_draws": 400, "target_ess": 300}
    table, predictions = evaluate(
        {"a": Constant()},
        survey,
        n=60,
        magnitudes=[22.5],
        limits=options,
        limit_stars=12,
        return_predictions=True,
    )
    limits = table[(table["kind"] == "limit") & (table["by"] == "magnitude")].set_index("predictor")
    assert (limits["n"] == 12).all() and table.attrs["limits"] == "from the first 12 stars"
    batch = survey.draw(60, stream=EVALUATION, magnitude=22.5)
    part = SurveyBatch(
        *(getattr(batch, name)[:12] for name in ("flux", "ivar", "labels", "magnitude")),
        batch.noiseless[:12],
        batch.noiseless_sigma[:12],
    )
    bayes = bayes_limit(survey, 22.5, batch=part, **options)
    assert limits.loc["Bayes limit", "r2"] == pytest.approx(bayes.r2[1], rel=1e-6)
    assert limits.loc["Bayes limit", "r2_err"] == pytest.approx(bayes.r2_err[1], rel=1e-6)
    assert limits.loc["Bayes limit", "mae_err"] == pytest.approx(bayes.mae_err[1], rel=1e-6)
    own = predictions[predictions["predictor"] == "Bayes limit"]
    np.testing.assert_allclose(own["prediction"], bayes.posterior.mean[:, 1])
    np.testing.assert_allclose(own["truth"], part.labels[:, 1])
    crlb = survey_fisher(survey, part.labels, 22.5).crlb("logg")
    variance = survey.prior.sample(400_000, np.random.default_rng(0))[:, 1].var()
    for name, value in (("median", np.median(crlb)), ("mean", np.mean(crlb))):
        row = limits.loc[f"1 - CRLB/Var ({name})"]
        assert row["r2"] == pytest.approx(1 - value / variance, abs=0.003)
        assert row["rmse"] == pytest.approx(np.sqrt(value))
    # The van Trees bound is a looser limit than the Bayes limit.
    trees = limits.loc["van Trees bound"]
    assert limits.loc["Bayes limit", "r2"] < trees["r2"] < 1 and 0 < trees["r2_err"] < 0.1
    overall = table[(table["kind"] == "limit") & (table["by"] == "overall")].set_index("predictor")
    np.testing.assert_allclose(overall["r2"], limits["r2"])
    assert limits["bias"].isna().all() and limits.drop("Bayes limit")["mae"].isna().all()


def test_limits_in_bins_are_those_of_their_stars(linear_gaussian):
    """The posterior variance is the same for all stars here, so every bin has the limit of the whole."""
    toy = linear_gaussian(5.0)
    table = evaluate(
        {"best": Best(toy)}, toy, n=2000, labels="y", limits={"spectra": toy, **EXACT}, limit_stars=60
    )
    limit = table[table["kind"] == "limit"].set_index("by")
    assert limit.loc["magnitude", "low"] == limit.loc["magnitude", "high"] == 0
    for by in ("overall", "magnitude"):
        assert limit.loc[by, "r2"] == pytest.approx(toy.r2[1], abs=0.01)
        assert limit.loc[by, "rmse"] == pytest.approx(np.sqrt(toy.covariance[1, 1]), rel=0.02)


def test_imperfections_have_no_limits():
    table = evaluate({"a": Constant()}, Survey("pfs-mr"), n=20, bootstrap=0)
    assert set(table["kind"]) == {"predictor"} and "must have no imperfections" in table.attrs["limits"]
    assert evaluate({"a": Constant()}, Magnitudes(), n=20, limits=False).attrs["limits"] == "not asked for"


def test_surveys_without_a_likelihood_say_so():
    options = {"n": 20, "bootstrap": 0}
    table = evaluate({"a": Constant()}, Survey("paper", velocity=50), **options)
    assert "survey must have stars at rest" in table.attrs["limits"]
    own = Survey("own", prior=Survey("paper").prior, noise=NoNoise())
    table = evaluate({"a": Constant()}, own, **options)
    assert "survey must have noise for its limits to exist" in table.attrs["limits"]
    rows = TablePrior(Survey("paper").prior.sample(10, np.random.default_rng(0)))
    table = evaluate({"a": Constant()}, Survey("paper", prior=rows), **options)
    assert "must have a prior with from_unit" in table.attrs["limits"]


@pytest.fixture(scope="module")
def coarse():
    """An emulator of 512 pixels."""
    grid = PixelGrid.linear(7130, 8820, 512, 3.6 / FWHM_PER_SIGMA, name="coarse")
    return regrid_emulator(Emulator.load(), grid)


def test_limits_of_a_stated_snr(coarse):
    """Whole and bins of S/N have limits, those of the functions that compute them."""
    survey = Survey("own", prior=Survey("paper").prior, emulator=coarse, noise=SNRNoise((20, 200)), seed=5)
    options = {"n_prior": 2048, "n_draws": 200, "target_ess": 150}
    table, predictions = evaluate(
        {"a": Constant()},
        survey,
        n=400,
        limits=options,
        limit_stars=25,
        snr_bins=(20, 100, 180),  # and the best in none
        bootstrap=0,
        return_predictions=True,
    )
    limits = table[table["kind"] == "limit"].set_index(["predictor", "by", "low"])
    assert set(table["by"]) == {"overall", "snr"} and table.attrs["limits"] == "from the first 25 stars"
    batch = survey.draw(400, stream=2**44)
    known = {field.name: getattr(batch, field.name) for field in fields(SurveyBatch)}
    part = SurveyBatch(**{name: values[:25] for name, values in known.items() if values is not None})
    snr, prior = part.snr.double().numpy(), survey.prior.sample(400_000, np.random.default_rng(0)).var(0)[1]
    crlb = survey_fisher(survey, part.labels, snr=snr).crlb("logg")
    bayes = bayes_limit(survey, batch=part, **options)
    whole = limits.xs("overall", level="by")
    assert whole.loc["Bayes limit", "r2"].item() == pytest.approx(bayes.r2[1], rel=1e-6)
    for by, low, chosen in (("snr", 20, snr < 100), ("snr", 100, (snr >= 100) & (snr < 180))):
        row = limits.loc[("1 - CRLB/Var (mean)", by, low)]
        assert row["n"] == chosen.sum() and row["r2"] == pytest.approx(
            1 - crlb[chosen].mean() / prior, abs=3e-3
        )
        assert row["rmse"] == pytest.approx(np.sqrt(crlb[chosen].mean()), rel=1e-5)
        variance = bayes.posterior.sigma[chosen, 1] ** 2
        row = limits.loc[("Bayes limit", by, low)]
        assert row["r2"] == pytest.approx(1 - variance.mean() / prior, abs=3e-3)
    # Better spectra, better limits; the bound is above the limit, in bins and for the whole.
    for name in ("Bayes limit", "van Trees bound"):
        assert limits.loc[(name, "snr", 20), "r2"] < limits.loc[(name, "snr", 100), "r2"]
    for by in ("overall", "snr"):
        limit, trees = (table[(table["predictor"] == x) & (table["by"] == by)] for x in LIMITS)
        assert (limit["r2"].to_numpy() < trees["r2"].to_numpy()).all() and (trees["r2"] < 1).all()
    own = predictions[predictions["predictor"] == "Bayes limit"]
    np.testing.assert_allclose(own["prediction"], bayes.posterior.mean[:, 1], rtol=1e-6)
    assert own["magnitude"].isna().all()
    with pytest.raises(ValueError, match="magnitude has no meaning for SNRNoise, got 20"):
        evaluate({"a": Constant()}, survey, n=20, magnitudes=[20])


def test_one_stated_snr_is_in_one_bin_that_begins_there(coarse):
    """Medians in float32 fall on either side of it."""
    survey = Survey("own", prior=Survey("paper").prior, emulator=coarse, noise=SNRNoise(40))
    table = evaluate({"a": Constant()}, survey, n=200, bootstrap=0, limits=False)
    (row,) = table[table["by"] == "snr"].itertuples()
    assert (row.low, row.high, row.n) == (40, 100, 200)


def test_a_spectrum_lost_in_noise_has_the_limits_of_the_prior(coarse):
    """It reports no S/N; its labels are known as well as before."""
    survey = Survey("own", prior=Survey("paper").prior, emulator=coarse, noise=SNRNoise(0.002))
    options = {"n_prior": 8192, "n_rounds": 0}
    table = evaluate({"a": Constant()}, survey, n=30, limits=options, limit_stars=12, bootstrap=0)
    limits = table[(table["kind"] == "limit") & (table["by"] == "overall")].set_index("predictor")
    assert limits.loc["Bayes limit", "r2"] == pytest.approx(0, abs=0.03)
    assert limits.loc["1 - CRLB/Var (mean)", "r2"] < -1000

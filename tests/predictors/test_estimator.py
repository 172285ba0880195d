"""`LoggEstimator`: scikit-learn's contract, units, invariances, errors and learning."""

import warnings

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.nddata import InverseVariance, StdDevUncertainty
from astropy.table import QTable
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from specutils import Spectrum, SpectrumCollection, SpectrumList

from specvit import LoggEstimator, Survey, example_spectrum
from specvit.dataset import SpectrumDataset, write_dataset
from specvit.dataset.diskstream import DatasetStream, FrozenBatches
from specvit.grid import PFS_MR, PixelGrid, vacuum_to_air
from specvit.spectra import Flag, SpectrumError
from specvit.stars import Emulator, regrid_emulator
from specvit.survey import SNRNoise
from specvit.weights import load_weights

#: A network small enough for scikit-learn's checks, on plain features.
GENERIC = {
    "weights": None,
    "encoding": "none",
    "tokenizer": "sliding_window",
    "patch_size": 4,
    "width": 32,
    "depth": 1,
    "heads": 2,
    "epochs": 10,
    "batch_size": 32,
    "learning_rate": 1e-2,
    "precision": "64-true",
    "device": "cpu",
}
#: And one for spectra.
SMALL = {
    "weights": None,
    "patch_size": 128,
    "width": 32,
    "depth": 1,
    "heads": 2,
    "device": "cpu",
    "random_state": 0,
}
DEX = u.dex(u.cm / u.s**2)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny networks spend their time waiting for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@parametrize_with_checks([LoggEstimator(**GENERIC, random_state=0)])
def test_scikit_learn_contract(estimator, check):
    """No expected failure is declared, and no tag but `allow_nan` and `multi_output` is changed."""
    check(estimator)


@pytest.fixture(scope="module")
def star():
    return example_spectrum(20.0)


@pytest.fixture(scope="module")
def estimator():
    return LoggEstimator(device="cpu")


@pytest.fixture(scope="module")
def bright(estimator):
    """150 stars of magnitude 20 and their table."""
    batch = Survey("paper", seed=123).draw(150, magnitude=20.0)
    return batch, estimator.predict_table(batch.flux.numpy(), ivar=batch.ivar.numpy())


def value(result):
    return getattr(result, "value", result)


class TestBundledWeights:
    def test_answer_is_right_and_has_units(self, estimator, star):
        logg, sigma = estimator.predict(star, return_std=True)
        assert isinstance(logg, u.Dex) and logg.unit == DEX and logg.shape == ()
        assert sigma.unit == u.dex and 0.02 < sigma.value < 0.6
        assert abs(logg.value - star.meta["truth"]["logg"]) < 3 * sigma.value
        assert str(estimator.predict(star)).endswith("dex(cm / s2)")

    def test_table_has_every_label_right(self, estimator, star):
        table = estimator.predict_table(star)
        assert isinstance(table, QTable) and len(table) == 1
        units = {"teff": u.K, "logg": DEX, "mh": u.dex, "alpham": u.dex, "cm": u.dex}
        for name, unit in units.items():
            assert table[name].unit == unit
            error = abs(table[name].value[0] - star.meta["truth"][name])
            assert error < 4 * table[f"{name}_err"].value[0], name
        assert table["teff_err"].unit == u.K and table["logg_err"].unit == u.dex
        assert 15 < table["snr"][0] < 35 and table["coverage"][0] == 1
        assert table["flags"][0] == Flag.OK and table["error"][0] == ""

    @pytest.mark.parametrize("weights", ["any", "paper"])
    @pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # a few end at the range
    def test_simulated_stars_come_out_right(self, weights, bright):
        """At magnitude 20 log g is recovered, and the errors tell how well."""
        batch, table = bright
        logg, sigma = table["logg"].value, table["logg_err"].value
        if weights != "any":
            estimator = LoggEstimator(weights, device="cpu")
            logg, sigma = estimator.predict(batch.flux.numpy(), True, ivar=batch.ivar.numpy())
        truth = batch.labels[:, 1].numpy()
        assert 1 - np.var(logg - truth) / np.var(truth) > 0.93
        assert 0.55 < np.mean(np.abs(logg - truth) <= sigma) < 0.85

    def test_two_magnitudes_fainter_is_less_certain(self, estimator):
        bright = estimator.predict(example_spectrum(20.0), return_std=True)[1]
        faint = estimator.predict(example_spectrum(22.0), return_std=True)[1]
        assert faint > 1.5 * bright


class TestSameStarSameAnswer:
    """The description of a spectrum does not matter; what it shows does."""

    @staticmethod
    def variants(star):
        wave, flux, sigma = star.spectral_axis, star.flux, star.uncertainty.quantity
        jansky = u.spectral_density(wave)
        fnu, fnu_sigma = flux.to(u.nJy, jansky), sigma.to(u.nJy, jansky)

        def make(flux, wave, sigma, **kwargs):
            return Spectrum(flux=flux, spectral_axis=wave, uncertainty=StdDevUncertainty(sigma), **kwargs)

        yield "nm", make(flux, wave.to(u.nm), sigma)
        yield "f_nu", make(fnu, wave, fnu_sigma)
        yield "descending", make(flux[::-1], wave[::-1], sigma[::-1])
        yield "frequency", make(fnu, wave.to(u.THz, u.spectral()), fnu_sigma)
        yield "other unit of flux", make(flux.to(u.W / u.m**2 / u.um), wave, sigma)
        yield (
            "inverse variance",
            Spectrum(flux=flux, spectral_axis=wave, uncertainty=InverseVariance(sigma**-2)),
        )
        yield "float32", make(flux.astype(np.float32), wave, sigma.astype(np.float32))

    @pytest.mark.parametrize("index", range(7))
    def test_units_and_order(self, estimator, star, index):
        name, variant = list(self.variants(star))[index]
        expected = estimator.predict(star).value
        assert estimator.predict(variant).value == pytest.approx(expected, abs=2e-3), name

    def test_air(self, estimator, star):
        air = Spectrum(
            flux=star.flux,
            spectral_axis=vacuum_to_air(star.wavelength.value) * u.AA,
            uncertainty=star.uncertainty,
        )
        assert estimator.predict(air, medium="air").value == pytest.approx(
            estimator.predict(star).value, abs=5e-3
        )

    def test_redshift(self, estimator, star):
        moved = Spectrum(
            flux=star.flux,
            spectral_axis=u.Quantity(star.wavelength) * (1 + 0.001),
            uncertainty=star.uncertainty,
            redshift=0.001,
        )
        assert estimator.predict(moved).value == pytest.approx(estimator.predict(star).value, abs=5e-3)

    def test_batches_keep_order_and_length(self, estimator, star):
        faint = example_spectrum(22.0)
        single = [estimator.predict(s).value for s in (star, faint, star)]
        assert estimator.predict([star, faint, star]).value == pytest.approx(single, abs=1e-4)
        assert estimator.predict(SpectrumList([star, faint, star])).value == pytest.approx(single, abs=1e-4)
        cube = Spectrum(
            flux=u.Quantity([[star.flux, faint.flux, star.flux]] * 2),
            spectral_axis=star.spectral_axis,
            uncertainty=StdDevUncertainty(
                u.Quantity([[s.uncertainty.quantity for s in (star, faint, star)]] * 2)
            ),
        )
        result = estimator.predict(cube)
        assert result.shape == (2, 3) and result.value == pytest.approx(np.array([single] * 2), abs=1e-4)
        objects = np.empty(3, dtype=object)
        objects[:] = [star, faint, star]
        assert estimator.predict(objects).unit == DEX
        collection = SpectrumCollection.from_spectra([star, faint, star])
        assert estimator.predict(collection).value == pytest.approx(single, abs=1e-4)

    def test_arrays_on_the_grid(self, estimator, star):
        flux, ivar = star.flux.value[None], star.uncertainty.array[None] ** -2.0
        result = estimator.predict(flux, ivar=ivar)
        assert type(result) is np.ndarray and result.shape == (1,)
        assert result[0] == pytest.approx(estimator.predict(star).value, abs=1e-4)
        assert estimator.predict(flux * 1e-30, ivar=ivar * 1e60) == pytest.approx(result, abs=1e-4)

    def test_callers_arrays_are_left_alone(self, estimator, star):
        flux, ivar = star.flux.value[None].copy(), star.uncertainty.array[None] ** -2.0
        flux[0, 5], ivar[0, 9] = np.nan, 0
        before = flux.copy(), ivar.copy()
        flux.flags.writeable = ivar.flags.writeable = False
        estimator.predict(flux, ivar=ivar)
        assert np.array_equal(flux, before[0], equal_nan=True) and np.array_equal(ivar, before[1])

    def test_what_is_masked_does_not_matter(self, estimator, star):
        mask = np.zeros(4096, bool)
        mask[1000:1100] = True
        flux = star.flux.copy()
        first = Spectrum(flux=flux, spectral_axis=star.spectral_axis, uncertainty=star.uncertainty, mask=mask)
        spoiled = flux.copy()
        spoiled[mask] = 1e9 * spoiled.unit
        second = Spectrum(
            flux=spoiled, spectral_axis=star.spectral_axis, uncertainty=star.uncertainty, mask=mask
        )
        assert estimator.predict(first) == estimator.predict(second)


class TestUnusableSpectra:
    def test_raise_says_which_and_why(self, estimator, star):
        dead = Spectrum(flux=star.flux * 0, spectral_axis=star.spectral_axis, uncertainty=star.uncertainty)
        with pytest.raises(SpectrumError, match=r"spectra\[1\]: flux is zero"):
            estimator.predict([star, dead])

    def test_nan_keeps_the_rows(self, estimator, star):
        dead = Spectrum(
            flux=star.flux * np.nan, spectral_axis=star.spectral_axis, uncertainty=star.uncertainty
        )
        logg, sigma = estimator.predict([dead, star, dead], return_std=True, on_error="nan")
        assert np.isnan(logg.value).tolist() == np.isnan(sigma.value).tolist() == [True, False, True]
        table = estimator.predict_table([dead, star])
        assert table["flags"][0] & Flag.UNUSABLE and "finite" in table["error"][0]
        assert not table["flags"][1] & Flag.UNUSABLE
        assert np.isnan(table["teff"].value).tolist() == [True, False]

    def test_nothing_usable_at_all(self, estimator):
        result = estimator.predict(np.zeros((2, 4096)), on_error="nan")
        assert np.isnan(result).all() and result.shape == (2,)

    def test_label_outside_the_training_range_is_flagged(self):
        batch = Survey("paper", seed=4).observe([[6550.0, 5.2, 0.4, 0.0, 0.0]] * 4, 18.0)
        table = LoggEstimator("paper", device="cpu").predict_table(
            batch.flux.numpy(), ivar=batch.ivar.numpy()
        )
        assert (table["flags"] & Flag.OUT_OF_DOMAIN).all()

    def test_a_star_of_another_kind_is_flagged(self, estimator):
        """Paschen lines, as in an A star: nothing like it was trained on."""
        wave = PFS_MR.wave
        lines = (8440.3, 8469.6, 8504.8, 8547.7, 8600.8, 8667.4, 8752.9)
        flux = 1 - 0.4 * sum(np.exp(-0.5 * ((wave - line) / 8) ** 2) for line in lines)
        noisy = flux + np.random.default_rng(0).normal(0, 0.01, wave.size)
        table = estimator.predict_table(noisy, ivar=np.full(wave.size, 1e4))
        assert table["flags"][0] & Flag.BAD_FIT

    def test_simulated_stars_are_not_flagged(self, estimator, bright):
        assert np.mean(bright[1]["chi2"] > 2) <= 0.03
        for survey, magnitude in (("paper", 22.0), ("pfs-mr", 21.0)):
            batch = Survey(survey, seed=8).draw(100, magnitude=magnitude)
            table = estimator.predict_table(batch.flux.numpy(), ivar=batch.ivar.numpy())
            assert np.mean(table["chi2"] > 2) <= 0.03

    def test_spectrum_lost_in_noise_is_flagged(self, estimator):
        noise = np.random.default_rng(0).normal(0.2, 1, 4096)
        table = estimator.predict_table(noise, ivar=np.ones(4096))
        assert table["flags"][0] & Flag.LOW_SNR
        assert table["logg_err"][0].value > 0.7  # nearly the spread of all stars

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"weights": "pfs-lr"}, "weights must name bundled weights"),
            ({"weights": None}, "not fitted yet"),
        ],
    )
    def test_no_weights(self, star, arguments, message):
        with pytest.raises((FileNotFoundError, NotFittedError), match=message):
            LoggEstimator(**arguments).predict(star)

    @pytest.mark.parametrize(
        "x", [np.ones((2, 100)), np.ones((2, 4096), complex), "star.fits", [], np.full((1, 4096), "a"), {}]
    )
    def test_no_spectra(self, estimator, x):
        with pytest.raises((TypeError, ValueError), match="spectra"):
            estimator.predict(x)


class TestLearning:
    def test_arrays(self):
        survey = Survey("paper", seed=2, magnitude=18.0)
        batch = survey.draw(600)
        x, ivar, y = batch.flux.numpy(), batch.ivar.numpy(), batch.labels[:, 1].numpy()
        estimator = LoggEstimator(**SMALL, epochs=10, batch_size=32, learning_rate=3e-3)
        assert estimator.fit(x[:500], y[:500], ivar=ivar[:500]) is estimator
        losses = estimator.history_["train_loss"]
        assert losses[-1] < losses[0]
        assert estimator.score(x[500:], y[500:], ivar=ivar[500:]) > 0.8
        assert estimator.n_features_in_ == 4096
        with pytest.raises(ValueError, match=r"shape \(4096,\) or \(n, 4096\)"):
            estimator.predict(x[:, :100])

    @pytest.mark.usefixtures("small_samples")
    @pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # little was learned
    def test_survey(self):
        survey = Survey("paper", n=400, seed=2, magnitude=18.0)
        estimator = LoggEstimator(**SMALL, epochs=6, batch_size=32, learning_rate=2e-3).fit(survey)
        batch = Survey("paper", seed=9, magnitude=18.0).draw(50)
        logg, sigma = estimator.predict(batch.flux.numpy(), True, ivar=batch.ivar.numpy())
        assert np.corrcoef(logg, batch.labels[:, 1].numpy())[0, 1] > 0.5
        assert (sigma > 0).all()
        assert set(estimator.predict_table(example_spectrum()).colnames) >= {"teff", "teff_err", "cm"}

    @pytest.mark.usefixtures("small_samples")
    def test_survey_of_another_spectrograph(self):
        """Of which neither pixels nor magnitudes are PFS's."""
        grid = PixelGrid.linear(7100, 8850, 512, 1.5)
        survey = Survey(
            n=64,
            prior=Survey("paper").prior,
            noise=SNRNoise((20, 200)),
            emulator=regrid_emulator(Emulator.load(), grid),
            masked=[(7590, 7700)],
        )
        estimator = LoggEstimator(**SMALL | {"patch_size": 32}, labels="logg", epochs=2).fit(survey)
        assert estimator.grid_ == grid and estimator.n_features_in_ == 512
        assert list(estimator.record_["label_range"]) == ["logg"]
        batch = survey.draw(5, stream=99)
        logg, sigma = estimator.predict(batch.flux.numpy(), True, ivar=batch.ivar.numpy())
        assert logg.shape == (5,) and (sigma > 0).all() and ((logg > 0) & (logg < 6)).all()

    @pytest.mark.usefixtures("small_samples")
    def test_survey_as_plain_features(self):
        """Unscaled pixels of a survey can be learned from too; then arrays are all that it predicts."""
        estimator = LoggEstimator(**SMALL | {"encoding": "none"}, epochs=1, batch_size=50)
        estimator.fit(Survey("paper", n=50, seed=2, magnitude=18.0))
        assert estimator.n_features_in_ == 4096
        assert np.isfinite(estimator.predict(np.ones((2, 4096)))).all()

    @pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # little was learned
    def test_spectra_with_units_fine_tune_the_bundled_weights(self, star):
        spectra = [star, example_spectrum(20.0, seed=1), example_spectrum(20.0, seed=2)]
        before = LoggEstimator(device="cpu").predict(spectra).value
        target = 3.4
        tuned = LoggEstimator(epochs=6, batch_size=3, learning_rate=3e-4, device="cpu", random_state=0)
        tuned.fit(spectra, np.full(3, target) * DEX)
        after = tuned.predict(spectra).value
        assert np.abs(after - target).max() < 0.5 * np.abs(before - target).min()
        assert tuned.regressor_.label_names == ("teff", "logg", "mh", "alpham", "cm")
        # The weights on disk are as they were.
        assert LoggEstimator(device="cpu").predict(spectra).value == pytest.approx(before)

    def test_several_labels(self):
        batch = Survey("paper", seed=2, magnitude=18.0).draw(80)
        x, y = batch.flux.numpy(), batch.labels[:, :2].numpy()
        estimator = LoggEstimator(**SMALL, labels=("teff", "logg"), epochs=1).fit(
            x, y, ivar=batch.ivar.numpy()
        )
        assert estimator.predict(x).shape == (80, 2)
        assert estimator.predict_table(example_spectrum()).colnames[:4] == [
            "teff",
            "teff_err",
            "logg",
            "logg_err",
        ]

    @pytest.mark.parametrize("loss", ["l1", "mse", "huber"])
    def test_point_losses_have_one_sigma_for_all(self, loss):
        batch = Survey("paper", seed=2, magnitude=18.0).draw(120)
        estimator = LoggEstimator(**SMALL, loss=loss, epochs=2).fit(
            batch.flux.numpy(), batch.labels[:, 1].numpy(), ivar=batch.ivar.numpy()
        )
        _, sigma = estimator.predict(batch.flux.numpy(), True, ivar=batch.ivar.numpy())
        assert np.ptp(sigma) == 0 and sigma[0] > 0.1

    def test_another_grid(self):
        grid = PixelGrid.linear(7100, 8850, 500, 1.5, name="coarse")
        x = np.random.default_rng(0).normal(1, 0.1, (40, 500))
        estimator = LoggEstimator(**SMALL | {"patch_size": 50}, grid=grid, epochs=1).fit(x, x[:, 0])
        assert estimator.predict(x).shape == (40,)
        assert np.isfinite(estimator.predict(example_spectrum()).value)

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (None, "requires y"),
            (np.ones(3), r"y must have shape \(4,\)"),
            (np.full(4, np.nan), "finite value for every label"),
        ],
    )
    def test_bad_y(self, y, message):
        with pytest.raises(ValueError, match=message):
            LoggEstimator(**SMALL).fit(np.ones((4, 4096)), y, ivar=np.ones((4, 4096)))

    def test_cross_validation_and_clone(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(90, 6))
        estimator = LoggEstimator(**GENERIC | {"epochs": 30}, random_state=1)
        assert cross_val_score(estimator, x, x @ [1, 2, 0, 0, -1, 0.5], cv=3).mean() > 0.6
        assert clone(estimator).get_params() == estimator.get_params()

    def test_resume_from_checkpoints(self, tmp_path):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(60, 6))
        settings = GENERIC | {"epochs": 4, "checkpoint_dir": tmp_path}
        first = LoggEstimator(**settings, random_state=1).fit(x, x[:, 0])
        again = LoggEstimator(**settings, random_state=1).fit(x, x[:, 0])  # nothing is left to do
        assert len(list(tmp_path.glob("*/last.ckpt"))) == 1
        assert again.predict(x) == pytest.approx(first.predict(x))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """500 stars in three files."""
    pytest.importorskip("h5py")
    folder = tmp_path_factory.mktemp("stored")
    write_dataset(Survey("paper", seed=2, magnitude=19.0), folder, 500, shard_size=200, progress=False)
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Four stars."""
    path = tmp_path_factory.mktemp("few") / "few.h5"
    write_dataset(Survey("paper", seed=1), path, 4, progress=False)
    return path


@pytest.fixture
def read(monkeypatch):
    """The Teff, different for every star, of each batch that a stream or frozen batches give."""
    seen = {DatasetStream: [], FrozenBatches: []}

    def recording(kind, original):
        def iterate(self):
            for batch in original(self):
                seen[kind].append(batch[2][:, self.dataset.label_names.index("teff")].tolist())
                yield batch

        return iterate

    for kind in seen:
        monkeypatch.setattr(kind, "__iter__", recording(kind, kind.__iter__))
    return seen


def flat(batches):
    return [value for batch in batches for value in batch]


class TestDataSets:
    @pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # little was learned
    def test_it_learns_more_than_ridge_regression_does(self, stored):
        dataset = SpectrumDataset(stored, labels=("logg", "teff"))
        estimator = LoggEstimator(**SMALL, epochs=18, batch_size=32, learning_rate=2e-3).fit(dataset)
        loss = estimator.history_["val_loss"]
        assert loss[-1] < loss[0] - 1
        test = Survey("paper", seed=9, magnitude=19.0).draw(300)
        flux, truth = test.flux.numpy(), test.labels[:, 1].numpy()
        logg, sigma = estimator.predict(flux, True, ivar=test.ivar.numpy())
        x, _, y = (torch.cat(parts).double().numpy() for parts in zip(*dataset.frozen(100), strict=True))
        x, flux = (values / np.median(values, axis=1, keepdims=True) for values in (x, flux))
        mean, y = x.mean(0), y[:, 0]
        kernel = (x - mean) @ (x - mean).T
        ridge = [
            (flux - mean) @ (x - mean).T @ np.linalg.solve(kernel + a * np.eye(len(x)), y - y.mean())
            + y.mean()
            for a in (0.3, 1.0, 3.0, 10.0)
        ]
        best = max(r2_score(truth, prediction) for prediction in ridge)
        assert best > 0.85
        assert r2_score(truth, logg) > best
        assert 0.5 < np.mean(np.abs(logg - truth) < sigma) < 0.85
        assert estimator.predict_table(example_spectrum()).colnames[:2] == ["logg", "logg_err"]

    def test_what_is_held_out_is_not_trained_on_and_the_rest_once_an_epoch(self, stored, read, monkeypatch):
        rows, original = [], SpectrumDataset.read_into
        monkeypatch.setattr(
            SpectrumDataset,
            "read_into",
            lambda self, numbers, out, *args: (
                rows.append(len(numbers)) if "flux" in out else None,
                original(self, numbers, out, *args),
            ),
        )
        monkeypatch.setitem(SpectrumDataset.stream.__kwdefaults__, "buffer_rows", 128)
        dataset = SpectrumDataset(stored)
        fitted = LoggEstimator(**SMALL, epochs=2, batch_size=32, validation_fraction=0.2).fit(dataset)
        everything = dataset.read_labels()[:, 0].tolist()
        assert len(set(everything)) == 500
        batches, held_out = read[DatasetStream], flat(read[FrozenBatches])
        assert [len(batch) <= 32 for batch in batches] == [True] * (2 * 13)
        for epoch in (batches[:13], batches[13:]):
            assert sorted(flat(epoch) + held_out[:100]) == sorted(everything)
        assert batches[0] != batches[13]
        assert len(held_out) == 3 * 100 and len(set(held_out)) == 100  # twice validated, once calibrated
        assert max(rows) <= 256  # as much as a buffer or a batch holds, of 500
        assert fitted.record_["held_out"] == 100
        assert fitted.record_["label_range"]["teff"] == pytest.approx(
            [min(flat(batches)), max(flat(batches))]
        )

    @pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # little was learned
    def test_a_fit_can_be_repeated_and_continued(self, stored, tmp_path):
        dataset = SpectrumDataset(SpectrumDataset(stored).paths[2])  # 100 of the stars
        settings = SMALL | {"batch_size": 30, "ema_decay": 0.9}
        one, other = (LoggEstimator(**settings, epochs=2).fit(dataset) for _ in range(2))
        another = LoggEstimator(**settings | {"random_state": 1}, epochs=2).fit(dataset)
        flux = np.random.default_rng(0).normal(1, 0.1, (3, 4096))
        expected = one.predict(flux)
        assert np.array_equal(expected, other.predict(flux))
        assert not np.array_equal(expected, another.predict(flux))
        again = LoggEstimator(**settings, epochs=2, checkpoint_dir=tmp_path).fit(dataset)
        once_more = LoggEstimator(**settings, epochs=2, checkpoint_dir=tmp_path).fit(dataset)
        assert np.array_equal(expected, again.predict(flux))
        assert np.array_equal(expected, once_more.predict(flux))

    def test_validation_by_a_set_of_its_own(self, stored, read):
        paths = SpectrumDataset(stored).paths
        first, second = SpectrumDataset(paths[:2]), SpectrumDataset(paths[2])
        LoggEstimator(**SMALL, epochs=1, patience=1, batch_size=200).fit(first, validation=second)
        assert sorted(flat(read[DatasetStream])) == sorted(first.read_labels()[:, 0].tolist())
        assert set(flat(read[FrozenBatches])) == set(second.read_labels()[:, 0].tolist())

    def test_labels_of_choice(self, stored):
        dataset = SpectrumDataset(stored)
        fitted = LoggEstimator(**SMALL, epochs=1, labels=("mh", "logg"), batch_size=200).fit(dataset)
        assert fitted.regressor_.label_names == ("mh", "logg")
        labels = dataset.read_labels()
        centre = fitted.regressor_.label_centre.tolist()
        assert centre == pytest.approx(labels[:, [2, 1]].mean(0), abs=0.1)

    def test_fewer_spectra_than_a_batch(self, few, read):
        fitted = LoggEstimator(**SMALL, epochs=2, patience=1).fit(SpectrumDataset(few))
        assert [len(batch) for batch in read[DatasetStream]] == [4, 4] and not read[FrozenBatches]
        assert fitted.record_["held_out"] == 0
        assert fitted.history_["step"] == [2]

    def test_bundled_weights_are_fine_tuned_for_one_label_of_it(self, few):
        tuned = LoggEstimator(device="cpu", epochs=2, batch_size=4, learning_rate=1e-4, random_state=0)
        tuned.fit(SpectrumDataset(few, labels="logg"))
        assert tuned.regressor_.label_names == ("teff", "logg", "mh", "alpham", "cm")
        assert tuned.record_["fine_tuned_from"] and tuned.record_["labels_learned"] == ["logg"]
        before = load_weights("any")[0].network.head.bias
        changed = torch.nonzero(tuned.regressor_.network.head.bias != before).ravel().tolist()
        assert changed == [1, 6]  # mean and log σ of log g: nothing was known of the others

    def test_what_does_not_fit_is_refused(self, stored):
        dataset, arrays = SpectrumDataset(stored), (np.ones((4, 4096)), np.ones(4))
        small = LoggEstimator(**SMALL)
        with pytest.raises(ValueError, match="y must be None for a data set, which knows its own"):
            small.fit(dataset, np.ones(500))
        with pytest.raises(ValueError, match="ivar must be None for a survey"):
            small.fit(Survey("paper", n=10), ivar=np.ones((10, 4096)))
        with pytest.raises(ValueError, match=r"labels must be among \('teff', .*, got 'age'"):
            LoggEstimator(**SMALL, labels=("logg", "age")).fit(dataset)
        with pytest.raises(TypeError, match="validation must be None unless X is a SpectrumDataset"):
            small.fit(*arrays, validation=dataset)
        with pytest.raises(TypeError, match="validation must be a SpectrumDataset, got tuple"):
            small.fit(dataset, validation=arrays)
        with pytest.raises(ValueError, match="validation must have the labels of X"):
            small.fit(dataset, validation=SpectrumDataset(stored, labels=("logg",)))
        with pytest.raises(ValueError, match="grid must be that of the data set"):
            LoggEstimator(**SMALL, grid=PixelGrid.linear(7100, 8800, 500, 3.0)).fit(dataset)
        dataset.grid = None  # as of files that hold no line spread function
        with pytest.raises(ValueError, match=r"SpectrumDataset\(path, grid=PixelGrid\(edges, lsf_sigma\)\)"):
            small.fit(dataset)
        with pytest.raises(ValueError, match=r"torchrun --standalone --nproc-per-node=2"):
            LoggEstimator(**SMALL, devices=2).fit(dataset)


class TestSaving:
    def test_round_trip(self, tmp_path, star):
        batch = Survey("paper", seed=2, magnitude=18.0).draw(60)
        fitted = LoggEstimator(**SMALL, epochs=1).fit(
            batch.flux.numpy(), batch.labels[:, 1].numpy(), ivar=batch.ivar.numpy()
        )
        path = tmp_path / "mine.safetensors"
        fitted.save(path)
        for again in (LoggEstimator.load(path), LoggEstimator(path), LoggEstimator(str(path))):
            assert again.predict(star) == fitted.predict(star)
            assert again.predict_table(star)["flags"][0] == fitted.predict_table(star)["flags"][0]

    def test_saving_before_fitting(self, tmp_path):
        with pytest.raises(NotFittedError):
            LoggEstimator(weights=None).save(tmp_path / "x.safetensors")


def test_no_warnings_reach_the_user(star):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LoggEstimator(device="cpu").predict_table([star])
        LoggEstimator(**SMALL, epochs=1).fit([star, star], [2.0, 3.0])

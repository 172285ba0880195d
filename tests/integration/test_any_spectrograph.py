"""Real and simulated spectra of one instrument are the same to the network, and it answers all of them."""

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.nddata import StdDevUncertainty
from scipy.interpolate import CubicSpline
from specutils import Spectrum

from specvit import LoggEstimator, Survey
from specvit.grid import FWHM_PER_SIGMA, PFS_MR, TELLURIC, find_instrument, matching_sigma
from specvit.grid.gaussian import smoothing_matrix
from specvit.labels import LABELS
from specvit.network import LabelRegressor, ViTConfig
from specvit.spectra import Flag, adapt
from specvit.stars.emulator import NATIVE_LSF_FRACTION
from specvit.survey import AnyInstrument
from specvit.weights import save_weights

#: Nothing is wrong with the spectra but their noise, which is the same in all native pixels.
PERFECT = {
    "whole_share": 1.0,
    "lsf_spread": 0.0,
    "lsf_err": 0.0,
    "sampling_err": 0.0,
    "oversampled_share": 0.0,
    "telluric": (0.0, 0.0),
    "telluric_residual": 0.0,
    "chunks": 0.0,
    "bad_pixels": (0.0, 0.0),
    "max_velocity": 0.0,
    "zero_point": 0.0,
    "drift": (0.0, 0.0),
    "rotation": (0.0, 0.0),
    "macroturbulence": 0.0,
    "line_err": (),
    "calibration": (0.0, 0.0),
    "reddening": 0.0,
    "normalised_share": 0.0,
    "noise_shape": 0.0,
    "sky_share": 0.0,
    "sky_residual": 0.0,
    "correlated_share": 0.0,
    "reported_err": 0.0,
}


def native_pixels(numbers, star):
    """Edges of a simulated star's native pixels within the grid, from its width and phase."""
    low = PFS_MR.edges[0]
    index = np.arange(-200, 8000) - numbers["phase"][star]
    if numbers["logarithmic"][star]:
        middle = 0.5 * (PFS_MR.edges[0] + PFS_MR.edges[-1])
        edges = low * np.exp(index * numbers["width"][star] / middle)
    else:
        edges = low + index * numbers["width"][star]
    return edges[(edges >= low) & (edges <= PFS_MR.edges[-1])]


def starlight(emulator, labels, sigma, centres):
    """Flux at points for a line spread function σ(λ), in float64 from the emulator's own fine samples."""
    with torch.no_grad():
        lines, continuum = emulator.coefficients(torch.as_tensor(labels, dtype=torch.float32)[None])
        log_continuum = emulator.log_continuum(continuum)[0].double().numpy()
    fine = emulator.mean + lines[0].double().numpy() @ emulator.components
    held = NATIVE_LSF_FRACTION * np.interp(centres, PFS_MR.wave, PFS_MR.lsf_sigma)
    kernel = np.sqrt(sigma**2 - held**2)
    lines = smoothing_matrix(emulator.wave, kernel, centres, ends="cut") @ fine.astype(np.float64)
    return lines * np.exp(CubicSpline(PFS_MR.wave, log_continuum - log_continuum.mean())(centres))


@pytest.mark.parametrize("name", ["SDSS", "LAMOST", "MUSE", "DEIMOS"])
def test_the_adapter_makes_of_native_pixels_what_the_survey_makes(name):
    """Flux, inverse variance, line spread function and sampling, to about a thousandth."""
    instrument, seed, n = find_instrument(name), 5, 3
    survey = Survey("any", instruments=instrument, observed=AnyInstrument(**PERFECT), seed=seed)
    batch = survey.draw(n)
    # The numbers of the draw, in the order in which a survey takes them from its generator.
    rng = np.random.default_rng([seed, 0])
    labels = survey.prior.sample(n, rng)
    numbers = survey.observed.draw(n, rng, PFS_MR)
    np.testing.assert_allclose(batch.labels.numpy(), labels, rtol=1e-6)
    for star in range(n):
        edges = native_pixels(numbers, star)
        centres = 0.5 * (edges[1:] + edges[:-1])
        flux = starlight(survey.emulator, labels[star], instrument.lsf_sigma(centres), centres)
        seen = np.any([(centres > a) & (centres < b) for a, b in numbers["seen"][star]], axis=0)
        sigma = np.median(flux[seen]) / numbers["snr"][star]
        native = Spectrum(
            flux * u.one, centres * u.AA, uncertainty=StdDevUncertainty(np.full(flux.shape, sigma))
        )
        found = adapt(native, medium="vacuum", instrument=instrument, mask="none", lower_resolution="flag")
        here, there = found.ivar[0] > 0, batch.ivar[star].numpy() > 0
        width = instrument.pixel_width(8000.0) / PFS_MR.width[0]  # a native pixel, in those of the grid
        for way in (1, -1):  # both leave out the same at the ends of the range
            assert abs(int(here[::way].argmax()) - int(there[::way].argmax())) <= 1 + width
        both = here & there
        both[:40] = both[-40:] = False  # kernels are cut at the ends of the emulator's samples
        both &= np.roll(both, 1) & np.roll(both, -1)  # beside a gap native pixels are missing in one of them
        assert both.mean() > 0.08
        expected = batch.noiseless[star].double().numpy()
        np.testing.assert_allclose(found.flux[0, both], expected[both], rtol=0, atol=3e-3)
        difference = found.flux[0, both] - expected[both]
        assert np.sqrt(np.mean(difference**2)) < 3e-4
        # A survey does not smooth what is sharper by less than 10 %; the adapter does, by a little.
        plain = both & (matching_sigma(PFS_MR, instrument.lsf_sigma(PFS_MR.wave)) == 0)
        ratio = found.ivar[0, plain] / batch.ivar[star].numpy()[plain]
        np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-3)
        assert np.median(ratio) == pytest.approx(1, rel=0.03)  # the median of a sharper spectrum
        # A survey's curve is a parabola through three points of the instrument's.
        np.testing.assert_allclose(found.lsf[0, both], batch.lsf[star].numpy()[both], atol=8e-3)
        np.testing.assert_allclose(found.sampling[0, both], batch.sampling[star].numpy()[both], atol=1e-3)


@pytest.fixture(scope="module")
def estimator(tmp_path_factory):
    """An untrained network that is told of the instrument, from a file."""
    torch.manual_seed(0)
    config = ViTConfig(n_pixels=4096, width=16, depth=1, heads=2, mlp=16)
    regressor = LabelRegressor.build(config, LABELS, encoding="instrument", covariance=True)
    regressor.set_label_scaling([5000, 3, -0.5, 0.1, 0], [1000, 1, 0.5, 0.2, 0.2])
    path = tmp_path_factory.mktemp("weights") / "any.safetensors"
    save_weights(path, regressor, grid=PFS_MR)
    return LoggEstimator(weights=path, device="cpu")


def spectrum(low, high, step, noise=0.02, **kwargs):
    """Lines on a continuum, with noise, of unit median flux."""
    wave = np.arange(low, high, step)
    rng = np.random.default_rng(4)
    flux = 1 + 0.1 * np.sin(wave / 7) + noise * rng.normal(size=wave.size)
    uncertainty = StdDevUncertainty(np.full(wave.size, noise))
    return Spectrum(flux * u.one, wave * u.AA, uncertainty=uncertainty, **kwargs)


class TestNoRefusalWhereThereIsInformation:
    @pytest.mark.parametrize(
        ("given", "flags", "power"),
        [
            ({"low": 7000, "high": 9000, "step": 1.8, "resolution": 1800}, Flag.LOWER_RESOLUTION, 1800),
            ({"low": 7000, "high": 9000, "step": 2.0, "resolution": 1400}, Flag.LOWER_RESOLUTION, 1400),
            ({"low": 8460, "high": 8700, "step": 0.1, "resolution": 11500}, Flag.PARTIAL_COVERAGE, 11500),
            ({"low": 7000, "high": 9000, "step": 0.2, "resolution": 20000}, Flag.OK, 20000),
            (
                {"low": 8500, "high": 8600, "step": 1.5, "resolution": 2000},
                Flag.PARTIAL_COVERAGE | Flag.LOWER_RESOLUTION,
                2000,
            ),
        ],
    )
    def test_is_answered_with_flags(self, estimator, given, flags, power):
        resolution = given.pop("resolution")
        row = estimator.predict_table(spectrum(**given), medium="vacuum", resolution=resolution)[0]
        assert np.isfinite(row["logg"].value) and row["logg_err"].value > 0 and row["error"] == ""
        assert row["flags"] & ~Flag.ALARMS == flags  # it is no star
        assert row["resolution"] == pytest.approx(power)

    def test_what_cannot_be_known_is_refused(self, estimator):
        low, few = spectrum(7000, 9000, 2.0), spectrum(8500, 8580, 0.4)
        table = estimator.predict_table(low, medium="vacuum", resolution=1300)
        assert "resolution must be at least R = 1350 in the median" in table["error"][0]
        assert np.isnan(table["logg"][0]) and table["flags"][0] & Flag.UNUSABLE
        table = estimator.predict_table(few, medium="vacuum", resolution=6000)
        assert "coverage must be at least 5% of the grid PFS MR" in table["error"][0]

    @pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # it is no star
    def test_limits_are_arguments(self, estimator):
        low, few = spectrum(7000, 9000, 2.0), spectrum(8500, 8580, 0.4)
        stated = {"medium": "vacuum", "on_error": "nan"}
        assert np.isfinite(estimator.predict(low, resolution=1300, lower_resolution="flag", **stated).value)
        assert np.isfinite(estimator.predict(low, resolution=1300, lower_resolution=1200, **stated).value)
        assert np.isfinite(estimator.predict(few, resolution=6000, min_coverage=0.01, **stated).value)
        assert np.isnan(estimator.predict(low, resolution=1800, lower_resolution="raise", **stated).value)
        assert np.isnan(estimator.predict(few, resolution=6000, min_coverage=0.2, **stated).value)

    def test_a_network_of_one_instrument_refuses_as_ever(self):
        one = LoggEstimator("paper", device="cpu")
        found = one.predict_table(spectrum(7000, 9000, 1.8), medium="vacuum", resolution=1800)
        assert "lower than the grid's by more than 10 %" in found["error"][0]
        found = one.predict_table(spectrum(8400, 8800, 0.4), medium="vacuum", resolution=6000)
        assert "coverage must be at least 50%" in found["error"][0]


@pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # it is no star
def test_the_network_is_told_of_the_instrument(estimator):
    """The answer is that of the network itself, given what the batch carries; without it another."""
    star = spectrum(7000, 9000, 1.8)
    stated = {"medium": "vacuum", "resolution": 1800}
    batch = adapt(star, **stated, lower_resolution="flag")
    arrays = [batch.flux, batch.ivar, batch.lsf, batch.sampling]
    tensors = [torch.as_tensor(x, dtype=torch.float32) for x in arrays]
    regressor = LoggEstimator.load(estimator.weights).regressor_
    logg = estimator.predict(star, **stated).value
    assert logg == pytest.approx(float(regressor.predict(*tensors)[0][0, 1]), abs=1e-5)
    assert abs(logg - float(regressor.predict(*tensors[:2])[0][0, 1])) > 1e-3
    assert estimator.predict(batch).value == pytest.approx(logg, abs=1e-6)


@pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # it is no star
def test_arrays_on_the_grid_are_of_its_own_instrument(estimator):
    flux, ivar = 1 + 0.1 * np.sin(PFS_MR.wave / 7)[None], np.full((1, 4096), 400.0)
    regressor = LoggEstimator.load(estimator.weights).regressor_
    expected = regressor.predict(*(torch.as_tensor(x, dtype=torch.float32) for x in (flux, ivar)))[0]
    np.testing.assert_allclose(estimator.predict(flux, ivar=ivar), expected[:, 1], atol=1e-5)


def test_an_instrument_says_what_files_do_not(estimator):
    """R, medium and native pixels of the preset; telluric bands are left out of spectra from the ground."""
    star = spectrum(7000, 9000, 1.8)
    table = estimator.predict_table(star, instrument="LAMOST")
    assert table["resolution"][0] == pytest.approx(1800)
    assert table["flags"][0] & ~Flag.ALARMS == Flag.LOWER_RESOLUTION | Flag.PARTIAL_COVERAGE
    lost = sum(high - low for low, high in TELLURIC.values()) / 1750
    assert table["coverage"][0] == pytest.approx(1 - lost, abs=0.01)
    whole = estimator.predict_table(star, instrument="LAMOST", mask="none")
    # Three σ of the kernel from the grid's line spread function to this one are left out at each end.
    excess = np.sqrt((8000 / 1800 / FWHM_PER_SIGMA) ** 2 - 0.564**2)  # Å
    assert whole["coverage"][0] == pytest.approx(1 - 6 * excess / 1750, abs=1.5e-3)


def test_spectra_of_a_lower_resolution_than_the_own_grid_are_refused_before_training():
    estimator = LoggEstimator(weights=None, width=16, depth=1, heads=2, epochs=1, device="cpu")
    with pytest.raises(ValueError, match=r"spectra\[0\]: resolution must not be lower than the grid's"):
        estimator.fit([spectrum(7000, 9000, 1.8)] * 3, [1.0, 2.0, 3.0], medium="vacuum", resolution=2500)
    assert not hasattr(estimator, "regressor_")


class TestLearning:
    SMALL = {"width": 16, "depth": 1, "heads": 2, "epochs": 1, "device": "cpu", "random_state": 0}  # noqa: RUF012

    @pytest.mark.usefixtures("small_samples")
    def test_from_a_survey_of_any_instrument(self, tmp_path):
        """The network that was learned is told of the instrument, and answers low resolution."""
        survey = Survey("any", n=64, seed=1)
        estimator = LoggEstimator(weights=None, encoding="instrument", batch_size=32, **self.SMALL)
        estimator.fit(survey)
        estimator.save(tmp_path / "own.safetensors")
        loaded = LoggEstimator(weights=tmp_path / "own.safetensors", device="cpu")
        row = loaded.predict_table(spectrum(7000, 9000, 1.8), medium="vacuum", resolution=1800)[0]
        assert np.isfinite(row["logg"].value) and row["flags"] & Flag.LOWER_RESOLUTION

    def test_fine_tuning_tells_what_predicting_tells(self, estimator, monkeypatch):
        """Real spectra of an instrument come to training with its line spread function and pixels."""
        seen = []
        encode = LabelRegressor.encode

        def watched(self, flux, ivar, lsf=None, sampling=None):
            seen.append((lsf, sampling))
            return encode(self, flux, ivar, lsf, sampling)

        monkeypatch.setattr(LabelRegressor, "encode", watched)
        tuned = LoggEstimator(weights=estimator.weights, epochs=1, device="cpu", random_state=0)
        star = spectrum(7000, 9000, 1.8)
        tuned.fit([star] * 4, [1.0, 2.0, 3.0, 4.0], medium="vacuum", resolution=1800)
        batch = adapt(star, medium="vacuum", resolution=1800, lower_resolution="flag")
        assert seen
        for lsf, sampling in seen:
            np.testing.assert_allclose(lsf.numpy(), np.repeat(batch.lsf, len(lsf), 0), rtol=1e-6)
            np.testing.assert_allclose(sampling.numpy(), np.repeat(batch.sampling, len(lsf), 0), rtol=1e-6)

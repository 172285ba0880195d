"""The forward model: variances that noise models state, noiseless spectra and their derivatives."""

import copy

import numpy as np
import pytest
import torch
from scipy import stats

from specvit.grid import FWHM_PER_SIGMA, PixelGrid
from specvit.stars import Emulator, regrid_emulator
from specvit.survey import Augmentation, Noise, NoNoise, PFSNoise, PhotonNoise, SNRNoise, Survey

GIANT = [4700.0, 2.2, -0.4, 0.15, -0.05]
GRID = PixelGrid.linear(7130, 8820, 512, 3.6 / FWHM_PER_SIGMA, name="coarse")
PRIOR = Survey("paper").prior
WINDOW = (7590.0, 7700.0)
CURVE = 2 + np.cos(np.linspace(0, 9, 512))
COUNTS, BACKGROUND = 900 + 300 * np.sin(np.linspace(0, 5, 512)), np.linspace(200, 900, 512)
SNR = SNRNoise((20, 200))
WITH_CURVE = SNRNoise((20, 200), sigma=7e-17 * CURVE, grid=GRID)
PHOTONS = PhotonNoise(GRID, COUNTS, BACKGROUND)
MODELS = [(SNR, 35.0), (WITH_CURVE, 35.0), (PHOTONS, 21.0)]
NAMES = ["snr", "error curve", "photons"]


@pytest.fixture(scope="module")
def coarse():
    return regrid_emulator(Emulator.load(), GRID)


@pytest.fixture(scope="module")
def own(coarse):
    def make(noise, **options):
        magnitude = (20, 22) if isinstance(noise, PhotonNoise) else None
        return Survey("own", prior=PRIOR, emulator=coarse, noise=noise, magnitude=magnitude, **options)

    return make


def shape(emulator, labels):
    """Noiseless spectra of unit mean f_ν from the emulator in float64, by NumPy: (n, n_pixels)."""
    with torch.no_grad():
        flux = copy.deepcopy(emulator).double()(torch.as_tensor(np.atleast_2d(labels))).numpy()
    wave = emulator.grid.wave
    f_nu = flux * wave**2 / (0.5 * (wave[0] + wave[-1])) ** 2
    return flux / f_nu.mean(1, keepdims=True)


def expected_variance(noise, flux, brightness, used):
    """What the docstrings of the models say, by NumPy."""
    if isinstance(noise, SNRNoise):
        curve = np.ones(len(GRID)) if noise.sigma is None else noise.sigma
        ratio = np.sort((flux / curve)[:, used], 1)
        return (curve * ratio[:, (ratio.shape[1] - 1) // 2, None] / brightness) ** 2
    response = COUNTS * (GRID.wave / (0.5 * (GRID.wave[0] + GRID.wave[-1]))) ** 2
    return (flux * response + BACKGROUND) / response**2


class TestVariance:
    @pytest.mark.parametrize(("noise", "brightness"), MODELS, ids=NAMES)
    @pytest.mark.parametrize("masked", [(), (WINDOW,)], ids=["whole", "masked"])
    def test_is_what_the_model_says(self, own, noise, brightness, masked):
        survey = own(noise, masked=masked)
        model = survey.forward()
        labels = survey.prior.sample(5, np.random.default_rng(1))
        bright = torch.full((5,), brightness, dtype=torch.float64)
        flux = model.flux(torch.as_tensor(labels), bright)
        found, used = model.variance(flux, bright), survey.used_pixels
        assert found.dtype == torch.float64 and torch.isinf(found[:, ~used]).all()
        exact = expected_variance(noise, flux.numpy(), brightness, used)
        np.testing.assert_allclose(found[:, used], exact[:, used], rtol=1e-12)

    @pytest.mark.parametrize(("noise", "brightness"), MODELS, ids=NAMES)
    def test_is_that_of_many_draws(self, own, noise, brightness):
        """Sums of squared residuals over the variance are χ² distributed, pixel by pixel."""
        survey, n = own(noise), 400
        kind = {noise.brightness: brightness}
        batch = survey.observe([GIANT] * n, **kind)
        model = survey.forward()
        bright = model.brightness(1, **kind)
        flux = model.flux(model.check_labels([GIANT]), bright)
        variance = model.variance(flux, bright)
        chi2 = ((batch.flux.double() - flux) ** 2 / variance).sum(0).numpy()
        assert stats.kstest(chi2, stats.chi2(n).cdf).pvalue > 1e-3
        assert stats.kstest(1.02 * chi2, stats.chi2(n).cdf).pvalue < 1e-3  # 1 % of σ would be seen

    @pytest.mark.parametrize(("noise", "brightness"), MODELS, ids=NAMES)
    def test_draws_are_made_with_it(self, own, noise, brightness):
        """With imperfections, which it is told of, and without."""
        sizes = {"noise_shape": 0.3} | ({"flat_noise": 0.5} if isinstance(noise, PhotonNoise) else {})
        for augmentation in (Augmentation(), Augmentation(**sizes)):
            survey = own(noise, augmentation=augmentation)
            batch = survey.draw(20, **{noise.brightness: brightness})
            rng = np.random.default_rng([survey.seed, 0])
            survey.prior.sample(20, rng), rng.uniform(0, 1, 20)
            imperfections = augmentation.draw(20, rng, torch.device("cpu"))
            constants = survey.forward(dtype=torch.float32).constants
            bright = torch.full((20,), brightness)
            found = noise.variance(batch.noiseless, bright, constants, imperfections)
            torch.testing.assert_close(found, batch.noiseless_sigma**2, rtol=1e-5, atol=0)

    def test_no_noise_has_none_and_says_that_limits_do_not_exist(self, own):
        model = own(NoNoise()).forward()
        bright = model.brightness(1)
        flux = model.flux(model.check_labels([GIANT]), bright)
        assert bright.isnan().all() and (model.variance(flux, bright) == 0).all()
        assert "exactly" in NoNoise.no_limits and SNRNoise.no_limits is PFSNoise.no_limits is None

    def test_a_model_of_ones_own_must_say_it(self):
        with pytest.raises(NotImplementedError):
            Noise().variance(torch.ones(1, 3), None, {})


class TestSpectra:
    @pytest.mark.parametrize(("noise", "brightness"), MODELS, ids=NAMES)
    def test_are_the_noiseless_draws(self, own, noise, brightness):
        survey = own(noise)
        batch = survey.draw(20, **{noise.brightness: brightness})
        model = survey.forward()
        bright = model.brightness(20, **{noise.brightness: brightness})
        flux = model.flux(model.check_labels(batch.labels), bright)
        torch.testing.assert_close(flux.float(), batch.noiseless, rtol=2e-5, atol=0)
        sigma = model.variance(flux, bright).sqrt()
        torch.testing.assert_close(sigma.float(), batch.noiseless_sigma, rtol=2e-5, atol=0)

    @pytest.mark.parametrize(("noise", "brightness"), MODELS, ids=NAMES)
    def test_are_the_emulators_at_their_level(self, own, coarse, noise, brightness):
        model = own(noise).forward()
        labels = PRIOR.sample(3, np.random.default_rng(0))
        level = 10 ** (-0.4 * (brightness - 22.5)) if isinstance(noise, PhotonNoise) else 1.0
        bright = model.brightness(3, **{noise.brightness: brightness})
        found = model.flux(model.check_labels(labels), bright)
        np.testing.assert_allclose(found, level * shape(coarse, labels), rtol=1e-6)

    @pytest.mark.parametrize(("noise", "brightness"), MODELS, ids=NAMES)
    def test_derivatives_against_central_differences(self, own, noise, brightness):
        model = own(noise).forward()
        labels = model.check_labels(PRIOR.sample(3, np.random.default_rng(4)))
        bright = model.brightness(3, **{noise.brightness: brightness})
        flux, derivative = model.derivatives(labels, bright)
        torch.testing.assert_close(flux, model.flux(labels, bright), rtol=1e-12, atol=0)
        assert derivative.shape == (3, 512, 5) and derivative.dtype == torch.float64
        for k, step in enumerate([0.5, 1e-3, 1e-3, 1e-3, 1e-3]):
            shift = step * torch.eye(5, dtype=torch.float64)[k]
            difference = (model.flux(labels + shift, bright) - model.flux(labels - shift, bright)) / (
                2 * step
            )
            error = (difference - derivative[:, :, k]).abs().max() / difference.abs().max()
            assert error < 1e-4

    def test_are_differentiable_in_labels_and_brightness(self, own):
        model = own(PHOTONS).forward()
        labels = model.check_labels([GIANT]).requires_grad_()
        bright = model.brightness(1, magnitude=21.0).clone().requires_grad_()
        flux = model.flux(labels, bright)
        by_label, by_brightness = torch.autograd.grad(flux[0, 100], (labels, bright))
        exact = model.derivatives(labels.detach(), bright.detach())[1][0, 100]
        torch.testing.assert_close(by_label[0], exact, rtol=1e-9, atol=0)
        assert by_brightness.item() == pytest.approx(-0.4 * np.log(10) * flux[0, 100].item(), rel=1e-12)

    def test_the_same_for_a_survey_with_imperfections_and_moving_stars(self, own):
        """What is random comes on top: the model is of plain stars at rest."""
        bright = torch.full((1,), 50.0, dtype=torch.float64)
        labels = torch.tensor([GIANT], dtype=torch.float64)
        plain = own(SNR).forward().flux(labels, bright)
        rough = own(SNR, velocity=30, augmentation=Augmentation(line_error=0.1)).forward()
        assert torch.equal(rough.flux(labels, bright), plain)


class TestRules:
    def test_labels(self, own):
        model = own(SNR).forward()
        low, high = model.emulator.label_range
        slack = 0.009 * (high - low)
        assert torch.equal(model.check_labels((low - slack)[None]), (low - slack)[None])
        with pytest.raises(ValueError, match="labels: teff must lie in"):
            model.check_labels((high + 2 * slack)[None])
        with pytest.raises(ValueError, match=r"labels must have shape \(n, 5\), got \(5,\)"):
            model.check_labels(GIANT)

    @pytest.mark.parametrize(
        ("noise", "given", "message"),
        [
            (SNR, {}, "snr is needed for SNRNoise"),
            (SNR, {"magnitude": 20}, "magnitude has no meaning for SNRNoise, got 20"),
            (SNR, {"snr": -1}, "snr must be positive and finite, got -1"),
            (PHOTONS, {"snr": 20}, "snr has no meaning for PhotonNoise"),
            (PHOTONS, {}, "magnitude is needed for PhotonNoise"),
            (NoNoise(), {"snr": 20}, "snr has no meaning for NoNoise"),
        ],
    )
    def test_brightness(self, own, noise, given, message):
        with pytest.raises(ValueError, match=message):
            own(noise).forward().brightness(2, **given)

    def test_snr_is_the_stated_one(self, own):
        model = own(WITH_CURVE, masked=[WINDOW]).forward()
        bright = model.brightness(2, snr=[30.0, 60.0])
        flux = model.flux(model.check_labels([GIANT] * 2), bright)
        sigma = model.variance(flux, bright).sqrt()
        np.testing.assert_allclose(model.snr(flux, sigma), [30, 60], rtol=1e-12)

"""Posteriors and Bayes limits against closed forms, brute force and an independent computation."""

import copy
from functools import cache

import numpy as np
import pytest
import torch
from scipy.special import ndtr, ndtri

from specvit.grid import FWHM_PER_SIGMA, PixelGrid
from specvit.limits import bayes_limit, posterior
from specvit.limits.compressed import CompressedSpectra
from specvit.limits.fisher import fisher_information, van_trees
from specvit.stars import Emulator, regrid_emulator
from specvit.survey import Augmentation, NoNoise, SNRNoise, Survey, TablePrior
from specvit.survey.streams import LIMITS

MAGNITUDES = [20.0, 20.5, 21.0, 21.5, 22.0, 22.5]


@pytest.mark.parametrize("noise", [0.3, 5.0])
def test_linear_gaussian_survey_in_closed_form(linear_gaussian, noise):
    toy = linear_gaussian(noise)
    slopes = toy.basis[1:].numpy().T[None]
    fisher = fisher_information(slopes, toy.variance, toy.label_names)
    covariance = van_trees(fisher, 1 / toy.prior_sigma**2)  # of the posterior, here an equality
    exact = 1 - np.diag(covariance) / toy.prior_sigma**2
    options = {"amplitude": 1.0, "n_draws": 2000, "target_ess": 4000}
    limit = bayes_limit(toy, None, 200, spectra=toy, **options)
    np.testing.assert_allclose(1 - limit.r2, 1 - exact, rtol=0.01)
    np.testing.assert_allclose(limit.rmse, np.sqrt(np.diag(covariance)), rtol=0.01)
    np.testing.assert_allclose(limit.mae, np.sqrt(2 / np.pi * np.diag(covariance)), rtol=0.01)
    assert (limit.r2_err < 0.01).all() and not limit.posterior.flagged.any()
    np.testing.assert_allclose(limit.coverage, 0.6827, atol=0.1)
    # Star by star: mean, σ and quantiles of the Gaussian posterior.
    batch = toy.draw(200, stream=LIMITS, device="cpu", magnitude=None)
    residual = (batch.flux - toy.basis[0]).numpy() / toy.variance.numpy()
    mean = (residual @ slopes[0] + 3 / toy.prior_sigma**2) @ covariance
    sigma, result = np.sqrt(np.diag(covariance)), limit.posterior
    for value, expected in (
        (result.mean, mean),
        (result.median, mean),
        (result.low, mean - sigma),
        (result.high, mean + sigma),
    ):
        assert np.sqrt(np.mean(((value - expected) / sigma) ** 2)) < 0.04
    np.testing.assert_allclose(result.sigma / sigma, 1, atol=0.12)


def test_free_amplitude_against_brute_force(linear_gaussian):
    """The amplitude marginalised by the formula, and labels and amplitude on a grid."""
    toy = linear_gaussian(4.0)
    batch = toy.draw(2, stream=0, device="cpu", magnitude=None)
    result = posterior(batch.flux, batch.noiseless_sigma**2, toy, n_draws=3000, target_ess=6000)
    x, y = np.meshgrid(3 + np.linspace(-5, 5, 201), 3 + 2 * np.linspace(-5, 5, 201), indexing="ij")
    labels = np.stack([x.ravel(), y.ravel()], 1)
    model = (toy.coefficients(labels) @ toy.basis).numpy()
    log_prior = -0.5 * (((labels - 3) / toy.prior_sigma) ** 2).sum(1)
    for flux, mean, sigma in zip(batch.flux.numpy(), result.mean, result.sigma, strict=True):
        cross, square = model @ (flux / toy.variance.numpy()), model**2 @ (1 / toy.variance.numpy())
        amplitude = np.linspace(-3, 6, 2001)[:, None]
        density = 0
        for part in np.array_split(amplitude, 50):
            chi = part * cross - part**2 * square / 2
            density = density + np.exp(chi + log_prior - 40).sum(0)
        density /= density.sum()
        exact = density @ labels
        np.testing.assert_allclose(mean, exact, atol=0.05)
        np.testing.assert_allclose(sigma, np.sqrt(density @ (labels - exact) ** 2), rtol=0.05)


def test_few_draws_are_flagged(linear_gaussian):
    toy = linear_gaussian(0.01)
    batch = toy.draw(8, stream=0, device="cpu", magnitude=None)
    result = posterior(batch.flux, batch.noiseless_sigma**2, toy, amplitude=1.0, n_prior=500, n_rounds=0)
    assert result.flagged.all() and (result.ess < 100).all() and len(result) == 8
    refined = posterior(batch.flux, batch.noiseless_sigma**2, toy, amplitude=1.0, n_prior=500)
    assert not refined.flagged.any() and (refined.ess >= 1000).all()


def test_masked_pixels_are_left_out(linear_gaussian):
    toy = linear_gaussian(0.3)
    batch = toy.draw(3, stream=0, device="cpu", magnitude=None)
    flux, variance = batch.flux.clone(), (batch.noiseless_sigma**2).clone()
    flux[:, :10], variance[:, :10] = np.nan, np.inf
    masked = posterior(flux, variance, toy, amplitude=1.0)
    toy.basis = toy.basis[:, 10:]
    cut = posterior(flux[:, 10:], variance[:, 10:], toy, amplitude=1.0)
    np.testing.assert_allclose(masked.mean, cut.mean, rtol=1e-6)


@pytest.mark.parametrize("amplitude", [None, 1.0])
def test_a_spectrum_without_pixels_leaves_the_prior(linear_gaussian, amplitude):
    toy = linear_gaussian(0.3)
    flux, variance = torch.full((1, 40), torch.nan), torch.full((1, 40), torch.inf)
    result = posterior(flux, variance, toy, amplitude=amplitude, n_prior=40_000)
    np.testing.assert_allclose(result.mean[0], 3, atol=4 * 2 / 200)
    np.testing.assert_allclose(result.sigma[0], toy.prior_sigma, rtol=0.02)


def test_what_is_refused(linear_gaussian):
    toy = linear_gaussian(1.0)
    flux = torch.zeros(2, 40)
    with pytest.raises(ValueError, match=r"must have shape \(n, 40\), got \(2, 39\)"):
        posterior(flux[:, 1:], flux[:, 1:], toy)
    with pytest.raises(ValueError, match="variance must be positive"):
        posterior(flux, flux, toy)
    with pytest.raises(ValueError, match="flux must be finite"):
        posterior(flux * np.nan, flux + 1, toy)
    with pytest.raises(ValueError, match="n_stars must be at least 1"):
        bayes_limit(toy, n_stars=0, spectra=toy)
    with pytest.raises(ValueError, match="'pfs-mr' has"):
        bayes_limit(Survey("pfs-mr"), 20.0, 10)


@pytest.fixture(scope="module")
def survey():
    return Survey("paper", seed=4)


@pytest.fixture(scope="module")
def compressed(survey):
    """Its spectra for a magnitude, made once."""
    return cache(lambda magnitude: CompressedSpectra(survey, magnitude))


def test_compressed_spectra_are_the_emulators(survey, compressed):
    spectra = compressed(20.0)
    batch = survey.draw(100, stream=3, magnitude=20.0)
    flux = spectra.coefficients(batch.labels) @ spectra.basis * 10 ** (-0.4 * (20 - 22.5))
    chi2 = (((flux - batch.noiseless) / batch.noiseless_sigma) ** 2).sum(1)
    assert chi2.mean() < 1e-3 and chi2.max() < 0.02  # of a whole spectrum, S/N 1500
    assert len(spectra.basis) < 200
    plain = CompressedSpectra(Survey("pfs-mr", augmentation=Augmentation()), 22.0, n=500)
    assert torch.isfinite(plain.coefficients(plain.prior.sample(10, np.random.default_rng(0)))).all()


@pytest.fixture(scope="module")
def reference(test_data):
    """Posteriors of 96 stars by scripts/reference_posteriors.py, which uses nothing of `specvit.limits`."""
    with np.load(test_data / "posteriors_paper.npz") as archive:
        return {name: archive[name] for name in archive.files}


SLOW = [pytest.param(96, magnitude, marks=pytest.mark.slow) for magnitude in MAGNITUDES]


@pytest.mark.parametrize(("n", "magnitude"), [(24, 20.0), (24, 22.5), *SLOW])
def test_posteriors_are_those_of_plain_importance_sampling(survey, compressed, reference, n, magnitude):
    """Star by star, on the same spectra: only the errors of the two samplings are left."""
    k = MAGNITUDES.index(magnitude)
    batch = survey.observe(reference["labels"], magnitude, stream=k)
    flux, variance = batch.flux[:n], batch.noiseless_sigma[:n] ** 2
    found = posterior(flux, variance, compressed(magnitude))
    good = (reference["ess"][k][:n] > 200) & ~found.flagged
    assert good.mean() > 0.9
    mean, sigma, ess = (reference[name][k][:n][good] for name in ("mean", "sigma", "ess"))
    error = np.sqrt(1 / ess + 1 / found.ess[good])[:, None]  # of the difference of means, in units of σ
    assert np.sqrt(np.mean(((found.mean[good] - mean) / sigma / error) ** 2)) < 1.3
    assert np.sqrt(np.mean((np.log(found.sigma[good] / sigma) / error) ** 2)) < 1.0
    np.testing.assert_allclose(np.mean(found.sigma[good] ** 2, 0), np.mean(sigma**2, 0), rtol=0.05)


@pytest.fixture(scope="module")
def faint(survey, compressed, reference):
    """The limit at the faint end, from the 96 stars."""
    batch = survey.observe(reference["labels"], 22.5, stream=5)
    return bayes_limit(survey, 22.5, batch=batch, spectra=compressed(22.5))


def test_the_limit_is_the_mean_variance_of_the_posteriors(survey, reference, faint):
    """Of log g at the faint end, by the same stars: 1 − E[variance]/Var, and its error over the stars."""
    limit = faint
    prior = survey.prior.sample(400_000, np.random.default_rng(3)).var(0)
    expected = 1 - np.mean(reference["sigma"][5] ** 2, 0) / prior
    np.testing.assert_allclose(limit.r2, expected, atol=0.01)
    spread = np.std(reference["sigma"][5] ** 2, 0, ddof=1) / prior / np.sqrt(96)
    np.testing.assert_allclose(limit.r2_err, spread, rtol=0.1)


def test_paper_survey_at_the_faint_end(faint):
    limit = faint
    k = limit.label_names.index("logg")
    assert limit.coverage.mean() == pytest.approx(0.683, abs=0.08)
    assert not limit.posterior.flagged.any()
    row = limit.rows()[k]
    assert row["label"] == "logg" and row["magnitude"] == 22.5 and row["n_stars"] == 96
    assert row["mae"] < row["rmse"]


def test_same_seed_same_limit(survey):
    spectra = CompressedSpectra(survey, 21.0, n=300)
    first, second = (bayes_limit(survey, 21.0, 8, spectra=spectra).posterior.mean for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("magnitude", MAGNITUDES)
def test_coverage_of_the_paper_survey(survey, magnitude):
    limit = bayes_limit(survey, magnitude, 400)
    assert limit.coverage.mean() == pytest.approx(0.683, abs=0.03)
    assert limit.posterior.flagged.mean() < 0.01


# -- noise of a stated S/N, on another grid, with masked windows ---------------------------------------

GRID = PixelGrid.linear(7130, 8820, 512, 3.6 / FWHM_PER_SIGMA, name="coarse")
CURVE = 2 + np.cos(np.linspace(0, 9, 512))
WINDOWS = ((7590.0, 7700.0), (8400.0, 8480.0))
CENTRE = np.array([4800.0, 2.5, -0.5, 0.1, -0.1])
WIDTH = np.array([8.0, 0.03, 0.01, 0.01, 0.01])


class NarrowNormal:
    """Labels so near to each other, normally distributed, that spectra are linear in them."""

    ranges = tuple(zip((CENTRE - 6 * WIDTH).tolist(), (CENTRE + 6 * WIDTH).tolist(), strict=True))

    def from_unit(self, u):
        return CENTRE + WIDTH * ndtri(np.clip(u, ndtr(-6), ndtr(6)))

    def sample(self, n, rng):
        return self.from_unit(rng.random((n, 5)))

    def contains(self, labels):
        return (np.abs(labels - CENTRE) <= 6 * WIDTH).all(1)


@pytest.fixture(scope="module")
def coarse():
    return regrid_emulator(Emulator.load(), GRID)


def closed_form(survey, emulator, curve, snr):
    """Posterior covariance of the labels by NumPy, the spectrum linear and its amplitude unknown: (5, 5).

    Derivatives are central differences over a tenth of the prior's width.
    """
    emulator, wave = copy.deepcopy(emulator).double(), GRID.wave

    def spectrum(labels):
        with torch.no_grad():
            flux = emulator(torch.as_tensor(labels)[None])[0].numpy()
        return flux / np.mean(flux * (wave / (0.5 * (wave[0] + wave[-1]))) ** 2)

    used, flux, steps = survey.used_pixels, spectrum(CENTRE), np.diag(WIDTH / 10)
    columns = [(spectrum(CENTRE + s) - spectrum(CENTRE - s)) / (2 * s.sum()) for s in steps]
    rows = np.stack([*columns, flux], 1)[used]
    sigma = curve[used] * np.median((flux / curve)[used]) / snr
    information = (rows / sigma[:, None] ** 2).T @ rows
    information[:5, :5] += np.diag(WIDTH**-2.0)
    return np.linalg.inv(information)[:5, :5]


@pytest.mark.parametrize("curve", [None, CURVE], ids=["flat", "curve"])
@pytest.mark.slow
def test_stated_snr_in_closed_form(coarse, curve):
    """The whole way, from a survey of one's own to R²: to 1 % of what the linear-Gaussian problem has."""
    noise = SNRNoise((60, 250), sigma=curve, grid=None if curve is None else GRID)
    survey = Survey("own", prior=NarrowNormal(), emulator=coarse, noise=noise, masked=WINDOWS, seed=3)
    curve = np.ones(512) if curve is None else curve
    # Draws from the prior are common to all stars: few of them, lest their scatter be that of the mean.
    options = {"n_prior": 512, "n_draws": 3000, "target_ess": 6000}
    variance = np.diagonal(closed_form(survey, coarse, curve, 200.0))
    limit = bayes_limit(survey, n_stars=30, snr=200, **options)
    assert limit.snr == 200 and limit.magnitude is None and not limit.posterior.flagged.any()
    np.testing.assert_allclose(1 - limit.r2, variance / WIDTH**2, rtol=0.01)
    np.testing.assert_allclose(limit.rmse, np.sqrt(variance), rtol=0.01)
    np.testing.assert_allclose(limit.mae, np.sqrt(2 / np.pi * variance), rtol=0.01)
    np.testing.assert_allclose(limit.coverage.mean(), 0.683, atol=0.12)
    assert limit.r2.min() < 0.3 < 0.7 < limit.r2.max()  # neither hopeless nor certain
    # The survey's own range of S/N: star by star, and the mean.
    batch = survey.draw(30, stream=11)
    limit = bayes_limit(survey, batch=batch, **options)
    exact = [np.diagonal(closed_form(survey, coarse, curve, s)) for s in batch.snr.double().numpy()]
    np.testing.assert_allclose(limit.posterior.sigma**2, exact, rtol=0.1)
    np.testing.assert_allclose(1 - limit.r2, np.mean(exact, 0) / WIDTH**2, rtol=0.01)


def test_compressed_spectra_of_a_stated_snr(coarse):
    noise = SNRNoise((20, 500), sigma=CURVE, grid=GRID)
    survey = Survey("own", prior=Survey("paper").prior, emulator=coarse, noise=noise, masked=WINDOWS)
    spectra = CompressedSpectra(survey, snr=500)
    batch = survey.draw(100, stream=3, snr=500)
    flux = spectra.coefficients(batch.labels) @ spectra.basis
    ratio = ((flux - batch.noiseless) / batch.noiseless_sigma)[:, survey.used_pixels]
    assert ratio.square().sum(1).mean() < 1e-3 and len(spectra.basis) < 200
    with pytest.raises(ValueError, match="snr is needed for SNRNoise"):
        CompressedSpectra(survey)


def test_surveys_without_a_posterior_say_why(coarse):
    prior = Survey("paper").prior
    with pytest.raises(ValueError, match="survey must have noise for its limits to exist"):
        bayes_limit(Survey("own", prior=prior, emulator=coarse, noise=NoNoise()), n_stars=4)
    table = TablePrior(prior.sample(10, np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r"must have a prior with from_unit .* got TablePrior"):
        bayes_limit(Survey("own", prior=table, emulator=coarse, noise=SNRNoise(20)), n_stars=4)
    with pytest.raises(ValueError, match="magnitude has no meaning for SNRNoise"):
        bayes_limit(Survey("own", prior=prior, emulator=coarse, noise=SNRNoise(20)), 20.0, 4)

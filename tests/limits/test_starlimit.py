"""The limit of a star against matrix algebra, the posterior, and what an instrument should do to it."""

import astropy.units as u
import numpy as np
import pytest
import torch

from specvit.grid import Instrument, PixelGrid
from specvit.limits import bayes_limit, pixel_information, posterior, star_limit, survey_fisher
from specvit.survey import NoNoise, PFSNoise, SNRNoise, Survey, preset_survey

GIANT = {"teff": 4500.0, "logg": 2.0, "[M/H]": -0.3, "alpham": 0.1}
ROW = np.array([4500.0, 2.0, -0.3, 0.1, 0.0])
MINE = PixelGrid.from_resolving_power(7150, 8800, 2500, name="mine")


def test_is_the_inverse_of_information_and_priors():
    limit = star_limit(GIANT, snr=50, grid=MINE, given={"log g": 0.05})
    assert limit.survey.grid == MINE and limit.sigma.shape == (5,)
    np.testing.assert_array_equal(limit.labels, ROW)
    draws = limit.survey.prior.sample(200_000, np.random.default_rng(9))
    prior = np.diag(np.append(1 / draws.var(0), 0.0))  # the last parameter is the amplitude
    prior[1, 1] += 1 / 0.05**2
    covariance = np.linalg.inv(limit.fisher.matrix[0] + prior)
    np.testing.assert_allclose(limit.sigma, np.sqrt(np.diag(covariance))[:5], rtol=1e-3)
    bound = np.linalg.inv(limit.fisher.matrix[0])
    np.testing.assert_allclose(limit.sigma_unbiased, np.sqrt(np.diag(bound))[:5], rtol=1e-6)
    assert isinstance(limit["logg"], float) and limit["logg"] == limit.sigma[1] < 0.05


def test_several_stars_and_one_are_the_same():
    both = star_limit(np.stack([ROW, ROW + np.array([200, 1, 0, 0, 0])]), snr=[50, 80])
    one = star_limit(ROW, snr=50)
    assert both.sigma.shape == (2, 5) and both["logg"].shape == (2,)
    np.testing.assert_allclose(both.sigma[0], one.sigma, rtol=1e-12)
    assert str(one).count("\n") == 5 and "S/N 50" in str(one)
    assert "S/N [50, 80]" in str(both)


def test_without_prior_it_goes_with_the_noise():
    twice, once = (star_limit(GIANT, snr=s, grid=MINE, prior=False).sigma for s in (100, 50))
    np.testing.assert_allclose(once, 2 * twice, rtol=1e-9)


def test_noise_of_magnitudes():
    limit = star_limit(ROW, 21.0, noise=PFSNoise())
    expected = survey_fisher(Survey("paper"), ROW, 21.0).sigma()[0, :5]
    np.testing.assert_allclose(limit.sigma_unbiased, expected, rtol=1e-9)
    assert str(limit).startswith("magnitude 21, PFS MR")


@pytest.mark.slow
def test_the_posterior_agrees_where_the_spectrum_is_linear():
    """At a S/N at which σ is a hundredth of the prior's range, with and without outside knowledge."""
    for given in ({}, {"teff": 3.0}):
        limit = star_limit(GIANT, snr=100, given=given, posteriors=24)
        np.testing.assert_allclose(limit.sigma_posterior, limit.sigma, rtol=0.12)
        assert limit["logg"] == limit.sigma_posterior[1]
        assert len(limit.posterior) == 24 and not limit.posterior.flagged.any()
        pull = (limit.posterior.mean - ROW) / limit.posterior.sigma
        assert np.abs(pull.mean(0)).max() < 4 / np.sqrt(24)


def test_presets_are_seen_in_their_own_pixels():
    survey = preset_survey("SDSS", snr=50)
    limit = star_limit(GIANT, instrument="SDSS")
    assert limit.survey.grid == survey.grid and limit.brightness == {"snr": 50.0}
    step = np.diff(np.log(survey.grid.edges))
    np.testing.assert_allclose(step, np.log(10) * 1e-4, rtol=2e-4)
    np.testing.assert_allclose(
        np.interp(8000, survey.grid.wave, survey.grid.resolving_power), 2383.3, rtol=1e-3
    )
    assert len(survey.masked) == 3 and not survey.used_pixels.all()
    # Pixels in parts of the FWHM, and an instrument that is sharper than the library.
    fine = preset_survey("4MOST").grid
    np.testing.assert_allclose(fine.width, 0.33 * fine.wave / 6500, rtol=2e-3)
    assert preset_survey("GALAH").grid.resolving_power.max() < 6700


def test_gaps_between_windows_are_masked():
    arms = ((7200.0, 7400.0), (8400.0, 8800.0))
    mine = Instrument("two arms", arms, 0.6, resolving_power=4000.0, ground_based=False)
    survey = preset_survey(mine)
    assert survey.masked == ((7400.0, 8400.0),)
    seen = survey.grid.wave[survey.used_pixels]
    assert ((seen < 7400) | (seen > 8400)).all()


def test_information_with_priors_sums_to_the_schur_complement():
    given = {"teff": 30.0, "mh": 0.02}
    survey = preset_survey("Gaia RVS", snr=40)
    information, _ = pixel_information(survey, ROW, snr=40, given=given | {"logg": 9.0})
    matrix = survey_fisher(survey, ROW, snr=40).matrix[0]
    rest = [0, 2, 3, 4, 5]
    prior = np.diag([30.0**-2, 0.02**-2, 0, 0, 0])
    a = np.linalg.solve(matrix[np.ix_(rest, rest)] + prior, matrix[rest, 1])
    expected = matrix[1, 1] - matrix[1, rest] @ a - a @ prior @ a
    assert information.sum() == pytest.approx(expected, rel=1e-7)


def test_a_measurement_makes_the_posterior_of_a_product(linear_gaussian):
    """Linear and Gaussian: the precision of the measurement adds to that of the posterior."""
    toy = linear_gaussian(3.0)
    batch = toy.draw(30, stream=1)
    value = batch.labels[:, 0].numpy() + 0.2 * np.random.default_rng(0).normal(size=30)
    options = {"amplitude": 1.0, "n_draws": 2000, "target_ess": 4000}
    found = posterior(batch.flux, batch.noiseless_sigma**2, toy, given={"x": (value, 0.2)}, **options)
    precision = np.linalg.inv(toy.covariance)
    more = precision + np.diag([1 / 0.2**2, 0])
    before = toy.posterior_mean(batch.flux)
    mean = np.linalg.solve(more, (before @ precision + np.stack([value / 0.2**2, 0 * value], 1)).T).T
    sigma = np.sqrt(np.diag(np.linalg.inv(more)))
    assert np.sqrt(np.mean(((found.mean - mean) / sigma) ** 2)) < 0.04
    np.testing.assert_allclose(found.sigma / sigma, 1, atol=0.1)
    one = posterior(batch.flux[0], batch.noiseless_sigma[0] ** 2, toy, amplitude=1.0)
    assert one.mean.shape == (1, 2)
    with pytest.raises(ValueError, match=r"given must name labels among \('x', 'y'\), got 'z'"):
        posterior(batch.flux, batch.noiseless_sigma**2, toy, given={"z": (1, 1)})
    with pytest.raises(ValueError, match="finite and positive, got"):
        posterior(batch.flux, batch.noiseless_sigma**2, toy, given={"x": (1, 0)})


def test_one_star_has_a_bayes_limit(linear_gaussian):
    toy = linear_gaussian(1.0)
    limit = bayes_limit(toy, n_stars=1, spectra=toy, amplitude=1.0)
    np.testing.assert_allclose(limit.rmse, np.sqrt(np.diag(toy.covariance)), rtol=0.15)
    assert np.isinf(limit.r2_err).all() and np.isfinite(limit.mae).all()
    assert np.isneginf(limit.r2_achieved).all()
    assert torch.as_tensor(limit.rmse).shape == (2,)


def test_what_is_refused():
    with pytest.raises(ValueError, match="mh is missing"):
        star_limit({"teff": 4500, "logg": 2})
    with pytest.raises(ValueError, match="did you mean 'teff'"):
        star_limit({"tef": 4500, "logg": 2, "mh": 0})
    with pytest.raises(ValueError, match=r"one at most .* got \['instrument', 'grid'\]"):
        star_limit(ROW, grid=MINE, instrument="SDSS")
    with pytest.raises(ValueError, match="positive sigma, got 0"):
        star_limit(ROW, given={"teff": 0})
    with pytest.raises(ValueError, match="logg must lie in"):
        star_limit(ROW + np.array([0, 9, 0, 0, 0]))
    with pytest.raises(ValueError, match="must have noise"):
        star_limit(ROW, noise=NoNoise())
    with pytest.raises(ValueError, match="posteriors must be 0"):
        star_limit(ROW, posteriors=2, continuum=4)
    with pytest.raises(ValueError, match="magnitude has no meaning for SNRNoise"):
        star_limit(ROW, 20.0, noise=SNRNoise(20))
    with pytest.raises(ValueError, match="instrument must see a part"):
        star_limit(ROW, instrument=Instrument("blue", ((4000.0, 5000.0),), 1.0, resolving_power=2000.0))


def test_units_are_converted_or_refused():
    star = {"teff": 4600.0, "logg": 2.2, "mh": -0.4}
    plain = star_limit(star, snr=50, given={"teff": 50})["logg"]
    units = {"teff": 4.6 * u.kK, "logg": 0.2 * u.dex(u.m / u.s**2), "mh": -0.4 * u.dex}
    assert star_limit(units, snr=50, given={"teff": 0.05 * u.kK})["logg"] == pytest.approx(plain, rel=1e-6)
    for wrong, message in (
        ({"teff": 4600 * u.AA}, r"labels\['teff'\] must be in K"),
        ({"logg": np.ma.masked}, r"labels\['logg'\] must not be masked"),
    ):
        with pytest.raises(ValueError, match=message):
            star_limit(star | wrong, snr=50)
    with pytest.raises(ValueError, match="labels must be plain numbers"):
        star_limit(np.ones(5) * u.K, snr=50)
    with pytest.raises(ValueError, match=r"given\['teff'\] must be in K"):
        star_limit(star, snr=50, given={"teff": 50 * u.AA})

"""χ² fits against finite differences, SciPy, the Cramér–Rao bound, and spectra whose labels are known."""

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev
from scipy.optimize import least_squares
from sklearn.base import clone

from specvit.grid import PFS_MR, PixelGrid
from specvit.labels import LABELS
from specvit.limits import survey_fisher
from specvit.predictors import TemplateFit
from specvit.predictors.templatemodel import LabelCube, TemplateModel
from specvit.spectra import Flag, SpectrumBatch, SpectrumError
from specvit.stars import Emulator
from specvit.survey import LabelPrior, Survey

INSIDE = LabelPrior((4200, 5500), (1.8, 4.4), (-0.8, -0.2), (0.0, 0.3), (-0.3, 0.1))
TOO_WIDE = LabelPrior((2000, 9000), (1, 5), (-1, 0), (0, 0.3), (0, 0.3))
QUICK = {"n_templates": 512, "n_starts": 1}


@pytest.fixture(scope="module")
def survey():
    return Survey("paper", seed=1)


@pytest.fixture(scope="module")
def bright(survey):
    """60 stars at magnitude 18, away from the ends of the prior, with the true inverse variance."""
    labels = INSIDE.sample(60, np.random.default_rng(0))
    batch = survey.observe(labels, 18.0, stream=5)
    return labels, batch.flux.double().numpy(), 1 / batch.noiseless_sigma.double().numpy() ** 2


@pytest.fixture(scope="module")
def fitted(survey, bright):
    _, flux, ivar = bright
    estimator = TemplateFit(n_starts=1, tol=1e-4).fit(survey)
    return estimator, estimator.solve(flux, ivar=ivar)


def noiseless(emulator, labels, **shape):
    with torch.no_grad():
        lines = emulator.double().normalised(torch.as_tensor(labels)).numpy()
        continuum = emulator.continuum(torch.as_tensor(labels)).numpy()
    return lines * continuum


@pytest.fixture(scope="module")
def double():
    return Emulator.load().double()


# -- the model ---------------------------------------------------------------------------------------


def test_derivatives_of_the_objective(survey, bright):
    """Descent is minus half the derivative of the objective in the unit cube, with the continuum refitted."""
    labels, flux, ivar = (torch.as_tensor(x[:4]) for x in bright)
    cube = LabelCube(survey.emulator.label_range.double().numpy(), survey.prior)
    gaussian = np.array([4800, 2.5, -0.5, 0.1, 0]), np.array([5, 0.1, 0.1, np.inf, 0.2])
    model = TemplateModel(survey.emulator, cube, continuum=2, gaussian=gaussian)
    x = torch.as_tensor(np.random.default_rng(4).uniform(0.2, 0.8, (4, 5)))
    state = model.evaluate(x, flux, ivar.sqrt())
    for k in range(5):
        step = 1e-5 * torch.eye(5, dtype=torch.float64)[k]
        high, low = (model.evaluate(x + s * step, flux, ivar.sqrt()).objective for s in (1, -1))
        np.testing.assert_allclose(state.descent[:, k], -(high - low) / 4e-5, rtol=1e-4)
    assert (torch.linalg.eigvalsh(state.hessian) > 0).all() and labels.shape == (4, 5)


def test_the_cube_is_the_support_of_the_prior(survey):
    cube = LabelCube(survey.emulator.label_range.double().numpy(), survey.prior)
    u = torch.as_tensor(np.random.default_rng(5).random((2000, 5)))
    labels = cube.labels(u).numpy()
    assert survey.prior.contains(labels).all()
    corner = cube.labels(torch.tensor([[0.0, 1.0, 0.0, 0.5, 1.0]], dtype=torch.float64)).numpy()[0]
    np.testing.assert_allclose(corner, [3750, 5, -1, 0.15, 0.3])  # [C/M] <= [alpha/M] + 0.15
    slope = cube.slope(u[:50])
    np.testing.assert_allclose(slope[:, 0, 0], 2250, rtol=1e-6)
    below = u[:50, 3].numpy() < 0.78  # where the upper end of [C/M] follows [alpha/M]
    expected = np.where(below, 0.7 * u[:50, 4], 0)
    np.testing.assert_allclose(slope[:, 4, 3], expected, atol=1e-6)


# -- the fits ----------------------------------------------------------------------------------------


def test_noiseless_labels_are_recovered(survey, double):
    labels = INSIDE.sample(20, np.random.default_rng(1))
    flux = noiseless(double, labels)
    ivar = (100 / np.median(flux, 1)[:, None]) ** 2 * np.ones_like(flux)
    result = TemplateFit(n_starts=1, tol=1e-4).fit(survey).solve(flux, ivar=ivar)
    assert result.converged.all() and not result.at_bound.any()
    np.testing.assert_allclose(result.labels[:, 1:], labels[:, 1:], atol=1e-3)
    np.testing.assert_allclose(result.labels[:, 0], labels[:, 0], atol=0.1)
    np.testing.assert_allclose(result.continuum, 1, rtol=1e-4)  # (R/d)^2 of the emulator's own flux
    assert (result.chi2 < 1e-2).all() and (result.dof == 4090).all()


def test_errors_are_those_of_the_cramer_rao_bound(survey, bright, fitted):
    labels, result = bright[0], fitted[1]
    bound = np.sqrt(survey_fisher(survey, labels, 18.0).keep(*LABELS).crlb())
    np.testing.assert_allclose(np.median(result.sigma / bound, 0), 1, atol=0.05)
    np.testing.assert_allclose(result.sigma**2, np.diagonal(result.covariance, axis1=1, axis2=2), rtol=1e-6)


def test_pulls_have_unit_variance(bright, fitted):
    labels, result = bright[0], fitted[1]
    assert result.converged.all()
    pull = (result.labels - labels) / result.sigma
    assert np.mean(pull**2) == pytest.approx(1, abs=0.2)  # 300 numbers
    assert (np.abs(pull.mean(0)) < 3.5 / np.sqrt(60)).all()
    assert np.mean(result.chi2 / result.dof) == pytest.approx(1, abs=0.01)
    # The full covariance, not its diagonal alone: Mahalanobis distances are chi-square of 5.
    d = result.labels - labels
    distance = np.einsum("ni,nij,nj->n", d, np.linalg.inv(result.covariance), d)
    assert distance.mean() == pytest.approx(5, abs=5 * np.sqrt(10 / 60))


def scipy_fit(emulator, flux, ivar, start, gaussian=None):
    """Labels, σ and χ² of one star by SciPy's trust-region reflective method, amplitude a parameter."""
    scale = np.array([1000.0, 1, 1, 1, 1])
    level = np.median(noiseless(emulator, start[None]))
    root = np.sqrt(ivar)

    def residual(p):
        out = (flux - p[5] * noiseless(emulator, (p[:5] * scale)[None])[0] / level) * root
        if gaussian is not None:
            out = np.concatenate([out, (p[:5] * scale - gaussian[0]) / gaussian[1]])
        return out

    low, high = (np.array(x) for x in zip(*Survey("paper").prior.ranges, strict=True))
    bounds = np.append(low / scale, 0), np.append(high / scale, np.inf)
    start = np.append(start / scale, np.median(flux))
    fit = least_squares(residual, start, bounds=bounds, jac="3-point", xtol=1e-12, ftol=1e-12, gtol=1e-12)
    covariance = np.linalg.inv(fit.jac.T @ fit.jac)
    return fit.x[:5] * scale, np.sqrt(np.diag(covariance))[:5] * scale, 2 * fit.cost


def test_against_scipy(bright, fitted, double):
    labels, flux, ivar = bright
    result = fitted[1]
    for i in range(2):
        best, sigma, chi2 = scipy_fit(double, flux[i], ivar[i], labels[i])
        np.testing.assert_allclose((result.labels[i] - best) / sigma, 0, atol=0.005)
        np.testing.assert_allclose(result.sigma[i], sigma, rtol=1e-3)
        assert result.chi2[i] == pytest.approx(chi2, abs=1e-4)


def test_a_gaussian_prior_against_scipy(survey, bright, double):
    labels, flux, ivar = (x[0] for x in bright)
    gaussian = {"teff": (labels[0] + 5, 3.0), "logg": (labels[1] + 0.03, 0.02)}
    estimator = TemplateFit(gaussian=gaussian, tol=1e-4, **QUICK).fit(survey)
    result = estimator.solve(flux[None], ivar=ivar[None])
    wide = np.full(3, np.inf)
    arrays = np.array([labels[0] + 5, labels[1] + 0.03, 0, 0, 0]), np.array([3.0, 0.02, *wide])
    best, sigma, _ = scipy_fit(double, flux, ivar, labels, arrays)
    np.testing.assert_allclose((result.labels[0] - best) / sigma, 0, atol=0.01)
    np.testing.assert_allclose(result.sigma[0], sigma, rtol=1e-3)


@pytest.mark.filterwarnings("ignore::specvit.exceptions.AlarmWarning")  # faint ones end at the bounds
def test_faint_stars_and_the_prior(survey):
    batch = survey.draw(40, stream=3, magnitude=22.5)
    truth = batch.labels.double().numpy()
    result = TemplateFit().fit(survey).solve(batch.flux, ivar=batch.ivar)
    assert result.converged.mean() > 0.98
    assert survey.prior.contains(result.labels[~result.at_bound.any(1)]).all()
    low, high = np.array(survey.prior.ranges).T
    assert ((result.labels >= low - 1e-9) & (result.labels <= high + 1e-9)).all()
    assert result.at_bound.any()
    more = TemplateFit(n_starts=5).fit(survey).solve(batch.flux[:12], ivar=batch.ivar[:12])
    assert (result.chi2[:12] < more.chi2 + 0.1).mean() > 0.9  # two starts find what five do
    estimator = TemplateFit(gaussian="prior", labels=("logg",), **QUICK).fit(survey)
    shrunk = estimator.predict(batch.flux, ivar=batch.ivar, on_error="nan")
    used = np.isfinite(shrunk)
    assert used.mean() > 0.9
    assert np.square(shrunk - truth[:, 1])[used].mean() < np.square(result.labels - truth)[used, 1].mean()


def test_bounds_hold_and_are_reported(survey, bright):
    _, flux, ivar = bright
    labels = np.array([[4800, 3.0, -0.5, 0.1, 0.0]])
    batch = survey.observe(labels, 18.0)
    prior = LabelPrior((4000, 5500), (1.5, 2.5), (-0.9, 0.0), (0.0, 0.3), (-0.3, 0.3))
    result = TemplateFit(prior=prior).solve(batch.flux, ivar=batch.ivar)
    assert result.converged.all() and result.at_bound[0, 1]
    assert result.labels[0, 1] == pytest.approx(2.5)
    assert not TemplateFit(**QUICK).solve(flux[:2], ivar=ivar[:2]).at_bound.any()


def test_a_polynomial_continuum(survey, bright, fitted):
    _, flux, ivar = (x[:3] for x in bright)
    tilt = chebyshev.chebval(np.linspace(-1, 1, flux.shape[1]), [1.0, 0.2, -0.1])
    settings = QUICK | {"tol": 1e-4}
    result = TemplateFit(continuum=2, **settings).fit(survey).solve(flux * tilt, ivar=ivar / tilt**2)
    straight = TemplateFit(continuum=2, **settings).fit(survey).solve(flux, ivar=ivar)
    assert result.continuum.shape == (3, 3) and (result.dof == 4088).all()
    # Not of the same basis exactly: a polynomial times a polynomial has a higher order.
    np.testing.assert_allclose(result.continuum[:, 1] / result.continuum[:, 0], 0.2, atol=0.02)
    assert (np.abs(result.labels - straight.labels) < 3 * straight.sigma).all()
    assert (straight.sigma >= fitted[1].sigma[:3] * 0.999).all()  # what is not known costs


def test_a_radial_velocity(survey, double):
    labels = INSIDE.sample(3, np.random.default_rng(7))
    velocity = np.array([-35.0, 0.4, 17.0])
    with torch.no_grad():
        c, d = double.coefficients(torch.as_tensor(labels))
    spectra = np.concatenate([double.mean[None], double.components]).astype(np.float64)
    c = np.concatenate([np.ones((3, 1)), c.numpy()], 1)
    lines = [double.to_grid((row @ spectra)[None], v)[0] for row, v in zip(c, velocity, strict=True)]
    flux = np.array(lines) * np.exp(double.log_continuum(d).numpy())
    ivar = (100 / np.median(flux, 1)[:, None]) ** 2 * np.ones_like(flux)
    result = TemplateFit(max_velocity=40, n_starts=3).fit(survey).solve(flux, ivar=ivar)
    assert result.converged.all() and (result.dof == 4089).all()
    np.testing.assert_allclose(result.velocity, velocity, atol=0.01)
    np.testing.assert_allclose(result.labels[:, 1], labels[:, 1], atol=2e-3)
    assert ((result.velocity_sigma > 0.01) & (result.velocity_sigma < 1)).all()
    assert np.isnan(TemplateFit(**QUICK).solve(flux[:1], ivar=ivar[:1]).velocity).all()


# -- manners -----------------------------------------------------------------------------------------


def test_what_is_masked_and_the_scale_do_not_matter(survey, bright):
    _, flux, ivar = (x[:4].copy() for x in bright)
    ivar[:, 1000:1400] = 0
    estimator = TemplateFit(**QUICK).fit(survey)
    expected = estimator.solve(flux, ivar=ivar)
    dirty = np.where(ivar > 0, 1e-17 * flux, np.nan)
    result = estimator.solve(dirty, ivar=1e34 * ivar)
    np.testing.assert_allclose(result.labels, expected.labels, rtol=1e-6)
    np.testing.assert_allclose(result.continuum, 1e-17 * expected.continuum, rtol=1e-6)
    assert (expected.dof == 4096 - 400 - 6).all()
    assert np.isnan(dirty[:, 1000]).all()  # the caller's array is as it was


def test_a_spectrum_gives_what_it_gives_in_a_batch(survey, bright, fitted):
    _, flux, ivar = bright
    alone = fitted[0].solve(flux[7:8], ivar=ivar[7:8])
    np.testing.assert_allclose(alone.labels[0], fitted[1].labels[7], rtol=1e-6)


def test_nothing_only_looks_real(survey, bright):
    _, flux, ivar = (x[:4].copy() for x in bright)
    hasty = TemplateFit(max_iter=1, tol=1e-6, n_templates=16, n_starts=1).fit(survey)
    result = hasty.solve(flux, ivar=ivar)
    assert not result.converged.any() and np.isfinite(result.labels).all() and (result.n_iter == 1).all()
    with pytest.raises(
        SpectrumError, match=r"spectra\[0\]: no fit of positive amplitude has converged in 1 steps \(3 more"
    ):
        hasty.predict(flux, ivar=ivar)
    mean, sigma = hasty.predict(flux, return_std=True, ivar=ivar, on_error="nan")
    assert mean.shape == (4,) and np.isnan(mean).all() and np.isnan(sigma).all()
    table = hasty.predict_table(flux, ivar=ivar)
    assert (table["flags"] & Flag.UNUSABLE != 0).all() and all("converged" in why for why in table["error"])
    assert (table["snr"] > 30).all() and not table["converged"].any()
    flux[0] *= -1
    ivar[1] = 0
    ivar[2, 3:] = 0
    estimator = TemplateFit(**QUICK).fit(survey)
    result = estimator.solve(flux, ivar=ivar)
    assert result.converged.tolist() == [False, False, False, True] and len(result) == 4
    assert np.isnan(result.labels[:3]).all() and np.isfinite(result.labels[3]).all()
    table = estimator.predict_table(flux, ivar=ivar)
    assert (table["flags"][:3] & Flag.UNUSABLE != 0).all() and all(table["error"][:3])
    assert np.isnan(table["logg"][:3].value).all()


def test_predict_and_table(survey, bright, fitted):
    _, flux, ivar = (x[:3] for x in bright)
    estimator = TemplateFit(labels=("logg", "teff"), n_starts=1, tol=1e-4).fit(survey)
    mean, sigma = estimator.predict(flux, return_std=True, ivar=ivar)
    np.testing.assert_allclose(mean, fitted[1].labels[:3, [1, 0]], rtol=1e-6)
    np.testing.assert_allclose(sigma, fitted[1].sigma[:3, [1, 0]], rtol=1e-4)
    assert estimator.output_names == ("logg", "teff") and estimator.label_names == LABELS
    assert TemplateFit(labels=("logg",), **QUICK).predict(
        torch.tensor(flux), ivar=torch.tensor(ivar)
    ).shape == (3,)
    table = estimator.predict_table(flux, ivar=ivar)
    np.testing.assert_allclose(table["logg"].value, mean[:, 0])
    assert str(table["teff_err"].unit) == "K"
    batch = SpectrumBatch.empty((3,), PFS_MR)
    batch.flux[:], batch.ivar[:] = flux, ivar
    np.testing.assert_array_equal(estimator.predict(batch)["teff"].value, mean[:, 1])
    result = estimator.solve(flux, ivar=ivar)
    np.testing.assert_allclose(table["chi2"], result.chi2 / result.dof)  # reduced, as in every table


def test_spectrum_objects(survey, bright):
    u = pytest.importorskip("astropy.units")
    specutils = pytest.importorskip("specutils")
    from astropy.nddata import InverseVariance

    _, flux, ivar = (x[:2] for x in bright)
    spectra = [
        specutils.Spectrum(f * u.Unit(""), PFS_MR.wave * u.AA, uncertainty=InverseVariance(w))
        for f, w in zip(flux, ivar, strict=True)
    ]
    estimator = TemplateFit(**QUICK).fit(spectra)
    table = estimator.predict_table(spectra)
    np.testing.assert_allclose(table["logg"].value, estimator.predict(flux, ivar=ivar), atol=0.05)


def test_spectra_without_errors(survey, bright):
    """Errors estimated from the scatter: flagged, and the labels close."""
    labels, flux, _ = (x[:4] for x in bright)
    estimator = TemplateFit(**QUICK).fit(survey)
    table = estimator.predict_table(flux)
    assert (table["flags"] & Flag.NO_UNCERTAINTY != 0).all()
    np.testing.assert_allclose(table["logg"].value, labels[:, 1], atol=0.3)


def test_scikit_learn_manners(survey, bright):
    labels, flux, ivar = (x[:5] for x in bright)
    estimator = TemplateFit(labels=("logg",), **QUICK)
    assert clone(estimator).get_params() == estimator.get_params()
    plain = estimator.predict(flux, ivar=ivar)
    assert estimator.fit(flux, labels[:, 1], ivar=ivar) is estimator and estimator.n_features_in_ == 4096
    np.testing.assert_array_equal(estimator.predict(flux, ivar=ivar), plain)
    np.testing.assert_allclose(plain, labels[:, 1], atol=0.3)


@pytest.mark.parametrize(
    ("settings", "X", "message"),
    [
        ({"n_starts": 0}, None, "n_starts must be at least 1, got 0"),
        ({"tol": 0.0}, None, "tol must be positive, got 0.0"),
        ({"continuum": -1}, None, "continuum must not be negative, got -1"),
        ({"max_velocity": 300}, None, "max_velocity must be above 0 and at most 100 km/s, got 300"),
        ({"labels": ("age",)}, None, "labels must be among .* got"),
        ({"gaussian": "prior"}, None, "gaussian='prior' needs a prior"),
        ({"gaussian": {"age": (1, 2)}}, None, "gaussian must be 'prior' or a dict with keys among"),
        (
            {"gaussian": {"teff": (5000, 0)}},
            None,
            r"gaussian\['teff'\] must be a finite mean and a positive σ",
        ),
        (
            {"prior": LabelPrior((2000, 9000), (1, 5), (-1, 0), (0, 0.3), (0, 0.3))},
            None,
            "prior must lie within",
        ),
        ({}, np.ones((3, 40)), r"spectra must have shape \(4096,\) or \(n, 4096\) .*, got \(3, 40\)"),
    ],
)
def test_what_is_refused(settings, X, message):
    with pytest.raises(ValueError, match=message):
        TemplateFit(**settings).fit(X)


def test_another_grid_is_refused(survey):
    grid = PixelGrid(PFS_MR.edges[:1001], PFS_MR.lsf_sigma[:1000], name="part")
    batch = SpectrumBatch.empty((2,), grid)
    with pytest.raises(ValueError, match="X must be on the grid of the emulator"):
        TemplateFit().fit(batch)
    with pytest.raises(ValueError, match=r"spectra must be on the grid .* got a SpectrumBatch on"):
        TemplateFit(**QUICK).predict(batch)
    with pytest.raises(ValueError, match="ivar is for arrays; a SpectrumBatch"):
        TemplateFit(**QUICK).predict(SpectrumBatch.empty((2,), PFS_MR), ivar=np.ones((2, 4096)))

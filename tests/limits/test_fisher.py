"""Fisher information and its bounds against closed forms, central differences and native pixels."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from specvit.grid import FWHM_PER_SIGMA, PFS_MR, PixelGrid, Resampler
from specvit.labels import LABELS
from specvit.limits import (
    Fisher,
    fisher_information,
    jacobian,
    survey_fisher,
    van_trees,
    van_trees_survey,
)
from specvit.stars import Emulator, regrid_emulator
from specvit.survey import LabelPrior, NoNoise, SNRNoise, Survey, TablePrior

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def survey():
    return Survey("paper", seed=1)


@pytest.fixture(scope="module")
def linear():
    """A linear model of 3 labels on 60 pixels with unequal noise, five times over."""
    rng = np.random.default_rng(0)
    derivative = rng.normal(size=(5, 60, 3))
    variance = rng.uniform(0.5, 2, (5, 60))
    exact = np.stack([j.T @ np.diag(1 / v) @ j for j, v in zip(derivative, variance, strict=True)])
    return derivative, variance, exact


def test_linear_model_in_closed_form(linear):
    derivative, variance, exact = linear
    fisher = fisher_information(derivative, variance, NAMES)
    np.testing.assert_allclose(fisher.matrix, exact, rtol=1e-12)
    inverse = np.linalg.inv(exact)
    np.testing.assert_allclose(fisher.covariance, inverse, rtol=1e-9)
    np.testing.assert_allclose(fisher.crlb("b"), inverse[:, 1, 1], rtol=1e-9)
    # Marginalised: a block of the inverse; fixed: a block of the information.
    np.testing.assert_allclose(fisher.marginalise("a").covariance, inverse[:, 1:, 1:], rtol=1e-9)
    swapped = fisher.keep("c", "a")
    assert swapped.names == ("c", "a")
    np.testing.assert_allclose(swapped.covariance, inverse[:, [2, 0]][:, :, [2, 0]], rtol=1e-9)
    np.testing.assert_allclose(fisher.fix("a").matrix, exact[:, 1:, 1:], rtol=1e-12)
    np.testing.assert_allclose(fisher.crlb(), np.diagonal(inverse, axis1=1, axis2=2), rtol=1e-9)
    with_priors = fisher.with_priors(b=0.1).matrix - fisher.matrix
    np.testing.assert_allclose(with_priors, np.broadcast_to(np.diag([0, 100, 0]), (5, 3, 3)), atol=1e-9)
    assert fisher.marginalise() is fisher and len(fisher) == 5


def test_the_bound_is_the_scatter_of_least_squares(linear):
    derivative, variance, _ = (x[0] for x in linear)
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(20_000, 60)) * np.sqrt(variance)
    root = np.sqrt(variance)
    estimates = np.linalg.lstsq(derivative / root[:, None], (noise / root).T, rcond=None)[0]
    bound = fisher_information(derivative[None], variance, NAMES).crlb()[0]
    np.testing.assert_allclose(estimates.var(1), bound, rtol=0.04)


def test_little_information_is_not_no_information():
    """Chem-I-Calc zeroes F_ii < 1 and reports a bound of 1000 for this one, of 25."""
    fisher = Fisher(np.diag([25.0**-2, 1e4, 1e-12])[None], NAMES)
    np.testing.assert_allclose(np.sqrt(fisher.crlb()[0]), [25, 0.01, 1e6], rtol=1e-12)
    assert fisher.rank.tolist() == [3] and fisher.condition == pytest.approx(1)


def test_the_covariance_is_symmetric(survey):
    labels = survey.prior.sample(8, np.random.default_rng(0))
    fisher = survey_fisher(survey, labels, 22.0, continuum=3, velocity=True)
    for matrix in (fisher.matrix, fisher.covariance, fisher.keep(*LABELS).covariance):
        np.testing.assert_array_equal(matrix, matrix.swapaxes(1, 2))
        assert (np.linalg.eigvalsh(matrix) > 0).all()
    product = fisher.covariance @ fisher.matrix
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(10), product.shape), atol=1e-5)


def test_a_singular_matrix_is_said_to_be(linear):
    derivative, variance, _ = linear
    twice = np.concatenate([derivative[:, :, :2], 1000 * derivative[:, :, :1]], 2)  # c is a again
    fisher = fisher_information(twice, variance, NAMES)
    assert (fisher.rank == 2).all() and np.isinf(fisher.condition).all()
    bound = fisher.crlb()
    assert np.isinf(bound[:, [0, 2]]).all() and np.isfinite(bound[:, 1]).all()
    np.testing.assert_allclose(bound[:, 1], fisher.fix("c").crlb("b"), rtol=1e-6)
    with pytest.raises(np.linalg.LinAlgError, match=r"spectrum 0 is singular \(rank 2 of 3\): a"):
        _ = fisher.covariance
    assert np.isfinite(fisher.with_priors(c=1.0).crlb()).all()
    # A nuisance that nothing depends on costs nothing.
    blind = Fisher(np.diag([2.0, 3.0, 0.0])[None], NAMES)
    np.testing.assert_allclose(blind.keep("a", "b").matrix[0], np.diag([2, 3]))
    assert np.isinf(blind.crlb("c")).all()


def test_autodiff_against_central_differences(survey):
    emulator = survey.emulator
    labels = survey.prior.sample(4, np.random.default_rng(2))
    flux, derivative = jacobian(emulator, labels)
    assert flux.dtype == torch.float64 and derivative.shape == (4, len(PFS_MR), 5)
    labels = torch.as_tensor(labels)
    for k, step in enumerate((0.5, 1e-3, 1e-3, 1e-3, 1e-3)):
        shift = step * torch.eye(5, dtype=torch.float64)[k]
        (high, _), (low, _) = jacobian(emulator, labels + shift), jacobian(emulator, labels - shift)
        difference = (high - low) / (2 * step)
        error = (difference - derivative[:, :, k]).abs().max() / derivative[:, :, k].abs().max()
        assert error < 1e-4


@pytest.mark.parametrize(("width", "excess"), [(0.1, 1.07), (0.4, 1.49), (0.8, 2.29)])
def test_resampled_information_is_the_native_one(survey, width, excess):
    """Noise of independent native pixels, gridded: bands give the native information, variances too much."""
    derivative = jacobian(survey.emulator, [[4800.0, 2.5, -0.5, 0.1, 0.0]])[1][0].numpy()
    integral = CubicSpline(PFS_MR.wave, derivative / derivative.std(0)).antiderivative()
    edges = np.arange(PFS_MR.edges[0], PFS_MR.edges[-1] + width, width)
    native = np.diff(integral(edges), axis=0) / width  # exact pixel means of the same spectrum
    variance = np.linspace(1, 2, len(native)) / width
    exact = fisher_information(native[None], variance, LABELS)
    resampler = Resampler(edges, PFS_MR)
    gridded = resampler(native.T, np.broadcast_to(variance, native.T.shape), bands=6)
    columns, v, bands = gridded.flux.T[None], gridded.variance[0], gridded.covariance[:, 0]
    full = fisher_information(columns, v, LABELS, bands=bands, floor=1e-9)
    root = np.sqrt(np.diagonal(exact.matrix[0]))
    np.testing.assert_allclose((full.matrix - exact.matrix)[0] / np.outer(root, root), 0, atol=0.01)
    # Pixels of 0.43 Å in place of 0.1 Å have truly lost a per cent of the bound; coarser input, nothing.
    np.testing.assert_allclose(full.crlb(), exact.crlb(), rtol=0.015 if width == 0.1 else 1e-3)
    diagonal = fisher_information(columns, v, LABELS)
    ratio = np.diagonal(diagonal.matrix[0]) / root**2
    assert ratio.mean() == pytest.approx(excess, rel=0.06)
    if width == 0.8:
        with pytest.raises(ValueError, match="not positive definite"):
            fisher_information(columns, v, LABELS, bands=bands)


def test_banded_covariance_with_masked_pixels(linear):
    derivative, variance, _ = linear
    bands = np.stack([np.full((5, 60), 0.2), np.full((5, 60), 0.05)])
    variance = variance.copy()
    variance[:, 17] = np.inf
    fisher = fisher_information(derivative, variance, NAMES, bands=bands)
    for j, v, f in zip(derivative, variance, fisher.matrix, strict=True):
        dense = np.diag(v) + sum(
            np.diag(np.full(60 - k, c), k) + np.diag(np.full(60 - k, c), -k) for k, c in ((1, 0.2), (2, 0.05))
        )
        keep = np.arange(60) != 17
        exact = j[keep].T @ np.linalg.solve(dense[keep][:, keep], j[keep])
        np.testing.assert_allclose(f, exact, rtol=1e-9)


def test_nuisance_parameters_cost_information(survey):
    labels = survey.prior.sample(6, np.random.default_rng(3))
    bounds = [
        survey_fisher(survey, labels, 21.0, **options).keep(*LABELS).crlb("logg")
        for options in (
            {"continuum": None},
            {"continuum": 0},
            {"continuum": 4},
            {"continuum": 4, "velocity": True},
        )
    ]
    for less, more in pairwise(bounds):
        assert (more >= less * (1 - 1e-9)).all()
    assert (bounds[-1] > 1.01 * bounds[0]).any()
    # A batch is its stars, and brightness is per star.
    each = survey_fisher(survey, labels, np.linspace(20, 22, 6), batch_size=4)
    alone = survey_fisher(survey, labels[5:], 22.0)
    np.testing.assert_allclose(each.matrix[5:], alone.matrix, rtol=1e-9)


def test_velocity_derivative_is_a_shift(survey):
    labels = torch.tensor([[4800.0, 2.5, -0.5, 0.1, 0.0]], dtype=torch.float64)
    flux = jacobian(survey.emulator, labels)[0]
    flux = flux / flux.mean()
    fisher = fisher_information(
        np.zeros((1, len(PFS_MR), 0)), np.ones(len(PFS_MR)), (), flux=flux, velocity=True, wave=PFS_MR.wave
    )
    spline = CubicSpline(PFS_MR.wave, flux[0].numpy())
    shifted = [spline(PFS_MR.wave / (1 + v / 299_792.458)) for v in (1.0, -1.0)]
    change = (shifted[0] - shifted[1])[1:-1] / 2
    assert fisher.matrix[0, 0, 0] == pytest.approx((change**2).sum(), rel=5e-3)


def test_van_trees_in_closed_form(linear):
    derivative, variance, exact = linear
    sigma = np.array([0.3, 1.0, 2.0])
    fisher = fisher_information(derivative[:1], variance[:1], NAMES)
    bound = van_trees(fisher, 1 / sigma**2)
    np.testing.assert_allclose(bound, np.linalg.inv(exact[0] + np.diag(1 / sigma**2)), rtol=1e-9)


def test_van_trees_of_the_survey_is_a_bound(survey, test_data):
    """The variances of posteriors, computed by scripts/reference_posteriors.py, are above it."""
    variance = survey.prior.sample(200_000, np.random.default_rng(0)).var(0)
    with np.load(test_data / "posteriors_paper.npz") as posteriors:
        for magnitude in (20.0, 21.5, 22.5):
            (reached,) = posteriors["sigma"][posteriors["magnitudes"] == magnitude] ** 2
            mean, error = reached.mean(0), reached.std(0, ddof=1) / np.sqrt(len(reached))
            bound = van_trees_survey(survey, magnitude, 100)
            assert (bound > 0).all() and (bound < mean + 2 * error).all() and (bound < variance).all()
            assert bound[1] < mean[1]
    # No light: nothing but the prior, whose variance the bound must not exceed.
    for shape in (0.7, 1.0, 3.0):
        ranges = (4000, 5000), (2, 4), (-1, 0), (0, 0.3), (-0.5, 0.1)
        dark = Survey("paper", prior=LabelPrior(*ranges, shape=shape))
        bound = van_trees_survey(dark, 40.0, 500)
        prior = np.ptp(ranges, axis=1) ** 2 / (4 * (2 * shape + 1))
        assert (bound < 1.01 * prior).all() and (bound[[0, 1, 2]] > 0.4 * prior[[0, 1, 2]]).all()


def test_what_is_refused(survey, linear):
    derivative, variance, _ = linear
    with pytest.raises(ValueError, match=r"derivative must have shape \(n, n_pixels, 2\)"):
        fisher_information(derivative, variance, ("a", "b"))
    with pytest.raises(ValueError, match="variance must be positive and of shape"):
        fisher_information(derivative, -variance, NAMES)
    with pytest.raises(ValueError, match="flux is needed"):
        fisher_information(derivative, variance, NAMES, continuum=0)
    with pytest.raises(ValueError, match="wave is needed"):
        fisher_information(derivative, variance, NAMES, velocity=True, flux=variance)
    with pytest.raises(ValueError, match="flux must have shape"):
        fisher_information(derivative, variance, NAMES, continuum=0, flux=variance[:, :3])
    with pytest.raises(ValueError, match=r"names must be among .* got 'd'"):
        Fisher(np.eye(3)[None], NAMES).crlb("d")
    with pytest.raises(ValueError, match="positive sigma"):
        Fisher(np.eye(3)[None], NAMES).with_priors(a=0)
    with pytest.raises(ValueError, match="matrix must have shape"):
        Fisher(np.eye(3), NAMES)
    with pytest.raises(ValueError, match="matrix must be finite"):
        Fisher(np.full((1, 3, 3), np.nan), NAMES)
    with pytest.raises(ValueError, match="imperfections"):
        survey_fisher(Survey("pfs-mr"), np.zeros((1, 5)), 20.0)
    with pytest.raises(ValueError, match="teff must lie"):
        survey_fisher(survey, [[100.0, 2, 0, 0, 0]], 20.0)
    with pytest.raises(ValueError, match=r"exponents must be above 0\.65"):
        van_trees_survey(survey, 20.0, 10, exponents=[0.5])


def test_priors_that_reach_a_hair_beyond_the_library(survey):
    """[alpha/M] of the surveys starts at −0.2, the library at −0.1999."""
    edge, inside, outside = (np.array([[5000, 3, -0.5, alpham, -0.3]]) for alpham in (-0.2, -0.199, -0.21))
    close = survey_fisher(survey, inside, 21.0).matrix
    found = survey_fisher(survey, edge, 21.0).matrix
    np.testing.assert_allclose(found, close, rtol=0.2, atol=1e-6 * close.max())
    with pytest.raises(ValueError, match="alpham must lie in"):
        survey_fisher(survey, outside, 21.0)


def test_masked_windows_carry_no_information(survey):
    star = np.array([[5000, 3, -0.5, 0.1, -0.3]])
    windows = [(7000, 8000)], [(8000.3, 9000)]
    parts = [survey_fisher(Survey("paper", masked=x), star, 21.0, continuum=None).matrix for x in windows]
    whole = survey_fisher(survey, star, 21.0, continuum=None).matrix
    assert all((np.diagonal(part[0]) < np.diagonal(whole[0])).all() for part in parts)
    np.testing.assert_allclose(sum(parts), whole, rtol=0.02, atol=1e-4 * np.abs(whole).max())


# -- noise of a stated S/N, on another grid -----------------------------------------------------------

GRID = PixelGrid.linear(7130, 8820, 512, 3.6 / FWHM_PER_SIGMA, name="coarse")
CURVE = 2 + np.cos(np.linspace(0, 9, 512))
STAR = np.array([4800.0, 2.5, -0.5, 0.1, 0.0])


@pytest.fixture(scope="module")
def coarse():
    return regrid_emulator(Emulator.load(), GRID)


@pytest.fixture(scope="module")
def own(coarse, survey):
    def make(noise=None, **options):
        noise = SNRNoise((20, 200), sigma=CURVE, grid=GRID) if noise is None else noise
        return Survey("own", **{"prior": survey.prior, "emulator": coarse, "noise": noise} | options)

    return make


def unit_flux(emulator, labels):
    """Spectrum of unit mean f_ν, by NumPy from the emulator in float64: (n_pixels,)."""
    with torch.no_grad():
        flux = copy.deepcopy(emulator).double()(torch.as_tensor(labels)[None])[0].numpy()
    wave = emulator.grid.wave
    return flux / np.mean(flux * wave**2) * (0.5 * (wave[0] + wave[-1])) ** 2


@pytest.mark.parametrize("masked", [(), ((7590.0, 7700.0), (8400.0, 8600.0))], ids=["whole", "masked"])
@pytest.mark.parametrize("curve", [None, CURVE], ids=["flat", "curve"])
def test_stated_snr_against_numpy(own, coarse, curve, masked):
    """J by central differences, C from the definition of the noise, and JᵀC⁻¹J of labels and amplitude."""
    noise = SNRNoise((20, 200)) if curve is None else SNRNoise((20, 200), sigma=curve, grid=GRID)
    survey = own(noise, masked=masked)
    used, flux, curve = survey.used_pixels, unit_flux(coarse, STAR), np.ones(512) if curve is None else curve
    steps = np.diag([0.5, 1e-3, 1e-3, 1e-3, 1e-3])
    columns = [
        (unit_flux(coarse, STAR + step) - unit_flux(coarse, STAR - step)) / (2 * step.sum()) for step in steps
    ]
    rows = np.stack([*columns, flux], 1)[used]
    ratio = np.sort((flux / curve)[used])[(used.sum() - 1) // 2]
    for snr in (25.0, 100.0):
        variance = (curve[used] * ratio / snr) ** 2
        exact = rows.T @ (rows / variance[:, None])
        found = survey_fisher(survey, STAR[None], snr=snr)
        assert found.names == (*LABELS, "continuum0")
        root = np.sqrt(np.diagonal(exact))
        np.testing.assert_allclose(
            found.matrix[0] / np.outer(root, root), exact / np.outer(root, root), atol=1e-5
        )
        bound = np.diagonal(np.linalg.inv(exact))[:5]
        np.testing.assert_allclose(found.crlb()[0, :5], bound, rtol=1e-3)


def test_information_grows_with_the_square_of_the_snr(own):
    labels = np.stack([STAR, STAR, STAR + np.eye(5)[1]])
    found = survey_fisher(own(), labels, snr=[20.0, 60.0, 60.0], batch_size=2)
    np.testing.assert_allclose(found.matrix[1], 9 * found.matrix[0], rtol=1e-9)
    np.testing.assert_allclose(found.matrix[2], survey_fisher(own(), labels[2:], snr=60).matrix[0], rtol=1e-9)


def test_van_trees_of_a_stated_snr_is_a_bound_between_prior_and_fisher(own):
    survey = own()
    variance = survey.prior.sample(200_000, np.random.default_rng(0)).var(0)
    snr = np.random.default_rng(1).uniform(20, 200, 60)
    loud, mixed, faint = (van_trees_survey(survey, n_stars=60, snr=s) for s in (200.0, snr, 0.001))
    assert (loud < mixed).all() and (mixed < faint).all() and (faint < 1.01 * variance).all()


def test_brightness_is_checked_as_a_survey_does(own, survey):
    for call in (
        lambda **given: survey_fisher(own(), STAR[None], **given),
        lambda **given: van_trees_survey(own(), n_stars=10, **given),
    ):
        with pytest.raises(ValueError, match="snr is needed for SNRNoise"):
            call()
        with pytest.raises(ValueError, match="magnitude has no meaning for SNRNoise, got 20"):
            call(magnitude=20)
        with pytest.raises(ValueError, match="snr must be positive and finite"):
            call(snr=0)
    with pytest.raises(ValueError, match="snr has no meaning for PFSNoise"):
        survey_fisher(survey, STAR[None], snr=20)
    with pytest.raises(ValueError, match="magnitude is needed for PFSNoise"):
        survey_fisher(survey, STAR[None])


def test_surveys_without_limits_say_why(own):
    with pytest.raises(ValueError, match=r"survey must have noise .* NoNoise.*determines its labels exactly"):
        survey_fisher(own(NoNoise()), STAR[None])
    with pytest.raises(ValueError, match="survey must have stars at rest"):
        survey_fisher(own(velocity=20), STAR[None], snr=20)
    table = TablePrior(Survey("paper").prior.sample(10, np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r"survey must have a LabelPrior .* got TablePrior"):
        van_trees_survey(own(prior=table), n_stars=10, snr=20)

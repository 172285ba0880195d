"""The resampler against SpectRes, specutils, brute force, dense algebra and Monte Carlo."""

import numpy as np
import pytest

from specvit.grid import (
    FWHM_PER_SIGMA,
    PFS_MR,
    PixelGrid,
    Resampler,
    edges_from_centres,
    matching_sigma,
)

# Pixels of 0.4375 Å have edges without rounding errors, which SpectRes works out from the centres.
SMALL = PixelGrid.linear(8000.0, 8105.0, 240, 0.55, name="small")


def spectra(n, wave, seed=0):
    """Fluxes with lines and noise, and their variances."""
    rng = np.random.default_rng(seed)
    lines = sum(np.exp(-0.5 * ((wave - c) / 0.4) ** 2) for c in rng.uniform(wave[0], wave[-1], 60))
    flux = 2 - 0.5 * lines + 0.1 * rng.normal(size=(n, wave.size))
    return flux, rng.uniform(0.005, 0.02, (n, wave.size))


@pytest.mark.parametrize(
    "wave",
    [
        np.linspace(7950, 8150, 2300),
        np.exp(np.linspace(np.log(7950), np.log(8150), 900)),
        np.arange(7950, 8150, 0.9),
        7950 + 200 * np.linspace(0, 1, 1500) ** 1.3,
    ],
    ids=["fine", "log", "coarse", "uneven"],
)
def test_equals_spectres(wave):
    spectres = pytest.importorskip("spectres")
    flux, variance = spectra(3, wave)
    out = Resampler(edges_from_centres(wave), SMALL)(flux, variance)
    reference, error = spectres.spectres(SMALL.wave, wave, flux, np.sqrt(variance))
    np.testing.assert_allclose(out.flux, reference, rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(out.variance), error, rtol=1e-12)
    assert not out.mask.any()
    np.testing.assert_allclose(out.coverage, 1, rtol=1e-12)


def test_equals_specutils():
    import astropy.units as u
    from astropy.nddata import VarianceUncertainty
    from specutils import Spectrum
    from specutils.manipulation import FluxConservingResampler

    wave = np.linspace(7950, 8150, 1500)
    flux, variance = spectra(1, wave)
    spectrum = Spectrum(flux[0] * u.Jy, wave * u.AA, uncertainty=VarianceUncertainty(variance[0]))
    reference = FluxConservingResampler()(spectrum, SMALL.wave * u.AA)
    out = Resampler(edges_from_centres(wave), SMALL)(flux[0], variance[0])
    np.testing.assert_allclose(out.flux, reference.flux.value, rtol=1e-10)
    kind = reference.uncertainty.uncertainty_type
    power = {"std": 2, "var": 1, "ivar": -1}[kind]
    np.testing.assert_allclose(out.variance, reference.uncertainty.array**power, rtol=1e-10)


def test_conserves_flux():
    wave = np.linspace(7990, 8110, 1234)
    inside = (wave > 8005) & (wave < 8095)
    flux = np.where(inside, spectra(1, wave)[0][0], 0)
    bounds = edges_from_centres(wave)
    for sigma in (None, 0.5):
        out = Resampler(bounds, SMALL, sigma)(flux)
        total = np.sum(flux * np.diff(bounds)[:, 0])
        np.testing.assert_allclose(np.sum(out.flux * SMALL.width), total, rtol=1e-12)


def test_constant_stays_constant():
    wave = np.sort(np.random.default_rng(1).uniform(7900, 8200, 2000))
    edges = np.concatenate([[wave[0]], wave[1:]])
    for sigma in (None, 0.3, np.linspace(0, 1, len(SMALL))):
        out = Resampler(edges, SMALL, sigma)(np.full(edges.size - 1, 3.0))
        np.testing.assert_allclose(out.flux, 3, rtol=1e-12)


def test_smoothing_equals_brute_force():
    wave = np.linspace(7980, 8120, 700)
    bounds = edges_from_centres(wave)
    flux = spectra(1, wave)[0][0]
    sigma = np.linspace(0.2, 0.7, len(SMALL))
    out = Resampler(bounds, SMALL, sigma)(flux).flux
    # Midpoint rule: kernel over a fine axis, then the mean over the output pixel.
    n = 400
    for j in (0, 17, 120, 239):
        inside = SMALL.edges[j] + SMALL.width[j] * (np.arange(n) + 0.5) / n
        offsets = sigma[j] * np.linspace(-8, 8, 3201)
        kernel = np.exp(-0.5 * (offsets / sigma[j]) ** 2)
        kernel /= kernel.sum()
        samples = inside[:, None] + offsets
        pixel = np.searchsorted(bounds[:, 1], samples)
        np.testing.assert_allclose(out[j], np.mean(flux[pixel] @ kernel), rtol=1e-5)


def test_no_sigma_is_the_limit_of_small_sigma():
    bounds = edges_from_centres(np.linspace(7980, 8120, 700))
    plain, zero = Resampler(bounds, SMALL).matrix, Resampler(bounds, SMALL, np.zeros(len(SMALL))).matrix
    np.testing.assert_array_equal(plain.toarray(), zero.toarray())
    tiny = Resampler(bounds, SMALL, 1e-7).matrix
    np.testing.assert_allclose(tiny.toarray(), plain.toarray(), atol=1e-6)


@pytest.mark.parametrize("power", [20_000, 8_000])
def test_line_comes_out_with_the_width_of_the_grid(power):
    wave = np.arange(7050, 8900, 0.05)
    bounds = edges_from_centres(wave)
    centres = np.array([7300.03, 7900.2, 8542.1, 8700.0])
    flux = np.zeros(wave.size)
    for centre in centres:
        flux += np.exp(-0.5 * ((wave - centre) / (centre / power / FWHM_PER_SIGMA)) ** 2)
    kernel = matching_sigma(PFS_MR, PFS_MR.wave / power / FWHM_PER_SIGMA)
    assert (kernel > 0).all()
    out = Resampler(bounds, PFS_MR, kernel)(flux).flux
    for centre in centres:
        near = np.abs(PFS_MR.wave - centre) < 5
        x, y = PFS_MR.wave[near], out[near]
        mean = np.sum(x * y) / y.sum()
        sigma = np.sqrt(np.sum((x - mean) ** 2 * y) / y.sum())
        assert sigma == pytest.approx(np.interp(centre, PFS_MR.wave, PFS_MR.lsf_sigma), rel=0.003)
        assert mean == pytest.approx(centre, abs=0.002)


def test_matching_sigma():
    sigma = matching_sigma(SMALL, 0.3)
    np.testing.assert_allclose(sigma**2, 0.55**2 - 0.3**2 - SMALL.width**2 / 12)
    assert (matching_sigma(SMALL, 0.55) == 0).all()
    assert (matching_sigma(SMALL, 2.0) == 0).all()


@pytest.mark.parametrize("sigma", [None, 0.4])
def test_covariance_equals_dense_algebra(sigma):
    wave = np.linspace(7999, 8106, 310)
    flux, variance = spectra(2, wave)
    mask = np.zeros(flux.shape, dtype=bool)
    mask[1, 100:103] = True
    resampler = Resampler(edges_from_centres(wave), SMALL, sigma, min_coverage=0.5)
    out = resampler(flux, variance, mask, bands=3)
    for k in range(2):
        valid = ~mask[k]
        weights = resampler.matrix.toarray() * valid
        weights /= np.where(out.mask[k], np.inf, weights.sum(1))[:, None]
        full = weights @ np.diag(variance[k]) @ weights.T
        good = ~out.mask[k]
        np.testing.assert_allclose(out.flux[k][good], (weights @ flux[k])[good], rtol=1e-12)
        np.testing.assert_allclose(out.variance[k][good], np.diag(full)[good], rtol=1e-12)
        for lag in (1, 2, 3):
            np.testing.assert_allclose(out.covariance[lag - 1, k, :-lag], np.diag(full, lag), atol=1e-16)
            assert (out.covariance[lag - 1, k, -lag:] == 0).all()


def test_covariance_equals_monte_carlo():
    grid = PixelGrid.linear(8000.0, 8010.0, 24, 0.55)
    wave = np.arange(7995, 8015, 0.3)
    variance = np.linspace(0.5, 2, wave.size)
    rng = np.random.default_rng(7)
    draws = rng.normal(size=(60_000, wave.size)) * np.sqrt(variance)
    resampler = Resampler(edges_from_centres(wave), grid, 0.3)
    out = resampler(draws[0], variance)
    sample = np.cov(resampler(draws).flux.T)
    np.testing.assert_allclose(np.diag(sample), out.variance, rtol=0.03)
    for lag in (1, 2):
        expected = out.covariance[lag - 1][:-lag]
        np.testing.assert_allclose(np.diag(sample, lag), expected, atol=0.03 * out.variance.max())


def test_masked_pixels_never_show():
    wave = np.linspace(7990, 8110, 1400)
    flux, variance = spectra(4, wave)
    resampler = Resampler(edges_from_centres(wave), SMALL, 0.4)
    clean = resampler(flux, variance)
    dirty, noise, mask = flux.copy(), variance.copy(), np.zeros(flux.shape, bool)
    dirty[1, 500] = np.nan
    dirty[2, 600:640] = 1e30
    mask[2, 600:640] = True
    noise[3, 700] = 0
    noise[3, 750] = np.inf
    noise[3, 800] = -1
    out = resampler(dirty, noise, mask)
    np.testing.assert_array_equal(out.flux[0], clean.flux[0])
    assert not out.mask[[0, 1, 3]].any()
    assert out.mask[2].sum() > 5
    assert np.isnan(out.flux[out.mask]).all()
    assert np.isinf(out.variance[out.mask]).all()
    assert (out.ivar[out.mask] == 0).all()
    assert (out.covariance[:, out.mask] == 0).all()
    np.testing.assert_allclose(out.flux[~out.mask], clean.flux[~out.mask], rtol=0.2)
    assert (out.coverage[1] <= clean.coverage[1] + 1e-12).all()
    assert (out.coverage[1].min() > 0.8) and (out.coverage[1].min() < 1)


def test_mask_may_be_shared_and_batches_equal_single():
    wave = np.linspace(7990, 8110, 1400)
    flux, variance = spectra(6, wave)
    mask = np.zeros(wave.size, bool)
    mask[300:330] = True
    resampler = Resampler(edges_from_centres(wave), SMALL, 0.4)
    batch = resampler(flux.reshape(2, 3, -1), variance.reshape(2, 3, -1), mask)
    assert batch.flux.shape == (2, 3, 240)
    assert batch.covariance.shape == (2, 2, 3, 240)
    for k in range(6):
        one = resampler(flux[k], variance[k], mask)
        assert one.flux.shape == (240,)
        assert one.covariance.shape == (2, 240)
        np.testing.assert_array_equal(one.flux, batch.flux[divmod(k, 3)])
        np.testing.assert_array_equal(one.variance, batch.variance[divmod(k, 3)])
        np.testing.assert_array_equal(one.covariance, batch.covariance[:, k // 3, k % 3])


def test_without_variance():
    wave = np.linspace(7990, 8110, 1400)
    out = Resampler(edges_from_centres(wave), SMALL)(np.ones(1400))
    assert out.variance is None
    assert out.covariance is None
    assert out.ivar is None


def test_ends_and_gaps_have_no_coverage():
    wave = np.arange(8020, 8080, 0.1)
    wave = wave[(wave < 8040) | (wave > 8050)]
    out = Resampler(edges_from_centres(wave), SMALL)(np.ones(wave.size))
    inside = ((SMALL.wave > 8020.3) & (SMALL.wave < 8039.5)) | ((SMALL.wave > 8050.5) & (SMALL.wave < 8079.5))
    outside = (SMALL.wave < 8019.5) | (SMALL.wave > 8080.5) | ((SMALL.wave > 8040.5) & (SMALL.wave < 8049.5))
    assert not out.mask[inside].any()
    assert out.mask[outside].all()
    assert (out.coverage[outside] == 0).all()
    covered = np.sum(out.coverage * SMALL.width)
    assert covered == pytest.approx(wave.size * 0.1, rel=1e-9)


def test_min_coverage():
    wave = np.arange(8000.2, 8106, 0.01)  # the first output pixel is half covered
    bounds = edges_from_centres(wave)
    assert Resampler(bounds, SMALL)(np.ones(wave.size)).mask[0]
    loose = Resampler(bounds, SMALL, min_coverage=0.4)(np.ones(wave.size))
    assert not loose.mask[0]
    assert loose.flux[0] == pytest.approx(1)
    assert loose.coverage[0] == pytest.approx((8000.4375 - 8000.195) / 0.4375)


class TestEdges:
    def test_midpoints(self):
        wave = np.array([1.0, 2.0, 3.5, 5.0])
        bounds = edges_from_centres(wave)
        np.testing.assert_allclose(bounds[:, 0], [0.5, 1.5, 2.75, 4.25])
        np.testing.assert_allclose(bounds[:, 1], [1.5, 2.75, 4.25, 5.75])

    def test_one_dropped_pixel_is_a_gap(self):
        wave = np.delete(np.arange(100, 130.0), 10)
        bounds = edges_from_centres(wave)
        assert bounds[9, 1] == 109.5
        assert bounds[10, 0] == 110.5
        np.testing.assert_allclose(np.diff(bounds), 1)

    def test_gap_beside_gap(self):
        wave = np.delete(np.arange(100, 130.0), [10, 12])
        np.testing.assert_allclose(np.diff(edges_from_centres(wave)), 1)

    def test_change_of_step_is_no_gap(self):
        wave = np.concatenate([np.arange(100, 120, 0.3), np.arange(120, 150, 0.9)])
        bounds = edges_from_centres(wave)
        np.testing.assert_array_equal(bounds[1:, 0], bounds[:-1, 1])

    def test_dithered_pairs_are_no_gaps(self):
        wave = np.sort(np.concatenate([np.arange(100, 150.0), np.arange(100.2, 150)]))
        bounds = edges_from_centres(wave)
        np.testing.assert_array_equal(bounds[1:, 0], bounds[:-1, 1])

    def test_two_pixels(self):
        np.testing.assert_allclose(edges_from_centres([10, 11]), [[9.5, 10.5], [10.5, 11.5]])

    def test_gaps_can_be_closed(self):
        wave = np.delete(np.arange(100, 130.0), 10)
        bounds = edges_from_centres(wave, gap_factor=np.inf)
        np.testing.assert_array_equal(bounds[1:, 0], bounds[:-1, 1])

    @pytest.mark.parametrize(
        ("wave", "words"),
        [
            ([1.0], "at least 2 pixels"),
            ([[1.0, 2.0]], "one-dimensional"),
            ([1.0, np.nan, 2.0], "wave must be finite, got nan at index 1"),
            ([1.0, 2.0, 2.0], "strictly increasing, got duplicate values at index 1"),
            ([1.0, 3.0, 2.0], "strictly increasing, got a decrease at index 1"),
            ([-1.0, 3.0, 4.0], "positive, got -1.0 at index 0"),
        ],
    )
    def test_bad_axes(self, wave, words):
        with pytest.raises(ValueError, match=words):
            edges_from_centres(wave)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([[1.0, 3.0], [2.0, 4.0]], SMALL), ValueError, "edges_in must be strictly increasing"),
        (([1.0], SMALL), ValueError, "edges_in must have shape"),
        (([1.0, 2.0], [1, 2]), TypeError, "grid must be a PixelGrid"),
        (([1.0, 2.0], SMALL, -1.0), ValueError, "kernel_sigma must be finite and not negative"),
        (
            ([1.0, 2.0], SMALL, [1.0, 2.0]),
            ValueError,
            r"kernel_sigma must be a scalar or have shape \(240,\)",
        ),
    ],
)
def test_bad_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        Resampler(*arguments)


def test_bad_calls():
    resampler = Resampler([8000.0, 8001.0, 8002.0], SMALL)
    with pytest.raises(ValueError, match=r"2 pixels along its last axis, got shape \(3,\)"):
        resampler(np.ones(3))
    with pytest.raises(ValueError, match="variance must have the shape of flux"):
        resampler(np.ones(2), np.ones((1, 2)))
    with pytest.raises(ValueError, match="mask must be broadcastable"):
        resampler(np.ones(2), mask=np.ones(3, bool))
    with pytest.raises(ValueError, match="min_coverage must be above 0"):
        Resampler([8000.0, 8001.0], SMALL, min_coverage=0)


def test_inputs_are_not_written_to():
    wave = np.linspace(7990, 8110, 500)
    flux, variance = spectra(2, wave)
    flux[0, 10] = np.nan
    mask = np.zeros(flux.shape, bool)
    mask[1, 20] = True
    copies = [a.copy() for a in (wave, flux, variance, mask)]
    for a in (wave, flux, variance, mask):
        a.flags.writeable = False
    Resampler(edges_from_centres(wave), SMALL, 0.2)(flux, variance, mask)
    for a, copy in zip((wave, flux, variance, mask), copies, strict=True):
        np.testing.assert_array_equal(a, copy)

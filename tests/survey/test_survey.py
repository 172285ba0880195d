"""Surveys: what they promise about S/N, noise, magnitudes, randomness and leaks."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch

from specvit.constants import SPEED_OF_LIGHT
from specvit.grid import PFS_MR
from specvit.survey import Augmentation, Survey
from specvit.survey.noise import fnu_shape

GIANT = [4700.0, 2.2, -0.4, 0.15, -0.05]


@pytest.fixture(scope="module")
def paper():
    return Survey("paper", seed=5)


@pytest.fixture(scope="module")
def realistic():
    return Survey("pfs-mr", seed=5)


@pytest.mark.parametrize("magnitude", [20.0, 21.5, 22.0, 22.5])
def test_median_snr(paper, test_data, magnitude):
    """That of a source of flat f_ν: lines and the slope of cool stars move it by a few per cent."""
    with np.load(test_data / "pfs_mr_snr.npz") as reference:
        (expected,) = reference["median_snr"][reference["median_magnitudes"] == magnitude]
    batch = paper.draw(500, magnitude=magnitude)
    snr = (batch.noiseless / batch.noiseless_sigma).median(1).values.median()
    assert snr == pytest.approx(expected, rel=0.03)


def test_noise_has_its_stated_variance_and_no_memory(paper):
    batch = paper.draw(500)
    z = ((batch.flux - batch.noiseless) / batch.noiseless_sigma).double()
    n = z.numel()
    assert abs(z.mean()) < 4 / n**0.5
    assert abs(z.var() - 1) < 4 * (2 / n) ** 0.5
    assert abs((z[:, 1:] * z[:, :-1]).mean()) < 4 / n**0.5  # neighbours are independent


def test_reported_variance_comes_from_the_noisy_spectrum(paper):
    """ivar is the background plus photons of the observed level, and right on average."""
    batch = paper.draw(64)
    response = torch.as_tensor(paper.noise.counts_per_unit * fnu_shape(PFS_MR.wave))
    counts = batch.flux.double() * response
    expected = counts.sum(1, keepdim=True) / response.sum() * response + torch.as_tensor(
        paper.noise.background_variance
    )
    assert torch.allclose(1 / batch.ivar.double(), expected / response**2, rtol=1e-4)
    ratio = (batch.ivar * batch.noiseless_sigma**2).median(1).values
    assert ratio.median() == pytest.approx(1, abs=0.01)


def test_magnitude_is_that_of_the_mean_fnu(paper):
    batch = paper.draw(16)
    fnu = (batch.noiseless.double() * torch.as_tensor(fnu_shape(PFS_MR.wave))).mean(1)
    assert (-2.5 * fnu.log10() + 22.5).numpy() == pytest.approx(batch.magnitude.numpy(), abs=1e-5)


def test_noiseless_spectrum_is_the_emulator(paper, emulator):
    batch = paper.draw(4)
    with torch.no_grad():
        model = emulator(batch.labels)
    ratio = batch.noiseless / model
    assert (ratio / ratio.mean(1, keepdim=True) - 1).abs().max() < 1e-4


def test_streams_are_reproducible_and_differ(paper):
    one, again, other = (
        paper.draw(8, stream=3),
        Survey("paper", seed=5).draw(8, stream=3),
        paper.draw(8, stream=4),
    )
    for field in dataclasses.fields(one):
        pair = getattr(one, field.name), getattr(again, field.name)
        assert pair == (None, None) if field.name in ("lsf", "sampling") else torch.equal(*pair)
    assert not (one.labels == other.labels).any()
    assert not torch.equal(one.flux, Survey("paper", seed=6).draw(8, stream=3).flux)


def test_same_stars_new_noise(paper):
    one, other = paper.draw(8, stream=3), paper.draw(8, stream=9, stars=3)
    assert torch.equal(one.noiseless, other.noiseless)
    assert not (one.flux == other.flux).any()


def test_a_finite_survey_repeats_its_stars_with_new_noise():
    stream = Survey("paper", n=10).stream(4)
    batches = [batch for batch, _ in zip(stream, range(6), strict=False)]
    assert [len(b[0]) for b in batches] == [4, 4, 2] * 2
    assert torch.equal(batches[0][2], batches[3][2]) and not torch.equal(batches[0][0], batches[3][0])
    stream.set_step(2)
    assert torch.equal(next(iter(stream))[0], batches[2][0])


def test_survey_is_picklable_after_use(paper):
    paper.draw(1)
    assert torch.equal(pickle.loads(pickle.dumps(paper)).draw(2).flux, paper.draw(2).flux)


def test_global_random_state_is_left_alone(paper):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    paper.draw(4)
    assert torch.equal(torch.rand(3), expected)


class TestLeaks:
    """The error array must not know more of the star than the noisy flux does."""

    @staticmethod
    def ridge_r2(x, y):
        """R² on a third of the stars of a linear fit on the rest."""
        x = (x - x.mean(0)) / x.std(0)
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1).double()
        n = 2 * len(x) // 3
        beta = torch.linalg.solve(
            x[:n].T @ x[:n] + 1e-2 * n * torch.eye(x.shape[1]), x[:n].T @ y[:n].double()
        )
        truth = y[n:].double()
        return 1 - (truth - x[n:] @ beta).square().sum() / (truth - truth.mean()).square().sum()

    def test_reported_error_says_nothing_of_gravity(self, paper):
        batch = paper.draw(3000, magnitude=20.0)
        logg = batch.labels[:, 1]
        assert self.ridge_r2(batch.ivar.log()[:, 16::32], logg) < 0.02
        relative = (batch.ivar * batch.flux.median(1, keepdim=True).values ** 2).log()
        assert self.ridge_r2(relative[:, 16::32], logg) < 0.02
        assert self.ridge_r2(batch.noiseless_sigma.log()[:, ::8], logg) > 0.9  # the test can see a leak


class TestImperfections:
    @staticmethod
    def only(**sizes):
        return Survey("paper", seed=1, augmentation=Augmentation(**sizes), magnitude=20.0)

    def test_velocity_moves_lines_redward_and_blueward(self):
        survey = self.only(max_velocity=20.0)
        batch = survey.observe([GIANT] * 40, 20.0)
        still = Survey("paper").observe([GIANT], 20.0).noiseless[0].double().numpy()
        rng = np.random.default_rng([1, 0])
        velocity = survey.augmentation.draw(40, rng, "cpu").numbers["velocity"].double().numpy()
        assert torch.equal(batch.velocity, torch.as_tensor(velocity).float())
        assert velocity.min() < -15 and velocity.max() > 15
        for spectrum, v in zip(batch.noiseless.double().numpy()[:8], velocity[:8], strict=True):
            shifts = np.arange(-25, 25.1, 0.5)
            inner = slice(50, -50)
            misfit = [
                np.sum(
                    (np.interp(PFS_MR.wave / (1 + s / SPEED_OF_LIGHT), PFS_MR.wave, still) - spectrum)[inner]
                    ** 2
                )
                for s in shifts
            ]
            assert shifts[np.argmin(misfit)] == pytest.approx(v, abs=1.0)

    def test_masks(self):
        survey = self.only(chunks=3, chunk_pixels=100, bad_pixels=0.05, missing_end=0.3)
        batch = survey.draw(400)
        lost = (batch.ivar == 0).float().mean(1)
        assert 0.02 < lost.mean() < 0.25 and lost.max() < 0.8
        assert torch.isfinite(batch.flux).all() and (batch.ivar >= 0).all()

    def test_calibration_error_is_smooth_and_leaves_the_snr(self):
        plain, tilted = self.only(), self.only(calibration=(0.1, 0.05))
        one, other = plain.observe([GIANT] * 20, 20.0), tilted.observe([GIANT] * 20, 20.0)
        ratio = (other.flux / one.flux).double()
        assert 0.03 < ratio.log().std() < 0.3
        assert ratio.log().diff(dim=1).abs().max() < 1e-3
        assert torch.allclose(other.flux * other.ivar.sqrt(), one.flux * one.ivar.sqrt(), rtol=1e-3)

    def test_line_errors_scale_with_line_depth(self):
        one, other = (
            self.only().observe([GIANT] * 60, 20.0),
            self.only(line_error=0.12).observe([GIANT] * 60, 20.0),
        )
        scatter = (other.noiseless / one.noiseless).log().std(0)
        with torch.no_grad():
            depth = -Survey("paper").emulator.normalised(torch.tensor([GIANT]))[0].log()
        strong = depth > 0.1
        assert (scatter[strong] / depth[strong]).median() == pytest.approx(0.12, rel=0.25)
        assert scatter[depth < 0.005].median() < 0.003

    def test_sky_residuals_exceed_the_reported_error_at_sky_lines_only(self):
        batch = self.only(sky_residual=0.01).observe([GIANT] * 100, 22.0)
        pull = ((batch.flux - batch.noiseless) / batch.noiseless_sigma).square().mean(0).sqrt()
        sky = torch.as_tensor(self.only().noise.sky_counts)
        assert pull[sky > sky.quantile(0.98)].mean() > 1.1  # the noise itself has a 1 % systematic
        assert pull[sky < sky.quantile(0.5)].mean() == pytest.approx(1, abs=0.05)

    def test_flat_noise(self):
        batch = self.only(flat_noise=1.0).observe([GIANT] * 50, 21.5)
        assert (batch.noiseless_sigma.std(1) / batch.noiseless_sigma.mean(1) < 0.2).all()
        assert (batch.noiseless / batch.noiseless_sigma).median() == pytest.approx(7.1, rel=0.1)

    def test_sky_brightness_changes_the_sky_and_not_the_star(self):
        plain, bright = self.only(), self.only(sky_brightness=0.5)
        one, other = plain.observe([GIANT] * 200, 22.0), bright.observe([GIANT] * 200, 22.0)
        assert torch.equal(one.noiseless, other.noiseless)
        ratio = (other.noiseless_sigma / one.noiseless_sigma).square()
        lines = torch.as_tensor(plain.noise.sky_counts).argsort()
        assert ratio[:, lines[-50:]].mean(1).log().std() == pytest.approx(0.5, abs=0.1)
        assert ratio[:, lines[:50]].mean(1).log().std() < 0.4
        assert (other.ivar * other.noiseless_sigma**2).median() == pytest.approx(1, abs=0.02)

    def test_noise_shape_is_slow_and_reported(self):
        one, other = (
            self.only().observe([GIANT] * 50, 22.0),
            self.only(noise_shape=0.25).observe([GIANT] * 50, 22.0),
        )
        ratio = (other.noiseless_sigma / one.noiseless_sigma).log()
        assert ratio.std() == pytest.approx(0.25 * (2 / 3) ** 0.5, rel=0.2)  # linear between knots
        assert ratio.diff(dim=1).abs().max() < 0.01
        pull = (other.flux - other.noiseless) * other.ivar.sqrt()
        assert pull.std() == pytest.approx(1, abs=0.02)

    def test_reported_errors_are_off_by_a_factor(self):
        batch = self.only(reported_error=0.1).observe([GIANT] * 400, 22.0)
        ratio = (batch.ivar.sqrt() * batch.noiseless_sigma).median(1).values.log()
        assert ratio.std() == pytest.approx(0.1, rel=0.15)

    def test_correlated_noise_keeps_its_variance(self):
        batch = self.only(correlated_noise=1.0).observe([GIANT] * 800, 22.0)
        z = (batch.flux - batch.noiseless) / batch.noiseless_sigma
        assert z[:, 1:-1].var() == pytest.approx(1, abs=0.01)
        rho = (z[:, 1:] * z[:, :-1]).mean(1)
        # ρ₁ = 2w/(1 + 2w²) for a kernel (w, 1, w), w uniform in (0, 0.5)
        w = torch.linspace(0, 0.5, 1001)
        assert rho.mean() == pytest.approx(float((2 * w / (1 + 2 * w**2)).mean()), abs=0.03)
        assert rho.max() < 0.75

    def test_named_survey_has_them_all(self, realistic):
        augmentation, plain = realistic.augmentation, Augmentation()
        for field in dataclasses.fields(Augmentation):
            if not field.name.endswith("pixels") or field.name == "bad_pixels":
                assert getattr(augmentation, field.name) != getattr(plain, field.name), field.name
        assert augmentation.max_velocity == 20 and augmentation.lsf_range == (0.9, 1.1)
        assert realistic.magnitude == (17, 23)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Survey("papr"), "name must be one of"),
        (lambda: Survey("paper", 0), "n must be at least 1"),
        (lambda: Survey("paper", magnitude=(22, 20)), "magnitude must be finite, the lower limit first"),
        (lambda: Survey("paper", magnitude=np.nan), "magnitude must be finite"),
        (lambda: Survey("paper").stream(0), "batch_size must be at least 1"),
        (lambda: Survey("paper").observe([4700, 9, 0, 0, 0], 20), "logg must lie in"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()

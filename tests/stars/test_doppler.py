"""Fast stars and other spectrographs: against the sums that define them and closed forms."""

import numpy as np
import pytest
import torch
from scipy import stats

from specvit.constants import SPEED_OF_LIGHT
from specvit.grid import FWHM_PER_SIGMA, PFS_MR, PixelGrid
from specvit.stars import Emulator, regrid_emulator
from specvit.stars.doppler import DopplerSampler, moving_lines, velocity_reach
from specvit.stars.emulator import NATIVE_LSF_FRACTION
from specvit.stars.lsfbank import LsfBank
from specvit.survey import SNRNoise, Survey, Velocities

GIANT = [4700.0, 2.2, -0.4, 0.15, -0.05]
COARSE = PixelGrid.linear(7100, 8850, 2048, 3.3 / FWHM_PER_SIGMA, name="coarse")
INNER = PixelGrid.linear(7125, 8825, 1024, 3.3 / FWHM_PER_SIGMA, name="inner")


@pytest.fixture(scope="module")
def inner(emulator):
    return regrid_emulator(emulator, INNER)


def gaussian_line(grid, depth=0.6, centre=7900.0, width=1.2):
    """An emulator of one line, Gaussian at the native resolution, whatever the labels."""
    wave = np.exp(np.arange(np.log(grid.edges[0] - 40), np.log(grid.edges[-1] + 40), 2e-5))
    line = 1 - depth * np.exp(-0.5 * ((wave - centre) / width) ** 2)
    knots = np.linspace(wave[0], wave[-1], 8)
    ranges = [[3000, 0, -3, -1, -1], [8000, 6, 1, 1, 1]]
    return Emulator(
        grid, wave, line, np.zeros((1, wave.size)), knots, np.zeros(8), np.zeros((1, 8)), ranges, width=6
    )


@pytest.mark.parametrize("velocity", [-300.0, -41.3, 0.0, 299.9])
@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
def test_a_gaussian_line_moves_and_broadens_as_it_must(velocity, scale):
    """Closed form: Gaussians convolve to a Gaussian, at λ(1 + v/c)."""
    grid = PixelGrid.linear(7850, 7950, 200, 0.8)
    sampler = DopplerSampler(gaussian_line(grid), -300, 300, (0.9, 1.1))
    out = sampler.normalised(torch.zeros(1, 1), torch.tensor([velocity]), torch.tensor([scale]))[0].numpy()
    extra = 0.8**2 * (scale**2 - NATIVE_LSF_FRACTION**2)
    doppler = 1 + velocity / SPEED_OF_LIGHT
    sigma = np.sqrt(1.2**2 * doppler**2 + extra * doppler**2)  # kernels are σ in the star's frame
    expected = 1 - 0.6 * 1.2 * doppler / sigma * np.exp(-0.5 * ((grid.wave - 7900 * doppler) / sigma) ** 2)
    assert np.abs(out - expected).max() < 3e-5


def test_any_star_is_what_the_emulators_own_matrix_makes_of_it(inner):
    labels = torch.tensor([GIANT, [3750.0, 4.9, 0.0, 0.0, 0.0], [5900.0, 4.0, -0.9, 0.3, 0.1]])
    with torch.no_grad():
        coefficients = inner.coefficients(labels)[0]
    velocity, scale = torch.tensor([-297.0, 13.7, 300.0]), torch.tensor([1.0, 0.93, 1.08])
    out = DopplerSampler(inner, -300, 300, (0.9, 1.1)).normalised(coefficients, velocity, scale)
    native = inner.mean + coefficients.numpy() @ inner.components
    for spectrum, made, v, w in zip(native, out.numpy(), velocity, scale, strict=True):
        assert np.abs(inner.to_grid(spectrum[None], float(v), float(w))[0] - made).max() < 3e-6


def test_the_bank_and_the_sampler_agree_where_both_hold(emulator):
    with torch.no_grad():
        coefficients = emulator.coefficients(torch.tensor([GIANT] * 9))[0]
    velocity, scale = torch.linspace(-20, 20, 9), torch.linspace(0.92, 1.08, 9)
    bank, sampler = moving_lines(emulator, -20, 20, (0.9, 1.1)), DopplerSampler(emulator, -20, 20, (0.9, 1.1))
    assert isinstance(bank, LsfBank)
    arguments = coefficients, velocity, scale
    assert (bank.normalised(*arguments) - sampler.normalised(*arguments)).abs().max() < 2e-5


def test_batches_larger_than_a_chunk():
    sampler = DopplerSampler(gaussian_line(PixelGrid.linear(7850, 7950, 100, 0.8)), -300, 300)
    velocity = torch.linspace(-300, 300, 1100)
    coefficients = torch.zeros(1100, 1)
    out = sampler.normalised(coefficients, velocity, torch.ones(1100))
    assert torch.equal(out[1090:], sampler.normalised(coefficients[1090:], velocity[1090:], torch.ones(10)))


def test_a_survey_keeps_its_velocities(inner):
    survey = Survey(prior=Survey("paper").prior, noise=SNRNoise(1e4), emulator=inner, velocity=300)
    batch = survey.draw(300)
    assert stats.kstest(batch.velocity.numpy(), stats.uniform(-300, 600).cdf).pvalue > 1e-3
    moved = survey.observe([GIANT] * 3, snr=1e4, velocity=[-300, 0, 300]).noiseless.double().numpy()
    still = moved[1]
    for spectrum, v in zip(moved, (-300, 0, 300), strict=True):
        there = np.interp(INNER.wave / (1 + v / SPEED_OF_LIGHT), INNER.wave, still)
        shifted = np.corrcoef(there[20:-20], spectrum[20:-20])[0, 1]
        assert shifted > 0.998  # linear interpolation between pixels costs the rest
    assert np.corrcoef(still, moved[2])[0, 1] < 0.95


def test_no_star_shows_light_that_the_emulator_has_not(emulator, inner):
    low, high = velocity_reach(emulator)
    assert -100 < low < -20 and 20 < high < 100  # what the shipped emulator's margin of 4 Å allows
    with pytest.raises(ValueError, match="velocity must lie between -57 and 90 km/s for an emulator that"):
        Survey("paper", emulator=emulator, velocity=300).draw(1)
    for reach in (velocity_reach(inner), (low, high)):
        assert reach[0] < 0 < reach[1]
    edge = DopplerSampler(inner, *velocity_reach(inner))
    both = torch.tensor(velocity_reach(inner), dtype=torch.float32)
    assert torch.isfinite(edge.normalised(torch.zeros(2, inner.n_components), both, torch.ones(2))).all()


class TestVelocities:
    def test_normal_is_cut(self):
        drawn = Velocities.normal(100, mean=20, cut=2).sample(20_000, np.random.default_rng(0))
        assert stats.kstest(drawn, stats.truncnorm(-2, 2, 20, 100).cdf).pvalue > 1e-3

    def test_what_a_survey_accepts(self):
        assert Velocities.of(None) == Velocities(0, 0) and not Velocities.of(None)
        assert Velocities.of(50) == Velocities(-50, 50)
        assert Velocities.of((-10, 30)) == Velocities(-10, 30)
        assert Velocities.of(Velocities.normal(9)) == Velocities(-36, 36, 9, 0.0)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: Velocities(10, -10), "limits must be finite, the lower first"),
            (lambda: Velocities.of(np.nan), "limits must be finite"),
            (lambda: Velocities.of((1, 2, 3)), "velocity must be a number, two limits or Velocities"),
            (lambda: Velocities(-1, 1, sigma=0), "sigma must be positive"),
            (lambda: Velocities(-1, 1, sigma=1, mean=2), "mean must lie within the limits"),
        ],
    )
    def test_bad_values(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


class TestRegrid:
    def test_is_the_library_smoothed_at_once(self, library, emulator):
        """Against the library's own spectra on the other grid: as good as the emulator is on its own."""
        truth = library.smoothed(COARSE.lsf_sigma, COARSE.wave)
        with torch.no_grad():
            made = (
                regrid_emulator(emulator, COARSE)
                .normalised(torch.as_tensor(library.labels, dtype=torch.float32))
                .numpy()
            )
        rms = np.sqrt(np.mean((made - truth) ** 2, axis=1))
        assert np.median(rms) < 0.003
        # The kernels that are cut at the ends do no worse there than the rest.
        ends = np.sqrt(np.mean((made - truth)[:, [0, 1, 2, -3, -2, -1]] ** 2, axis=1))
        assert np.median(ends) < 2 * np.median(rms)

    def test_a_gaussian_line_gets_the_new_width(self):
        fine = PixelGrid.linear(7850, 7950, 400, 0.5)
        coarse = PixelGrid.linear(7860, 7940, 100, 1.4)
        made = regrid_emulator(gaussian_line(fine), coarse).normalised(torch.tensor([GIANT]))[0].numpy()
        sigma = np.sqrt(1.2**2 + 1.4**2 - (NATIVE_LSF_FRACTION * 0.5) ** 2)
        expected = 1 - 0.6 * 1.2 / sigma * np.exp(-0.5 * ((coarse.wave - 7900) / sigma) ** 2)
        assert np.abs(made - expected).max() < 1e-5

    def test_fewer_pixels_of_the_same_instrument(self, emulator):
        cut = PixelGrid(PFS_MR.edges[100:-100], PFS_MR.lsf_sigma[100:-100])
        labels = torch.tensor([GIANT])
        with torch.no_grad():
            made, whole = regrid_emulator(emulator, cut).normalised(labels), emulator.normalised(labels)
        assert (made - whole[:, 100:-100]).abs().max() < 1e-6
        assert velocity_reach(regrid_emulator(emulator, cut))[1] > 500

    def test_keeps_what_the_emulator_knows(self, emulator, inner, tmp_path):
        assert inner.record["regridded_from"] == "PFS MR"
        assert torch.equal(inner.label_range, emulator.label_range)
        inner.save(tmp_path / "inner.safetensors")
        again = Emulator.load(tmp_path / "inner.safetensors")
        labels = torch.tensor([GIANT])
        assert again.grid == INNER and torch.equal(again(labels), inner(labels))

    @pytest.mark.parametrize(
        ("grid", "message"),
        [
            (PixelGrid.linear(7200, 7300, 50, 0.3), "must not have a sharper LSF than the emulator"),
            (PixelGrid.linear(6000, 8000, 50, 2.0), "the emulator has 7096.1 to 8854.0 Å"),
            (PixelGrid.linear(7200, 7300, 50, 2.0, medium="air"), "grid must be in vacuum"),
        ],
    )
    def test_bad_grids(self, emulator, grid, message):
        with pytest.raises(ValueError, match=message):
            regrid_emulator(emulator, grid)

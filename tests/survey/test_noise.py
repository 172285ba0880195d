"""The noise model of PFS against a reference implementation of the exposure-time calculator's table."""

from importlib import resources

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy import stats

from specvit.grid import PFS_MR, PixelGrid
from specvit.survey import PFSNoise, Survey
from specvit.survey.noise import fnu_shape


def test_median_snr_of_a_flat_source(test_data):
    with np.load(test_data / "pfs_mr_snr.npz") as reference:
        for magnitude, expected in zip(reference["median_magnitudes"], reference["median_snr"], strict=True):
            assert np.median(PFSNoise().snr(magnitude)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("row", range(5))
def test_against_the_reference_model(test_data, row):
    """Seeing, exposures, zenith angle and field of the calculator's own checks: see data/README.md."""
    with np.load(test_data / "pfs_mr_snr.npz") as reference:
        ours = PFSNoise(*reference["conditions"][row])
        assert ours.grid.wave[reference["pixel"]] == pytest.approx(reference["wave"], abs=1e-6)
        for magnitude, expected in zip(reference["magnitudes"], reference["snr"][row], strict=True):
            assert np.abs(ours.snr(magnitude)[reference["pixel"]] / expected - 1).max() < 1e-5


def test_magnitude_is_that_of_the_mean_fnu():
    noise = PFSNoise()
    shape = 1 + 0.5 * np.sin(PFS_MR.wave / 100)
    counts = noise.counts([20.0, 21.0], np.stack([shape, 7 * shape]))
    in_fnu = counts / noise.counts_per_unit
    assert in_fnu.mean(1) == pytest.approx(10 ** (-0.4 * (np.array([20.0, 21.0]) - 22.5)))
    assert counts[0] / counts[1] == pytest.approx(10**0.4)


def test_variance_is_photons_and_background():
    noise = PFSNoise()
    assert (noise.count_variance(np.full(4096, -50.0)) == noise.background_variance).all()
    assert noise.count_variance(np.full(4096, 100.0)) - noise.background_variance == pytest.approx(100)


PARTS = ("sky", "stray", "dark", "read", "skysys")


def background_variance(n):
    """Of n exposures: the table's random parts, of 12 exposures, grow with n, its systematic with n²."""
    path = resources.files("specvit") / "data" / "pfs_mr_noise.safetensors"
    with resources.as_file(path) as file:
        archive = load_file(file)
    table = {name: archive[f"var_{name}_3h"].astype(float) for name in PARTS}
    systematic = table.pop("skysys")
    return n / 12 * sum(table.values()) + (n / 12) ** 2 * systematic


@pytest.mark.parametrize("n", [1, 4, 12, 48])
def test_exposures_add_up(n):
    noise = PFSNoise(n_exposures=n)
    assert noise.counts_per_unit == pytest.approx(n / 12 * PFSNoise().counts_per_unit, rel=1e-12)
    assert noise.background_variance == pytest.approx(background_variance(n), rel=1e-12)


def test_the_systematic_does_not_average_out():
    """At any seeing, airmass and field V = an + bn²: what is left over one exposure's grows as n(n − 1)."""
    one, four, nine = (PFSNoise(1.2, n, 40, 0.5).background_variance for n in (1, 4, 9))
    assert (nine - 9 * one) / (four - 4 * one) == pytest.approx(np.full(4096, 72 / 12), rel=1e-9)


@pytest.mark.parametrize("n", [4, 16])
def test_draws_have_the_variance_of_their_exposures(n):
    """Squared residuals over the expected variance, summed over N draws, are χ² of N in every pixel."""
    draws = 200
    noise = PFSNoise(n_exposures=n)
    batch = Survey("paper", noise=noise, seed=3).observe([[4700.0, 2.2, -0.4, 0.15, -0.05]] * draws, 22.0)
    response = noise.counts_per_unit * fnu_shape(PFS_MR.wave)
    clean, residual = batch.noiseless.double().numpy(), (batch.flux - batch.noiseless).double().numpy()
    chi2 = np.sum((residual * response) ** 2 / (clean * response + background_variance(n)), axis=0)
    assert stats.kstest(chi2, stats.chi2(draws).cdf).pvalue > 1e-3
    # and a variance wrong by 2 %, a fifth of a pixel's own uncertainty, would be seen
    assert stats.kstest(1.02 * chi2, stats.chi2(draws).cdf).pvalue < 1e-3


def test_fnu_shape_turns_flat_fnu_into_lambda_squared():
    flat_fnu = 1 / PFS_MR.wave**2
    product = flat_fnu * fnu_shape(PFS_MR.wave)
    assert product == pytest.approx(product[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeing": 0.1}, r"seeing must lie in \[0.4"),
        ({"n_exposures": 0}, "n_exposures must lie in"),
        ({"zenith": 80}, "zenith must lie in"),
        ({"field": -1}, "field must lie in"),
        ({"grid": PixelGrid.linear(7000, 8000, 10, 1.0)}, "grid must be PFS_MR"),
    ],
)
def test_bad_conditions(arguments, message):
    with pytest.raises(ValueError, match=message):
        PFSNoise(**arguments)

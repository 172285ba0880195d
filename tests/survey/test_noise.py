"""The noise model against the reference implementation and the published table."""

import importlib.util

import numpy as np
import pytest

from specvit.grid import PFS_MR, PixelGrid
from specvit.survey import PFSNoise
from specvit.survey.noise import fnu_shape


@pytest.mark.parametrize(
    ("magnitude", "expected"), [(18, 87), (20, 24.0), (21.5, 7.1), (22, 4.6), (22.5, 3.0)]
)
def test_flat_source_has_the_published_snr(magnitude, expected):
    assert np.median(PFSNoise().snr(magnitude)) == pytest.approx(expected, rel=0.03)


CONDITIONS = [
    (0.8, 12, 22.5, 0.325),
    (1.5, 12, 45, 0.65),
    (0.5, 12, 0, 0),
    (1.0, 4, 35, 0.45),
    (0.67, 24, 45, 0.1),
]


@pytest.mark.parametrize(("seeing", "n_exposures", "zenith", "field"), CONDITIONS)
def test_against_the_reference_model(shared, seeing, n_exposures, zenith, field):
    spec = importlib.util.spec_from_file_location("mr_snr_model", shared / "pfs" / "mr_snr_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reference = module.MRNoise(shared / "pfs" / "mr_noise_table.npz")
    # The reference holds counts at the pixels' left edges; the table also has them at the centres.
    reference.t["counts_22p5_3h"] = reference.t["counts_22p5_3h_center"]
    ours = PFSNoise(seeing, n_exposures, zenith, field)
    for magnitude in (18.0, 22.5):
        expected = reference.snr(magnitude, seeing, n_exposures, zenith, field)
        assert np.abs(ours.snr(magnitude) / expected - 1).max() < 1e-5


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


def test_exposures_add_up():
    """Counts grow with n, sky and read variance with n, the systematic with n²."""
    one, four = PFSNoise(n_exposures=4), PFSNoise(n_exposures=16)
    assert four.counts_per_unit == pytest.approx(4 * one.counts_per_unit)
    ratio = four.background_variance / one.background_variance
    assert (ratio > 4).all() and (ratio < 16).all()


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

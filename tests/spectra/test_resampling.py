"""Spectra on the grid against the resampler itself, and the resolutions that they are stated to have."""

import astropy.units as u
import numpy as np
import pytest
from specutils import Spectrum

from specvit.grid import FWHM_PER_SIGMA, PFS_MR, PixelGrid, Resampler, edges_from_centres, vacuum_to_air
from specvit.spectra import Flag, SpectrumError, adapt

KW = {"medium": "vacuum", "resolution": 8000}


def test_against_the_resampler(spectrum, reference, wave):
    assert reference.shape == ()
    assert reference.flux.shape == reference.ivar.shape == (1, 4096)
    assert reference.flags.tolist() == [0]
    assert reference.errors == [None]
    assert reference.usable.tolist() == [True]
    assert 0.98 < reference.coverage[0] < 1
    kernel = np.sqrt(PFS_MR.lsf_sigma**2 - (PFS_MR.wave / 8000 / FWHM_PER_SIGMA) ** 2 - PFS_MR.width**2 / 12)
    expected = Resampler(edges_from_centres(wave), PFS_MR, kernel)(
        spectrum.data, spectrum.uncertainty.array**2, spectrum.mask
    )
    good = ~expected.mask
    np.testing.assert_array_equal(reference.ivar[0] > 0, good)
    np.testing.assert_allclose(reference.flux[0, good], expected.flux[good], rtol=1e-10)
    np.testing.assert_allclose(reference.ivar[0, good], 1 / expected.variance[good], rtol=1e-10)
    assert (reference.flux[0, ~good] == 0).all()


def test_covariance_on_request(spectrum, reference, wave):
    assert reference.covariance is None
    covariance = adapt(spectrum, covariance=True, **KW).covariance
    assert covariance.shape == (2, 1, 4096)
    correlation = covariance[0, 0, :-1] * np.sqrt(reference.ivar[0, 1:] * reference.ivar[0, :-1])
    assert 0.2 < np.median(correlation) < 1


class TestResolution:
    @pytest.mark.parametrize(
        "meta",
        [
            {"resolution": 8000},
            {"R": 8000.0},
            {"resolving_power": np.float32(8000)},
            {"header": {"SPEC_RES": 8000}},
            {"resolution": 8000 * u.one},
        ],
    )
    def test_from_meta(self, make, meta, same):
        stated = adapt(make(meta=meta), medium="vacuum")
        assert not stated.flags[0] & Flag.RESOLUTION_ASSUMED
        same(adapt(make(), **KW), stated)

    def test_argument_wins(self, make, same):
        same(adapt(make(), **KW), adapt(make(meta={"R": 20000}), **KW))

    def test_per_pixel_and_fwhm(self, make, wave, same):
        same(adapt(make(), **KW), adapt(make(), medium="vacuum", resolution=np.full(4501, 8000.0)))
        fwhm = wave / 8000 * u.AA
        same(adapt(make(), **KW), adapt(make(), medium="vacuum", resolution=fwhm.to(u.nm)), 1e-8)

    def test_unknown_is_assumed(self, make):
        batch = adapt(make(), medium="vacuum")
        assert batch.flags.tolist() == [Flag.RESOLUTION_ASSUMED]
        wave = u.Quantity(make().spectral_axis).value
        plain = Resampler(edges_from_centres(wave), PFS_MR)(make().data)
        np.testing.assert_allclose(batch.flux[0], plain.flux, rtol=1e-10)

    def test_lower(self, make):
        with pytest.raises(
            SpectrumError, match=r"spectrum: resolution must not be lower .* R is 4000, that of PFS MR 6"
        ):
            adapt(make(), medium="vacuum", resolution=4000)
        batch = adapt(make(), medium="vacuum", resolution=4000, lower_resolution="flag")
        assert batch.flags.tolist() == [Flag.LOWER_RESOLUTION]

    def test_a_little_lower_is_within_training(self, make):
        power = np.interp(make().spectral_axis.value, PFS_MR.wave, PFS_MR.resolving_power)
        assert adapt(make(), medium="vacuum", resolution=power / 1.09).flags.tolist() == [0]
        with pytest.raises(SpectrumError):
            adapt(make(), medium="vacuum", resolution=power / 1.11)

    def test_lower_where_it_does_not_matter(self, make, wave, same):
        power = np.where((wave < 7090) | (wave > 8860), 100.0, 8000.0)
        same(adapt(make(), **KW), adapt(make(), medium="vacuum", resolution=power), 1e-6)


def test_other_grids(make, wave, same):
    grid = PixelGrid.linear(8000, 8500, 1000, 0.6, medium="air", name="air grid")
    inside = adapt(make(), grid=grid, **KW)
    in_air = make(make().data, wave=vacuum_to_air(wave))
    same(inside, adapt(in_air, grid=grid, medium="air", resolution=8000), 1e-7)
    assert inside.grid is grid
    assert inside.flux.shape == (1, 1000)


def test_light_from_beyond_the_ends_is_left_out():
    """Three σ of the kernel that makes the grid's line spread function as wide as the spectrum's."""
    wave = np.arange(7000.0, 9000.0, 1.0)
    spectrum = Spectrum(np.ones(wave.size) * u.one, wave * u.AA)
    found = adapt(spectrum, medium="vacuum", resolution=2500, lower_resolution="flag")
    middle = PFS_MR.wave[2048]
    reach = 3 * np.sqrt((middle / 2500 / FWHM_PER_SIGMA) ** 2 - PFS_MR.lsf_sigma[2048] ** 2)
    seen = PFS_MR.wave[found.ivar[0] > 0]
    assert seen[0] - PFS_MR.edges[0] == pytest.approx(reach, abs=1.2)  # of pixels of 1 Å
    assert PFS_MR.edges[-1] - seen[-1] == pytest.approx(reach, abs=1.2)
    sharp = adapt(spectrum, medium="vacuum", resolution=20_000)
    assert (sharp.ivar > 0).all()


@pytest.mark.parametrize(("blue", "red"), [(1500, 5000), (1500, 11000), (2500, 1500), (11000, 7000)])
def test_an_arm_that_is_less_sharp_than_the_middle_costs_both_ends(blue, red):
    """Three σ of the widest kernel that is needed at either end or in the middle, as in training."""
    wave = np.arange(6900.0, 9050.0, 0.2)  # native pixels do not matter
    power = np.where(wave < 7900, float(blue), float(red))
    batch = adapt(
        Spectrum(np.ones(wave.size) * u.one, wave * u.AA),
        medium="vacuum",
        resolution=power,
        lower_resolution="flag",
    )
    seen = PFS_MR.wave[batch.ivar[0] > 0]

    def needed(at, power):
        # Of constant R, in the middle; an arm in the blue is that much sharper.
        fwhm = [min(PFS_MR.wave[at], 7975) / power, PFS_MR.wave[at] / PFS_MR.resolving_power[at]]
        return 3 / 2.354820045 * np.sqrt(max(fwhm[0] ** 2 - fwhm[1] ** 2, 0))

    reach = max(needed(0, blue), needed(len(PFS_MR) // 2, red), needed(-1, red))
    assert seen[0] - PFS_MR.edges[0] == pytest.approx(reach, abs=0.5)
    assert PFS_MR.edges[-1] - seen[-1] == pytest.approx(reach, abs=0.5)


def test_a_spectrum_that_is_all_ends_is_refused():
    grid = PixelGrid.linear(7100, 7220, 60, 5.0)
    spectrum = Spectrum(np.ones(90) * u.one, np.linspace(7080, 7240, 90) * u.AA)
    with pytest.raises(SpectrumError, match="resolution must be such that something is left"):
        adapt(spectrum, grid=grid, medium="vacuum", resolution=100, lower_resolution="flag")

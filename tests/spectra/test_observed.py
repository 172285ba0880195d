"""What is known of the instrument: stated, named, or assumed from the pixels; and what is masked by name."""

import astropy.units as u
import numpy as np
import pytest

from specvit.grid import (
    FWHM_PER_SIGMA,
    PFS_MR,
    TELLURIC,
    Instrument,
    PixelGrid,
    find_instrument,
    vacuum_to_air,
)
from specvit.spectra import Flag, SpectrumError, adapt


def steps(width):
    return np.arange(7050, 8900, width)


class TestUnstatedResolution:
    """Two pixels per FWHM is the sharpest that pixels allow."""

    @pytest.mark.parametrize("width", [0.1, 0.4, 0.65])
    def test_fine_pixels_are_taken_for_the_grids_own(self, make, width):
        batch = adapt(make(wave=steps(width)), medium="vacuum")
        assert batch.flags[0] == Flag.RESOLUTION_ASSUMED
        assert batch.resolution[0] == pytest.approx(np.median(PFS_MR.resolving_power), rel=0.01)
        np.testing.assert_allclose(batch.lsf, 0, atol=1e-6)

    @pytest.mark.parametrize("width", [1.0, 1.8, 2.5])
    def test_coarse_pixels_are_half_a_fwhm(self, make, width):
        batch = adapt(make(wave=steps(width)), medium="vacuum", lower_resolution="flag")
        assert batch.flags[0] == Flag.RESOLUTION_ASSUMED | Flag.LOWER_RESOLUTION
        assert batch.resolution[0] == pytest.approx(7975 / (2 * width), rel=0.01)
        expected = np.log2(2 * width / FWHM_PER_SIGMA / PFS_MR.lsf_sigma)
        np.testing.assert_allclose(batch.lsf[0], expected, atol=1e-3)

    def test_sdss_pixels_do_not_pass_for_a_resolution_of_6000(self, make):
        wave = 10 ** np.arange(3.845, 3.955, 1e-4)
        with pytest.raises(SpectrumError, match=r"nothing states the resolution, .* resolution= states it"):
            adapt(make(wave=wave), medium="vacuum")

    def test_one_dropped_pixel_changes_nothing(self, make):
        wave = np.delete(steps(0.6), [700, 702, 1500])
        batch = adapt(make(wave=wave), medium="vacuum")
        assert batch.flags[0] == Flag.RESOLUTION_ASSUMED
        np.testing.assert_allclose(batch.lsf, 0, atol=1e-6)
        np.testing.assert_allclose(batch.sampling, np.log2(0.6 * 4096 / 1750), atol=1e-6)


def test_line_spread_function_is_a_curve_where_a_curve_is_stated(make):
    wave = steps(1.2)
    power = 2000 + (wave - 7050)
    batch = adapt(make(wave=wave), medium="vacuum", resolution=power, lower_resolution="flag")
    sigma = PFS_MR.wave / (2000 + PFS_MR.wave - 7050) / FWHM_PER_SIGMA
    np.testing.assert_allclose(batch.lsf[0], np.log2(sigma / PFS_MR.lsf_sigma), atol=1e-5)
    np.testing.assert_allclose(batch.sampling[0], np.log2(1.2 / PFS_MR.width), atol=1e-5)
    assert batch.resolution[0] == pytest.approx(2000 + 7975 - 7050, rel=1e-3)


def test_sharper_spectra_are_smoothed_and_have_the_grids_line_spread_function(make):
    batch = adapt(make(wave=steps(0.1)), medium="vacuum", resolution=20_000)
    assert (batch.lsf == 0).all() and (batch.sampling == -1).all()  # finer pixels are not told apart
    assert batch.resolution[0] == pytest.approx(20_000)


def test_spectra_in_a_list_keep_their_own(make):
    spectra = [make(wave=steps(1.0), meta={"R": 2500}), make(wave=steps(0.5)), make(wave=steps(2.0))]
    spectra[2].meta["R"] = 1800
    batch = adapt(spectra, medium="vacuum", lower_resolution="flag")
    np.testing.assert_allclose(batch.resolution, [2500, np.median(PFS_MR.resolving_power), 1800], rtol=0.01)
    np.testing.assert_allclose(
        batch.sampling[:, 2000], np.log2(np.array([1, 0.5, 2]) * 4096 / 1750), atol=1e-5
    )
    middle = 7954.6 / np.array([2500, 1800]) / FWHM_PER_SIGMA / PFS_MR.lsf_sigma[2000]
    np.testing.assert_allclose(batch.lsf[[0, 2], 2000], np.log2(middle), atol=1e-3)
    np.testing.assert_allclose(batch.lsf[1], 0, atol=1e-6)


class TestInstrument:
    def test_gives_resolution_pixels_and_medium(self, make, same):
        muse = find_instrument("MUSE")
        wave = steps(1.25)
        named = adapt(make(wave=wave), instrument="muse", mask="none", lower_resolution="flag")
        stated = {"medium": "air", "resolution": 1.0 * u.AA, "lower_resolution": "flag"}
        assert named.flags[0] == Flag.LOWER_RESOLUTION
        same(adapt(make(wave=wave), **stated | {"resolution": 2.48 * u.AA}), named, 1e-6)
        np.testing.assert_allclose(
            named.lsf[0], np.log2(muse.lsf_sigma(PFS_MR.wave) / PFS_MR.lsf_sigma), atol=2e-3
        )
        np.testing.assert_allclose(named.sampling[0], np.log2(1.25 / PFS_MR.width), atol=1e-3)

    def test_arguments_and_metadata_come_first(self, make):
        spectrum = make(wave=steps(1.25), meta={"R": 2600, "medium": "vacuum"})
        options = {"instrument": "MUSE", "mask": "none", "lower_resolution": "flag"}
        batch = adapt(spectrum, **options)
        assert batch.resolution[0] == pytest.approx(2600)
        np.testing.assert_array_equal(batch.flux, adapt(spectrum, medium="vacuum", **options).flux)
        assert np.abs(batch.flux - adapt(spectrum, medium="air", **options).flux).max() > 0.01
        assert adapt(spectrum, resolution=2000, **options).resolution[0] == pytest.approx(2000)

    def test_oversampled_files_have_the_noise_of_native_pixels(self, make):
        mine = Instrument("mine", ((7000, 9000),), 1.5, resolving_power=2500)
        options = {"instrument": mine, "mask": "none", "lower_resolution": "flag"}
        batch = adapt(make(wave=steps(0.5)), **options)
        np.testing.assert_allclose(batch.sampling, np.log2(1.5 * 4096 / 1750), atol=1e-5)

    def test_rebinned_files_are_less_sharp(self, make):
        """A top-hat of three native pixels in place of one adds (Δ² − δ²)/12 to the variance."""
        mine = Instrument("mine", ((7000, 9000),), 1.0, fwhm=3.0)
        options = {"instrument": mine, "mask": "none", "lower_resolution": "flag"}
        batch = adapt(make(wave=steps(3.0)), **options)
        sigma = np.sqrt((3 / FWHM_PER_SIGMA) ** 2 + (3.0**2 - 1) / 12)
        np.testing.assert_allclose(batch.lsf[0], np.log2(sigma / PFS_MR.lsf_sigma), atol=1e-3)
        np.testing.assert_allclose(batch.sampling[0], np.log2(3 / PFS_MR.width), atol=1e-5)

    def test_line_spread_functions_shift_with_the_star(self, make):
        """R is the same at rest; a FWHM in Å, and pixels, shrink by 1 + z."""
        mine = Instrument("mine", ((7000, 9999),), 1.2, fwhm=3.0)
        wave = np.arange(7000, 9500, 1.2)
        batch = adapt(
            make(np.ones(wave.size), wave=wave, redshift=0.02),
            instrument=mine,
            mask="none",
            lower_resolution="flag",
        )
        np.testing.assert_allclose(
            batch.lsf[0], np.log2(3 / 1.02 / FWHM_PER_SIGMA / PFS_MR.lsf_sigma), atol=1e-3
        )
        np.testing.assert_allclose(batch.sampling[0], np.log2(1.2 / 1.02 / PFS_MR.width), atol=1e-4)


def lost(batch):
    """Pixels of the grid without information, True."""
    return batch.ivar[0] == 0


def within(windows, margin=0.0):
    return np.any([(PFS_MR.wave > a - margin) & (PFS_MR.wave < b + margin) for a, b in windows], axis=0)


KW = {"medium": "vacuum", "resolution": 8000}


class TestMask:
    @pytest.mark.parametrize(
        ("mask", "windows"),
        [
            ("telluric", list(TELLURIC.values())),
            ("O2 A", [TELLURIC["O2 A"]]),
            ((8400, 8450), [(8400, 8450)]),
            (["O2 A", (8400, 8450)], [TELLURIC["O2 A"], (8400, 8450)]),
        ],
    )
    def test_windows_hold_no_information(self, make, mask, windows):
        found = lost(adapt(make(), mask=mask, **KW))
        assert found[within(windows, -0.5)].all()
        assert not found[~within(windows, 3.0)].any()

    def test_nothing_outside_changes(self, make):
        plain, masked = adapt(make(), **KW), adapt(make(), mask="telluric", **KW)
        far = ~within(TELLURIC.values(), 8.0)
        np.testing.assert_allclose(masked.flux[0, far], plain.flux[0, far], rtol=1e-12)

    def test_telluric_bands_of_presets_on_the_ground(self, make):
        wave = steps(0.2)
        for name, expected in (("GIRAFFE", True), ("Gaia", False)):
            batch = adapt(make(wave=wave), instrument=name)
            assert bool(lost(batch)[within([TELLURIC["H2O 8230"]], -0.5)].all()) is expected
            assert batch.coverage[0] == pytest.approx(0.68 if expected else 1, abs=0.01)
            assert adapt(make(wave=wave), instrument=name, mask="none").coverage[0] == 1

    def test_windows_are_of_the_wavelengths_as_observed(self, make, wave):
        """A band of the Earth's air stays where it is while the star moves."""
        velocity = 300.0
        moved = make(radial_velocity=velocity * u.km / u.s)
        found = lost(adapt(moved, mask=(8000, 8050), **KW))
        shift = np.sqrt((1 - velocity / 299792.458) / (1 + velocity / 299792.458))
        window = [(8000 * shift, 8050 * shift)]
        assert (
            found[within(window, -0.5)].all() and not found[~within(window, 3.0) & (PFS_MR.wave < 8800)].any()
        )

    def test_windows_are_in_vacuum_for_air_wavelengths_too(self, make, wave):
        in_air = make(make().data, wave=vacuum_to_air(wave))
        found = lost(adapt(in_air, mask=(8000, 8050), medium="air", resolution=8000))
        np.testing.assert_array_equal(found, lost(adapt(make(), mask=(8000, 8050), **KW)))

    def test_arrays_and_batches_are_masked_on_the_grid(self, make):
        inside = within([(8400, 8450)])
        batch = adapt(np.ones((1, 4096)), ivar=np.ones((1, 4096)), mask=(8400, 8450))
        np.testing.assert_array_equal(lost(batch), inside)
        first = adapt(make(), covariance=True, **KW)
        again = adapt(first, mask=(8400, 8450))
        assert lost(again)[inside].all() and not lost(first)[inside].any()
        assert (again.covariance[:, 0, inside] == 0).all()
        np.testing.assert_array_equal(again.flux[0, ~inside], first.flux[0, ~inside])


def test_a_batch_that_is_judged_anew_keeps_what_saw_it(make):
    first = adapt(make(wave=steps(1.8)), medium="vacuum", resolution=1800, lower_resolution="flag")
    again = adapt(first)
    for name in ("lsf", "sampling", "resolution"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
        assert not np.shares_memory(getattr(again, name), getattr(first, name))


def test_arrays_are_of_the_grids_own_instrument():
    grid = PixelGrid.from_resolving_power(7100, 8850, 2500)
    batch = adapt(np.ones((2, len(grid))), ivar=np.ones((2, len(grid))), grid=grid)
    assert batch.lsf.shape == batch.sampling.shape == (2, len(grid))
    assert not batch.lsf.any() and not batch.sampling.any()
    np.testing.assert_allclose(batch.resolution, 2500)


def test_the_resolution_of_spectra_that_cannot_be_read_is_unknown(make):
    batch = adapt([make(), make(unit=u.ct)], on_error="nan", medium="vacuum", resolution=8000)
    np.testing.assert_allclose(batch.resolution, [8000, np.nan])

"""One spectrum however it is stated gives one answer."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from specutils import Spectrum, SpectrumCollection, SpectrumList

from specvit.grid import FWHM_PER_SIGMA, PFS_MR, PixelGrid, Resampler, edges_from_centres, vacuum_to_air
from specvit.spectra import Flag, SpectrumError, adapt

KW = {"medium": "vacuum", "resolution": 8000}


def same(a, b, rtol=1e-9, scaled=False):
    """The same flux and ivar, up to a common scale if `scaled`."""
    assert len(a) == len(b)
    ratio = 1.0
    if scaled:
        ratio = np.median(b.flux) / np.median(a.flux)
    np.testing.assert_allclose(b.flux, a.flux * ratio, rtol=rtol)
    np.testing.assert_allclose(b.ivar, a.ivar / ratio**2, rtol=rtol)
    np.testing.assert_array_equal(a.flags, b.flags)


@pytest.fixture
def spectrum(make):
    mask = np.zeros(4501, bool)
    mask[2000:2030] = True
    return make(mask=mask)


@pytest.fixture
def reference(spectrum):
    return adapt(spectrum, **KW)


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


@pytest.mark.parametrize("unit", ["nm", "um", "GHz", "eV", "1/cm", "m"])
def test_spectral_units(spectrum, reference, unit):
    axis = u.Quantity(spectrum.spectral_axis).to(unit, u.spectral())
    other = Spectrum(spectrum.flux, axis, uncertainty=spectrum.uncertainty, mask=spectrum.mask)
    same(reference, adapt(other, **KW), 1e-8)


@pytest.mark.parametrize(
    "unit", ["Jy", "nJy", "erg / (s cm2 Hz)", "W / (m2 um)", "ph / (s cm2 Angstrom)", "ph / (s cm2 Hz)"]
)
@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_flux_and_uncertainty_units(spectrum, reference, unit, kind):
    equivalency = u.spectral_density(u.Quantity(spectrum.spectral_axis))
    flux = spectrum.flux.to(unit, equivalency)
    sigma = (spectrum.uncertainty.array * spectrum.flux.unit).to(unit, equivalency)
    power = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}[kind]
    other = Spectrum(
        flux, u.Quantity(spectrum.spectral_axis), uncertainty=kind(sigma**power), mask=spectrum.mask
    )
    same(reference, adapt(other, **KW), 1e-10)


def test_uncertainty_with_a_unit_of_its_own(spectrum, reference):
    scaled = StdDevUncertainty(spectrum.uncertainty.array * 1e3, unit=spectrum.unit / 1000)
    other = Spectrum(spectrum.flux, spectrum.spectral_axis, uncertainty=scaled, mask=spectrum.mask)
    same(reference, adapt(other, **KW))


@pytest.mark.parametrize(
    "unit", [u.one, u.percent, u.Unit("erg / (s Angstrom)"), u.Unit("erg / (s cm2 Angstrom sr)")]
)
def test_other_scales(make, unit):
    same(adapt(make(), **KW), adapt(make(unit=unit), **KW), scaled=True)


def test_descending(spectrum, reference):
    other = Spectrum(
        spectrum.flux[::-1],
        u.Quantity(spectrum.spectral_axis)[::-1],
        uncertainty=StdDevUncertainty(spectrum.uncertainty.array[::-1]),
        mask=spectrum.mask[::-1],
    )
    same(reference, adapt(other, **KW))
    power = np.linspace(9000, 7000, 4501)
    same(
        adapt(spectrum, medium="vacuum", resolution=power),
        adapt(other, medium="vacuum", resolution=power[::-1]),
    )


@pytest.mark.parametrize(
    "meta",
    [
        None,
        {"medium": "Air"},
        {"header": {"AIRORVAC": "air"}},
        {"header": {"VACUUM": False}},
        {"header": {"CTYPE1": "AWAV-LOG"}},
        {"VACUUM": 0},
    ],
)
def test_air(spectrum, reference, wave, meta):
    other = Spectrum(
        spectrum.flux,
        vacuum_to_air(wave) * u.AA,
        uncertainty=spectrum.uncertainty,
        mask=spectrum.mask,
        meta=meta,
    )
    medium = "air" if meta is None else None
    same(reference, adapt(other, medium=medium, resolution=8000), 1e-8)
    wrong = adapt(other, **KW)
    assert np.abs(wrong.flux - reference.flux).max() > 0.1


def test_medium_from_a_fits_wcs(make):
    from astropy.wcs import WCS

    header = {"CTYPE1": "AWAV", "CUNIT1": "Angstrom", "CRVAL1": 7000.0, "CDELT1": 0.5, "CRPIX1": 1.0}
    flux = np.linspace(1, 2, 3901) * u.Jy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spectrum = Spectrum(flux, wcs=WCS(header))
    by_wcs = adapt(spectrum)
    assert not by_wcs.flags[0] & Flag.MEDIUM_ASSUMED
    same(by_wcs, adapt(spectrum, medium="air"))


@pytest.mark.parametrize(
    "meta", [{"medium": "vacuum"}, {"header": {"VACUUM": "T"}}, {"header": {"AIRORVAC": "VAC"}}]
)
def test_stated_vacuum_is_not_assumed(make, meta):
    assert not adapt(make(meta=meta)).flags[0] & Flag.MEDIUM_ASSUMED
    assert adapt(make()).flags[0] & Flag.MEDIUM_ASSUMED


@pytest.mark.parametrize("z", [0.001, -0.002, 0.1])
@pytest.mark.parametrize("air", [False, True])
def test_rest_frame(spectrum, reference, wave, z, air):
    observed = wave * (1 + z)
    observed = (vacuum_to_air(observed) if air else observed) * u.AA
    beta = ((1 + z) ** 2 - 1) / ((1 + z) ** 2 + 1)
    for label in ({"redshift": z}, {"radial_velocity": beta * 299792.458 * u.km / u.s}):
        other = Spectrum(
            spectrum.flux, observed, uncertainty=spectrum.uncertainty, mask=spectrum.mask, **label
        )
        same(reference, adapt(other, medium="air" if air else "vacuum", resolution=8000), 1e-7)


def test_one_list_collection_and_cube_agree(make, wave):
    rng = np.random.default_rng(2)
    base = make(sigma=None).data
    flux = base * rng.uniform(0.5, 2, (6, 1)) + 0.01 * rng.normal(size=(6, base.size))
    sigma = rng.uniform(0.01, 0.03, flux.shape)
    mask = rng.random(flux.shape) < 0.01
    unit = u.Unit("erg / (s cm2 Angstrom)")
    singles = [make(flux[i], sigma[i], mask=mask[i]) for i in range(6)]
    expected = [adapt(one, **KW) for one in singles]

    def check(batch, shape):
        assert batch.shape == shape
        for i in range(6):
            np.testing.assert_array_equal(batch.flux[i], expected[i].flux[0])
            np.testing.assert_array_equal(batch.ivar[i], expected[i].ivar[0])

    check(adapt(singles, **KW), (6,))
    check(adapt(tuple(singles), **KW), (6,))
    check(adapt(SpectrumList(singles), **KW), (6,))
    objects = np.empty(6, dtype=object)
    objects[:] = singles
    check(adapt(objects, **KW), (6,))
    check(adapt(SpectrumCollection.from_spectra(singles), **KW), (6,))
    table = Spectrum(flux * unit, wave * u.AA, uncertainty=StdDevUncertainty(sigma), mask=mask)
    check(adapt(table, **KW), (6,))
    cube = flux.reshape(2, 3, -1)
    cube = Spectrum(
        np.moveaxis(cube, -1, 0) * unit,
        wave * u.AA,
        spectral_axis_index=0,
        uncertainty=StdDevUncertainty(np.moveaxis(sigma.reshape(2, 3, -1), -1, 0)),
        mask=np.moveaxis(mask.reshape(2, 3, -1), -1, 0),
    )
    check(adapt(cube, **KW), (2, 3))


def test_collection_with_its_own_axes_meta_and_redshift(make, wave):
    shifted = [make(wave=wave + 3 * i, redshift=0.001, meta={"resolution": 7000 + i}) for i in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # specutils warns that there are no masks
        collection = SpectrumCollection.from_spectra(shifted)
    without = [Spectrum(s.flux, s.spectral_axis, meta=s.meta) for s in shifted]
    batch = adapt(collection, medium="vacuum")
    for i, one in enumerate(shifted if collection.uncertainty is not None else without):
        np.testing.assert_array_equal(adapt(one, medium="vacuum").flux[0], batch.flux[i])


def test_list_of_different_axes_keeps_its_order(make, wave):
    spectra = [make(wave=wave[::k] if k > 1 else wave + 0.1 * j) for j, k in enumerate([1, 2, 1, 2])]
    batch = adapt(spectra, medium="vacuum")
    for i, one in enumerate(spectra):
        np.testing.assert_array_equal(batch.flux[i], adapt(one, medium="vacuum").flux[0])


def test_spectrum1d(make, reference, spectrum):
    from specutils import Spectrum1D

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = Spectrum1D(
            spectrum.flux,
            u.Quantity(spectrum.spectral_axis),
            uncertainty=spectrum.uncertainty,
            mask=spectrum.mask,
        )
    same(reference, adapt(old, **KW))


def test_explicit_bin_edges_are_kept(make):
    edges = np.cumsum(np.tile([0.2, 0.6], 2500)) + 7000
    flux = np.tile([1.0, 3.0], 2500)[:-1]
    spectrum = Spectrum(flux * u.one, edges * u.AA, bin_specification="edges")
    expected = Resampler(edges, PFS_MR)(flux).flux
    np.testing.assert_allclose(adapt(spectrum).flux[0], expected, rtol=1e-10)


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f4", "i4"])
def test_dtypes_of_files(make, dtype):
    flux = np.round(make(sigma=None).data * 1000).astype(dtype)
    sigma = np.full(flux.shape, 20).astype(dtype)
    batch = adapt(make(flux, uncertainty=StdDevUncertainty(sigma)), **KW)
    same(adapt(make(flux.astype(float), 20.0), **KW), batch)
    assert batch.flux.dtype == np.float64


def test_faint_fluxes_keep_their_numbers(make, reference, spectrum):
    faint = Spectrum(
        spectrum.flux * 1e-19,
        spectrum.spectral_axis,
        uncertainty=StdDevUncertainty(spectrum.uncertainty.array * 1e-19),
        mask=spectrum.mask,
    )
    same(reference, adapt(faint, **KW), scaled=True)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf, np.nan])
@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_bad_uncertainties_are_bad_pixels(make, bad, kind):
    values = np.full(4501, 0.1)
    values[3000:3010] = bad
    mask = np.zeros(4501, bool)
    mask[3000:3010] = True
    expected = adapt(make(uncertainty=kind(np.full(4501, 0.1)), mask=mask), **KW)
    same(expected, adapt(make(uncertainty=kind(values)), **KW))
    assert expected.coverage[0] < 1


def test_nan_and_gap_hold_no_information(make, wave):
    flux = make(sigma=None).data.copy()
    flux[1000:1050] = np.nan
    with_nan = adapt(make(flux, mask=np.zeros(4501, bool)), **KW)
    keep = np.ones(4501, bool)
    keep[1000:1050] = False
    with_gap = adapt(make(flux[keep], wave=wave[keep]), **KW)
    same(with_nan, with_gap, 1e-7)
    assert with_nan.coverage[0] < 0.99


class TestNoise:
    @pytest.mark.parametrize("sigma", [0.02, 0.1, 0.5])
    def test_white(self, make, wave, sigma):
        rng = np.random.default_rng(1)
        flux = make(sigma=None).data * 0 + 1 + sigma * rng.normal(size=wave.size)
        guessed = adapt(make(flux, None), **KW)
        assert guessed.flags[0] & Flag.NO_UNCERTAINTY
        known = adapt(make(flux, sigma), **KW)
        assert not known.flags[0] & Flag.NO_UNCERTAINTY
        np.testing.assert_allclose(guessed.ivar / known.ivar, 1, rtol=0.12)

    @pytest.mark.parametrize("repeat", [2, 4, 8])
    def test_correlated(self, make, repeat):
        """Three pixels a resolution element, oversampled by repeating them: averages are no better."""
        rng = np.random.default_rng(1)
        coarse = 1 + 0.1 * rng.normal(size=4400)
        wave = 7000 + 0.44 * (np.arange(4400 * repeat) + 0.5) / repeat
        with_guess = adapt(make(np.repeat(coarse, repeat), None, wave=wave), medium="vacuum")
        known = adapt(make(coarse, 0.1, wave=7000.22 + 0.44 * np.arange(4400)), medium="vacuum")
        ratio = np.median(with_guess.ivar) / np.median(known.ivar)
        assert 0.5 < ratio < 1.1

    def test_lines_are_not_noise(self, make, wave):
        """A noiseless spectrum at the grid's resolution is seen as nearly so."""
        guessed = adapt(make(lines_at_pfs(wave), None, unit=u.one), medium="vacuum")
        assert guessed.snr[0] > 150

    def test_floor(self, make):
        assert adapt(make(np.ones(4501), None), medium="vacuum").snr[0] < 2000

    def test_zeros_without_uncertainty_are_lost(self, make):
        flux = make(sigma=None).data.copy()
        flux[:300] = 0
        flux[2000:2100] = 0
        batch = adapt(make(flux, None), **KW)
        assert batch.coverage[0] < 0.98
        assert batch.flux[batch.ivar > 0].min() > 0.1


def lines_at_pfs(wave):
    rng = np.random.default_rng(9)
    flux = np.ones(wave.size)
    for centre, depth in zip(rng.uniform(7000, 8950, 400), rng.uniform(0, 0.4, 400), strict=True):
        flux -= depth * np.exp(-0.5 * ((wave - centre) / 0.57) ** 2)
    return flux + 2


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
    def test_from_meta(self, make, meta):
        stated = adapt(make(meta=meta), medium="vacuum")
        assert not stated.flags[0] & Flag.RESOLUTION_ASSUMED
        same(adapt(make(), **KW), stated)

    def test_argument_wins(self, make):
        same(adapt(make(), **KW), adapt(make(meta={"R": 20000}), **KW))

    def test_per_pixel_and_fwhm(self, make, wave):
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

    def test_lower_where_it_does_not_matter(self, make, wave):
        power = np.where((wave < 7090) | (wave > 8860), 100.0, 8000.0)
        same(adapt(make(), **KW), adapt(make(), medium="vacuum", resolution=power), 1e-6)


class TestArrays:
    def test_flux_and_ivar(self):
        rng = np.random.default_rng(0)
        flux, ivar = rng.uniform(1, 2, (3, 4096)), rng.uniform(1, 2, (3, 4096))
        ivar[0, :5] = [0, -1, np.nan, np.inf, 1]
        flux[1, 7] = np.nan
        batch = adapt(flux, ivar=ivar)
        assert batch.shape == (3,)
        assert (batch.ivar[0, :4] == 0).all()
        assert batch.ivar[0, 4] == 1
        assert batch.ivar[1, 7] == batch.flux[1, 7] == 0
        np.testing.assert_array_equal(batch.flux[2], flux[2])
        np.testing.assert_array_equal(batch.ivar[2], ivar[2])
        assert not np.shares_memory(batch.flux, flux)
        assert batch.flags.tolist() == [0, 0, 0]

    def test_one(self):
        batch = adapt(np.ones(4096), ivar=np.ones(4096))
        assert batch.shape == ()
        assert len(batch) == 1

    def test_no_ivar(self):
        flux = 1 + 0.1 * np.random.default_rng(0).normal(size=(2, 4096))
        batch = adapt(flux)
        assert (batch.flags == Flag.NO_UNCERTAINTY).all()
        np.testing.assert_allclose(1 / np.sqrt(batch.ivar), 0.1, rtol=0.1)

    def test_lists_masked_arrays_quantities(self):
        flux = np.linspace(1, 2, 4096)
        ivar = np.full(4096, 4.0)
        plain = adapt(flux, ivar=ivar)
        same(plain, adapt(flux.tolist(), ivar=ivar.tolist()))
        mask = np.zeros(4096, bool)
        mask[5] = True
        masked = adapt(np.ma.MaskedArray(flux, mask), ivar=ivar)
        assert masked.ivar[0, 5] == 0
        same(
            plain,
            adapt(flux * u.Unit("erg / (s cm2 nm)"), ivar=ivar / u.Unit("erg / (s cm2 nm)") ** 2),
            scaled=True,
        )
        unit = u.Jy
        jansky = (flux * u.Unit("erg / (s cm2 Angstrom)")).to(unit, u.spectral_density(PFS_MR.wave * u.AA))
        sigma = jansky / flux * 0.5
        same(plain, adapt(jansky, ivar=1 / sigma**2))

    def test_needs_no_specutils(self):
        import subprocess
        import sys

        code = (
            "import sys, numpy as np; from specvit.spectra import adapt;"
            "adapt(np.ones(4096), ivar=np.ones(4096));"
            "assert not {'specutils', 'astropy', 'torch'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


def test_other_grids(make, wave):
    grid = PixelGrid.linear(8000, 8500, 1000, 0.6, medium="air", name="air grid")
    inside = adapt(make(), grid=grid, **KW)
    in_air = make(make().data, wave=vacuum_to_air(wave))
    same(inside, adapt(in_air, grid=grid, medium="air", resolution=8000), 1e-7)
    assert inside.grid is grid
    assert inside.flux.shape == (1, 1000)


def test_nothing_of_the_caller_is_written_to(wave):
    flux = np.random.default_rng(0).normal(1, 0.1, (2, 4501))
    flux[0, 10] = np.nan
    sigma = np.full(flux.shape, 0.1)
    sigma[1, 3000] = 0
    mask = np.zeros(flux.shape, bool)
    mask[:, 500:510] = True
    copies = [a.copy() for a in (flux, sigma, mask, wave)]
    for a in (flux, sigma, mask, wave):
        a.flags.writeable = False
    spectrum = Spectrum(
        u.Quantity(flux, u.Jy, copy=False),
        u.Quantity(wave, u.AA, copy=False),
        uncertainty=StdDevUncertainty(sigma, copy=False),
        mask=mask,
        redshift=0.001,
    )
    adapt(spectrum, medium="air", resolution=8000)
    on_grid = flux[:, :4096]
    adapt(on_grid, ivar=sigma[:, :4096])
    adapt(on_grid)
    for a, copy in zip((flux, sigma, mask, wave), copies, strict=True):
        np.testing.assert_array_equal(a, copy)


def test_flags_describe_themselves():
    assert Flag.describe(0) == ""
    assert Flag.describe(Flag.NO_UNCERTAINTY | Flag.PARTIAL_COVERAGE) == "NO_UNCERTAINTY, PARTIAL_COVERAGE"


def test_real_spectrum(test_data):
    with np.load(test_data / "hd100006.npz") as data:
        spectrum = Spectrum(data["flux"] * u.one, data["wave"] * u.AA, mask=~data["good"])
    batch = adapt(spectrum, medium="air", resolution=6200)
    assert batch.flags.tolist() == [Flag.NO_UNCERTAINTY]
    assert batch.coverage[0] > 0.99
    assert 80 < batch.snr[0] < 500
    # The calcium triplet where it belongs, in vacuum.
    for line in (8500.36, 8544.44, 8664.52):
        near = np.abs(PFS_MR.wave - line) < 4
        weight = 1 - batch.flux[0, near] / batch.flux[0, near].max()
        assert np.sum(PFS_MR.wave[near] * weight) / weight.sum() == pytest.approx(line, abs=0.25)

"""One spectrum however it is stated gives one answer."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from specutils import Spectrum, SpectrumCollection, SpectrumList

from specvit.grid import PFS_MR, Resampler, vacuum_to_air
from specvit.spectra import Flag, adapt
from specvit.spectra.cutting import take_rows

KW = {"medium": "vacuum", "resolution": 8000}


@pytest.mark.parametrize("unit", ["nm", "um", "GHz", "eV", "1/cm", "m"])
def test_spectral_units(spectrum, reference, unit, same):
    axis = u.Quantity(spectrum.spectral_axis).to(unit, u.spectral())
    other = Spectrum(spectrum.flux, axis, uncertainty=spectrum.uncertainty, mask=spectrum.mask)
    same(reference, adapt(other, **KW), 1e-8)


@pytest.mark.parametrize(
    "unit", ["Jy", "nJy", "erg / (s cm2 Hz)", "W / (m2 um)", "ph / (s cm2 Angstrom)", "ph / (s cm2 Hz)"]
)
@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_flux_and_uncertainty_units(spectrum, reference, unit, kind, same):
    equivalency = u.spectral_density(u.Quantity(spectrum.spectral_axis))
    flux = spectrum.flux.to(unit, equivalency)
    sigma = (spectrum.uncertainty.array * spectrum.flux.unit).to(unit, equivalency)
    power = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}[kind]
    other = Spectrum(
        flux, u.Quantity(spectrum.spectral_axis), uncertainty=kind(sigma**power), mask=spectrum.mask
    )
    same(reference, adapt(other, **KW), 1e-10)


def test_uncertainty_with_a_unit_of_its_own(spectrum, reference, same):
    scaled = StdDevUncertainty(spectrum.uncertainty.array * 1e3, unit=spectrum.unit / 1000)
    other = Spectrum(spectrum.flux, spectrum.spectral_axis, uncertainty=scaled, mask=spectrum.mask)
    same(reference, adapt(other, **KW))


@pytest.mark.parametrize(
    "unit", [u.one, u.percent, u.Unit("erg / (s Angstrom)"), u.Unit("erg / (s cm2 Angstrom sr)")]
)
def test_other_scales(make, unit, same):
    same(adapt(make(), **KW), adapt(make(unit=unit), **KW), scaled=True)


def test_descending(spectrum, reference, same):
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


@pytest.mark.parametrize("z", [0.001, -0.002, 0.1])
@pytest.mark.parametrize("air", [False, True])
def test_rest_frame(spectrum, reference, wave, z, air, same):
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
    batch = adapt(spectra, **KW)
    for i, one in enumerate(spectra):
        np.testing.assert_array_equal(batch.flux[i], adapt(one, **KW).flux[0])


def test_spectrum1d(make, reference, spectrum, same):
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
def test_dtypes_of_files(make, dtype, same):
    flux = np.round(make(sigma=None).data * 1000).astype(dtype)
    sigma = np.full(flux.shape, 20).astype(dtype)
    batch = adapt(make(flux, uncertainty=StdDevUncertainty(sigma)), **KW)
    same(adapt(make(flux.astype(float), 20.0), **KW), batch)
    assert batch.flux.dtype == np.float64


def test_faint_fluxes_keep_their_numbers(make, reference, spectrum, same):
    faint = Spectrum(
        spectrum.flux * 1e-19,
        spectrum.spectral_axis,
        uncertainty=StdDevUncertainty(spectrum.uncertainty.array * 1e-19),
        mask=spectrum.mask,
    )
    same(reference, adapt(faint, **KW), scaled=True)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf, np.nan])
@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_bad_uncertainties_are_bad_pixels(make, bad, kind, same):
    values = np.full(4501, 0.1)
    values[3000:3010] = bad
    mask = np.zeros(4501, bool)
    mask[3000:3010] = True
    expected = adapt(make(uncertainty=kind(np.full(4501, 0.1)), mask=mask), **KW)
    same(expected, adapt(make(uncertainty=kind(values)), **KW))
    assert expected.coverage[0] < 1


def test_nan_and_gap_hold_no_information(make, wave, same):
    flux = make(sigma=None).data.copy()
    flux[1000:1050] = np.nan
    with_nan = adapt(make(flux, mask=np.zeros(4501, bool)), **KW)
    keep = np.ones(4501, bool)
    keep[1000:1050] = False
    with_gap = adapt(make(flux[keep], wave=wave[keep]), **KW)
    same(with_nan, with_gap, 1e-7)
    assert with_nan.coverage[0] < 0.99


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


@pytest.mark.parametrize("resolution", [5300.0, [5300.0] * 3])
def test_masks_that_only_numpy_remembers_mask_pixels(resolution):
    """Also where each spectrum has a resolution of its own, and where rows are cut out."""
    wave, hidden = np.linspace(7050, 8900, 600), np.zeros((3, 600), bool)
    hidden[1, 200:300] = True
    values = 1 + 0.1 * np.random.default_rng(2).normal(size=hidden.shape)
    options = {"spectral_axis": wave * u.AA, "spectral_axis_index": 1}
    options["meta"] = {"resolution": resolution, "medium": "vacuum"}
    error = np.full(hidden.shape, 0.1)
    flux = values * u.Unit("erg / (s cm2 AA)")
    given = Spectrum(flux=flux, uncertainty=StdDevUncertainty(np.ma.array(error, mask=hidden)), **options)
    assert given.mask is None
    stated = Spectrum(flux=flux, uncertainty=StdDevUncertainty(error), mask=hidden, **options)
    found, expected = (adapt(one, lower_resolution="flag") for one in (given, stated))
    np.testing.assert_array_equal(found.ivar, expected.ivar)
    assert found.coverage[1] < 0.9
    some = adapt(take_rows(given, 1, 3), lower_resolution="flag")
    np.testing.assert_array_equal(some.ivar, expected.ivar[1:])

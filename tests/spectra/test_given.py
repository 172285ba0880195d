"""Units and masks are never lost: what a caller gives is told apart, converted or refused by name."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.table import Column, MaskedColumn
from astropy.utils.masked import Masked
from specutils import Spectrum

from specvit.grid import PFS_MR
from specvit.spectra import SpectrumError, adapt
from specvit.spectra.given import bad_pixels, numbers_given, real_array

HIDDEN = np.arange(4096) < 1000
WAVE = PFS_MR.wave
FLAM = u.Unit("erg / (s cm2 Angstrom)")


@pytest.fixture(scope="module")
def flux():
    """Positive, with structure, of the order of F_λ in physical units."""
    return 1e-16 * (1 + 0.2 * np.random.default_rng(0).normal(size=4096)).clip(0.3)


class TestNumbersGiven:
    @pytest.mark.parametrize(
        "make",
        [
            lambda x: np.ma.array(x, mask=[True, False, False]),
            lambda x: Masked(x, mask=[True, False, False]),
            lambda x: Masked(x * u.Jy, mask=[True, False, False]),
            lambda x: MaskedColumn(x, mask=[True, False, False], unit="Jy"),
            lambda x: np.ma.array(x, mask=[True, False, False]) * u.Jy,  # astropy keeps a view only
            lambda x: StdDevUncertainty(np.ma.array(x, mask=[True, False, False])).array,
        ],
    )
    def test_masks(self, make):
        given = numbers_given(make(np.array([-9999.0, 2.0, 3.0])), "x")
        assert given.masked.tolist() == [True, False, False] and given.n_masked == 1
        np.testing.assert_array_equal(given.visible, [np.nan, 2, 3])

    @pytest.mark.parametrize("make", [np.array, list, pd.Series, lambda x: Column(x), np.float32])
    def test_plain_numbers(self, make):
        given = numbers_given(make([1.0, 2.0]), "x")
        assert given.unit is None and given.masked is None and given.n_masked == 0
        assert given.values.dtype == np.float64 and given.values.tolist() == [1, 2]

    def test_missing_values_of_pandas(self):
        series = pd.Series([1.0, None, 3.0], dtype="Float64")
        np.testing.assert_array_equal(numbers_given(series, "x").values, [1, np.nan, 3])

    def test_lists_keep_units_and_masks(self):
        given = numbers_given([np.array([1.0, 2.0]) * u.Jy, np.array([3.0, 4.0]) * u.mJy], "x")
        assert given.unit == u.Jy
        np.testing.assert_allclose(given.values, [[1, 2], [0.003, 0.004]])
        given = numbers_given([np.ma.array([1.0, 2.0], mask=[0, 1]), np.array([3.0, 4.0])], "x")
        assert given.masked.tolist() == [[False, True], [False, False]]
        with pytest.raises(TypeError, match="x must all have a unit or none"):
            numbers_given([np.ones(2) * u.Jy, np.ones(2)], "x")
        with pytest.raises(TypeError, match=r"x must be alike to be one array: .*'K'"):
            numbers_given([np.ones(2) * u.Jy, np.ones(2) * u.K], "x")

    def test_an_uncertainty_is_no_array(self):
        with pytest.raises(TypeError, match="ivar must be an array of real numbers, got InverseVariance"):
            adapt(np.ones(4096), ivar=InverseVariance(np.ones(4096)))

    def test_real_array_takes_neither_unit_nor_mask(self):
        assert real_array([1, 2] * u.one, "x").tolist() == [1, 2]
        with pytest.raises(TypeError, match="x must be plain numbers, got the unit 'Jy'"):
            real_array([1, 2] * u.Jy, "x")
        with pytest.raises(ValueError, match="x must not be masked, got 1 masked of 2 values"):
            real_array(np.ma.array([1, 2], mask=[0, 1]), "x", ValueError)


class TestBadPixels:
    @pytest.mark.parametrize(
        "mask",
        [
            np.array([True, False, False]),
            [1, 0, 0],
            [np.nan, 0.0, 0.0],
            ["True", "False", "False"],
            np.array([b"T", b"f", b"F"]),
            np.array([True, "no", 0], dtype=object),
            ["1", " 0", "0 "],
            np.ma.array([False, False, False], mask=[True, False, False]),
            np.ma.array(["false"] * 3, mask=[True, False, False]),
            Masked(np.array([False] * 3), mask=[True, False, False]),
        ],
    )
    def test_forms(self, mask):
        assert bad_pixels(mask).tolist() == [True, False, False]

    @pytest.mark.parametrize("word", ["", "maybe", "2", "nan"])
    def test_other_words(self, word):
        with pytest.raises(ValueError, match="column mask must hold booleans, numbers or the words"):
            bad_pixels(["true", word], "column mask")

    def test_words_in_a_spectrum(self, flux):
        spectrum = Spectrum(flux * FLAM, WAVE * u.AA, mask=np.where(HIDDEN, "True", "False"))
        truth = Spectrum(flux * FLAM, WAVE * u.AA, mask=HIDDEN)
        np.testing.assert_array_equal(adapt(spectrum).ivar, adapt(truth).ivar)
        spectrum = Spectrum(flux * FLAM, WAVE * u.AA, mask=np.where(HIDDEN, "bad", "good"))
        with pytest.raises(SpectrumError, match="mask must hold booleans"):
            adapt(spectrum)


class TestLogarithms:
    """Magnitudes, dex and decibels of a flux density are converted to it; a plain logarithm is refused."""

    @pytest.mark.parametrize("unit", [u.STmag, u.ABmag, u.dex(FLAM), u.dB(FLAM), u.mag(u.Jy)])
    @pytest.mark.parametrize("on_grid", [False, True])
    def test_flux(self, flux, unit, on_grid):
        physical = (flux * FLAM).to(unit.physical_unit, u.spectral_density(WAVE * u.AA))
        logarithm = physical.to(unit)
        given = logarithm if on_grid else Spectrum(logarithm, WAVE * u.AA)
        plain = flux * FLAM if on_grid else Spectrum(flux * FLAM, WAVE * u.AA)
        batch, expected = adapt(given), adapt(plain)
        np.testing.assert_allclose(batch.flux, expected.flux, rtol=1e-9)
        np.testing.assert_allclose(batch.ivar, expected.ivar, rtol=1e-6)

    @pytest.mark.parametrize(("unit", "per_unit"), [(u.STmag, 0.4), (u.dex(FLAM), 1.0), (u.dB(FLAM), 0.1)])
    def test_standard_deviation(self, flux, unit, per_unit):
        """σ_F by differences of F = 10^(per_unit x), not by the derivative that the code has."""
        step = 1e-6
        sigma = flux * (10 ** (per_unit * step) - 10 ** (-per_unit * step)) / 2 / step * 0.02
        logarithm = (flux * FLAM).to(unit)
        given = Spectrum(logarithm, WAVE * u.AA, uncertainty=StdDevUncertainty(np.full(4096, 0.02)))
        plain = Spectrum(flux * FLAM, WAVE * u.AA, uncertainty=StdDevUncertainty(sigma))
        np.testing.assert_allclose(adapt(given).ivar, adapt(plain).ivar, rtol=1e-6)

    @pytest.mark.parametrize("unit", [u.mag, u.dex, u.dB])
    def test_of_what_is_not_said(self, flux, unit):
        for given in (Spectrum(flux * unit, WAVE * u.AA), flux * unit):
            with pytest.raises(SpectrumError, match=f"must be a flux density .* got unit '{unit}'"):
                adapt(given)

    def test_resolution(self, flux):
        with pytest.raises(ValueError, match=r"resolution must be λ/FWHM, .* got unit 'dex'"):
            adapt(Spectrum(flux * FLAM, WAVE * u.AA), resolution=u.Dex(3.7))


class TestMaskedInverseVariance:
    """A masked ivar, however given, is that of pixels that are not used."""

    @pytest.mark.parametrize("make", [np.ma.array, Masked, MaskedColumn])
    def test_beside_an_array(self, flux, make):
        ivar = np.full(4096, 1e33)
        expected = adapt(flux, ivar=np.where(HIDDEN, 0, ivar))
        np.testing.assert_array_equal(adapt(flux, ivar=make(ivar, mask=HIDDEN)).ivar, expected.ivar)

    def test_with_a_unit(self, flux):
        ivar = Masked(np.full(4096, 1e33) * FLAM**-2, mask=HIDDEN)
        expected = adapt(flux, ivar=np.where(HIDDEN, 0, 1e33))
        np.testing.assert_allclose(adapt(flux * FLAM, ivar=ivar).ivar, expected.ivar)

    @pytest.mark.parametrize("mask", [np.ma.array, Masked])
    @pytest.mark.parametrize(
        ("kind", "value"),
        [(StdDevUncertainty, 1e-17), (VarianceUncertainty, 1e-34), (InverseVariance, 1e34)],
    )
    def test_in_a_spectrum(self, flux, kind, value, mask):
        def made(values):
            return Spectrum(flux * FLAM, WAVE * u.AA, uncertainty=kind(values))

        masked = adapt(made(mask(np.full(4096, value), mask=HIDDEN)))
        expected = adapt(made(np.where(HIDDEN, np.nan, value)))
        assert masked.coverage < 0.8
        np.testing.assert_array_equal(masked.ivar, expected.ivar)

    def test_of_a_list(self, flux):
        masked = adapt([np.ma.array(flux, mask=HIDDEN), np.ma.array(flux, mask=~HIDDEN)], min_coverage=0.1)
        np.testing.assert_allclose(masked.coverage, [1 - HIDDEN.mean(), HIDDEN.mean()])

    def test_resolution_and_wavelengths(self, flux):
        spectrum = Spectrum(flux * FLAM, WAVE * u.AA)
        with pytest.raises(ValueError, match="resolution must not be masked, got 1000 masked of 4096"):
            adapt(spectrum, resolution=np.ma.array(np.full(4096, 5000.0), mask=HIDDEN))
        with pytest.raises(SpectrumError, match="spectral_axis must not be masked, got 1000 masked of 4096"):
            adapt(Spectrum(flux * FLAM, Masked(WAVE * u.AA, mask=HIDDEN)))

    def test_an_absent_resolution_in_metadata(self, flux):
        spectrum = Spectrum(flux * FLAM, WAVE * u.AA, meta={"R": np.ma.masked})
        assert adapt(spectrum).resolution == adapt(Spectrum(flux * FLAM, WAVE * u.AA)).resolution

    def test_uncertainty_of_another_shape(self, flux):
        spectrum = Spectrum(np.stack([flux, flux]) * FLAM, WAVE * u.AA)
        spectrum.uncertainty = StdDevUncertainty(np.full(4096, 1e-17))
        with pytest.raises(SpectrumError, match=r"uncertainty must have the shape of the flux \(2, 4096\)"):
            adapt(spectrum)


class TestNotSpectra:
    def test_units_of_a_table_of_fluxes(self, flux):
        jansky = (flux * FLAM).to(u.Jy, u.spectral_density(WAVE * u.AA))
        expected = adapt(np.stack([flux, flux])).flux
        for table in (np.stack([jansky, jansky]), [jansky, jansky.to(u.mJy)]):
            np.testing.assert_allclose(adapt(table).flux, expected, rtol=1e-12)

    @pytest.mark.parametrize("scale", [1, 0.1, 1e-4])
    @pytest.mark.parametrize("turn", [1, -1])
    def test_wavelengths_are_no_flux(self, flux, scale, turn):
        for rows in ([scale * WAVE[::turn], flux], np.stack([flux, scale * WAVE[::turn]])):
            with pytest.raises(ValueError, match=r"spectra must be fluxes on the grid.*got wavelengths in"):
                adapt(rows)

    def test_wavelengths_of_one_s_own(self, flux):
        with pytest.raises(ValueError, match=r"wavelengths in Å in row 0: make a specutils.Spectrum"):
            adapt([np.geomspace(6500, 9500, 4096), flux])

    def test_a_tuple_is_no_table(self, flux):
        with pytest.raises(ValueError, match=r"must not be a tuple of 2 arrays, as \(wavelength, flux\)"):
            adapt((np.log(WAVE), flux))

    def test_a_smooth_rise_is_a_flux(self):
        adapt(np.linspace(1, 2, 4096), ivar=np.full(4096, 1e4))


@pytest.mark.filterwarnings("ignore:.*mask")
def test_masked_uncertainties_of_a_collection(flux):
    from specutils import SpectrumCollection

    hidden = np.stack([HIDDEN, ~HIDDEN])
    axis, values = np.stack([WAVE, WAVE]) * u.AA, np.full((2, 4096), 1e-17)
    masked = np.ma.array(values, mask=hidden)
    collections = [
        SpectrumCollection(
            np.stack([flux, flux]) * FLAM, axis, uncertainty=StdDevUncertainty(sigma), mask=mask
        )
        for sigma, mask in ((masked, None), (values, hidden), (masked, np.zeros_like(hidden)))
    ]
    batches = [adapt(collection, min_coverage=0.1) for collection in collections]
    for batch in batches[:1] + batches[2:]:
        np.testing.assert_array_equal(batch.ivar, batches[1].ivar)

"""Spectra that cannot be used: each gets a clear error, or a flagged row when asked."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty, UnknownUncertainty
from specutils import Spectrum, SpectrumCollection, SpectrumList

from specvit import PFS_MR
from specvit.spectra import Flag, SpectrumError, adapt

WAVE = np.linspace(7000, 8950, 3001)
N = WAVE.size
RNG = np.random.default_rng(0)
FLUX = 1 + 0.1 * RNG.normal(size=N)


def make(flux=FLUX, wave=WAVE, unit=u.Jy, sigma=0.1, axis_unit=u.AA, **kwargs):
    if sigma is not None:
        kwargs.setdefault("uncertainty", StdDevUncertainty(np.broadcast_to(sigma, np.shape(flux)).copy()))
    return Spectrum(np.asarray(flux) * unit, np.asarray(wave) * axis_unit, **kwargs)


def with_axis(wave):
    """A spectrum with an axis that specutils itself would refuse, as a collection lets through."""
    wave = np.asarray(wave, dtype=float)
    flux = np.ones((1, wave.size)) * u.Jy
    return SpectrumCollection(
        flux,
        wave[None] * u.AA,
        uncertainty=StdDevUncertainty(np.full(flux.shape, 0.1)),
        mask=np.zeros(flux.shape, bool),
    )


def swapped(values, i, j):
    values = np.array(values)
    values[[i, j]] = values[[j, i]]
    return values


def put(values, index, value):
    values = np.array(values, dtype=float)
    values[index] = value
    return values


#: Spectra that cannot be used: maker, and words that the message must have.
SPECTRA = {
    "all masked": (lambda: make(mask=np.ones(N, bool)), "no valid pixel: all are masked"),
    "all NaN": (lambda: make(np.full(N, np.nan)), "flux must be finite somewhere"),
    "all infinite": (lambda: make(np.full(N, np.inf)), "flux must be finite somewhere"),
    "zeros": (lambda: make(np.zeros(N)), "flux is zero in all valid pixels"),
    "zeros without errors": (lambda: make(np.zeros(N), sigma=None), "flux is zero in all valid pixels"),
    "integer zeros": (lambda: make(np.zeros(N, int)), "flux is zero in all valid pixels"),
    "zeros where unmasked": (
        lambda: make(np.where(WAVE < 7300, 0, 1.0), mask=WAVE >= 7300),
        "flux is zero in all valid pixels",
    ),
    "negative flux": (lambda: make(-FLUX), "flux must have a positive median, got -"),
    "negative flux without errors": (lambda: make(-FLUX, sigma=None), "flux must have a positive median"),
    "infinite errors": (
        lambda: make(sigma=np.inf),
        "no valid pixel.* without a finite, positive uncertainty",
    ),
    "zero errors": (lambda: make(sigma=0.0), "no valid pixel.* without a finite, positive uncertainty"),
    "NaN errors": (lambda: make(sigma=np.nan), "no valid pixel.* without a finite, positive uncertainty"),
    "negative errors": (lambda: make(sigma=-1.0), "no valid pixel.* without a finite, positive uncertainty"),
    "one pixel": (lambda: make(FLUX[:1], [8000.0]), "at least 2 pixels, got 1"),
    "two pixels": (lambda: make(FLUX[:2], [8000.0, 8000.5]), "coverage must be at least 50%"),
    "no overlap, blue": (lambda: make(wave=WAVE - 4000), r"no overlap with the grid PFS MR, 7100.0–8850.0 Å"),
    "no overlap, red": (lambda: make(wave=WAVE * 3), "no overlap with the grid"),
    "no overlap at rest": (lambda: make(redshift=1.5), "no overlap with the grid.*rest-frame range is 2"),
    "in nm called Å": (lambda: make(wave=WAVE / 10), "no overlap with the grid"),
    "overlap of 30 %": (
        lambda: make(FLUX[WAVE < 7625], WAVE[WAVE < 7625]),
        r"coverage must be at least 50% of the grid PFS MR, 7100.0–8850.0 Å, got 30.0%",
    ),
    "mostly masked": (lambda: make(mask=RNG.random(N) < 0.7), "coverage must be at least 50%"),
    "gap over the grid": (
        lambda: make(FLUX[:2], [7099.0, 8851.0]),
        r"resolution must not be lower .* \(pixels of 1.75e\+03 Å; nothing states",
    ),
    "pixels too wide": (
        lambda: make(FLUX[::8], WAVE[::8]),
        r"resolution must not be lower .* \(pixels of 5.2 Å; nothing states the resolution",
    ),
    "counts": (lambda: make(unit=u.ct), "flux must be a flux density .* got unit 'ct'"),
    "electrons": (lambda: make(unit=u.electron), "flux must be a flux density .* got unit 'electron'"),
    "adu": (lambda: make(unit=u.adu), "flux must be a flux density .* got unit 'adu'"),
    "electrons per nm": (
        lambda: make(unit=u.electron / u.nm),
        "flux must be a flux density .* 'electron / nm'",
    ),
    "energy flux": (lambda: make(unit=u.Unit("W / m2")), "flux must be a flux density .* got unit 'W / m2'"),
    "kelvin": (lambda: make(unit=u.K), "flux must be a flux density .* got unit 'K'"),
    "magnitudes": (lambda: make(unit=u.mag), "flux must be a flux density .* got unit 'mag'"),
    "pixel axis": (
        lambda: make(wave=np.arange(N), axis_unit=u.pix),
        "spectral_axis must be a wavelength.*'pix'",
    ),
    "velocity axis": (
        lambda: make(wave=np.arange(1.0, N + 1), axis_unit=u.km / u.s),
        "spectral_axis must be a wavelength.*'km / s'",
    ),
    "duplicate wavelengths": (
        lambda: make(wave=put(WAVE, 9, WAVE[8])),
        "duplicate wavelengths, got 7005.2 Å twice",
    ),
    "duplicates, descending": (
        lambda: make(wave=put(WAVE, 9, WAVE[8])[::-1]),
        "duplicate wavelengths, got 7005.2 Å twice",
    ),
    "constant axis": (lambda: make(wave=np.full(N, 8000.0)), "duplicate wavelengths"),
    "unsorted axis": (lambda: with_axis(swapped(WAVE, 50, 51)), "spectral_axis must be sorted"),
    "shuffled axis": (lambda: with_axis(RNG.permutation(WAVE)), "spectral_axis must be sorted"),
    "NaN wavelength": (lambda: with_axis(put(WAVE, 4, np.nan)), "spectral_axis must be finite, got 1 bad"),
    "infinite wavelength": (lambda: with_axis(put(WAVE, -1, np.inf)), "spectral_axis must be finite"),
    "negative wavelengths": (lambda: with_axis(WAVE - 7500), "spectral_axis must be positive"),
    "zero frequency": (
        lambda: make(wave=np.linspace(0, 1e6, N), axis_unit=u.GHz),
        "spectral_axis must be finite and positive",
    ),
    "complex flux": (lambda: make(FLUX + 1j), "flux must be an array of real numbers, got complex"),
    "unknown uncertainty": (
        lambda: make(uncertainty=UnknownUncertainty(np.ones(N))),
        "uncertainty must be a StdDevUncertainty.*got UnknownUncertainty",
    ),
    "complex uncertainty": (
        lambda: make(uncertainty=StdDevUncertainty(np.ones(N) * 1j)),
        "uncertainty must be an array of real numbers",
    ),
    "meta medium": (
        lambda: make(meta={"medium": "water"}),
        r"meta\['medium'\] must be 'air' or 'vacuum', got 'water'",
    ),
    "meta resolution": (
        lambda: make(meta={"resolution": -5}),
        r"meta\['resolution'\] must be positive.*got -5",
    ),
    "meta resolution in words": (
        lambda: make(meta={"R": "high"}),
        r"meta\['R'\] must be an array of real numbers",
    ),
    "meta resolution in seconds": (lambda: make(meta={"R": 5 * u.s}), r"meta\['R'\] must be λ/FWHM.*'s'"),
    "low resolution": (lambda: make(meta={"R": 1800}), "resolution must not be lower .* R is 1800"),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_raises(name):
    maker, words = SPECTRA[name]
    with pytest.raises(SpectrumError, match=words):
        adapt(maker())


@pytest.mark.parametrize("name", SPECTRA)
def test_becomes_a_flagged_row(name):
    maker, words = SPECTRA[name]
    batch = adapt(maker(), on_error="nan")
    assert len(batch) == 1
    with pytest.raises(ValueError, match=words):
        raise ValueError(batch.errors[0])
    assert batch.flags[0] & Flag.UNUSABLE
    assert not batch.usable[0]
    assert (batch.ivar == 0).all()
    assert (batch.flux == 0).all()
    assert np.isnan(batch.snr[0])


#: Axes that only a collection can hold cannot stand in a list beside others.
IN_LISTS = [name for name, (maker, _) in SPECTRA.items() if not isinstance(maker(), SpectrumCollection)]


@pytest.mark.parametrize("name", IN_LISTS)
def test_does_not_touch_its_neighbours(name):
    bad = SPECTRA[name][0]()
    alone = adapt(make())
    spectra = [make(), bad, make()]
    with pytest.raises(SpectrumError, match=r"^spectra\[1\]: "):
        adapt(spectra)
    batch = adapt(SpectrumList(spectra), on_error="nan")
    assert [error is None for error in batch.errors] == [True, False, True]
    assert batch.usable.tolist() == [True, False, True]
    for row in (0, 2):
        np.testing.assert_array_equal(batch.flux[row], alone.flux[0])
        np.testing.assert_array_equal(batch.ivar[row], alone.ivar[0])


def ragged():
    return [np.ones(4096), np.ones(4095)]


#: Calls that are wrong in themselves: they raise whatever on_error says.
CALLS = {
    "empty list": (lambda: ([], {}), ValueError, "spectra must not be empty"),
    "empty tuple": (lambda: ((), {}), ValueError, "spectra must not be empty"),
    "empty SpectrumList": (lambda: (SpectrumList(), {}), ValueError, "spectra must not be empty"),
    "empty array": (lambda: (np.ones((0, 4096)), {}), ValueError, "spectra must not be empty"),
    "paths": (lambda: (["spectrum.fits"], {}), TypeError, "got a list of str; read a file with"),
    "a generator": (
        lambda: ((make() for _ in range(2)), {"resolution": 6000}),
        TypeError,
        r"got generator; list\(\) makes a list of it, and specvit.predict_stream takes it as it is",
    ),
    "values of a dictionary": (
        lambda: ({"star": make()}.values(), {}),
        TypeError,
        r"got dict_values; list\(\) makes a list",
    ),
    "None": (lambda: (None, {"resolution": 6000}), TypeError, "fluxes, got NoneType"),
    "a path": (lambda: ("spectrum.fits", {}), TypeError, "read a file with specutils.Spectrum.read"),
    "a dict": (lambda: ({"flux": [1]}, {}), TypeError, "spectra must be Spectrum"),
    "strings": (lambda: (np.full(4096, "1"), {}), TypeError, "real numbers, got dtype <U1"),
    "object dtype": (lambda: (np.ones(4096, object), {}), TypeError, "real numbers, got dtype object"),
    "booleans": (lambda: (np.ones(4096, bool), {}), TypeError, "real numbers, got dtype bool"),
    "dates": (lambda: (np.ones(4096, "M8[s]"), {}), TypeError, "real numbers, got dtype datetime64"),
    "complex array": (lambda: (np.ones(4096, complex), {}), TypeError, "real numbers, got complex"),
    "mixed lengths": (
        lambda: (ragged(), {}),
        TypeError,
        "spectra must be an array of real numbers: .*inhomogeneous",
    ),
    "wrong pixel count": (lambda: (np.ones((2, 4000)), {}), ValueError, r"\(n, 4096\).*got \(2, 4000\)"),
    "transposed": (lambda: (np.ones((4096, 2)), {}), ValueError, r"\(n, 4096\).*got \(4096, 2\)"),
    "a number": (lambda: (3.0, {}), ValueError, r"spectra must have shape \(4096,\)"),
    "three dimensions": (lambda: (np.ones((2, 2, 4096)), {}), ValueError, r"got \(2, 2, 4096\)"),
    "mixed kinds": (
        lambda: ([make(), np.ones(4096)], {}),
        TypeError,
        r"spectra\[1\] must be a Spectrum.*ndarray",
    ),
    "mixed kinds, array first": (
        lambda: ([np.ones(9), make()], {}),
        TypeError,
        r"spectra\[0\] must be a Spectrum",
    ),
    "None in a list": (lambda: ([make(), None], {}), TypeError, r"spectra\[1\] must be a Spectrum.*NoneType"),
    "a cube in a list": (
        lambda: ([make(np.ones((2, N)))], {}),
        ValueError,
        r"spectra\[0\] must be one-dimensional in a list.*: give a spectrum of several rows, .*by itself",
    ),
    "counts in an array": (lambda: (np.ones(4096) * u.ct, {}), ValueError, "flux density .* got unit 'ct'"),
    "ivar with a Spectrum": (lambda: (make(), {"ivar": np.ones(N)}), ValueError, "ivar is for arrays"),
    "ivar of another shape": (
        lambda: (np.ones((2, 4096)), {"ivar": np.ones(4096)}),
        ValueError,
        r"ivar must have the shape of spectra \(2, 4096\), got \(4096,\)",
    ),
    "ivar of objects": (
        lambda: (np.ones(4096), {"ivar": np.ones(4096, object)}),
        TypeError,
        "ivar must be an array of real numbers",
    ),
    "ivar without the flux's unit": (
        lambda: (np.ones(4096) * u.Jy, {"ivar": np.ones(4096)}),
        ValueError,
        "ivar must have a unit",
    ),
    "medium name": (
        lambda: (make(), {"medium": "vac"}),
        ValueError,
        "medium must be one of None, 'air', 'vacuum', got",
    ),
    "medium type": (lambda: (make(), {"medium": 1.0003}), ValueError, "medium must be one of .* got 1.0003"),
    "medium list": (lambda: (make(), {"medium": ["air"]}), ValueError, "medium must be one of"),
    "air array": (
        lambda: (np.ones(4096), {"medium": "air"}),
        ValueError,
        "medium must be that of the grid, 'vacuum'",
    ),
    "resolution 0": (
        lambda: (make(), {"resolution": 0}),
        ValueError,
        "resolution must be positive and finite, got 0",
    ),
    "resolution negative": (
        lambda: (make(), {"resolution": -6000}),
        ValueError,
        "resolution must be positive",
    ),
    "resolution NaN": (lambda: (make(), {"resolution": np.nan}), ValueError, "positive and finite, got nan"),
    "resolution in words": (
        lambda: (make(), {"resolution": "high"}),
        ValueError,
        "resolution must be an array of real",
    ),
    "resolution in seconds": (
        lambda: (make(), {"resolution": 2 * u.s}),
        ValueError,
        "resolution must be λ/FWHM",
    ),
    "resolution of an array": (
        lambda: (np.ones(4096), {"resolution": 6000}),
        ValueError,
        "resolution is for Spectrum",
    ),
    "on_error": (
        lambda: (make(), {"on_error": "ignore"}),
        ValueError,
        "on_error must be one of 'raise', 'nan', got",
    ),
    "lower_resolution": (
        lambda: (make(), {"lower_resolution": "smooth"}),
        ValueError,
        "lower_resolution must be one of 'raise', 'flag' or a positive resolving power, got 'smooth'",
    ),
    "lower_resolution 0": (
        lambda: (make(), {"lower_resolution": 0}),
        ValueError,
        "lower_resolution must be .* a positive resolving power, got 0",
    ),
    "lower_resolution True": (
        lambda: (make(), {"lower_resolution": True}),
        ValueError,
        "lower_resolution must be .* a positive resolving power, got True",
    ),
    "instrument": (
        lambda: (make(), {"instrument": "HARPS-9"}),
        ValueError,
        "instrument must be one of .* got 'HARPS-9'",
    ),
    "instrument of an array": (
        lambda: (np.ones(4096), {"instrument": "SDSS"}),
        ValueError,
        "instrument is for Spectrum, got 'SDSS/BOSS'",
    ),
    "mask name": (
        lambda: (make(), {"mask": "sky"}),
        ValueError,
        "mask must be one of .*'telluric'.* got 'sky'",
    ),
    "mask reversed": (lambda: (make(), {"mask": (8200, 8100)}), ValueError, "0 < low < high, got"),
    "min_coverage": (
        lambda: (make(), {"min_coverage": 50}),
        ValueError,
        "min_coverage must be a number from 0 to 1",
    ),
    "grid": (lambda: (make(), {"grid": WAVE}), TypeError, "grid must be a PixelGrid, got ndarray"),
}


@pytest.mark.parametrize("on_error", ["raise", "nan"])
@pytest.mark.parametrize("name", CALLS)
def test_wrong_calls(name, on_error):
    maker, error, words = CALLS[name]
    spectra, options = maker()
    with pytest.raises(error, match=words):
        adapt(spectra, **{"on_error": on_error, **options})


#: Rows of an array that cannot be used.
ROWS = {
    "NaN": (np.full(4096, np.nan), None, "flux must be finite somewhere"),
    "zeros": (np.zeros(4096), None, "flux is zero"),
    "zeros with ivar": (np.zeros(4096), np.ones(4096), "flux is zero"),
    "negative": (np.full(4096, -1.0), np.ones(4096), "positive median, got -1"),
    "ivar zero": (np.ones(4096), np.zeros(4096), "no valid pixel.* positive uncertainty"),
    "ivar NaN": (np.ones(4096), np.full(4096, np.nan), "no valid pixel.* positive uncertainty"),
    "ivar infinite": (np.ones(4096), np.full(4096, np.inf), "no valid pixel.* positive uncertainty"),
    "ivar negative": (np.ones(4096), np.full(4096, -1.0), "no valid pixel.* positive uncertainty"),
    "overflowing": (
        np.full(4096, 1e200) * (1 + np.arange(4096) % 7),
        None,
        "coverage must be at least 50%, got 0|coverage",
    ),
    "30 %": (
        np.ones(4096),
        np.where(np.arange(4096) < 1229, 1.0, 0),
        "coverage must be at least 50% .* got 30.0%",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_array_rows(name):
    bad, ivar, words = ROWS[name]
    flux = np.stack([FLUX.mean() + 0.1 * np.sin(np.arange(4096) ** 2), bad])
    ivar = None if ivar is None else np.stack([np.ones(4096), ivar])
    with pytest.raises(SpectrumError, match=r"^spectra\[1\]: .*" + words):
        adapt(flux, ivar=ivar)
    batch = adapt(flux, ivar=ivar, on_error="nan")
    assert batch.usable.tolist() == [True, False]
    assert batch.ivar[0].all()
    assert not batch.ivar[1].any()


def test_rows_of_a_cube_are_named_by_their_place():
    flux = np.ones((2, 3, N))
    flux[1, 2] = np.nan
    with pytest.raises(SpectrumError, match=r"^spectra\[1, 2\]: flux must be finite"):
        adapt(make(flux))
    batch = adapt(make(flux), on_error="nan")
    assert batch.usable.tolist() == [True] * 5 + [False]


def test_more_than_one_rejected_are_counted():
    with pytest.raises(SpectrumError, match=r"^spectra\[0\]: .* \(2 more rejected; on_error='nan' keeps"):
        adapt([make(-FLUX), make(), make(-FLUX), make(np.zeros(N))])


def test_noisy_spectra_with_negative_pixels_are_kept():
    faint = make(0.2 + RNG.normal(size=N), sigma=1.0)
    assert (faint.data < 0).mean() > 0.3
    assert adapt(faint).usable.all()


def test_resolution_of_another_length():
    with pytest.raises(SpectrumError, match=rf"one for each of the {N} pixels, got shape \(7,\)"):
        adapt(make(), resolution=np.full(7, 6000.0))


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_extreme_scales_warn_of_nothing(scale):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = adapt(make(FLUX * scale, sigma=0.1 * scale, unit=u.one), on_error="nan")
    assert np.isfinite(batch.flux).all()
    assert np.isfinite(batch.ivar).all()


# -- pixels that neither a star nor noise explains ---------------------------------------------------------


def star_of_scale(scale):
    """A flux of that median, and its inverse variance at S/N 20."""
    flux = scale * (1 + 0.1 * np.sin(PFS_MR.wave / 9))
    return flux, np.full(flux.size, (20 / scale) ** 2)


@pytest.mark.parametrize("scale", [1e-17, 1.0, 1e5])
@pytest.mark.parametrize("factor", [-1e20, -1e4, 1e4, 1e18, 1e35])
def test_an_extreme_pixel_is_left_out_and_said(scale, factor):
    flux, ivar = star_of_scale(scale)
    before = adapt(flux, ivar=ivar)
    flux[2000] = factor * scale
    batch = adapt(flux, ivar=ivar)
    assert batch.flags[0] == before.flags[0] | Flag.EXTREME_PIXELS
    assert np.flatnonzero(batch.ivar[0] == 0).tolist() == [2000]
    others = np.arange(flux.size) != 2000
    np.testing.assert_array_equal(batch.flux[0, others], before.flux[0, others])


def test_an_extreme_pixel_does_not_spread_by_resampling():
    wave = np.linspace(7050, 8900, 6000)
    flux = 1e-17 * (1 + 0.1 * np.sin(wave / 9))

    def observed():
        sigma = StdDevUncertainty(np.full(wave.size, 1e-18))
        unit = u.Unit("erg / (s cm2 Angstrom)")
        return Spectrum(flux=flux.copy() * unit, spectral_axis=wave * u.AA, uncertainty=sigma)

    before = adapt(observed(), resolution=20_000)
    flux[3000] = -999.0
    batch = adapt(observed(), resolution=20_000)
    assert batch.flags[0] & Flag.EXTREME_PIXELS
    good = batch.ivar[0] > 0
    assert good.mean() > 0.98
    np.testing.assert_allclose(batch.flux[0, good], before.flux[0, good], rtol=0.02)


@pytest.mark.parametrize("fill", [-999.0, -99.0, 0.0])
def test_fill_values_of_the_size_of_the_flux_are_left_out(fill):
    flux, ivar = star_of_scale(1.0)
    ivar *= 4  # S/N 40
    before = adapt(flux, ivar=ivar)
    flux[[7, 2000]] = fill
    batch = adapt(flux, ivar=ivar)
    assert batch.flags[0] == before.flags[0] | Flag.EXTREME_PIXELS
    assert np.flatnonzero(batch.ivar[0] == 0).tolist() == [7, 2000]


def test_clipped_noise_is_no_extreme():
    """Fluxes of exactly zero at S/N 4, and negative ones of sky lines, whose σ is as large."""
    flux, ivar = star_of_scale(1.0)
    flux[::9], flux[4::9] = 0, -30
    ivar[:], ivar[4::9] = 16, 1 / 15**2
    assert not adapt(flux, ivar=ivar).flags[0] & Flag.EXTREME_PIXELS


@pytest.mark.parametrize("snr", [0.001, 0.1])
def test_noise_is_no_extreme(snr):
    """Even where the star is a thousandth of its noise."""
    noise = np.random.default_rng(0).normal(size=4096)
    batch = adapt(snr + noise - noise.mean() + 0.1, ivar=np.ones(4096), on_error="nan")
    assert not batch.flags[0] & Flag.EXTREME_PIXELS


def test_too_many_extremes_are_a_reason():
    flux, ivar = star_of_scale(1.0)
    flux[::6], flux[3::6] = 1e9, -1e9
    batch = adapt(flux, ivar=ivar, on_error="nan", min_coverage=0.9)
    assert "coverage must be at least 90%" in batch.errors[0]
    assert batch.flags[0] & Flag.EXTREME_PIXELS

"""A spectrum to adapt, and ways to state it."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from specutils import Spectrum

from specvit.spectra import adapt

FLAM = u.Unit("erg / (s cm2 Angstrom)")


def lines(wave, seed=3):
    """A smooth continuum with absorption lines, positive everywhere."""
    rng = np.random.default_rng(seed)
    flux = 1 + 0.2 * np.sin(wave / 400)
    for centre, depth in zip(rng.uniform(7000, 8950, 80), rng.uniform(0.1, 0.6, 80), strict=True):
        flux *= 1 - depth * np.exp(-0.5 * ((wave - centre) / 0.6) ** 2)
    return flux


@pytest.fixture
def wave():
    """Wavelengths in vacuum Å, wider than the PFS MR range."""
    return np.linspace(7000.05, 8950.11, 4501)


@pytest.fixture
def make(wave):
    """Maker of a spectrum: ``make(flux=, sigma=, wave=, unit=, **Spectrum arguments)``."""

    def make(flux=None, sigma=0.02, wave=wave, unit=FLAM, **kwargs):
        wave = wave if isinstance(wave, u.Quantity) else wave * u.AA
        if flux is None:
            flux = lines(wave.to_value(u.AA)) if wave.unit == u.AA else np.ones(wave.size)
            flux = flux + 0.02 * np.random.default_rng(5).normal(size=flux.shape)
        if sigma is not None and "uncertainty" not in kwargs:
            kwargs["uncertainty"] = StdDevUncertainty(np.broadcast_to(sigma, np.shape(flux)).copy())
        return Spectrum(flux * unit, wave, **kwargs)

    return make


@pytest.fixture
def spectrum(make):
    mask = np.zeros(4501, bool)
    mask[2000:2030] = True
    return make(mask=mask)


@pytest.fixture
def reference(spectrum):
    return adapt(spectrum, medium="vacuum", resolution=8000)


@pytest.fixture
def same():
    """Comparison of two batches: ``same(a, b, rtol=1e-9, scaled=False)``."""

    def same(a, b, rtol=1e-9, scaled=False):
        """The same flux and ivar, up to a common scale if `scaled`."""
        assert len(a) == len(b)
        ratio = 1.0
        if scaled:
            ratio = np.median(b.flux) / np.median(a.flux)
        np.testing.assert_allclose(b.flux, a.flux * ratio, rtol=rtol)
        np.testing.assert_allclose(b.ivar, a.ivar / ratio**2, rtol=rtol)
        np.testing.assert_array_equal(a.flags, b.flags)

    return same

"""Noise that is estimated from scatter, against noise that is known."""

import astropy.units as u
import numpy as np
import pytest

from specvit.spectra import Flag, adapt

KW = {"medium": "vacuum", "resolution": 8000}


def lines_at_pfs(wave):
    rng = np.random.default_rng(9)
    flux = np.ones(wave.size)
    for centre, depth in zip(rng.uniform(7000, 8950, 400), rng.uniform(0, 0.4, 400), strict=True):
        flux -= depth * np.exp(-0.5 * ((wave - centre) / 0.57) ** 2)
    return flux + 2


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

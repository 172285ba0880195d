"""The example spectrum: a star of known labels, in physical units."""

import astropy.units as u
import numpy as np
import pytest

from specvit import example_spectrum
from specvit.grid import FWHM_PER_SIGMA, PFS_MR


def test_its_brightness_is_that_of_the_magnitude():
    """Mean f_ν of an AB source of magnitude m is 3631 Jy · 10^(−0.4 m)."""
    spectrum = example_spectrum(18)
    assert spectrum.flux.unit.is_equivalent(u.erg / u.s / u.cm**2 / u.AA)
    fnu = spectrum.flux.to(u.Jy, u.spectral_density(spectrum.spectral_axis)).mean()
    assert fnu.to_value(u.ABmag) == pytest.approx(18, abs=0.002)  # noise: 1/87/√4096


def test_noise_is_drawn_from_the_seed():
    one, again, other = example_spectrum(), example_spectrum(), example_spectrum(seed=1)
    assert (one.flux == again.flux).all() and not (one.flux == other.flux).any()
    pull = (one.flux - other.flux) / np.hypot(one.uncertainty.quantity, other.uncertainty.quantity)
    assert np.std(pull.value) == pytest.approx(1, abs=4 / np.sqrt(2 * 4096))


def test_it_says_what_it_is():
    meta = example_spectrum(21).meta
    assert meta["truth"] == {"teff": 4700.0, "logg": 2.2, "mh": -0.4, "alpham": 0.15, "cm": -0.05}
    assert meta["magnitude"] == 21 and meta["medium"] == "vacuum"
    assert meta["resolution"] == pytest.approx(PFS_MR.wave / (FWHM_PER_SIGMA * PFS_MR.lsf_sigma))

"""Air or vacuum, however a file says it."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from specutils import Spectrum

from specvit.grid import vacuum_to_air
from specvit.spectra import Flag, adapt

KW = {"medium": "vacuum", "resolution": 8000}


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
def test_air(spectrum, reference, wave, meta, same):
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


def test_medium_from_a_fits_wcs(make, same):
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

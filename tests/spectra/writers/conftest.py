"""A spectrum as the PFS readers give it, and the table of its prediction."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import VarianceUncertainty
from astropy.table import QTable
from specutils import Spectrum

from specvit.spectra import Flag

VALUES = {"teff": 4500.0, "logg": 2.5, "mh": -1.0, "alpham": 0.2, "cm": 0.1}
ERRORS = {"teff": 50.0, "logg": 0.1, "mh": 0.05, "alpham": 0.04, "cm": 0.2}


@pytest.fixture
def table():
    units = {"teff": u.K, "logg": u.dex(u.cm / u.s**2)}
    columns = {}
    for name, value in VALUES.items():
        columns[name] = [value, np.nan] * units.get(name, u.dex)
        columns[f"{name}_err"] = [ERRORS[name], np.nan] * (u.K if name == "teff" else u.dex)
    flags = [int(Flag.PARTIAL_COVERAGE | Flag.LOW_SNR), int(Flag.UNUSABLE)]
    return QTable({**columns, "snr": [51.5, np.nan], "flags": flags})


@pytest.fixture
def spectrum():
    wave = 695 + 0.045 * np.arange(4668)
    rng = np.random.default_rng(2)
    mask = rng.integers(0, 2, wave.size) << 12
    mask[:300] |= 1 << 8
    meta = {"catId": 10015, "tract": 1, "patch": "0,0", "objId": 0x163DFE8BCDC0F1D4, "ra": 150.0, "dec": 2.0}
    meta |= {"targetType": 1, "visit": [101, 102], "arm": ["brn", "bmn"], "expTime": [900.0, 450.0]}
    meta |= {"obsTime": ["2026-03-01T00:00:00"] * 2, "fiberFlux": {"g_hsc": 5.0, "i2_hsc": 7.0}}
    meta |= {"mask_values": mask, "mask_bits": {"NO_DATA": 8, "FIBERTRACE": 12, "CR": 3}}
    meta["covariance"] = np.full((2, wave.size), 7.0)
    return Spectrum(
        flux=rng.uniform(1, 2, wave.size).astype("f4") * u.nJy,
        spectral_axis=wave * u.nm,
        uncertainty=VarianceUncertainty(np.full(wave.size, 4.0), unit=u.nJy**2),
        mask=mask & (1 << 8) > 0,
        meta=meta,
    )

"""Fluxes that are on the grid already."""

import astropy.units as u
import numpy as np

from specvit.grid import PFS_MR
from specvit.spectra import Flag, adapt


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

    def test_lists_masked_arrays_quantities(self, same):
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


def test_infinite_fluxes_are_pixels_without_a_value():
    flux = np.random.default_rng(0).uniform(0.9, 1.1, (1, len(PFS_MR)))
    flux[:, [0, 1, 2, 3000]] = np.inf, np.inf, -np.inf, np.inf
    batch = adapt(flux, ivar=np.full(flux.shape, 400.0))
    assert not batch.ivar[0, [0, 1, 2, 3000]].any() and (batch.ivar[0, 3:3000] > 0).all()

"""PypeIt files: masks in which 1 is good, objects as rows, orders joined."""

import numpy as np
import pytest
from astropy.io import fits
from specutils import Spectrum, SpectrumList

from specvit.grid import find_instrument

DEIMOS = {"PYP_SPEC": "keck_deimos", "INSTRUME": "DEIMOS", "DISPNAME": "1200G"}


def power(star):
    return star.wave / find_instrument("DEIMOS 1200G").fwhm_at(star.wave)


def ivar(star):
    return np.where(star.lost, 0, star.sigma.astype(float) ** -2)


def test_coadd(tmp_path, observe, table, check):
    star = observe(6500 + 0.33 * np.arange(8000))
    pad = np.zeros(5)  # pixels without data: wavelength 0
    columns = [
        ("wave", "D", np.concatenate([pad, star.wave])),
        ("wave_grid_mid", "D", np.concatenate([6498.35 + 0.33 * np.arange(5), star.wave])),
        ("flux", "D", np.concatenate([pad, star.flux])),
        ("ivar", "D", np.concatenate([pad, ivar(star)])),
        ("mask", "K", np.concatenate([pad, ~star.lost])),
    ]
    hdu = table("SPECTRUM", columns)
    hdu.header.update({"DMODCLS": "OneSpec", "DMODVER": "1.0.2", "EXT_MODE": "OPT", "FLUXED": True})
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(DEIMOS)), hdu]).writeto(tmp_path / "coadd.fits")
    spectrum = Spectrum.read(tmp_path / "coadd.fits")
    check(spectrum, star, resolution=power(star))
    assert spectrum.flux.unit.to("erg / (s cm2 Angstrom)") == pytest.approx(1e-17)


@pytest.mark.parametrize("kind", ["FLAM", "COUNTS"])
def test_objects_are_rows(tmp_path, observe, table, check, kind):
    stars = [observe(6500 + 0.33 * np.arange(8000), seed=seed) for seed in range(3)]
    hdus = [fits.PrimaryHDU(header=fits.Header({**DEIMOS, "NSPEC": 3}))]
    for i, star in enumerate(stars):
        columns = [("TRACE_SPAT", "D", star.wave), ("OPT_WAVE", "D", star.wave), ("BOX_WAVE", "D", star.wave)]
        columns += [("OPT_COUNTS", "D", star.flux if kind == "COUNTS" else 3 * star.flux)]
        columns += [("OPT_COUNTS_IVAR", "D", ivar(star)), ("BOX_COUNTS", "D", 2 * star.flux)]
        columns += [("OPT_MASK", "L", ~star.lost), ("OPT_COUNTS_SIG", "D", star.sigma)]
        if kind == "FLAM":
            columns += [("OPT_FLAM", "D", star.flux), ("OPT_FLAM_IVAR", "D", ivar(star))]
        hdu = table(f"SPAT{100 + i:04d}-SLIT0185-MSC01", columns)
        hdu.header["DMODCLS"] = "SpecObj"
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(tmp_path / "spec1d.fits")
    spectra = SpectrumList.read(tmp_path / "spec1d.fits")
    assert [one.meta["name"] for one in spectra] == [f"SPAT{100 + i:04d}-SLIT0185-MSC01" for i in range(3)]
    check(spectra[1], stars[1], resolution=power(stars[1]))
    assert spectra[0].meta["notes"] == (("flux in counts is taken as relative",) if kind == "COUNTS" else ())


def test_orders_of_an_object_are_joined(tmp_path, observe, table):
    hdus = [fits.PrimaryHDU(header=fits.Header({"PYP_SPEC": "vlt_xshooter_vis"}))]
    for order, low in enumerate((7000.0, 7600.0, 8200.0)):
        star = observe(np.arange(low, low + 700, 0.2), seed=9)
        columns = [
            ("OPT_WAVE", "D", star.wave),
            ("OPT_FLAM", "D", star.flux),
            ("OPT_FLAM_IVAR", "D", ivar(star)),
        ]
        hdus.append(table(f"OBJ0506-MSC01-ORDER{20 - order:04d}", [*columns, ("OPT_MASK", "L", ~star.lost)]))
    fits.HDUList(hdus).writeto(tmp_path / "spec1d_echelle.fits")
    spectrum = Spectrum.read(tmp_path / "spec1d_echelle.fits")
    assert spectrum.meta["joined"] == 3
    assert "resolution" not in spectrum.meta
    np.testing.assert_allclose(
        spectrum.spectral_axis.value, np.arange(7000, 8900, 0.2)[: spectrum.shape[0]], atol=1e-6
    )

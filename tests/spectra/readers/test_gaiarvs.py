"""Gaia RVS spectra in the forms of the archive."""

import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from specutils import Spectrum, SpectrumList

NM = np.round(846 + 0.01 * np.arange(2401), 2)
IDS = [1234567890123456789, 1234567890123456790]


@pytest.fixture
def stars(observe):
    stars = [observe(10 * NM, seed=seed) for seed in (0, 1)]
    for star in stars:
        star.lost[:] = NM < 846.5
        star.flux[star.lost] = star.sigma[star.lost] = np.nan
    return stars


def test_individual_fits(tmp_path, stars, table, check):
    columns = [fits.Column("wavelength", "D", "nm", array=NM)]
    columns += [
        fits.Column("flux", "E", array=stars[0].flux),
        fits.Column("flux_error", "E", array=stars[0].sigma),
    ]
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]
    fits.HDUList(hdus).writeto(tmp_path / "RVS_MEAN_SPECTRUM-Gaia DR3 1.fits")
    check(Spectrum.read(tmp_path / "RVS_MEAN_SPECTRUM-Gaia DR3 1.fits"), stars[0], resolution=11500.0)


def test_individual_votable_and_csv(tmp_path, stars, check):
    one = Table({"wavelength": NM, "flux": stars[0].flux, "flux_error": stars[0].sigma})
    one.write(tmp_path / "a.csv", format="ascii.csv")
    one["wavelength"].unit = "nm"
    one.write(tmp_path / "a.xml", format="votable")
    for name in ("a.csv", "a.xml"):
        check(Spectrum.read(tmp_path / name), stars[0], resolution=11500.0)


def test_rows_of_arrays(tmp_path, stars, table, check):
    columns = [("source_id", "K", IDS), ("ra", "D", [1.0, 2.0])]
    columns += [
        ("flux", "2401E", [star.flux for star in stars]),
        ("flux_error", "2401E", [star.sigma for star in stars]),
    ]
    fits.HDUList([fits.PrimaryHDU(), table("RVS", columns)]).writeto(tmp_path / "raw.fits")
    rows = [",".join(("source_id", "flux", "flux_error"))]
    for star, name in zip(stars, IDS, strict=True):
        arrays = ('"[' + ",".join(f"{value:.9g}" for value in one) + ']"' for one in (star.flux, star.sigma))
        rows.append(",".join((str(name), *arrays)))
    (tmp_path / "RvsMeanSpectrum_000.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    for name in ("raw.fits", "RvsMeanSpectrum_000.csv.gz"):
        spectra = SpectrumList.read(tmp_path / name)
        assert [one.meta["source_id"] for one in spectra] == IDS
        for spectrum, star in zip(spectra, stars, strict=True):
            check(spectrum, star, resolution=11500.0)


def test_a_table_of_several_stars_is_parted(tmp_path, stars, table, check):
    columns = [("source_id", "K", np.repeat(IDS, NM.size)), ("wavelength", "D", np.tile(NM, 2))]
    columns += [("flux", "E", np.concatenate([star.flux for star in stars]))]
    columns += [("flux_error", "E", np.concatenate([star.sigma for star in stars]))]
    fits.HDUList([fits.PrimaryHDU(), table("RVS", columns)]).writeto(tmp_path / "combined.fits")
    spectra = SpectrumList.read(tmp_path / "combined.fits")
    assert [one.meta["source_id"] for one in spectra] == IDS
    check(spectra[1], stars[1], resolution=11500.0)

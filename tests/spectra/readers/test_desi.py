"""DESI files: arms joined, exposures averaged, targets as rows."""

import numpy as np
import pytest
from astropy.io import fits
from specutils import Spectrum, SpectrumList

from specvit.grid import find_instrument

ARMS = {"B": (3600.0, 5800.0), "R": (5760.0, 7620.0), "Z": (7520.0, 9824.0)}
WAVE = 3600 + 0.8 * np.arange(7781)
POWER = WAVE / find_instrument("DESI").fwhm_at(WAVE)


def write(path, stars, ids, table, *, name="FIBERMAP"):
    """A coadd or spectra file: each arm has the pixels of the whole that it records.

    Where arms overlap, each has the whole's flux with twice the variance, so that their mean is the whole.
    """
    hdus = [fits.PrimaryHDU(header=fits.Header({"SURVEY": "main", "PROGRAM": "bright", "INFIL000": "x"}))]
    hdus.append(table(name, [("TARGETID", "K", ids), ("OBJTYPE", "3A", ["TGT"] * len(ids))]))
    hdus.append(table("EXP_FIBERMAP", [("TARGETID", "K", ids)]))
    shared = sum((low - 0.01 <= WAVE) & (high + 0.01 >= WAVE) for low, high in ARMS.values())
    unit = "10**-17 erg/(s cm2 Angstrom)"
    for arm, (low, high) in ARMS.items():
        seen = (low - 0.01 <= WAVE) & (high + 0.01 >= WAVE)
        ivar = [np.where(star.lost, 0, star.sigma.astype(float) ** -2)[seen] / shared[seen] for star in stars]
        hdus += [
            fits.ImageHDU(WAVE[seen], fits.Header({"BUNIT": "Angstrom"}), name=f"{arm}_WAVELENGTH"),
            fits.ImageHDU(
                np.stack([s.flux[seen] for s in stars]), fits.Header({"BUNIT": unit}), name=f"{arm}_FLUX"
            ),
            fits.ImageHDU(np.stack(ivar).astype("f4"), name=f"{arm}_IVAR"),
            fits.CompImageHDU(np.stack([s.lost[seen] * 4 for s in stars]).astype("i4"), name=f"{arm}_MASK"),
            fits.ImageHDU(np.ones((len(stars), 11, seen.sum()), "f4"), name=f"{arm}_RESOLUTION"),
        ]
    hdus.append(table("SCORES", [("TARGETID", "K", ids)]))
    fits.HDUList(hdus).writeto(path)


@pytest.mark.parametrize("name", ["coadd-main-bright-100.fits", "of any name.fits"])
def test_targets_are_rows(tmp_path, observe, table, check, name):
    stars = [observe(WAVE, seed=seed) for seed in range(3)]
    ids = [39627000000000001 + seed for seed in range(3)]
    write(tmp_path / name, stars, ids, table)
    rows = SpectrumList.read(tmp_path / name)
    assert [row.meta["targetid"] for row in rows] == ids
    for row, star in zip(rows, stars, strict=True):
        check(row, star, resolution=POWER)
    whole = Spectrum.read(tmp_path / name)
    assert whole.shape == (3, WAVE.size)
    assert whole.flux.unit.to("erg / (s cm2 Angstrom)") == pytest.approx(1e-17)


def test_exposures_are_averaged_with_inverse_variance(tmp_path, observe, table):
    first, second, other = (observe(WAVE, seed=0, snr=snr) for snr in (20, 60, 30))
    write(tmp_path / "spectra.fits", [first, other, second], [7, 8, 7], table)
    rows = SpectrumList.read(tmp_path / "spectra.fits")
    assert [row.meta["targetid"] for row in rows] == [7, 8]
    weights = np.stack([np.where(one.lost, 0, one.sigma.astype(float) ** -2) for one in (first, second)])
    good = weights.sum(axis=0) > 0
    expected = np.average([first.flux[good], second.flux[good]], axis=0, weights=weights[:, good])
    np.testing.assert_allclose(rows[0].flux.value[good], expected, rtol=1e-6)
    np.testing.assert_allclose(rows[0].uncertainty.array[good], 1 / weights.sum(axis=0)[good], rtol=1e-5)
    np.testing.assert_array_equal(rows[0].mask, ~good)


def test_one_target_is_chosen(tmp_path, observe, table):
    write(tmp_path / "a.fits", [observe(WAVE, seed=seed) for seed in (0, 1)], [7, 8], table)
    assert Spectrum.read(tmp_path / "a.fits", targetid=8).meta["targetid"] == 8
    with pytest.raises(ValueError, match="no target with the TARGETID 9"):
        Spectrum.read(tmp_path / "a.fits", targetid=9)

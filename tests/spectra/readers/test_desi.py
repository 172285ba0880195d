"""DESI files: arms joined, exposures averaged, targets as rows."""

import numpy as np
import pytest
from astropy.io import fits
from scipy.sparse import dia_matrix
from scipy.special import erf
from specutils import Spectrum, SpectrumList

from specvit.grid import find_instrument
from specvit.spectra.readers.desi import band_widths

ARMS = {"B": (3600.0, 5800.0), "R": (5760.0, 7620.0), "Z": (7520.0, 9824.0)}
WAVE = 3600 + 0.8 * np.arange(7781)
POWER = WAVE / find_instrument("DESI").fwhm_at(WAVE)
PIXEL = 0.8  # Å


def bands(wave, sigma, ndiag=11):
    """Diagonals, from the highest, of the matrix of a Gaussian of `sigma` Å integrated over pixels."""
    n, offsets = wave.size, np.arange(ndiag // 2, -(ndiag // 2) - 1, -1)
    sigma = np.broadcast_to(sigma, wave.shape) / PIXEL
    dense = np.zeros((n, n))
    for j in range(n):
        i = np.arange(max(0, j - ndiag // 2), min(n, j + ndiag // 2 + 1))
        up, down = ((i - j + half) / sigma[j] / np.sqrt(2) for half in (0.5, -0.5))
        dense[i, j] = 0.5 * (erf(up) - erf(down))
    data = np.stack([np.concatenate([np.zeros(max(k, 0)), np.diagonal(dense, k)])[:n] for k in offsets[:6]])
    low = [np.append(np.diagonal(dense, k), np.zeros(-k)) for k in offsets[6:]]
    data = np.concatenate([data, low])
    assert abs(dia_matrix((data, offsets), (n, n)) - dense).max() == 0
    return data.astype("f4")


def write(path, stars, ids, table, *, name="FIBERMAP", sigma=None):
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
        ]
        if sigma is not None:
            matrices = np.stack([bands(WAVE[seen], one[seen]) for one in sigma])
            hdus.append(fits.ImageHDU(matrices, name=f"{arm}_RESOLUTION"))
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


def test_line_spread_function_of_the_matrices(tmp_path, observe, table, check, estimator):
    """Each target's own, pixel included: a Gaussian of σ over pixels of 1 has the variance σ² + 1/12."""
    sigma = [0.62 + 0.15 * (WAVE - 3600) / 6224, 0.75 - 0.1 * (WAVE - 3600) / 6224]
    stars = [observe(WAVE, seed=seed) for seed in range(2)]
    write(tmp_path / "a.fits", stars, [7, 8], table, sigma=sigma)
    power = [WAVE / np.sqrt(8 * np.log(2) * (one**2 + PIXEL**2 / 12)) for one in sigma]
    rows = SpectrumList.read(tmp_path / "a.fits")
    for row, expected in zip(rows, power, strict=True):
        np.testing.assert_allclose(row.meta["resolution"], expected, rtol=0.004)
    whole = estimator.predict_table(Spectrum.read(tmp_path / "a.fits"))
    assert whole["name"].tolist() == ["7", "8"]
    each = estimator.predict_table(rows)
    np.testing.assert_allclose(whole["logg"].value, each["logg"].value, atol=1e-5)
    assert whole["flags"].tolist() == each["flags"].tolist()
    one = Spectrum.read(tmp_path / "a.fits", targetid=8)
    np.testing.assert_array_equal(one.meta["resolution"], rows[1].meta["resolution"])


def test_widths_of_exposures_are_averaged(tmp_path, observe, table):
    sigma = [np.full(WAVE.size, 0.6), np.full(WAVE.size, 0.8)]
    write(tmp_path / "a.fits", [observe(WAVE)] * 2, [7, 7], table, sigma=sigma)
    power = Spectrum.read(tmp_path / "a.fits").meta["resolution"]
    square = 8 * np.log(2) * (0.5 * (0.6**2 + 0.8**2) + PIXEL**2 / 12)
    np.testing.assert_allclose(power, WAVE / np.sqrt(square), rtol=0.004)


def test_matrices_that_hold_nothing():
    assert np.isnan(band_widths(np.zeros((11, 50), "f4"))).all()
    assert np.isnan(band_widths(np.full((11, 50), np.nan, "f4"))).all()
    noisy = bands(3600 + PIXEL * np.arange(400), 0.7)
    noisy[0] += 0.004  # far wings
    noisy[-1] -= 0.004
    width = band_widths(noisy)
    assert np.isnan(width[[0, -1]]).all()
    np.testing.assert_allclose(width[20:-20], np.sqrt(8 * np.log(2) * (0.7**2 / 0.64 + 1 / 12)), rtol=0.01)

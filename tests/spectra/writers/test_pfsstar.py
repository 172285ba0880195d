"""pfsStar, checked by what their layout says: HDUs, columns, types, values."""

import numpy as np
import pytest
from astropy.io import fits

from specvit.spectra.readers import read_pfs
from specvit.spectra.writers import write_pfs_star

VALUES = [4500.0, 2.5, -1.0, 0.2, 0.1]
ERRORS = [50.0, 0.1, 0.05, 0.04, 0.2]
STELLARPARAM = [
    ("method", "7A"),
    ("frame", "4A"),
    ("param", "5A"),
    ("covarId", "B"),
    ("unit", "3A"),
    ("value", "E"),
    ("valueErr", "E"),
    ("flag", "L"),
]


def formats(hdu):
    return [(column.name, column.format) for column in hdu.columns]


def test_hdus_columns_types_and_values(tmp_path, spectrum, table):
    correlation = np.eye(5)
    correlation[0, 1] = correlation[1, 0] = 0.5
    write_pfs_star(tmp_path / "star.fits", spectrum, table[0], correlation=correlation)
    with fits.open(tmp_path / "star.fits") as hdus:
        assert " ".join(hdu.name for hdu in hdus) == (
            "PRIMARY FLUX MASK WAVELENGTH TARGET SKY COVAR COVAR2 OBSERVATIONS NOTES FLUX_TABLE "
            "VELCORR STELLARPARAM STELLARCOVAR ABUND MEASFLAG"
        )
        assert formats(hdus["STELLARPARAM"])[:-1] == STELLARPARAM
        assert formats(hdus["STELLARPARAM"])[-1] == ("status", "24A")
        rows = hdus["STELLARPARAM"].data
        assert set(rows["method"]) == {"specvit"}
        assert rows["param"].tolist() == ["T_eff", "log_g", "M_H", "a_M", "C"]
        assert rows["unit"].tolist() == ["K", "", "dex", "dex", "dex"]
        assert rows["covarId"].tolist() == [0, 1, 2, 3, 4]
        np.testing.assert_allclose(rows["value"], VALUES, rtol=1e-7)
        np.testing.assert_allclose(rows["valueErr"], ERRORS, rtol=1e-7)
        assert not rows["flag"].any()
        assert set(rows["status"]) == {"PARTIAL_COVERAGE LOW_SNR"}
        covariance = hdus["STELLARCOVAR"].data
        np.testing.assert_allclose(np.sqrt(np.diag(covariance)), ERRORS, rtol=1e-6)
        assert covariance[0, 1] == covariance[1, 0] == pytest.approx(0.5 * 50 * 0.1)
        assert covariance[0, 2] == 0
        assert formats(hdus["ABUND"]) == [
            ("method", "1A"),
            ("element", "1A"),
            ("covarId", "B"),
            ("value", "E"),
            ("valueErr", "E"),
            ("flag", "L"),
            ("status", "1A"),
        ]
        assert len(hdus["ABUND"].data) == 0
        assert formats(hdus["MEASFLAG"]) == [("method", "7A"), ("flag", "L"), ("status", "24A")]
        assert formats(hdus["VELCORR"]) == [("visit", "J"), ("JD", "E"), ("helio", "E"), ("bary", "E")]
        assert hdus["VELCORR"].data["visit"].tolist() == [101, 102]
        assert [name for name, _ in formats(hdus["FLUX_TABLE"])] == (
            ["wavelength", "flux", "error", "model", "cont", "norm_flux", "norm_error", "norm_model", "mask"]
        )


def test_what_was_written_is_read_again(tmp_path, spectrum, table):
    write_pfs_star(tmp_path / "star.fits", spectrum, table[0])
    (again,) = read_pfs(tmp_path / "star.fits")
    np.testing.assert_array_equal(again.flux.value, spectrum.flux.value)
    np.testing.assert_array_equal(again.spectral_axis.value, spectrum.spectral_axis.value)
    np.testing.assert_array_equal(again.mask, spectrum.mask)
    np.testing.assert_array_equal(again.uncertainty.array, spectrum.uncertainty.array)
    for key in (
        "catId",
        "tract",
        "patch",
        "objId",
        "visit",
        "arm",
        "expTime",
        "obsTime",
        "fiberFlux",
        "mask_bits",
    ):
        assert again.meta[key] == spectrum.meta[key], key
    for key in ("mask_values", "covariance"):
        np.testing.assert_array_equal(again.meta[key], spectrum.meta[key])


def test_unknown_correlations_are_not_made_up(tmp_path, spectrum, table):
    write_pfs_star(tmp_path / "star.fits", spectrum, table[0])
    with fits.open(tmp_path / "star.fits") as hdus:
        assert "STELLARCOVAR" not in hdus
        assert hdus["STELLARPARAM"].data["covarId"].tolist() == [255] * 5


def test_no_answer_is_flagged(tmp_path, spectrum, table):
    write_pfs_star(tmp_path / "star.fits", spectrum, table[1])
    with fits.open(tmp_path / "star.fits") as hdus:
        assert hdus["STELLARPARAM"].data["flag"].all()
        assert set(hdus["STELLARPARAM"].data["status"]) == {"UNUSABLE"}
        assert np.isnan(hdus["STELLARPARAM"].data["value"]).all()
        assert hdus["MEASFLAG"].data["flag"].tolist() == [True]


@pytest.mark.parametrize(
    ("correlation", "message"),
    [(np.eye(4), r"shape \(5, 5\)"), (2 * np.eye(5), "ones on the diagonal"), (np.tri(5), "symmetric")],
)
def test_other_matrices_are_refused(tmp_path, spectrum, table, correlation, message):
    with pytest.raises(ValueError, match=message):
        write_pfs_star(tmp_path / "star.fits", spectrum, table[0], correlation=correlation)


def test_spectra_of_other_instruments_are_refused(tmp_path, spectrum, table):
    del spectrum.meta["objId"]
    with pytest.raises(ValueError, match=r"with objId in meta and a flux in nJy.*no objId"):
        write_pfs_star(tmp_path / "star.fits", spectrum, table[0])


def test_files_are_not_replaced_unasked(tmp_path, spectrum, table):
    path = tmp_path / "star.fits"
    write_pfs_star(path, spectrum, table[0])
    with pytest.raises(OSError, match="already exists"):
        write_pfs_star(path, spectrum, table[0])
    write_pfs_star(path, spectrum, table[0], overwrite=True)

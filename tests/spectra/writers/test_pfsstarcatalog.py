"""pfsStarCatalog, checked by what its layout says."""

import numpy as np
import pytest
from astropy.io import fits

from specvit.spectra.writers import write_pfs_star_catalog


def test_catalogue(tmp_path, spectrum, table):
    write_pfs_star_catalog(tmp_path / "catalog.fits", [spectrum, spectrum], table)
    with fits.open(tmp_path / "catalog.fits") as hdus:
        rows = hdus["STARCATALOG"].data
        forms = {column.name: column.format for column in hdus["STARCATALOG"].columns}
        assert (rows["catId"][0], rows["objId"][0]) == (10015, 0x163DFE8BCDC0F1D4)
        assert [rows[f"nVisit_{arm}"][0] for arm in "bmrn"] == [2, 1, 1, 2]
        assert [rows[f"expTimeEff_{arm}"][0] for arm in "bmrn"] == [1350, 450, 900, 1350]
        assert rows["snr_m"][0] == pytest.approx(51.5)
        for name, value in (("T_eff", 4500), ("M_H", -1), ("a_M", 0.2), ("C", 0.1), ("log_g", 2.5)):
            assert rows[name][0] == pytest.approx(value)
            assert np.isfinite(rows[f"{name}Err"][0])
            assert rows[f"{name}Status"].tolist() == ["PARTIAL_COVERAGE LOW_SNR", "UNUSABLE"]
            assert forms[name] == forms[f"{name}Err"] == "E"
        assert np.isnan(rows["v_los"]).all()
        assert np.isnan(rows["EBV"]).all()
        assert rows["flag"].tolist() == [False, True]
    with pytest.raises(ValueError, match="a row for each spectrum, got 2 for 1"):
        write_pfs_star_catalog(tmp_path / "other.fits", [spectrum], table)

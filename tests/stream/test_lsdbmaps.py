"""Catalogues of HATS with nested spectra: labels beside the other columns, row by row."""

import numpy as np
import pytest

from specvit.stream import predict_lsdb

lsdb = pytest.importorskip("lsdb")
nested_pandas = pytest.importorskip("nested_pandas")
pd = pytest.importorskip("pandas")

WAVE = np.linspace(7000, 8900, 2500)


@pytest.fixture
def catalog(levels, tmp_path):
    stars = nested_pandas.NestedFrame(
        {"star": range(25), "ra": np.linspace(0, 300, 25), "dec": np.linspace(-60, 60, 25)}
    )
    pixels = pd.DataFrame(
        {"Wavelength": np.tile(WAVE, 25), "FLUX": np.repeat(levels, WAVE.size), "ivar": 100.0},
        index=np.repeat(np.arange(25), WAVE.size),
    )
    made = lsdb.from_dataframe(stars.join_nested(pixels, "spectrum"), ra_column="ra", dec_column="dec")
    made.write_catalog(tmp_path / "stars", catalog_name="stars", progress_bar=False)
    return lsdb.open_catalog(tmp_path / "stars")


def test_labels_stand_beside_the_stars(catalog, levels, predictor, tmp_path):
    found = predict_lsdb(catalog, predictor)
    frame = found.compute(progress_bar=False).sort_values("star")
    np.testing.assert_allclose(frame["logg"].to_numpy(), levels, rtol=1e-9)
    assert frame.columns[:4].tolist() == ["star", "ra", "dec", "logg"]
    assert "spectrum" not in frame.columns and not (frame["error"] != "").any()
    found.write_catalog(tmp_path / "labels", catalog_name="labels", progress_bar=False)
    again = lsdb.open_catalog(tmp_path / "labels").compute(progress_bar=False)
    np.testing.assert_allclose(np.sort(again["logg"].to_numpy()), levels, rtol=1e-9)


def test_a_column_that_is_not_there_is_named(catalog, predictor):
    with pytest.raises(ValueError, match="nested must be a column of the catalogue, star, ra, dec, spectrum"):
        predict_lsdb(catalog, predictor, nested="spectra")

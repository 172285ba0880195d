"""Tables of results keep columns, numbers and units in every format, without a warning."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from specvit.labels import LABELS
from specvit.predictors import Predictions, read_table, write_table
from specvit.predictors.resulttables import describe_columns

DEX_CGS = u.dex(u.cm / u.s**2)


@pytest.fixture
def table():
    """Two stars, the second without an answer."""
    found = {"file": ["a.fits", "long name.fits"]}
    for name, unit in zip(LABELS, (u.K, DEX_CGS, u.dex, u.dex, u.dex), strict=True):
        found[name] = np.array([4712.3456789012, np.nan]) * unit
        found[f"{name}_err"] = np.array([0.123456789, np.nan]) * (u.K if name == "teff" else u.dex)
    found |= {"snr": [24.5, 3.0], "velocity": [12.5, -3.0] * u.km / u.s, "flags": [0, 68]}
    found["error"] = ["", "flux is zero in all valid pixels"]
    return describe_columns(QTable(found))


@pytest.mark.parametrize("suffix", ["ecsv", "fits", "vot", "h5", "parquet", "csv"])
def test_round_trip(table, suffix, tmp_path):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"labels.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_table(table, path)
        found = read_table(path)
    assert found.colnames == table.colnames
    for name in found.colnames:
        if suffix != "csv" or name != "velocity":  # a CSV has no units, and that of a velocity is not known
            assert found[name].unit == table[name].unit, name
        values, expected = (getattr(one, "value", one) for one in (found[name], table[name]))
        if name in ("file", "error"):
            assert [str(one) for one in values] == list(expected)
        else:
            np.testing.assert_array_equal(values, expected)
    assert found["logg"].info.description == "log10 of the surface gravity in cm/s2"
    assert table["logg"].info.format == ".4f"  # not changed by the writing


def test_units_of_a_velocity_survive_where_there_are_units(table, tmp_path):
    for suffix in ("fits", "vot", "h5", "ecsv"):
        write_table(table, tmp_path / f"t.{suffix}")
        assert read_table(tmp_path / f"t.{suffix}")["velocity"].unit == u.km / u.s


def test_files_are_not_replaced_unless_told(table, tmp_path):
    for suffix in ("ecsv", "fits", "h5"):
        path = tmp_path / f"t.{suffix}"
        write_table(table, path)
        with pytest.raises(OSError, match="overwrite=True replaces it"):
            write_table(table, path)
        write_table(table[:1], path, overwrite=True)
        assert len(read_table(path)) == 1
    with pytest.raises(ValueError, match=r"must end in one of \.ecsv.* got .*t\.doc"):
        write_table(table, tmp_path / "t.doc")


def test_predictions_are_shown_in_short():
    mean = np.array([[4700.4, 2.204]] * 7)
    found = Predictions(("teff", "logg"), mean, np.full_like(mean, 0.1), (7,))
    first, second, *_, last = repr(found).splitlines()
    assert first == "Predictions of 7 spectra" and last.strip() == "... 2 more"
    assert second.strip() == "Teff 4700 ± 0, log g 2.20 ± 0.10"
    assert "<br>" in found._repr_html_()


def test_every_column_of_a_prediction_is_described():
    from specvit import LoggEstimator, example_spectrum

    estimator = LoggEstimator()
    table = estimator.predict_table(example_spectrum())
    assert [name for name in table.colnames if not table[name].info.description] == []
    html = estimator.predict_labels(example_spectrum())._repr_html_()
    assert "<table" in html and "logg_err" in html

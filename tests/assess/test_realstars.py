"""Comparison with the literature against closed forms."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from specvit.assess import LITERATURE_DEFINITIONS, LITERATURE_METRICS, compare_with_literature


def sample(n=20_000, bias=0.1, error=0.3, stated=0.3, catalogue=0.4):
    """Predictions `bias` off with Gaussian errors, stated as `stated`, and a catalogue with its own."""
    rng = np.random.default_rng(4)
    truth = rng.uniform(1, 5, n)
    predicted = {"logg": truth + bias + error * rng.normal(size=n), "logg_err": np.full(n, stated)}
    known = {"logg": truth + catalogue * rng.normal(size=n), "logg_err": np.full(n, catalogue)}
    return predicted, known


def test_gaussian_errors_in_closed_form():
    """Δ is normal with mean b and width s = 0.5, so that each figure and its error has a closed form."""
    n, b, s = 20_000, 0.1, 0.5
    row = compare_with_literature(*sample(n), bootstrap=200).iloc[0]
    assert (row["n"], row["unusable"], row["n_err"]) == (n, 0, n)
    assert row["bias"] == pytest.approx(b, abs=4 * np.sqrt(np.pi / 2 / n) * s)
    assert row["bias_err"] == pytest.approx(np.sqrt(np.pi / 2 / n) * s, rel=0.2)
    assert row["scatter"] == pytest.approx(s, abs=4 * 1.17 * s / np.sqrt(n))
    share = norm.cdf(1 - b / s) - norm.cdf(-1 - b / s)
    assert row["within_1sigma"] == pytest.approx(share, abs=4 * 0.47 / np.sqrt(n))
    assert row["within_1sigma_err"] == pytest.approx(np.sqrt(share * (1 - share) / n), rel=0.2)
    assert row["pull_width"] == pytest.approx(1, abs=4 * 1.17 / np.sqrt(n))
    reach = row["median_abs"]  # half of the stars lie within it
    assert norm.cdf((reach - b) / s) - norm.cdf((-reach - b) / s) == pytest.approx(0.5, abs=0.02)


def test_errors_too_small_by_two():
    row = compare_with_literature(*sample(bias=0, stated=0.15, catalogue=0), bootstrap=0).iloc[0]
    assert row["pull_width"] == pytest.approx(2, rel=0.04)
    assert row["within_1sigma"] == pytest.approx(2 * norm.cdf(0.5) - 1, abs=0.015)
    assert np.isnan(row[[f"{name}_err" for name in LITERATURE_METRICS]].astype(float)).all()


def test_groups_labels_and_what_is_unknown():
    predicted = pd.DataFrame(
        {"logg": [2.2, 2.4, np.nan, 4.5], "logg_err": [0.1, 0.1, np.nan, 0.1], "mh": [0.0, -1.0, np.nan, 0.3]}
    )
    known = pd.DataFrame(
        {"name": list("abcd"), "log g": [2.0, 2.5, 3.0, 4.4], "log g_err": [0.1, np.nan, 0.1, 0.1]}
    ).assign(mh=[0.1, np.nan, -0.5, np.nan])
    groups = {"type": ["giant", "giant", "giant", "dwarf"], "made": ["here", None, "", np.nan]}
    table = compare_with_literature(predicted, known, groups)
    found = table.set_index(["by", "group", "label"])
    assert list(found.index) == [
        (by, group, label)
        for by, group in (("all", "all"), ("type", "giant"), ("type", "dwarf"), ("made", "here"))
        for label in ("logg", "mh")
    ]
    giants = found.loc[("type", "giant", "logg")]
    assert (giants["n"], giants["unusable"], giants["n_err"]) == (2, 1, 1)
    assert giants["bias"] == pytest.approx(0.05) and giants["median_abs"] == pytest.approx(0.15)
    assert giants["scatter"] == pytest.approx(1.4826 * 0.15, rel=1e-4)
    assert giants["within_1sigma"] == 0  # |Δ| = 0.2 against 0.1 √2
    assert found.loc[("type", "dwarf", "logg"), "within_1sigma"] == 1  # 0.1 against 0.141
    assert np.isnan(found.loc[("type", "dwarf", "logg"), "bias_err"])
    nothing = found.loc[("type", "dwarf", "mh")]
    assert nothing["n"] == 0 and np.isnan(nothing["bias"])
    assert found.loc[("all", "all", "mh"), "n"] == 1 and found.loc[("all", "all", "mh"), "n_err"] == 0
    assert set(LITERATURE_DEFINITIONS) <= set(table.attrs["definitions"])
    only = compare_with_literature(predicted, known, groups["type"], labels="[M/H]")
    assert list(only["label"].unique()) == ["mh"] and list(only["by"].unique()) == ["all", "group"]


def test_stars_and_repetition():
    predicted, known = sample(50)
    known["logg"][3] = np.nan
    table, stars = compare_with_literature(predicted, known, ["x"] * 50, return_stars=True)
    assert len(stars) == 49 and 3 not in set(stars["star"]) and (stars["group"] == "x").all()
    np.testing.assert_array_equal(stars["predicted"], np.delete(predicted["logg"], 3))
    pd.testing.assert_frame_equal(
        table, compare_with_literature(predicted, known, ["x"] * 50), check_exact=True
    )
    other = compare_with_literature(predicted, known, ["x"] * 50, seed=1)
    assert table["bias_err"][0] != other["bias_err"][0] and table["bias"][0] == other["bias"][0]


def test_spectra_with_their_predictor_and_quantities():
    """What predict_table says is taken in its units; its options arrive."""
    u = pytest.importorskip("astropy.units")
    from astropy.table import QTable

    class Predictor:
        def predict_table(self, spectra, medium):
            assert medium == "air"
            gravity = u.Dex(np.array(spectra) + 0.5, u.dex(u.cm / u.s**2))
            return QTable({"logg": gravity, "logg_err": [0.1, 0.1] * u.dex, "teff": [5.0, 6.0] * u.kK})

    known = {"logg": [1.0, 2.0], "teff": [5000.0, 5900.0]}
    table = compare_with_literature([1.0, 2.0], known, predictor=Predictor(), medium="air")
    np.testing.assert_allclose(table["bias"], [0.5, 50])
    with pytest.raises(ValueError, match=r"options are for predictor, which is None, got \['medium'\]"):
        compare_with_literature(known, known, medium="air")


def test_what_is_refused():
    predicted, known = sample(4)
    with pytest.raises(TypeError, match="spectra must be a table of predictions, or predictor be given, got"):
        compare_with_literature([1, 2], known)
    with pytest.raises(TypeError, match="literature must be a table of known labels, got list"):
        compare_with_literature(predicted, [1, 2])
    with pytest.raises(ValueError, match=r"labels must be in both tables: \['teff'\] of them"):
        compare_with_literature(predicted, known, labels="teff")
    with pytest.raises(ValueError, match="labels must be in both tables: none of them"):
        compare_with_literature(predicted, {"mh": [0.0] * 4})
    with pytest.raises(ValueError, match="spectra must have 4 rows, as literature has, got 3"):
        compare_with_literature({"logg": [1.0, 2.0, 3.0]}, known)
    with pytest.raises(ValueError, match="not be negative, got"):
        compare_with_literature(predicted | {"logg_err": [-0.1, 1, 1, 1]}, known)
    with pytest.raises(ValueError, match=r"groups\['group'\] must have shape \(4,\), got \(3,\)"):
        compare_with_literature(predicted, known, list("abc"))
    with pytest.raises(ValueError, match=r"groups must not be called \['star'\]"):
        compare_with_literature(predicted, known, {"star": list("abcd")})


def test_units_of_columns_are_converted():
    import astropy.units as u
    from astropy.table import MaskedColumn, QTable, Table

    teff, logg, known = np.array([4500.0, 5000.0, 5800.0]), np.array([2.0, 3.0, 4.4]), [0.1, 0.1, 0.1]
    predicted = {"teff": teff, "logg": logg, "logg_err": known}
    plain = compare_with_literature(predicted, predicted | {"teff": teff + 10}, bootstrap=0)
    for literature in (
        QTable({"teff": (teff + 10) / 1000 * u.kK, "logg": (logg - 2) * u.dex(u.m / u.s**2)}),
        Table({"teff": MaskedColumn((teff + 10) / 1000, unit="kK"), "logg": logg}),
    ):
        literature["logg_err"] = known
        found = compare_with_literature(predicted, literature, bootstrap=0)
        assert found["bias"].tolist() == pytest.approx(plain["bias"].tolist(), abs=1e-9)

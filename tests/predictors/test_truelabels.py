"""True labels: by name, in their units, never masked."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from sklearn.metrics import r2_score

from specvit import PFS_MR
from specvit.labels import LABELS
from specvit.predictors import ForeignPredictor, RidgeEstimator
from specvit.predictors.truelabels import TrueLabels, in_label_unit

TEFF, LOGG = np.array([4500.0, 5800.0, 5000.0]), np.array([2.0, 4.4, 3.0])
GONE = np.array([True, False, False])
TWO = np.stack([TEFF, LOGG], 1)


@pytest.mark.parametrize(
    "y",
    [
        LOGG,
        LOGG.tolist(),
        LOGG * u.dex(u.cm / u.s**2),
        (LOGG - 2) * u.dex(u.m / u.s**2),
        LOGG * u.dex,
        LOGG * u.one,
        10**LOGG * u.cm / u.s**2,
        10 ** (LOGG - 2) * u.m / u.s**2,
        [x * u.dex(u.m / u.s**2) for x in LOGG - 2],
        Column(10 ** (LOGG - 2), unit="m / s2", name="gravity"),
        pd.Series(LOGG, name="log g"),
    ],
)
def test_log_g(y):
    found = TrueLabels.read(y)
    assert found.names == ("logg",) and not found.axis and found.array.shape == (3,)
    np.testing.assert_allclose(found.array, LOGG, rtol=1e-12)


@pytest.mark.parametrize(
    "y",
    [
        TEFF * u.K,
        TEFF / 1000 * u.kK,
        (TEFF - 273.15) * u.deg_C,
        np.log10(TEFF) * u.dex(u.K),
        Column(TEFF / 1000, unit="kK"),
    ],
)
def test_temperature(y):
    np.testing.assert_allclose(TrueLabels.read(y, "teff").array, TEFF, rtol=1e-12)


@pytest.mark.parametrize(
    ("y", "labels", "message"),
    [
        (TEFF * u.K, "logg", r"log g must be in plain numbers or dex\(cm / s2\), .* got 'K'"),
        (TEFF * u.eV, "teff", "Teff must be in plain numbers or K, .* got 'eV'"),
        (LOGG * u.mag, "logg", "log g must be .* got 'mag'"),
        (LOGG * u.mag, "mh", "must be .* got 'mag'"),
        (LOGG * u.percent, "mh", "must be .* got '%'"),
        (LOGG * u.Gyr, "age", "age must be in plain numbers, .* got 'Gyr'"),
        (-LOGG * u.cm / u.s**2, "logg", "has no value for -2 cm / s2, which must be positive"),
        (TWO * u.K, ("teff", "logg"), "log g must be .* got 'K'"),
        (np.ma.array([-9999, 4.4, 3.0], mask=GONE), None, "y must not be masked, got 1 masked of 3 values"),
        (MaskedColumn([-9999, 4.4, 3.0], mask=GONE), None, "y must not be masked"),
        (Masked(LOGG * u.dex(u.cm / u.s**2), mask=GONE), None, "y must not be masked"),
        (Table({"teff": TEFF, "logg": MaskedColumn(LOGG, mask=GONE)}), None, "y must not be masked"),
        (pd.Series(TEFF, name="Teff"), "logg", "y is the column of teff, labels ask for logg"),
        (Table({"teff": TEFF})["teff"], "logg", "y is the column of teff"),
        (TWO, ("teff", "logg", "mh"), "labels must name the 2 columns of y"),
        ({"teff": TEFF}, ("teff", "logg"), r"columns for the labels \['logg'\], got the columns \['teff'\]"),
        ({"teff": TEFF, "snr": LOGG}, None, "columns of y must be among .*, got 'snr'"),
        ({"teff": TEFF, "T_eff": LOGG}, None, "teff"),
        ({"teff": TEFF, "T_eff": LOGG}, ("teff",), "one column for teff, got 'teff' and 'T_eff'"),
        (pd.DataFrame(TWO, columns=["a", "a"]), ("a",), "y must have columns of different names"),
        (TWO[None], None, r"y must have shape \(n,\) or \(n, n_labels\), got \(1, 3, 2\)"),
    ],
)
def test_refused(y, labels, message):
    with pytest.raises(ValueError, match=message):
        TrueLabels.read(y, labels)


RECORDS = np.zeros(3, [("log_g", "f8"), ("T_eff", "f8")])
RECORDS["log_g"], RECORDS["T_eff"] = LOGG, TEFF


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"logg": LOGG, "teff": TEFF}),
        pd.DataFrame({"snr": LOGG, "log g": LOGG, "Teff": TEFF}),
        Table({"logg": LOGG, "teff": TEFF}),
        QTable({"logg": (LOGG - 2) * u.dex(u.m / u.s**2), "teff": TEFF / 1000 * u.kK}),
        Table({"logg": Column(10**LOGG, unit="cm / s2"), "teff": Column(TEFF / 1000, unit="kK")}),
        RECORDS,
        {"logg": LOGG, "teff": TEFF},
    ],
)
@pytest.mark.parametrize("labels", [("teff", "logg"), ("log g", "Teff")])
def test_tables_go_by_name(table, labels):
    found = TrueLabels.read(table, labels)
    expected = {"teff": TEFF, "logg": LOGG}
    assert found.axis and found.names == (("teff", "logg") if labels[0] == "teff" else ("logg", "teff"))
    for name, column in zip(found.names, found.values.T, strict=True):
        np.testing.assert_allclose(column, expected[name], rtol=1e-12)


def test_names_of_a_table_are_its_labels():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 5))
    order = ("cm", "logg", "alpham", "teff", "mh")
    found = TrueLabels.read(pd.DataFrame(values, columns=order))
    assert found.names == order
    np.testing.assert_array_equal(found.values, values)
    numbered = TrueLabels.read(pd.DataFrame(values))
    assert numbered.names == LABELS and numbered.axis


def test_names_that_a_network_knows():
    assert TrueLabels.read(TWO, None, ("teff", "logg")).names == ("teff", "logg")
    with pytest.raises(ValueError, match="columns of y must be among"):
        TrueLabels.read({"mh": LOGG}, None, ("teff", "logg"))


def test_errors_of_labels():
    assert in_label_unit(np.array([0.1]), u.kK, "teff", err=True) == pytest.approx(100)
    assert in_label_unit(np.array([0.1]), u.dex, "logg", err=True) == 0.1
    with pytest.raises(ValueError, match="log g must be"):
        in_label_unit(np.array([0.1]), u.cm / u.s**2, "logg", err=True)


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    logg, teff = 3 + 0.5 * x[:, 0], 5000 + 300 * x[:, 1]
    noisy = x + 0.1 * rng.normal(size=x.shape)
    return noisy, teff, logg


def test_fits_and_scores_do_not_depend_on_the_form(fitted):
    x, teff, logg = fitted
    plain = RidgeEstimator(encoding="none", labels=("teff", "logg")).fit(x, np.stack([teff, logg], 1))
    table = QTable({"logg": (logg - 2) * u.dex(u.m / u.s**2), "teff": teff / 1000 * u.kK})
    other = RidgeEstimator(encoding="none", labels=("teff", "logg")).fit(x, table)
    np.testing.assert_allclose(plain.predict(x), other.predict(x), rtol=1e-9)
    truth = np.stack([teff, logg], 1)
    assert plain.score(x, table) == pytest.approx(r2_score(truth, plain.predict(x)), rel=1e-9)
    frame = pd.DataFrame({"logg": logg, "teff": teff})
    assert plain.score(x, frame) == pytest.approx(plain.score(x, truth), rel=1e-12)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ma.array(np.ones(200), mask=np.arange(200) < 5), "must not be masked, got 5 masked of 200"),
        (-np.ones(200), "must be finite, not negative and not all 0, got -1"),
        (np.full(200, np.nan), "must be finite"),
        (np.zeros(200), "must be finite, not negative and not all 0"),
        (np.ones(199), r"must have shape \(200,\), got \(199,\)"),
        (np.ones(200) * u.mag, "must not be logarithms, got the unit 'mag'"),
    ],
)
def test_weights_of_a_score(fitted, weights, message):
    x, _, logg = fitted
    ridge = RidgeEstimator(encoding="none").fit(x, logg)
    with pytest.raises(ValueError, match=f"sample_weight {message}"):
        ridge.score(x, logg, sample_weight=weights)


def test_only_ratios_of_weights_count(fitted):
    x, _, logg = fitted
    ridge, weights = RidgeEstimator(encoding="none").fit(x, logg), np.linspace(1, 2, 200)
    expected = r2_score(logg, ridge.predict(x), sample_weight=weights)
    assert ridge.score(x, logg, weights * 7 / u.Jy**2) == pytest.approx(expected, rel=1e-12)


def test_features_have_no_units(fitted):
    x, _, logg = fitted
    with pytest.raises(TypeError, match="X must be plain numbers, got the unit 'Jy'"):
        RidgeEstimator(encoding="none").fit(x * u.Jy, logg)


def test_masked_features_are_unknown(fitted):
    x, _, logg = fitted
    hidden = np.zeros(x.shape, bool)
    hidden[::7, 1] = True
    masked = RidgeEstimator(encoding="none").fit(np.ma.array(x, mask=hidden), logg)
    unknown = RidgeEstimator(encoding="none").fit(np.where(hidden, np.nan, x), logg)
    np.testing.assert_array_equal(masked.predict(x), unknown.predict(x))
    weighted = RidgeEstimator(encoding="none").fit(x, logg, ivar=np.ma.array(np.ones(x.shape), mask=hidden))
    np.testing.assert_array_equal(weighted.predict(x), unknown.predict(x))


def test_predictions_of_another_library_with_units():
    class Constant:
        label_names = ("teff", "logg")

        def predict(self, X):
            return np.full((len(X), 2), 5.0) * u.kK

    class Gravity:
        def predict(self, X):
            return np.full(len(X), 0.5) * u.dex(u.m / u.s**2)

    found = ForeignPredictor(Gravity()).predict_labels(np.ones((3, 4)))
    np.testing.assert_allclose(found.mean, 2.5)
    with pytest.raises(ValueError, match="predictions: log g must be"):
        ForeignPredictor(Constant()).predict_labels(np.ones((1, 4)))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"logg": [4.4, -9999.0, np.nan]},
            r"y: log g must lie between -90 and 90 .* got -9999 \(1 such value",
        ),
        ({"mh": [99.99, 99.99, 0.0]}, r"y: \[M/H\] must lie .* got 99.99 \(2 such"),
        ({"teff": [4.6, 5.7, 4.8]}, r"y: Teff must lie between 100 and 1e\+06 K, .* got 4.6 \(3 such"),
        ({"cm": [0.0, np.inf, 0.0]}, "must lie .* got inf"),
    ],
)
def test_fill_values_are_no_labels(table, message):
    with pytest.raises(ValueError, match=message):
        TrueLabels.read(table).possible()
    known = {name: [4700.0 if name == "teff" else 0.0, np.nan, np.nan] for name in table}
    assert len(TrueLabels.read(known).possible()) == 3
    assert len(TrueLabels.read({"age": [-9999.0]}, ("age",)).possible()) == 1  # a label of one's own


def test_fill_values_are_not_learned():
    flux = np.ones((4, len(PFS_MR))) + 0.01 * np.random.default_rng(0).standard_normal((4, len(PFS_MR)))
    with pytest.raises(ValueError, match="got -9999"):
        RidgeEstimator().fit(flux, [2.0, 3.0, -9999.0, 4.0], ivar=np.full_like(flux, 1e4))

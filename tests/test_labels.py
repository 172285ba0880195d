"""The description of labels: what tables, figures, files and users are told."""

import astropy.units as u
import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser

from specvit import Survey
from specvit.dataset.layout import COLUMNS
from specvit.labels import LABELS, Label, label_of, label_rows, label_tuple

#: name, plain text, TeX, unit, unit of its error, decimals, column of the HDF5 layout
EXPECTED = [
    ("teff", "Teff", r"$T_\mathrm{eff}$", "K", "K", 0, "T_eff"),
    ("logg", "log g", r"$\log\,g$", "dex(cm / s2)", "dex", 2, "log_g"),
    ("mh", "[M/H]", "[M/H]", "dex", "dex", 2, "M_H"),
    ("alpham", "[alpha/M]", r"[$\alpha$/M]", "dex", "dex", 2, "a_M"),
    ("cm", "[C/M]", "[C/M]", "dex", "dex", 2, "C_M"),
]


@pytest.mark.parametrize("row", EXPECTED, ids=LABELS)
def test_everything_of_a_label(row):
    label = label_of(row[0])
    assert row == (
        label.name,
        label.plain,
        label.tex,
        label.unit,
        label.error_unit,
        label.decimals,
        label.column,
    )


def test_order_is_that_of_every_labels_array():
    assert tuple(row[0] for row in EXPECTED) == LABELS


@pytest.mark.parametrize("name", LABELS)
def test_others_understand_it(name):
    """Units are astropy's, the difference of two values has the unit of the error, TeX can be drawn."""
    label = label_of(name)
    value = 3 * u.Unit(label.unit)
    assert (value - value).unit == u.Unit(label.error_unit)
    assert MathTextParser("path").parse(label.tex)
    assert label.column in COLUMNS and label.column + "_err" in COLUMNS


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("teff", "teff"),
        ("Teff", "teff"),
        ("T_eff", "teff"),
        ("temperature", "teff"),
        ("log g", "logg"),
        ("LOGG", "logg"),
        ("log_g", "logg"),
        ("[M/H]", "mh"),
        ("[m / h]", "mh"),
        ("M_H", "mh"),
        ("metallicity", "mh"),
        ("[alpha/M]", "alpham"),
        ("[α/M]", "alpham"),
        ("[a/M]", "alpham"),
        ("a_M", "alpham"),
        ("alpha_M", "alpham"),
        ("[C/M]", "cm"),
        ("C_M", "cm"),
    ],
)
def test_spellings(written, name):
    assert label_tuple(written) == (name,)
    assert label_tuple([written]) == (name,)


def test_no_spelling_means_two_labels():
    spellings = [spelling for name in LABELS for spelling in label_of(name).spellings]
    assert len(spellings) == len(set(spellings))


def test_order_is_the_users():
    assert label_tuple(["[M/H]", "teff", "log g"]) == ("mh", "teff", "logg")
    assert label_tuple(iter(["logg"])) == ("logg",)


def test_labels_of_somebody_else():
    assert label_of("vsini") == Label("vsini", "vsini", "vsini")
    assert label_of("vsini").unit == "" and label_of("vsini").decimals == 3
    assert label_tuple(["Vsini", "log g"], among=("logg", "vsini")) == ("vsini", "logg")


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ("lgog", {}, r"labels must be among \('teff', .*\), got 'lgog'; did you mean 'logg'\?"),
        ("temprature", {}, r"got 'temprature'; did you mean 'teff'\?"),
        ("vsini", {}, r"labels must be among .*, got 'vsini'$"),
        ("mh", {"among": ("teff", "logg")}, r"labels must be among \('teff', 'logg'\), got 'mh'"),
        ([], {}, r"labels must be one or more different names among .*, got \(\)"),
        (["logg", "log g"], {}, r"one or more different names .*, got \('logg', 'log g'\)"),
        ("x", {"what": "label"}, "label must be among"),
        ([3], {}, "labels must be among .*, got 3"),
    ],
)
def test_what_is_refused(names, options, message):
    with pytest.raises(ValueError, match=message):
        label_tuple(names, **options)


def test_a_label_cannot_be_changed():
    with pytest.raises(AttributeError):
        label_of("teff").unit = "deg_C"


def test_rows_of_labels_go_by_name():
    rows = np.array([[4800, 2.5, -0.5, 0.1, 0.0], [5800, 4.4, 0.0, 0.0, 0.1]])
    table = {"star": ["a", "b"], "log g": rows[:, 1], "cm": rows[:, 4], "Teff": rows[:, 0]}
    table |= {"[M/H]": rows[:, 2], "alpham": rows[:, 3]}
    for given in (rows, rows.tolist(), table):
        assert (label_rows(given) == rows).all()
    assert (label_rows({name: column[0] for name, column in table.items()}) == rows[0]).all()
    with pytest.raises(ValueError, match=r"a column for each label, got none for \['teff'\]"):
        label_rows({"logg": [2.5], "mh": [0], "alpham": [0], "cm": [0]})
    with pytest.raises(ValueError, match="labels must not be masked"):
        label_rows(np.ma.array(rows, mask=rows > 5000))


def test_stars_of_a_survey_go_by_name():
    star = {"logg": 2.5, "teff": 4800, "cm": 0.0, "alpham": 0.1, "mh": -0.5}
    survey = Survey("paper", seed=1)
    named, plain = survey.observe(star, 20.0), survey.observe([4800, 2.5, -0.5, 0.1, 0.0], 20.0)
    assert (named.flux == plain.flux).all()

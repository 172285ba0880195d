"""Reports of evaluations: what they say, and that their files are all there."""

import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from specvit.assess import evaluate
from specvit.assess.report import magnitude_cells, overall_cells, software_versions, write_report
from specvit.predictors import Predictions
from specvit.survey import Survey

mpl.use("agg")


@pytest.fixture(scope="module")
def survey():
    return Survey("paper", seed=5)


class Slope:
    """Log g from the depth of the calcium triplet, roughly."""

    def predict_labels(self, flux, *, ivar=None, on_error="raise"):
        depth = np.median(flux[:, 3260:3280], 1) / np.median(flux, 1)
        mean = 3 + 10 * (depth - depth.mean())
        return Predictions(("logg",), mean[:, None], np.full((len(mean), 1), 1.5), mean.shape)


@pytest.fixture(scope="module")
def evaluation(survey):
    """An evaluation, with a Bayes limit made up: computing one takes longer than this file."""
    slope = {"slope": Slope()}
    table, predictions = evaluate(
        slope,
        survey,
        n=60,
        magnitudes=[20.5, 22.0],
        limits=False,
        bootstrap=20,
        return_predictions=True,
    )
    limit = table.assign(predictor="Bayes limit", kind="limit", n=12, r2=0.9, r2_err=0.01)
    limit[["bias", "scatter", "outliers", "coverage68", "coverage95"]] = np.nan
    both = pd.concat([table, limit], ignore_index=True)
    both.attrs = table.attrs | {"limits": "made up"}
    posterior = predictions.assign(predictor="Bayes limit", prediction=predictions["truth"] + 0.1)
    return both, pd.concat([predictions, posterior], ignore_index=True)


def test_report(evaluation, tmp_path):
    table, predictions = evaluation
    audit = pd.DataFrame({"input": ["error only"], "r2": [0.01], "verdict": ["pass"]})
    audit.attrs = {"passed": True, "definitions": {"error only": "a < b", "unused": "not shown"}}
    failed = audit.assign(verdict="fail")
    failed.attrs = {"passed": False}
    before = table.copy()
    path = write_report(
        tmp_path / "new",
        table,
        predictions=predictions,
        audits={"Leakage": audit, "Planted": failed},
        title="A title",
        command="specvit evaluate",
        record={"slope": "by hand"},
        formats=("png", "svg"),
    )
    pd.testing.assert_frame_equal(table, before)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# A title\n")
    assert "* **command**: `specvit evaluate`" in text and "* **slope**: `by hand`" in text
    assert "### Leakage: passed" in text and "### Planted: **FAILED**" in text
    assert "a &lt; b" in text and "not shown" not in text
    assert f"* **seed**: `{table.attrs['seed']}`" in text
    assert f"numpy {np.__version__}" in text
    for name, definition in table.attrs["definitions"].items():
        assert f"* **{name}**: {definition.replace('<', '&lt;')}" in text
    # Every file that it shows or names is there, and there is no other.
    shown, named = re.findall(r"!\[.*\]\((.+)\)", text), re.findall(r"^\* `(.+)`$", text, re.M)
    assert set(shown) <= set(named)
    assert {file.name for file in path.parent.iterdir()} == {*named, "report.md"}
    assert {"table.csv", "table.ecsv", "r2_logg.png", "r2_logg.svg", "calibration_logg.png"} <= set(named)
    # Rows of a Markdown table have as many cells as the heading of the table.
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_tables_of_a_report_are_the_evaluation(evaluation, tmp_path):
    table, _ = evaluation
    write_report(tmp_path, table, formats=("png",))
    again = pd.read_csv(tmp_path / "table.csv")
    assert list(again.columns) == list(table.columns)
    numbers = [name for name in table.columns if table[name].dtype == float]
    np.testing.assert_allclose(again[numbers], table[numbers], rtol=1e-5)
    ecsv = Table.read(tmp_path / "table.ecsv")
    assert (
        ecsv.meta["seed"] == table.attrs["seed"] and ecsv["predictor"].tolist() == table["predictor"].tolist()
    )
    np.testing.assert_array_equal(ecsv["r2"], table["r2"])
    assert ecsv["mae"].info.description == table.attrs["definitions"]["mae"]


def test_cells(evaluation):
    table, _ = evaluation
    heading, *rows = overall_cells(table)
    row = table[(table["predictor"] == "slope") & (table["by"] == "overall")].iloc[0]
    cells = dict(zip(heading, rows[0], strict=True))
    assert cells["R²"] == f"{row['r2']:.4f} ± {row['r2_err']:.4f}"
    assert cells["MAE [dex]"] == f"{row['mae']:.3f} ± {row['mae_err']:.3f}"
    assert cells["stars"] == "120"
    limit = next(row for row in rows if row[0] == "Bayes limit")
    assert limit[heading.index("scatter [dex]")] == ""
    heading, snr, *rows = magnitude_cells(table)
    assert heading == ["R² at magnitude", "20.5", "22"]
    at = table[(table["predictor"] == "Bayes limit") & (table["by"] == "magnitude")].sort_values("low")
    (limit,) = (row[1:] for row in rows if row[0] == "Bayes limit")
    assert limit == [f"{r2:.4f} ± {e:.4f}" for r2, e in zip(at["r2"], at["r2_err"], strict=True)]
    assert snr[1:] == [f"{x:.1f}" for x in at["snr"]]


def test_verdict_on_the_limits(evaluation, tmp_path):
    table, _ = evaluation
    write_report(tmp_path, table, formats=("png",))
    assert "No predictor, compared on its own stars, exceeds" in (tmp_path / "report.md").read_text("utf-8")
    broken = table.copy()
    broken.loc[broken["predictor"] == "slope", ["r2", "r2_err"]] = 0.9999, 1e-5
    broken.attrs = table.attrs
    write_report(tmp_path, broken, formats=("png",))
    text = (tmp_path / "report.md").read_text("utf-8")
    assert re.search(r"\d+ of the comparisons on its own stars exceed", text)
    assert "| slope | logg | magnitude | 20.5 | 20.5 | 0.9999 |" in text
    none = table[table["kind"] == "predictor"]
    none.attrs = table.attrs | {"limits": "not asked for"}
    write_report(tmp_path, none, formats=("png",))
    assert "There are none: not asked for." in (tmp_path / "report.md").read_text("utf-8")


def test_bad_input(evaluation, tmp_path):
    table, _ = evaluation
    with pytest.raises(ValueError, match="table must have at least one row"):
        write_report(tmp_path, table[:0])
    with pytest.raises(ValueError, match="formats must be a sequence of at least one file type, got 'png'"):
        write_report(tmp_path, table, formats="png")
    assert not list(tmp_path.iterdir())


def test_versions():
    versions = software_versions()
    assert versions["numpy"] == np.__version__ and versions["pandas"] == pd.__version__

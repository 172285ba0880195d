"""Tables: means over seeds, what is not finished, and the reference beside it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from studies.configuration import Configuration, seeds
from studies.ledger import write_rows
from studies.study import Picture, Study
from studies.tables import means, summary, tidy, write_study

R2 = (0.5, 0.6, 0.85)


def result(r2, condition=None, label="logg"):
    figures = {"r2": r2, "mae": 1 - r2, "rmse": 1.0, "bias": 0.0}
    return {"test": "paper", "condition": condition, "label": label, "n": 10, **figures}


def row(configuration, *results, **more):
    values = {"key": configuration.key, "configuration": configuration.to_dict(), "results": list(results)}
    return values | {"minutes": 2.0, "device": "D", "revision": "r", "command": "c"} | more


@pytest.fixture
def study():
    base = Configuration(spectra=50_000)
    return Study(
        "sizes",
        "Sizes",
        "How many?",
        {"ViT": seeds([base, replace(base, spectra=100_000)], 3), "MLP": [replace(base, method="mlp")]},
        Picture("spectra", "name", log=True),
        columns=("spectra",),
        reference=({"name": "ViT", "spectra": 50_000, "r2": 0.434},),
    )


@pytest.fixture
def rows(study):
    three = study.variants["ViT"][:3]
    found = [
        row(one, result(r2), result(r2 / 2, 22.5), result(0.1, label="mh"))
        for one, r2 in zip(three, R2, strict=True)
    ]
    found.append(row(study.variants["MLP"][0], failure="the training loss is nan"))
    return {one["key"]: one for one in found}


def test_means_and_their_standard_errors_are_over_seeds(study, rows):
    average = means(study, tidy(study, rows))
    whole = average[(average["label"] == "logg") & average["condition"].isna()].iloc[0]
    assert whole["seeds"] == 3
    assert whole["r2"] == pytest.approx(np.mean(R2))
    assert whole["r2_err"] == pytest.approx(np.std(R2, ddof=1) / np.sqrt(3))
    assert whole["minutes"] == 2


def test_what_is_not_finished_is_not_in_the_table(study, rows):
    table = tidy(study, rows)
    assert set(table["spectra"]) == {50_000}
    assert set(table.loc[table["name"] == "ViT", "seed"]) == {0, 1, 2}
    assert tidy(study, {}).empty


def test_the_summary_has_the_reference_beside_it_and_says_what_failed(study, rows):
    shown = summary(study, tidy(study, rows)).set_index("name")
    assert shown.loc["ViT", "R²"] == "0.650 ± 0.104"
    assert shown.loc["ViT", "R² at 22.5"] == "0.325"
    assert shown.loc["ViT", "reference: R²"] == "0.434"
    assert shown.loc["MLP", "R²"] == "failed"


def test_the_distance_to_the_limit_of_the_same_stars_is_shown(study, rows):
    limit = replace(study.variants["MLP"][0], method="posterior", spectra=None)
    other = replace(study, variants=study.variants | {"Bayes limit": [limit]})
    own = rows | {limit.key: row(limit, result(0.9))}
    shown = summary(other, tidy(other, own)).set_index("name")
    assert shown.loc["ViT", "below limit"] == "0.250" and shown.loc["Bayes limit", "below limit"] == ""


@pytest.mark.parametrize(
    ("higher", "text"),
    [(0.8014, "0.801 ± 0.001"), (0.8006, "0.8003 ± 0.0003"), (0.80006, "0.80003 ± 0.00003")],
)
def test_errors_are_never_shown_as_zero(study, higher, text):
    two = zip(study.variants["ViT"], (0.8, higher), strict=False)
    own = {one.key: row(one, result(r2)) for one, r2 in two}
    assert summary(study, tidy(study, own)).set_index("name").loc["ViT", "R²"] == text


def test_costs_are_of_rows_whose_device_was_their_own(study, rows):
    rows[study.variants["ViT"][1].key] |= {"minutes": 50.0, "sharing": 3}
    shown = summary(study, tidy(study, rows)).set_index("name")
    assert shown.loc["ViT", "minutes"] == "2" and shown.loc["ViT", "seeds"] == "3"
    for key in list(rows):
        rows[key] |= {"sharing": 3}
    assert summary(study, tidy(study, rows)).set_index("name").loc["ViT", "minutes"] == ""


def test_one_seed_has_no_error(study, rows):
    first = study.variants["ViT"][0].key
    shown = summary(study, tidy(study, {first: rows[first]})).set_index("name")
    assert shown.loc["ViT", "R²"] == "0.500"


def test_files_of_a_study_are_written_and_read_again(study, rows, tmp_path):
    pytest.importorskip("matplotlib")
    from astropy.table import Table

    assert not write_study(study, {}, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert write_study(study, rows, tmp_path)
    table = Table.read(tmp_path / "sizes.ecsv")
    assert table.meta["question"] == "How many?" and table.meta["commands"] == ["c"]
    assert len(table) == 3 * 3 + 1 and set(table["revision"]) == {"r"}
    assert (tmp_path / "sizes.csv").read_text().startswith("name,spectra,seeds,R²")
    assert "</svg>" in (tmp_path / "sizes.svg").read_text()


def test_rows_written_by_the_runner_make_the_same_table(study, rows, tmp_path):
    from studies.ledger import read_rows

    write_rows(tmp_path / "rows.jsonl", rows)
    again = read_rows(tmp_path / "rows.jsonl")
    assert json.dumps(again, sort_keys=True) == json.dumps(rows, sort_keys=True)
    assert summary(study, tidy(study, again)).equals(summary(study, tidy(study, rows)))


def test_few_stars_of_a_target_are_shown_beside_those_that_learned_none(tmp_path):
    pytest.importorskip("matplotlib")
    from studies.transfer import LINES

    chosen = {name: LINES.variants[name] for name in ("any, as it is", "LightGBM, components")}
    few = replace(LINES, variants=chosen)
    rows = {
        one.key: row(one, result(r2) | {"test": "target"})
        for one, r2 in zip(
            [*chosen["any, as it is"], *chosen["LightGBM, components"]],
            np.linspace(0.2, 0.8, 13),
            strict=True,
        )
    }
    shown = summary(few, tidy(few, rows))
    assert list(shown["spectra"]) == ["", "30", "100", "300", "1,000"]
    assert shown["R²"].iloc[0] == "0.200" and shown["R²"].iloc[1] == "0.300 ± 0.029"
    assert not [name for name in shown if name.startswith("R² at")]
    assert write_study(few, rows, tmp_path)
    assert "any, as it is" in (tmp_path / "transfer_lines.svg").read_text()


def test_one_variant_is_no_answer(study, rows, tmp_path):
    own = {one.key for one in study.variants["ViT"]}
    assert not write_study(study, {key: one for key, one in rows.items() if key in own}, tmp_path)

"""Tables and figures of studies from finished rows: ``python -m studies.tables [ROWS...] [--out FOLDER]``.

By default they are those of the store, `studies.ledger.STORE`, and go to its folder.

Three files are written for each study of which two variants are finished: ``NAME.ecsv``, tidy, a row for
every training, test, condition and label; ``NAME.csv``, the means over seeds with their standard errors,
which the documentation shows; and ``NAME.svg``. Beside ``scaling``, ``several`` and ``size`` stand what
`studies.answers` makes of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from studies.answers import (
    LIMIT_NAME,
    correlation_table,
    crossing_table,
    difference_table,
    fisher_correlations,
    label_table,
    limit_of,
)
from studies.catalogue import STUDIES
from studies.law import draw_law, law_table
from studies.ledger import STORE, read_rows
from studies.scoring import MAGNITUDES

__all__ = ["means", "summary", "tidy", "write_study"]

_RECORD = (
    "minutes",
    "joules",
    "core_hours",
    "parameters",
    "first_gradient_norm",
    "spectra_seen",
    "spectra_per_second",
)
#: Tests that have one figure for all of a survey.
WHOLE = ("paper", "target")
#: Test stars of which fewer make a larger error than seeds do.
FEW = 100
#: Variants that are tested on fewer stars, whose R² does not compare with the limit of all.
SUBSET = ("χ² fit",)
_ORIGIN = ("device", "sharing", "revision", "specvit", "torch")
#: What a row tells only if its device was its own.
_COSTS = ("minutes", "joules", "spectra_per_second")


def tidy(study, rows):
    """Tidy table of a study.

    Parameters
    ----------
    study : Study
        Of whose configurations rows are taken.
    rows : dict of str to dict
        Finished rows by key.

    Returns
    -------
    pandas.DataFrame
        A row for each variant, seed, test, condition and label; empty if nothing is finished. Of conditions
        other than the survey's own, log g only. A training that failed has one row without figures and with
        its ``failure``.
    """
    lines = []
    for name, own in study.variants.items():
        for configuration in own:
            row = rows.get(configuration.key)
            if row is None:
                continue
            head = {"study": study.name, "name": name} | configuration.columns()
            head |= {column: row.get(column) for column in (*_RECORD, *_ORIGIN)}
            head["failure"] = row.get("failure", "")
            results = [
                one
                for one in row["results"]
                if one["label"] == "logg" or (one["test"] == "paper" and one["condition"] is None)
            ]
            lines += [head | one for one in results or [{}]]
    return pd.DataFrame(lines)


def means(study, table):
    """Means over seeds with their standard errors.

    Parameters
    ----------
    study : Study
        Gives the columns to keep.
    table : pandas.DataFrame
        From `tidy`.

    Returns
    -------
    pandas.DataFrame
        A row for each variant, its columns of configuration, test, condition and label, with ``seeds``,
        their number, and for each figure its mean and ``<figure>_err``, the standard error of this mean over
        seeds, NaN for one seed. Costs are of the rows whose device was their own.
    """
    figures = [name for name in ("r2", "mae", "rmse", "bias", "coverage68") if name in table]
    kept = [
        name
        for name in dict.fromkeys((*study.columns, study.picture.x, study.picture.series))
        if name in table
    ]
    measured = [*figures, *(name for name in _RECORD if name in table)]
    by = list(dict.fromkeys(["name", *kept, "test", "condition", "label"]))
    by = [name for name in by if name not in measured]
    groups = table.groupby(by, dropna=False, sort=False)
    result = groups["seed"].nunique().rename("seeds").to_frame()
    shared = pd.to_numeric(table["sharing"]) > 1
    for name in measured:
        own = pd.to_numeric(table[name])
        own = own.mask(shared) if name in _COSTS else own
        values = own.groupby([table[one] for one in by], dropna=False, sort=False)
        result[name] = values.mean()
        if name in figures:
            result[f"{name}_err"] = values.sem()
    return result.reset_index()


def _number(value, digits=3):
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float | np.floating) and not float(value).is_integer():
        return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:,.0f}"
    return (
        f"{int(value):,}"
        if isinstance(value, int | float | np.number) and not isinstance(value, bool)
        else str(value)
    )


def _digits(error):
    """Digits of a value with this error: three, or more where the error would read ± 0.000."""
    return max(3, int(np.ceil(-np.log10(2 * error)))) if error is not None and error > 0 else 3


def _with_error(value, error):
    digits = _digits(error)
    text = _number(float(value), digits)
    return f"{text} ± {error:.{digits}f}" if text and error is not None and np.isfinite(error) else text


def summary(study, table):
    """The table that the documentation shows: a row for each variant, or for each size of a variant.

    Parameters
    ----------
    study, table
        As for `means`.

    Returns
    -------
    pandas.DataFrame
        Of words: R² and MAE (dex) of log g, mean ± standard error over seeds; R² at single magnitudes, or
        under the conditions of the study's own test; the reference's R² where there is one; minutes of the
        device, or hours of cores.
    """
    average = means(study, table)
    failed = table.loc[table["failure"] != "", "name"].unique()
    own = [name for name in study.columns if name in average]
    key = ["name", *(name for name in own if name not in _RECORD)]
    test, limit = study.picture.test, limit_of(table)
    lines = []
    for values, part in average.groupby(key, dropna=False, sort=False):
        line = dict(zip(key, values, strict=True))
        logg = part[part["label"] == "logg"] if "label" in part else part[:0]
        whole = logg[logg["test"].isin(WHOLE) & logg["condition"].isna()] if len(logg) else logg
        first = part.iloc[0]
        line |= {name: first[name] for name in own if name in _RECORD}
        shown = {name: _number(value) for name, value in line.items()}
        shown["seeds"] = str(first["seeds"])
        if len(whole):
            shown["R²"] = _with_error(whole.iloc[0]["r2"], whole.iloc[0]["r2_err"])
            shown["MAE"] = _with_error(whole.iloc[0]["mae"], whole.iloc[0]["mae_err"])
            shown |= _error_of_few_stars(table, values[0])
            if LIMIT_NAME in study.variants and values[0] != LIMIT_NAME and values[0] not in SUBSET:
                digits = _digits(whole.iloc[0]["r2_err"])
                shown["below limit"] = f"{limit - whole.iloc[0]['r2']:.{digits}f}"
        elif values[0] in failed:
            shown["R²"] = "failed"
        wanted = (
            MAGNITUDES
            if test == "paper"
            else sorted(set(logg.loc[logg["test"] == test, "condition"].dropna()))
        )
        for condition in wanted:
            at = logg[(logg["test"] == test) & (logg["condition"] == condition)] if len(logg) else logg
            if len(at):
                shown[f"R² at {condition:g}"] = _number(float(at.iloc[0]["r2"]))
        shown["minutes"] = _number(float(first["minutes"]), 2) if "minutes" in first else ""
        if "joules" in first and pd.notna(first["joules"]):
            shown["kJ"] = _number(float(first["joules"]) / 1000, 1)
        if "core_hours" in first and pd.notna(first["core_hours"]):
            shown["core hours"] = _number(float(first["core_hours"]), 2)
        shown |= _beside(study, line)
        lines.append(shown)
    return pd.DataFrame(lines).fillna("")


def _error_of_few_stars(table, name):
    """Bootstrap errors of R² and MAE over the stars, where these are few: those over seeds leave them out."""
    own = table[(table["name"] == name) & table["test"].isin(WHOLE) & table["condition"].isna()]
    if "mae_err" not in own or own["n"].max() >= FEW:
        return {}
    return {
        f"{text}, stars": _number(float(own[f"{key}_err"].mean()))
        for text, key in (("R²", "r2"), ("MAE", "mae"))
    }


def _beside(study, line):
    """The reference's values for a line, in words."""
    for one in study.reference:
        if all(line.get(name) == one[name] for name in ("name", "spectra") if name in one):
            values = {name: one[name] for name in ("r2", "first_gradient_norm") if name in one}
            return {
                f"reference: {'R²' if name == 'r2' else 'gradient'}": _with_error(
                    value, one.get(f"{name}_err")
                )
                for name, value in values.items()
            }
    return {}


def write_study(study, rows, folder):
    """Write the three files of a study; returns whether two variants are finished, fewer answer nothing."""
    from astropy.table import Table

    table = tidy(study, rows)
    if not len(table) or table["name"].nunique() < 2:
        return False
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    known = table.dropna(axis=1, how="all").copy()
    for name in known:
        if known[name].dtype == object:
            known[name] = known[name].map(lambda value: "" if value is None or value != value else str(value))
    commands = sorted({rows[one.key]["command"] for one in study.configurations if one.key in rows})
    written = Table.from_pandas(known)
    written.meta = {"question": study.question, "commands": commands}
    written.write(folder / f"{study.name}.ecsv", format="ascii.ecsv", overwrite=True)
    summary(study, table).to_csv(folder / f"{study.name}.csv", index=False)
    if study.picture.law:
        law_table(table).to_csv(folder / f"{study.name}_law.csv", index=False)
        draw_law(table, folder / f"{study.name}.svg")
    elif (table["failure"] == "").any():
        from studies.figures import draw

        draw(study, means(study, table), folder / f"{study.name}.svg")
    return True


def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", default=[STORE], help="files that the runner has written")
    parser.add_argument("--out", default=STORE.parent)
    chosen = parser.parse_args(arguments)
    rows = {}
    for path in chosen.rows:
        rows |= read_rows(path)
    for study in STUDIES.values():
        done = sum(one.key in rows for one in study.configurations)
        written = write_study(study, rows, chosen.out)
        if written and study.name == "several":
            table = correlation_table(study, rows, fisher_correlations())
            table.to_csv(Path(chosen.out) / "several_correlations.csv", index=False)
            table = label_table(means(study, tidy(study, rows)))
            table.to_csv(Path(chosen.out) / "several_labels.csv", index=False)
        if written and study.name == "scaling":
            for name, made in (("crossings", crossing_table), ("differences", difference_table)):
                table = made(study, tidy(study, rows))
                table.to_csv(Path(chosen.out) / f"scaling_{name}.csv", index=False)
        print(f"{study.name:12s} {done:3d} of {len(study.configurations)} rows")


if __name__ == "__main__":
    main()

"""An evaluation as a folder to keep: a report in Markdown, its tables and its figures."""

from __future__ import annotations

import platform
from importlib import metadata

import numpy as np

from specvit.assess.figures import draw_summary, report_figures, save_figure
from specvit.assess.limitcheck import check_limits
from specvit.labels import label_of
from specvit.paths import user_path

__all__ = [
    "draw_summary",
    "magnitude_cells",
    "overall_cells",
    "save_figure",
    "software_versions",
    "write_report",
    "write_tables",
]

_PACKAGES = ("specvit", "numpy", "scipy", "torch", "pandas", "scikit-learn", "lightgbm", "matplotlib")
#: Figures of merit in the report: column, heading, decimals for labels in dex and for Teff.
_FIGURES = (
    ("r2", "R²", 4, 4),
    ("mae", "MAE", 3, 1),
    ("rmse", "RMSE", 3, 1),
    ("bias", "bias", 3, 1),
    ("scatter", "scatter", 3, 1),
    ("outliers", "outliers", 3, 3),
    ("coverage68", "within 1 σ", 3, 3),
    ("coverage95", "within 1.96 σ", 3, 3),
)
_IN_UNITS = ("mae", "rmse", "bias", "scatter")


def software_versions():
    """Versions of Python and of the packages that figures depend on: dict of str to str.

    Examples
    --------
    >>> "python" in software_versions(), "torch" in software_versions()
    (True, True)
    """
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def write_tables(folder, table, stem="table"):
    """Write the table as CSV and, where astropy is installed, as ECSV with its metadata.

    Parameters
    ----------
    folder : path-like
        Where the files are put; it must be there.
    table : DataFrame
        Table of `evaluate`.
    stem : str
        Name of the files, without ending.

    Returns
    -------
    list of Path
        The files written.

    Examples
    --------
    >>> import tempfile
    >>> from specvit import LoggEstimator, Survey
    >>> from specvit.assess import evaluate
    >>> vit = {"ViT": LoggEstimator(weights="paper")}
    >>> table = evaluate(vit, Survey("paper"), n=24, magnitudes=[20, 21], limits=False, bootstrap=0)
    >>> [path.name for path in write_tables(tempfile.mkdtemp(), table)]
    ['table.csv', 'table.ecsv']
    """
    paths = [user_path(folder) / f"{stem}.csv"]
    table.to_csv(paths[0], index=False, float_format="%.6g")
    try:
        from astropy.table import Table
    except ImportError:
        return paths
    rows = Table({name: table[name].to_numpy() for name in table.columns}, meta=dict(table.attrs))
    for name in rows.colnames:
        if rows[name].dtype == object:
            rows[name] = rows[name].astype(str)
        rows[name].info.description = table.attrs.get("definitions", {}).get(name)
    paths.append(user_path(folder) / f"{stem}.ecsv")
    rows.write(paths[1], format="ascii.ecsv", overwrite=True)
    return paths


def overall_cells(table, *, label="logg"):
    """All figures of merit of one label over all stars, as text.

    Parameters
    ----------
    table : DataFrame
        Table of `evaluate`.
    label : str
        Name of the label, as in the table.

    Returns
    -------
    list of list of str
        A heading, and a row for each predictor and limit. Figures that none of them has are left out.

    Examples
    --------
    >>> from specvit import LoggEstimator, Survey
    >>> from specvit.assess import evaluate
    >>> vit = {"ViT": LoggEstimator(weights="paper")}
    >>> table = evaluate(vit, Survey("paper"), n=24, magnitudes=[20, 21], limits=False, bootstrap=0)
    >>> [row[0] for row in overall_cells(table)]
    ['', 'ViT']
    """
    rows = table[(table["label"] == label) & (table["by"] == "overall")]
    unit = label_of(label).error_unit
    shown = [figure for figure in _FIGURES if rows[figure[0]].notna().any()]
    heading = ["", *(f"{name} [{unit}]" if key in _IN_UNITS else name for key, name, _, _ in shown)]
    cells = [[*heading, "stars", "unusable"]]
    for _, row in rows.iterrows():
        numbers = [
            _number(row[key], row[f"{key}_err"], kelvin if unit == "K" else dex)
            for key, _, dex, kelvin in shown
        ]
        cells.append([row["predictor"], *numbers, str(row["n"]), str(row["unusable"])])
    return cells


def magnitude_cells(table, *, label="logg"):
    """R² of one label at each magnitude or in each bin of it, as text.

    Parameters and result are those of `overall_cells`; the first row after the heading is the median S/N.

    Examples
    --------
    >>> from specvit import LoggEstimator, Survey
    >>> from specvit.assess import evaluate
    >>> vit = {"ViT": LoggEstimator(weights="paper")}
    >>> table = evaluate(vit, Survey("paper"), n=24, magnitudes=[20, 21], limits=False, bootstrap=0)
    >>> magnitude_cells(table)[0]
    ['R² at magnitude', '20', '21']
    """
    rows = table[(table["label"] == label) & (table["by"] == "magnitude")]
    bins = rows.drop_duplicates(["low", "high"])[["low", "high", "snr"]].sort_values("low")
    places = list(zip(bins["low"], bins["high"], strict=True))
    cells = [["R² at magnitude", *(f"{a:g}" if a == b else f"{a:g}–{b:g}" for a, b in places)]]
    cells.append(["median S/N", *(f"{snr:.1f}" for snr in bins["snr"])])
    for name, own in rows.groupby("predictor", sort=False):
        own = own.set_index(["low", "high"])
        found = [own.loc[place] if place in own.index else None for place in places]
        cells.append([name, *("" if row is None else _number(row["r2"], row["r2_err"], 4) for row in found)])
    return cells


def write_report(
    folder,
    table,
    *,
    predictions=None,
    audits=None,
    title="Evaluation",
    command=None,
    record=None,
    formats=("png", "pdf"),
):
    """Write ``report.md``, ``table.csv``, ``table.ecsv`` and the figures of an evaluation.

    Parameters
    ----------
    folder : path-like
        Made if it is not there; files of the same names are replaced.
    table : DataFrame
        Table of `evaluate`.
    predictions : DataFrame, optional
        Predictions of the same evaluation, for figures of the predictions, residuals and calibration, and to
        hold each predictor against the Bayes limit star by star.
    audits : dict of str to DataFrame, optional
        Tables of `audit_leakage`, `audit_predictor` and `audit_calibration` by name. The first two say
        in their ``attrs`` whether they were passed.
    title, command : str, optional
        Heading of the report, and the command line that made it.
    record : dict, optional
        Further facts to write down by name: weights, training.
    formats : sequence of str
        Formats of the figures; the report shows the first.

    Returns
    -------
    Path
        Of ``report.md``.

    Raises
    ------
    ValueError
        If the table has no rows or `formats` is empty.

    Examples
    --------
    >>> import tempfile
    >>> from specvit import LoggEstimator, Survey
    >>> from specvit.assess import evaluate
    >>> vit = {"ViT": LoggEstimator(weights="paper")}
    >>> table = evaluate(vit, Survey("paper"), n=40, magnitudes=[20, 21], limits=False, bootstrap=0)
    >>> write_report(tempfile.mkdtemp(), table, formats=("png",)).name
    'report.md'
    """
    if not len(table):
        raise ValueError("table must have at least one row, got none")
    if not formats or isinstance(formats, str):
        raise ValueError(f"formats must be a sequence of at least one file type, got {formats!r}")
    folder = user_path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = write_tables(folder, table)
    lines = [f"# {title}", "", *_particulars(table, command, record), ""]
    for label in dict.fromkeys(table["label"]):
        part = table[table["label"] == label]
        lines += [f"## {label_of(label).plain}", "", *_markdown(overall_cells(part, label=label)), ""]
        if (part["by"] == "magnitude").any():
            lines += [*_markdown(magnitude_cells(part, label=label)), ""]
        for figure, stem, caption in report_figures(part, predictions, label):
            paths = save_figure(figure, folder / f"{stem}_{label}", formats)
            files += paths
            lines += [f"![{caption}]({paths[0].name})", "", f"*{caption}*", ""]
    lines += ["## Limits", "", *_limits(table, predictions), ""]
    if audits:
        lines += ["## Audits", "", *_audits(audits)]
    lines += ["## Definitions", ""]
    lines += _definitions(table.attrs.get("definitions", {}))
    lines += ["", "## Files", "", *(f"* `{path.name}`" for path in files), ""]
    path = folder / "report.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _particulars(table, command, record):
    """What was evaluated, and with what."""
    facts = {
        "command": command,
        **{k: v for k, v in table.attrs.items() if k not in ("definitions", "specvit")},
    }
    facts |= record or {}
    facts["versions"] = ", ".join(f"{name} {version}" for name, version in software_versions().items())
    return [f"* **{name}**: `{value}`" for name, value in facts.items() if value is not None]


def _limits(table, predictions):
    """The verdict: does any predictor do better than the Bayes limit?"""
    if not (table["predictor"] == "Bayes limit").any():
        return [f"There are none: {table.attrs.get('limits', 'they were not computed')}."]
    compared = "on the same stars" if predictions is not None else "on its own stars"
    broken = check_limits(table, predictions=predictions)
    if not len(broken):
        return [f"No predictor, compared {compared}, exceeds the Bayes limit by more than 2 standard errors."]
    cells = [["exceeds the Bayes limit", "label", "by", "from", "to", "R²", "limit", "excess", "error"]]
    for _, row in broken.iterrows():
        numbers = [f"{row[key]:.4g}" for key in ("low", "high", "r2", "limit", "excess", "error")]
        cells.append([row["predictor"], row["label"], row["by"], *numbers])
    return [
        f"{len(broken)} of the comparisons {compared} exceed the limit by more than 2 standard errors. "
        "Of predictors that are *at* the limit, one comparison in 44 does so by chance.",
        "",
        *_markdown(cells),
    ]


def _audits(audits):
    lines = []
    for name, numbers in audits.items():
        verdict = {True: ": passed", False: ": **FAILED**", None: ""}[numbers.attrs.get("passed")]
        cells = [[str(column) for column in numbers.columns]]
        cells += [
            [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row]
            for row in numbers.itertuples(index=False)
        ]
        lines += [f"### {name}{verdict}", "", *_markdown(cells), ""]
        used = {str(value) for value in numbers.iloc[:, 0]}
        texts = numbers.attrs.get("definitions", {})
        lines += [*_definitions({key: text for key, text in texts.items() if key in used}), ""]
    return lines


def _definitions(texts):
    return [f"* **{name}**: {text.replace('<', '&lt;')}" for name, text in texts.items()]


def _number(value, error, decimals):
    if not np.isfinite(value):
        return "" if np.isnan(value) else f"{value}"
    known = error is not None and np.isfinite(error)
    return f"{value:.{decimals}f}" + (f" ± {error:.{decimals}f}" if known else "")


def _markdown(cells):
    """Rows of text as a Markdown table, the first its heading."""
    rows = [[str(cell).replace("|", "\\|") for cell in row] for row in cells]
    rows.insert(1, ["---", *["---:"] * (len(rows[0]) - 1)])
    return ["| " + " | ".join(row) + " |" for row in rows]

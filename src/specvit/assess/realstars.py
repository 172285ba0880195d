"""Real stars: what a predictor says of them, against the labels that the literature has."""

from __future__ import annotations

import numpy as np

from specvit.assess.bins import import_pandas
from specvit.constants import ONE_SIGMA, SIGMA_PER_MAD
from specvit.labels import label_tuple
from specvit.predictors.truelabels import in_label_unit
from specvit.spectra.given import numbers_given

__all__ = ["LITERATURE_DEFINITIONS", "LITERATURE_METRICS", "compare_with_literature"]

#: What each figure is, with Δ = predicted − literature of a star and σ = √(predicted_err² + literature_err²).
LITERATURE_DEFINITIONS = {
    "bias": "median Δ, in the unit of the label",
    "scatter": "1.4826 median |Δ − median Δ|, in the unit of the label",
    "median_abs": "median |Δ|, in the unit of the label",
    "within_1sigma": f"share of the stars with |Δ| < σ; {ONE_SIGMA:.4f} if both errors are honest",
    "pull_width": "1.4826 median |z − median z|, z = Δ/σ; 1 if both errors are honest",
}
#: Names of the figures, in the order of tables.
LITERATURE_METRICS = tuple(LITERATURE_DEFINITIONS)
_COUNTS = {
    "n": "stars with a label in the literature and a prediction: those that the figures are over",
    "unusable": "stars with a label in the literature and no finite prediction",
    "n_err": "stars of n with both errors: those that within_1sigma and pull_width are over",
    "error": "<figure>_err: standard deviation over bootstrap resamples of the group's stars; NaN for fewer "
    "than two stars",
}
_STAR = ("star", "label", "literature", "literature_err", "predicted", "predicted_err")


def compare_with_literature(
    spectra,
    literature,
    groups=None,
    *,
    predictor=None,
    labels=None,
    bootstrap=1000,
    seed=0,
    return_stars=False,
    **options,
):
    """Bias, scatter, pulls and coverage on stars of known labels, by group, with their errors.

    Parameters
    ----------
    spectra : table or spectra
        What was predicted of n stars, one a row: a `~astropy.table.QTable` of ``predict_table``, a
        `~pandas.DataFrame` or a dict, with a column for each label and ``<label>_err``, which may be NaN or
        missing. With `predictor` the n spectra themselves, in any form that it accepts.
    literature : table
        Known labels of the same stars in the same order, with the same columns: quantities, or plain numbers
        in K and dex. NaN where unknown. Columns that are no labels are left alone.
    groups : array-like of shape (n,), or table of such columns, optional
        What stars to tell apart, as ``giant``; a table has several such divisions, as ``{"type": …,
        "instrument": …}``. A star whose group is None, NaN or "" is in none of them.
    predictor : Predictor, optional
        Whose ``predict_table`` is asked for the labels of `spectra`.
    labels : str or sequence of str, optional
        What to compare, in any spelling; by default all labels that both tables have.
    bootstrap : int
        Resamples for the errors; 0: they are NaN.
    seed : int
        Of the resamples.
    return_stars : bool
        Also return what was compared, star by star.
    **options
        For ``predict_table``: ``medium``, ``resolution`` and the like.

    Returns
    -------
    table : pandas.DataFrame
        A row for all stars and for each group, and each label: ``by``, the name of the division ("all";
        "group", unless `groups` names it); ``group``; ``label``; ``n``, ``unusable`` and ``n_err``; and the
        figures in `LITERATURE_METRICS`, each with ``<figure>_err``. ``attrs["definitions"]`` says what they
        are.
    stars : pandas.DataFrame
        If `return_stars`: a row for each star and label in the literature, with ``star`` (its number), a
        column for each division, ``label``, ``literature``, ``literature_err``, ``predicted`` and
        ``predicted_err``: what `~specvit.assess.plots.plot_literature` draws.

    Raises
    ------
    TypeError
        If `spectra` is no table and there is no `predictor`, or `literature` is no table.
    ValueError
        If the numbers of stars differ, a label is missing on either side or none is common to both, an error
        is negative, or options are given without `predictor`.

    See Also
    --------
    evaluate : The same for simulated stars, whose labels are exact.
    specvit.assess.plots.plot_literature : The figure.

    Notes
    -----
    Medians are used throughout, because catalogues hold binaries and misprints. Errors of the literature that
    are too large hide those of a predictor: compare ``scatter`` with them before ``within_1sigma`` is
    believed. With few stars the bootstrap's own error is large, as 1/√(2n) for a scatter.

    Examples
    --------
    >>> from specvit.assess import compare_with_literature
    >>> predicted = {"logg": [2.1, 2.4, 4.6], "logg_err": [0.1, 0.1, 0.1]}
    >>> known = {"logg": [2.0, 2.5, 4.3], "logg_err": [0.1, 0.1, 0.1]}
    >>> table = compare_with_literature(predicted, known, ["giant", "giant", "dwarf"])
    >>> table[["group", "n", "bias", "median_abs", "within_1sigma"]].round(3)
       group  n  bias  median_abs  within_1sigma
    0    all  3   0.1         0.1          0.667
    1  giant  2   0.0         0.1          1.000
    2  dwarf  1   0.3         0.3          0.000
    """
    pd = import_pandas()
    if predictor is not None:
        spectra = predictor.predict_table(spectra, **options)
    elif options:
        raise ValueError(f"options are for predictor, which is None, got {sorted(options)}")
    predicted = _label_columns(spectra, "spectra", "a table of predictions, or predictor be given")
    known = _label_columns(literature, "literature", "a table of known labels")
    names = tuple(name for name in known if name in predicted) if labels is None else label_tuple(labels)
    lacking = [name for name in names if name not in predicted or name not in known]
    if lacking or not names:
        raise ValueError(
            f"labels must be in both tables: {lacking or 'none'} of them; spectra has {tuple(predicted)}, "
            f"literature {tuple(known)}"
        )
    n = len(known[names[0]][0])
    for name in names:
        for table, argument in ((predicted, "spectra"), (known, "literature")):
            if len(table[name][0]) != n:
                raise ValueError(
                    f"{argument} must have {n} rows, as literature has, got {len(table[name][0])}"
                )
    divisions = _divisions(groups, n)
    columns = {"star": np.arange(n)} | divisions
    stars = pd.concat(
        [
            pd.DataFrame(
                columns
                | {"label": name, "literature": known[name][0], "literature_err": known[name][1]}
                | {"predicted": predicted[name][0], "predicted_err": predicted[name][1]}
            )
            for name in names
        ],
        ignore_index=True,
    )
    stars = stars[np.isfinite(stars["literature"])].reset_index(drop=True)
    rows = []
    for by, group, member in _members(divisions, n):
        for name in names:
            chosen = (stars["label"] == name).to_numpy() & member[stars["star"].to_numpy()]
            rows.append({"by": by, "group": group, "label": name} | _row(stars[chosen], bootstrap, seed))
    table = pd.DataFrame(rows)
    table.attrs["definitions"] = LITERATURE_DEFINITIONS | _COUNTS
    return (table, stars) if return_stars else table


def _label_columns(table, argument, wanted):
    """Values and errors (n,) of each label of a table, by name."""
    if not hasattr(table, "keys"):
        raise TypeError(f"{argument} must be {wanted}, got {type(table).__name__}")
    keys, found = list(table.keys()), {}
    for key in keys:
        try:
            (name,) = label_tuple(str(key))
        except ValueError:
            continue
        values = _plain(table[key], name, f"{argument}[{key!r}]")
        errors, error_key = np.full(values.shape, np.nan), f"{key}_err"
        if error_key in keys:
            errors = _plain(table[error_key], name, f"{argument}[{error_key!r}]", err=True)
            if errors.shape != values.shape or (errors < 0).any():
                raise ValueError(
                    f"{argument}[{error_key!r}] must have shape {values.shape} and not be negative, got "
                    f"{errors.shape} and {np.nanmin(errors, initial=0)}"
                )
        found[name] = values, errors
    return found


def _plain(column, label, name, err=False):
    """A column as float64 (n,), NaN where masked, in the unit of its label or of the label's error."""
    if getattr(column, "unit", None) is None and np.asarray(column).dtype == object:
        column = np.asarray(column, dtype=float)  # None, where nothing is known
    given = numbers_given(column, name, ValueError)
    if given.values.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {given.values.shape}")
    return in_label_unit(given.visible, given.unit, label, name, err=err)


def _divisions(groups, n):
    """Group of each star in each division, dict of str to ndarray of objects (n,)."""
    if groups is None:
        return {}
    named = {str(key): groups[key] for key in groups.keys()} if hasattr(groups, "keys") else {"group": groups}  # noqa: SIM118
    divisions = {name: np.asarray(values, dtype=object) for name, values in named.items()}
    for name, values in divisions.items():
        if values.shape != (n,):
            raise ValueError(f"groups[{name!r}] must have shape ({n},), got {values.shape}")
    if taken := {*_STAR, "all"} & set(divisions):
        raise ValueError(f"groups must not be called {sorted(taken)}, names of other columns")
    return divisions


def _members(divisions, n):
    """Name of the division, of the group, and who is in it, bool (n,); first all stars."""
    yield "all", "all", np.ones(n, bool)
    for by, values in divisions.items():
        for group in dict.fromkeys(x for x in values if x is not None and x == x and x != ""):
            yield by, group, np.array([x == group for x in values])


def _row(stars, bootstrap, seed):
    """Counts, figures and errors of the stars of one group and label."""
    literature, literature_err, predicted, predicted_err = (stars[x].to_numpy(float) for x in _STAR[2:])
    delta, sigma = predicted - literature, np.hypot(predicted_err, literature_err)
    used = np.isfinite(delta)
    with_errors = used & np.isfinite(sigma) & (sigma > 0)
    pull = delta[with_errors] / sigma[with_errors]
    rng, counts = np.random.default_rng(seed), (used, ~used, with_errors)
    row = dict(zip(("n", "unusable", "n_err"), (int(x.sum()) for x in counts), strict=True))
    figures = {"delta": _figures(delta[used], bootstrap, rng), "pull": _figures(pull, bootstrap, rng)}
    places = {"bias": ("delta", 0), "scatter": ("delta", 1), "median_abs": ("delta", 2)}
    places |= {"within_1sigma": ("pull", 3), "pull_width": ("pull", 1)}
    for name in LITERATURE_METRICS:
        of, which = places[name]
        row[name], row[f"{name}_err"] = (float(x[which]) for x in figures[of])
    return row


def _figures(x, bootstrap, rng):
    """Median, robust width, median |x| and share of |x| < 1, and the bootstrap errors of the four."""
    if not len(x):
        return np.full((2, 4), np.nan)

    def of(values):
        middle = np.median(values, -1, keepdims=True)
        width = SIGMA_PER_MAD * np.median(np.abs(values - middle), -1)
        return np.stack([middle[..., 0], width, np.median(np.abs(values), -1), (np.abs(values) < 1).mean(-1)])

    if len(x) < 2 or bootstrap < 2:
        return of(x), np.full(4, np.nan)
    return of(x), of(x[rng.integers(len(x), size=(bootstrap, len(x)))]).std(-1, ddof=1)

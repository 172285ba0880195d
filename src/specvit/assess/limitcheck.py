"""Checks that no predictor does better than the Bayes limit."""

from __future__ import annotations

import numpy as np

from specvit.assess.bins import import_pandas
from specvit.assess.limitrows import BAYES, mean_error

__all__ = ["check_limits", "compare_with_limit"]


def check_limits(table, tolerance=2.0, *, predictions=None):
    """Predictors that do better than the Bayes limit allows, by an error somewhere or by chance.

    Parameters
    ----------
    table : pandas.DataFrame
        Table of `evaluate` with limits.
    tolerance : float
        Standard errors by which a predictor may exceed the limit.
    predictions : pandas.DataFrame, optional
        Predictions of the same evaluation. With them each predictor is compared with the posterior means *on
        the same spectra*, of which there are `limit_stars`, and the comparison is sharper.

    Returns
    -------
    pandas.DataFrame
        A row for each violation: ``predictor``, ``label``, ``by``, ``low``, ``high``, ``r2``, ``limit``,
        ``excess`` = r2 − limit, ``error`` of that, and ``n``. Empty if limits are limits.

    Raises
    ------
    ValueError
        If the table has no Bayes limit, or the tolerance is negative.

    Notes
    -----
    Without `predictions` the error is that of the limit (the scatter of the posterior variances over its
    stars) and that of the predictor (bootstrap) in quadrature. Some stars are common to both, which makes
    them vary together, so the true error is no larger. With them, both R² are over the same spectra and the
    excess is Σ(e_Bayes² − e²) / Σ(t − ⟨t⟩)², whose error is that of the mean of e_Bayes² − e² alone: for a
    predictor near the limit most of the scatter is common and drops out.

    Out of many comparisons of a predictor that is *at* the limit, one in 44 exceeds it by 2 errors by chance.

    Examples
    --------
    A predictor that is 2.5 standard errors too good, and why that is looked into:

    >>> import pandas as pd
    >>> row = {"label": "logg", "by": "magnitude", "low": 20.0, "high": 20.0, "r2_err": 0.002, "n": 4000}
    >>> rows = [("ViT", "predictor", 0.995), ("Bayes limit", "limit", 0.990)]
    >>> table = pd.DataFrame([row | {"predictor": a, "kind": b, "r2": c} for a, b, c in rows])
    >>> check_limits(table, tolerance=1.0)["excess"].round(3).tolist()
    [0.005]
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance must not be negative, got {tolerance!r}")
    compared = compare_with_limit(table, predictions=predictions)
    return compared[compared["excess"] > tolerance * compared["error"]].reset_index(drop=True)


def compare_with_limit(table, *, predictions=None):
    """Every predictor beside the Bayes limit of its bin: what `check_limits` judges.

    Parameters
    ----------
    table, predictions
        As for `check_limits`.

    Returns
    -------
    pandas.DataFrame
        A row for each predictor, label and bin, with the columns of `check_limits`.

    Raises
    ------
    ValueError
        If the table has no Bayes limit.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"label": "logg", "by": "magnitude", "low": 20.0, "high": 20.0, "r2_err": 0.002, "n": 4000}
    >>> rows = [("ViT", "predictor", 0.995), ("Bayes limit", "limit", 0.990)]
    >>> table = pd.DataFrame([row | {"predictor": a, "kind": b, "r2": c} for a, b, c in rows])
    >>> compare_with_limit(table)["limit"].tolist()
    [0.99]
    """
    pd = import_pandas()
    keys = ["label", "by", "low", "high"]
    bounds = table[table["predictor"] == BAYES]
    if not len(bounds):
        raise ValueError(f"table has no {BAYES!r} to compare with: evaluate a survey with limits=True")
    compared = []
    for _, bound in bounds.iterrows():
        same = (table["kind"] == "predictor") & (table["label"] == bound["label"])
        same &= table["by"] == bound["by"]
        for edge in ("low", "high"):
            same &= (table[edge] == bound[edge]) | (table[edge].isna() & np.isnan(bound[edge]))
        for _, row in table[same].iterrows():
            if predictions is None:
                result = {"r2": row["r2"], "limit": bound["r2"], "n": row["n"]}
                result["error"] = np.hypot(row["r2_err"], bound["r2_err"])
            else:
                result = _paired(predictions, row)
            result["excess"] = result["r2"] - result["limit"]
            compared.append({name: row[name] for name in ["predictor", *keys]} | result)
    return pd.DataFrame(compared, columns=["predictor", *keys, "r2", "limit", "excess", "error", "n"])


def _paired(predictions, row):
    """R² of a predictor and of the posterior means over the spectra of a bin that both have."""
    chosen = predictions[(predictions["label"] == row["label"]) & predictions["prediction"].notna()]
    if row["by"] != "overall":
        value = chosen[row["by"]]
        inside = value == row["low"] if row["low"] == row["high"] else value.between(row["low"], row["high"])
        chosen = chosen[inside]
    pair = [
        chosen[chosen["predictor"] == name].set_index(["star", "magnitude"])
        for name in (row["predictor"], BAYES)
    ]
    both = pair[0].join(pair[1]["prediction"].rename("best"), how="inner")
    truth = both["truth"].to_numpy()
    own, best = (np.square(both[name].to_numpy() - truth) for name in ("prediction", "best"))
    spread, star = np.square(truth - truth.mean()).sum(), both.index.get_level_values("star").to_numpy()
    return {
        "r2": 1 - own.sum() / spread,
        "limit": 1 - best.sum() / spread,
        "error": mean_error(best - own, star) * len(both) / spread,
        "n": len(both),
    }

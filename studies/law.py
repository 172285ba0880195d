"""The law of size: how the distance to the Bayes limit falls with parameters and with spectra seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit

from studies.answers import BAYES_LIMIT, LIMIT_NAME, limit_of, whole_rows

__all__ = ["draw_law", "fit_law", "law_table"]


def _law(x, log_a, a, log_b, b):
    parameters, seen = x
    return np.logaddexp(log_a - a * np.log(parameters), log_b - b * np.log(seen))


def fit_law(parameters, seen, r2, limit=BAYES_LIMIT[0]):
    r"""Least-squares fit of the distance to the Bayes limit, R²_limit − R² = A N^{−a} + B D^{−b}.

    N are the parameters of the network, D the spectra that it has seen (Hoffmann et al. 2022,
    arXiv:2203.15556, whose irreducible loss is known here: it is that of the limit). The logarithms are
    fitted, each with the same weight.

    Parameters
    ----------
    parameters, seen : ndarray, shape (k,)
        Of at least five trainings, or of as many means over seeds; sizes and lengths both of at least two
        values. Points are taken as independent.
    r2 : ndarray, shape (k,)
        Below the limit.
    limit : float
        R² at the limit.

    Returns
    -------
    dict of str to (float, float)
        ``a``, ``b``, ``log_a`` and ``log_b`` with their errors, and ``scatter``, the rms of the residuals of
        the logarithm.

    Raises
    ------
    ValueError
        If there are too few trainings, or one is not below the limit.
    """
    parameters, seen, r2 = (np.asarray(x, np.float64) for x in (parameters, seen, r2))
    if len(r2) < 5 or np.unique(parameters).size < 2 or np.unique(seen).size < 2:
        raise ValueError(f"r2 must be of five trainings of two sizes and lengths at least, got {len(r2)}")
    if not (r2 < limit).all():
        raise ValueError(f"r2 must be below the limit, {limit}, got {r2.max()}")
    x, y = np.stack([parameters, seen]), np.log(limit - r2)
    middle = y.mean() - np.log(2)
    start = [
        middle + 0.3 * np.log(parameters).mean(),
        0.3,
        middle + 0.3 * np.log(seen).mean(),
        0.3,
    ]
    value, covariance = curve_fit(_law, x, y, start, maxfev=20_000)
    error = np.sqrt(np.diag(covariance))
    result = {
        name: (float(one), float(err))
        for name, one, err in zip(("log_a", "a", "log_b", "b"), value, error, strict=True)
    }
    return result | {"scatter": (float(np.std(y - _law(x, *value))), np.nan)}


def _fitted(table):
    """Limit, rows of a tidy `table` that are of the bundled kind, and their law, None if they are too few.

    The law is that of means over seeds: seeds of one shape share what the law leaves out of it, so that
    each of them as a point of its own would make the errors too small.
    """
    rows = whole_rows(table)
    if len(rows):
        rows = rows[(rows["network"] == "compact") & (rows["name"] != LIMIT_NAME)]
    limit = limit_of(table)
    try:
        mean = rows.groupby(["name", "parameters", "spectra_seen"])["r2"].mean().reset_index()
        return limit, rows, fit_law(mean["parameters"], mean["spectra_seen"], mean["r2"], limit)
    except (KeyError, ValueError):  # nothing of log g at all, or too little
        return limit, rows, None


def law_table(table):
    """The law of a tidy `table` of networks as a data frame of words; empty where there are too few.

    Parameters
    ----------
    table : pandas.DataFrame
        From `studies.tables.tidy`, of the study ``size``.
    """
    limit, _, law = _fitted(table)
    if law is None:
        return pd.DataFrame()
    meaning = {
        "a": "exponent of parameters",
        "b": "exponent of spectra seen",
        "log_a": "ln A",
        "log_b": "ln B",
        "scatter": "rms residual of ln(distance)",
    }
    rows = [
        {"quantity": meaning[name], "value": f"{value:.3f}" + (f" ± {err:.3f}" if np.isfinite(err) else "")}
        for name, (value, err) in law.items()
    ]
    return pd.DataFrame([*rows, {"quantity": "R² at the limit", "value": f"{limit:.4f}"}])


def draw_law(table, path):
    """Draw the distance to the Bayes limit against parameters and against spectra seen, with the law.

    Nothing is drawn where trainings are too few for a law.

    Parameters
    ----------
    table : pandas.DataFrame
        From `studies.tables.tidy`, of the study ``size``.
    path : path
        SVG file to be written.
    """
    from matplotlib.figure import Figure

    from specvit.assess.figures import save_figure

    limit, rows, law = _fitted(table)
    if law is None:
        return
    value = [law[name][0] for name in ("log_a", "a", "log_b", "b")]
    figure = Figure(figsize=(5.5, 6.2))
    for axes, x, other, text in zip(
        figure.subplots(2),
        ("parameters", "spectra_seen"),
        ("spectra_seen", "parameters"),
        ("parameters of the network", "spectra seen"),
        strict=True,
    ):
        fixed = rows[other].mode()[0]  # of the trainings that differ in x alone
        part = rows[rows[other] == fixed].sort_values(x)
        dense = np.geomspace(part[x].min(), part[x].max(), 100)
        at = (dense, fixed) if x == "parameters" else (fixed, dense)
        label = f"{fixed:,.0f} {other.replace('_', ' ')}"
        axes.loglog(part[x], limit - part["r2"], "o", label=label)
        axes.loglog(dense, np.exp(_law(at, *value)), "-", lw=1, color="C0")
        ticks = part[x].to_numpy(float)[:: max(1, len(part) // 4)]
        axes.set_xticks(ticks, [f"{tick / 1e6:.2g}" for tick in ticks])
        distances = [0.005, 0.01, 0.02, 0.05]
        axes.set_yticks(distances, [f"{one:g}" for one in distances])
        axes.minorticks_off()
        axes.set_xlabel(f"{text}, millions")
        axes.set_ylabel("R² below the Bayes limit")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.tight_layout()
    save_figure(figure, path, ("svg",))

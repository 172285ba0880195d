"""What studies say beyond their means: correlations beside Fisher, distances to the limit, and crossings."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from specvit.labels import LABELS
from specvit.limits import survey_fisher
from specvit.survey import Survey
from studies.scoring import TEST_SEED

__all__ = [
    "BAYES_LIMIT",
    "LIMIT_NAME",
    "correlation_table",
    "crossing",
    "crossing_table",
    "difference_table",
    "fisher_correlations",
    "label_table",
    "limit_of",
    "whole_rows",
]

#: R² of log g at the Bayes limit of ``Survey("paper")`` and its error, of other stars of the survey than
#: those of the studies: docs/results/overall.csv.
BAYES_LIMIT = (0.8943, 0.0045)
#: The variant of studies that has the posterior means of their own stars.
LIMIT_NAME = "Bayes limit"
_STARS = 1000


def fisher_correlations(n=_STARS):
    """Correlations of the errors of all labels that the Fisher information predicts, ndarray (5, 5).

    They are those of the mean over `n` stars of ``paper`` of (F + P)⁻¹, with F the information about the
    labels, the amplitude unknown, and P that of a Gaussian prior with the covariance of the survey's, whose
    [C/M] is bounded by [alpha/M]: errors of the best linear estimate. Stars are others than those of the
    test, of the same survey.
    """
    survey, rng = Survey("paper"), np.random.default_rng(TEST_SEED)
    labels = survey.prior.sample(n, rng)
    matrix = survey_fisher(survey, labels, rng.uniform(*survey.brightness_limits, n)).matrix.copy()
    k = len(LABELS)  # what follows the labels is the amplitude, of which nothing is known
    matrix[:, :k, :k] += np.linalg.inv(np.cov(labels[:, :k].T))
    covariance = np.linalg.inv(matrix)[:, :k, :k].mean(0)
    size = np.sqrt(np.diag(covariance))
    return covariance / np.outer(size, size)


def correlation_table(study, rows, predicted):
    """Correlations of errors of each variant that predicts all labels, beside those `predicted`.

    Parameters
    ----------
    study : Study
        Its variants with all labels are shown.
    rows : dict of str to dict
        Finished rows by key.
    predicted : ndarray, shape (5, 5)
        From `fisher_correlations`.

    Returns
    -------
    pandas.DataFrame
        A row for each pair of labels: ``Fisher``, then the mean over seeds of each variant.
    """
    pairs = list(combinations(range(len(LABELS)), 2))
    table = {"labels": [f"{LABELS[i]}, {LABELS[j]}" for i, j in pairs]}
    table["Fisher"] = [predicted[i, j] for i, j in pairs]
    for name, own in study.variants.items():
        found = [rows[one.key].get("error_correlation") for one in own if one.key in rows]
        found = [one for one in found if one is not None and len(one) == len(LABELS)]
        if found:
            mean = np.mean(found, axis=0)
            table[name] = [mean[i, j] for i, j in pairs]
    return pd.DataFrame(table).round(2)


def label_table(average):
    """R² of each label, by a network that learns it alone and by those that learn several.

    Parameters
    ----------
    average : pandas.DataFrame
        From `studies.tables.means`, of the study ``several``.

    Returns
    -------
    pandas.DataFrame
        Of words, mean ± standard error over seeds: a row for each label; the column ``alone`` is the variant
        of this label, the others are those with all labels, by their names.
    """
    whole = average[(average["test"] == "paper") & average["condition"].isna()]
    lines = {name: {"label": name, "alone": ""} for name in LABELS}
    for _, one in whole.iterrows():
        column = "alone" if one["name"] == f"{one['label']} alone" else one["name"]
        error = f" ± {one['r2_err']:.4f}" if np.isfinite(one["r2_err"]) else ""
        lines[one["label"]][column] = f"{one['r2']:.4f}{error}"
    return pd.DataFrame(lines.values()).fillna("")


def whole_rows(table):
    """Rows of log g at the survey's own magnitudes."""
    if "label" not in table:
        return table[:0]
    return table[(table["label"] == "logg") & (table["test"] == "paper") & table["condition"].isna()]


def limit_of(table):
    """R² of log g at the Bayes limit: the test stars' own if `table` has it, else the survey's.

    Parameters
    ----------
    table : pandas.DataFrame
        From `studies.tables.tidy`.
    """
    whole = whole_rows(table)
    own = whole[whole["name"] == LIMIT_NAME] if len(whole) else whole
    return float(own["r2"].iloc[0]) if len(own) else BAYES_LIMIT[0]


def crossing(sizes, first, second):
    """Where one curve overtakes another, by linear interpolation in the logarithm of the size.

    Parameters
    ----------
    sizes : array-like, shape (n,)
        Rising.
    first, second : array-like, shape (n,)
        R² of the two methods.

    Returns
    -------
    list of (float, bool)
        Sizes at which the curves cross, and whether the first is above from there on.
    """
    difference, logs = np.subtract(first, second), np.log(np.asarray(sizes, float))
    found = []
    for k in range(len(logs) - 1):
        a, b = difference[k], difference[k + 1]
        if (a > 0) != (b > 0):
            found.append((float(np.exp(logs[k] + (logs[k + 1] - logs[k]) * a / (a - b))), bool(b > 0)))
    return found


def _by_size(study, table):
    """R² by name and number of spectra: means over the seeds of a study, and the reference's."""
    whole = whole_rows(table)
    ours = whole[whole["spectra"].notna()].groupby(["name", "spectra"])["r2"].mean() if len(whole) else {}
    theirs = pd.Series({(one["name"], one["spectra"]): one["r2"] for one in study.reference}, dtype=float)
    return ours, theirs


def difference_table(study, table, network="ViT, reference"):
    """Who is ahead at each size: R² of a network, and its lead over trees and linear regression.

    Parameters
    ----------
    study, table
        As for `crossing_table`.
    network : str
        The variant that is compared.

    Returns
    -------
    pandas.DataFrame
        Of words: a row for each number of spectra with the network's R² and its R² less that of each method
        that is no network, here and of the reference's values; empty where one was not run.
    """
    ours, theirs = _by_size(study, table)
    if not len(ours) or network not in ours:
        return pd.DataFrame()
    names = [name for name, own in study.variants.items() if name in ours and not own[0].is_network]
    lines = []
    for size in ours[network].index:
        line = {"spectra": f"{int(size):,}"}
        for where, values in (("", ours), ("reference: ", theirs)):
            own = values.get((network, size))
            if own is None:
                continue
            line[f"{where}R²"] = f"{own:.3f}"
            for name in names:
                if (name, size) in values:
                    line[f"{where}over {name}"] = f"{own - values[name, size]:+.3f}"
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def crossing_table(study, table, networks=("ViT, reference", "ViT, bundled")):
    """Where the transformers of the study ``scaling`` cross the other methods, beside the reference.

    Parameters
    ----------
    study : Study
        With the reference's values.
    table : pandas.DataFrame
        From `studies.tables.tidy`.
    networks : tuple of str
        Variants that are compared with all others.

    Returns
    -------
    pandas.DataFrame
        Of words: for each pair the difference of R² at the smallest and at the largest common size and the
        crossings, and those of the reference's values where it has both.
    """
    ours, theirs = _by_size(study, table)
    names = [] if not len(ours) else [name for name in study.variants if name in ours.index]
    lines = []
    for network in networks:
        for other in names:
            if other in networks or network not in names:
                continue
            line = {"transformer": network, "against": other}
            for where, values in (("", ours), ("reference: ", theirs)):
                line |= {f"{where}{key}": text for key, text in _compared(values, network, other).items()}
            lines.append(line)
    return pd.DataFrame(lines).fillna("")


def _compared(values, first, second):
    if not {first, second} <= set(values.index.get_level_values(0)):
        return {}
    pair = pd.concat([values[first], values[second]], axis=1, join="inner").sort_index()
    a, b = pair.to_numpy().T
    found = [
        f"{'overtakes' if above else 'is overtaken'} at {int(float(f'{size:.2g}')):,}"
        for size, above in crossing(pair.index, a, b)
    ]
    return {
        "smallest": f"{a[0] - b[0]:+.3f} ({int(pair.index[0]):,})",
        "largest": f"{a[-1] - b[-1]:+.3f} ({int(pair.index[-1]):,})",
        "crossing": "; ".join(found) or "none",
    }

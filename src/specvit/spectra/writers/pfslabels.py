"""Predicted labels under the names, units and flags of the PFS galactic-archaeology pipeline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specvit.spectra.batch import Flag

__all__ = ["METHOD", "Measured", "bin_table", "measured"]

#: What the column ``method`` holds.
METHOD = "specvit"

#: Label of this package -> that pipeline's parameter and unit; it leaves log g without one.
_PARAMETERS = {
    "teff": ("T_eff", "K"),
    "logg": ("log_g", ""),
    "mh": ("M_H", "dex"),
    "alpham": ("a_M", "dex"),
    "cm": ("C", "dex"),
}


@dataclass
class Measured:
    """Labels of one star.

    Attributes
    ----------
    params, units : list of str
        Names and units, as that pipeline writes them.
    values, errors : numpy.ndarray of float64, shape (n,)
        Labels and their standard errors.
    flagged : bool
        True if there is no answer to be used.
    status : str
        Names of the flags, separated by spaces.
    """

    params: list[str]
    units: list[str]
    values: np.ndarray
    errors: np.ndarray
    flagged: bool
    status: str


def measured(row):
    """Labels of one row of ``predict_table``.

    Parameters
    ----------
    row : astropy.table.Row or mapping
        A row with ``logg``, ``logg_err`` and the like for any of the labels, and ``flags``.

    Returns
    -------
    Measured
        Flagged if unusable, or if a value or an error is not finite.

    Raises
    ------
    ValueError
        If it holds no label.
    """
    names = set(getattr(row, "colnames", None) or row)
    labels = [name for name in _PARAMETERS if {name, f"{name}_err"} <= names]
    if not labels:
        raise ValueError(f"row must hold a label and its error, as logg and logg_err, got {sorted(names)}")
    values, errors = (
        np.array([_number(row[f"{name}{ending}"]) for name in labels]) for ending in ("", "_err")
    )
    flags = int(row["flags"]) if "flags" in names else 0
    return Measured(
        params=[_PARAMETERS[name][0] for name in labels],
        units=[_PARAMETERS[name][1] for name in labels],
        values=values,
        errors=errors,
        flagged=bool(flags & Flag.UNUSABLE or not np.isfinite([values, errors]).all()),
        status=Flag.describe(flags).replace(",", ""),
    )


def bin_table(name, columns, version=2):
    """A table HDU with the version card of the data model.

    Parameters
    ----------
    name : str
        Name of the HDU.
    columns : sequence of (str, str, array-like)
        Name, FITS format ("A" for strings of any length) and values of each column.
    version : int
        Version of this table in the data model.

    Returns
    -------
    astropy.io.fits.BinTableHDU
    """
    from astropy.io import fits

    made = []
    for key, form, values in columns:
        if form == "A":
            form = f"{max([1, *map(len, values)])}A"
        made.append(fits.Column(key, form, array=np.asarray(values)))
    header = fits.Header({"DAMD_VER": version, "INHERIT": True})
    return fits.BinTableHDU.from_columns(made, name=name, header=header)


def _number(value):
    return float(getattr(value, "value", value))

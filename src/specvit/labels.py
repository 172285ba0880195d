"""What a label is: its name, its units, and how it is written, drawn and stored.

Every other module asks here instead of describing labels itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["LABELS", "Label", "columns_by_name", "label_called", "label_of", "label_rows", "label_tuple"]


@dataclass(frozen=True)
class Label:
    """A stellar label.

    Attributes
    ----------
    name : str
        Its name in every table, dict and argument of this package.
    plain, tex : str
        How it is written in plain text, and in TeX on the axes of figures.
    unit, error_unit : str
        Units of the label and of its error, as astropy writes them.
    decimals : int
        Digits after the point that are worth showing.
    column : str
        Its column in HDF5 data sets of the reference's layout.
    aliases : tuple of str
        What a user may write for it, beside `name`, `plain` and `column`; case and spaces do not matter.

    See Also
    --------
    label_of : The label of a name.
    label_tuple : Names as users may write them, brought to the names of this package.

    Examples
    --------
    >>> label = label_of("logg")
    >>> label.plain, label.unit, label.error_unit
    ('log g', 'dex(cm / s2)', 'dex')
    """

    name: str
    plain: str
    tex: str
    unit: str = ""
    error_unit: str = ""
    decimals: int = 3
    column: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def spellings(self):
        """All that a user may write for it, normalised."""
        return {_normal(text) for text in (self.name, self.plain, self.column, *self.aliases) if text}


_KNOWN = {
    label.name: label
    for label in (
        Label("teff", "Teff", r"$T_\mathrm{eff}$", "K", "K", 0, "T_eff", ("temperature",)),
        Label("logg", "log g", r"$\log\,g$", "dex(cm / s2)", "dex", 2, "log_g", ()),
        Label("mh", "[M/H]", "[M/H]", "dex", "dex", 2, "M_H", ("metallicity",)),
        Label("alpham", "[alpha/M]", r"[$\alpha$/M]", "dex", "dex", 2, "a_M", ("alpha_M", "[α/M]", "[a/M]")),
        Label("cm", "[C/M]", "[C/M]", "dex", "dex", 2, "C_M", ()),
    )
}

#: Names of the labels in the order of every labels array: Teff [K], log g [dex(cgs)]; [M/H], [alpha/M], [C/M]
#: [dex].
LABELS = tuple(_KNOWN)


def label_of(name):
    """The `Label` of a name.

    Parameters
    ----------
    name : str
        One of `LABELS`, or any other name.

    Returns
    -------
    Label
        For a name that this package does not know, a label without units that is written as its name.

    See Also
    --------
    label_tuple : For names as users may write them.

    Examples
    --------
    >>> label_of("teff").unit, label_of("age").plain
    ('K', 'age')
    """
    return _KNOWN.get(name) or Label(name, name, name)


def columns_by_name(table, what="labels"):
    """Columns of a table by their names, so that nobody takes them by their order.

    Parameters
    ----------
    table : object
        A data frame, an astropy Table, a structured array, a dict, or anything else.
    what : str
        Name of the argument, for messages.

    Returns
    -------
    dict of str to array-like, or None
        None for what has no named columns: arrays, and data frames whose columns are numbered 0, 1, 2 …

    Raises
    ------
    ValueError
        If two columns have one name.

    Examples
    --------
    >>> columns_by_name({"log g": [2.2], "Teff": [4700.0]})
    {'log g': [2.2], 'Teff': [4700.0]}
    >>> columns_by_name([[4700.0, 2.2]]) is None
    True
    """
    if isinstance(table, Mapping):
        return {str(name): column for name, column in table.items()}
    names = getattr(getattr(table, "dtype", None), "names", None) or getattr(table, "colnames", None)
    if names is None and hasattr(table, "columns"):
        names = list(table.columns)
        if names == list(range(len(names))):
            return None
        if len(set(names)) != len(names):
            raise ValueError(f"{what} must have columns of different names, got {names}")
    return None if names is None else {str(name): table[name] for name in names}


def label_rows(labels):
    """All five labels of stars as plain numbers, where units and masks would be lost.

    Parameters
    ----------
    labels : array-like, shape (5,) or (n, 5), or table
        In the order of `LABELS`, or the columns of a table that are called so; other columns do not matter.

    Returns
    -------
    ndarray of float64
        A copy, of the shape of `labels`; (n, 5) for a table.

    Raises
    ------
    ValueError
        If a table lacks a label, or there is a unit or something masked.

    Examples
    --------
    >>> label_rows({"log g": [2.2], "Teff": [4700], "[M/H]": [0], "[C/M]": [0.1], "[alpha/M]": [0.2]})
    array([[4.7e+03, 2.2e+00, 0.0e+00, 2.0e-01, 1.0e-01]])
    """
    table = columns_by_name(labels)
    if table is not None:
        spelled = {label_called(name): column for name, column in table.items()}
        lacking = [name for name in LABELS if name not in spelled]
        if lacking:
            raise ValueError(f"labels must have a column for each label, got none for {lacking}")
        return np.stack([_plain(spelled[name], name) for name in LABELS], -1)
    return _plain(labels, "labels")


def _plain(values, what):
    """Numbers as a float64 copy."""
    if getattr(values, "unit", None) is not None:
        raise ValueError(f"{what} must be plain numbers in the label's unit, got the unit {values.unit}")
    if np.ma.is_masked(values):
        raise ValueError(f"{what} must not be masked: leave out rows that nobody knows")
    return np.array(values, np.float64)


def label_called(name, among=LABELS):
    """The label that a user may spell in some way.

    Parameters
    ----------
    name : str
        As the user writes it.
    among : sequence of str
        The labels that can be meant.

    Returns
    -------
    str or None
        None if there is none.

    Examples
    --------
    >>> label_called("[M/H]"), label_called("age")
    ('mh', None)
    """
    try:
        return label_tuple((name,), among=among)[0]
    except ValueError:
        return None


def label_tuple(names, among=LABELS, what="labels"):
    """Names of labels, in the order given, as this package writes them.

    Parameters
    ----------
    names : str or sequence of str
        One or several different labels, as a user may write them: ``"logg"``, ``"log g"``, ``"[M/H]"``.
    among : sequence of str
        The labels that may be asked for.
    what : str
        Name of the argument, for messages.

    Returns
    -------
    tuple of str
        Names of `among`.

    Raises
    ------
    ValueError
        If there is no name, a name comes twice, or one is not `among` them; the nearest is suggested.

    Examples
    --------
    >>> label_tuple(["log g", "[M/H]"])
    ('logg', 'mh')
    """
    names, among = (names,) if isinstance(names, str) else tuple(names), tuple(among)
    known = {spelling: name for name in reversed(among) for spelling in label_of(name).spellings}
    found = []
    for name in names:
        if _normal(str(name)) not in known:
            near = difflib.get_close_matches(_normal(str(name)), known, n=1)
            hint = f"; did you mean {known[near[0]]!r}?" if near else ""
            raise ValueError(f"{what} must be among {among!r}, got {name!r}{hint}")
        found.append(known[_normal(str(name))])
    if not found or len(set(found)) != len(found):
        raise ValueError(f"{what} must be one or more different names among {among!r}, got {names!r}")
    return tuple(found)


def _normal(text):
    return text.lower().replace(" ", "")

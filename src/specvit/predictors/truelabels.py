"""`TrueLabels`: labels that a caller gives for spectra, by their names and in their units.

One rule for ``fit``, ``score`` and predictors of other libraries: columns that have names are taken by their
names, units are converted to those of the labels, and what is masked, or has a unit that does not convert,
is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specvit.labels import LABELS, columns_by_name, label_called, label_of, label_tuple
from specvit.spectra.given import numbers_given

__all__ = ["TrueLabels", "check_possible", "in_label_unit", "label_numbers"]


@dataclass(frozen=True)
class TrueLabels:
    """Labels of spectra.

    Attributes
    ----------
    names : tuple of str
        Labels, one for each column.
    values : ndarray of float64, shape (n, len(names))
        Their values in the units of `specvit.labels`, NaN where unknown.
    axis : bool
        Whether they came with an axis of labels: as a table or a two-dimensional array.

    See Also
    --------
    TrueLabels.read : Makes one of what a caller gives.
    """

    names: tuple[str, ...]
    values: np.ndarray
    axis: bool

    @classmethod
    def read(cls, y, labels=None, known=None):
        """Read what a caller gives as `y`.

        Parameters
        ----------
        y : array-like or Quantity, shape (n,) or (n, n_labels); or a table of columns
            Plain numbers are in the labels' units. Quantities and columns with a unit are converted: log g
            from a ``dex`` of any acceleration or from the acceleration itself (a plain ``dex`` is taken for
            that of cm/s²), Teff from any unit of temperature. A table is a data frame, an astropy Table, a
            structured array or a dict; a data frame whose columns are numbered is an array.
        labels : str, sequence of str or None
            Names of the labels, in any spelling of `specvit.labels`. They choose and order the columns of a
            table; of an array they are the columns, in order. None: all columns of a table, the name of a
            column or series that is called as a label, else ``("logg",)`` for one column, `known` for as many
            as these, and `~specvit.labels.LABELS` for five; else columns are numbered.
        known : tuple of str, optional
            Labels that can be meant, of a network; by default any.

        Returns
        -------
        TrueLabels

        Raises
        ------
        ValueError
            If names and columns do not match, a name is unknown, a unit does not convert, or a value is
            masked.
        TypeError
            If `y` does not hold real numbers.
        """
        labels = (labels,) if isinstance(labels, str) else None if labels is None else tuple(labels)
        table = columns_by_name(y, "y")
        if table is not None:
            names, columns = _chosen(table, labels, known)
            given = [_unmasked(column) for column in columns]
            if any(column.values.ndim != 1 for column in given):
                raise ValueError("y must have one-dimensional columns, of different names")
            axis = True
        else:
            whole = _unmasked(y)
            if whole.values.ndim not in (1, 2):
                raise ValueError(f"y must have shape (n,) or (n, n_labels), got {whole.values.shape}")
            axis = whole.values.ndim == 2
            n = whole.values.shape[1] if axis else 1
            names = _named(n, labels, known, None if axis else _own_name(y))
            columns = whole.values.T if axis else whole.values[None]
            given = [type(whole)(column, whole.unit) for column in columns]
        values = [in_label_unit(one.values, one.unit, name) for name, one in zip(names, given, strict=True)]
        return cls(names, np.stack(values, 1), axis)  # a copy

    def __len__(self):
        return len(self.values)

    @property
    def array(self):
        """The values in the shape that they came in, (n,) or (n, n_labels)."""
        return self.values if self.axis else self.values[:, 0]

    def replaced(self, array):
        """The same labels with the values of `array`, of the shape of `array`."""
        return TrueLabels(self.names, np.asarray(array).reshape(len(array), -1), self.axis)

    def possible(self):
        """Itself, if all values are NaN or a star's; else ValueError is raised."""
        for name, column in zip(self.names, self.values.T, strict=True):
            check_possible(column, name)
        return self

    def check(self, every=False):
        """Itself, if each label has a finite value, and with `every` all are; else ValueError is raised."""
        finite = np.isfinite(self.values)
        if every and not finite.all():
            raise ValueError(f"y must be finite, got {int((~finite).sum())} values that are not")
        if not finite.any(0).all():
            raise ValueError("y must hold a finite value for every label, got a column without any")
        return self


def check_possible(values, name, what="y"):
    """Raise ValueError if a value of a label, NaN apart, is no star's: a fill value, or another unit.

    Parameters
    ----------
    values : ndarray
        Values in the unit of the label.
    name : str
        The label.
    what : str
        Name of the argument, for messages.

    Examples
    --------
    >>> check_possible(np.array([2.5, np.nan]), "logg")
    >>> try:
    ...     check_possible(np.array([-9999.0]), "logg")
    ... except ValueError as error:
    ...     print(str(error)[:36])
    y: log g must lie between -90 and 90
    """
    label = label_of(name)
    low, high = label.possible
    with np.errstate(invalid="ignore"):
        wrong = (values < low) | (values > high)
    if wrong.any():
        limits = f"{low:g} and {high:g} {label.unit}".rstrip()
        raise ValueError(
            f"{what}: {label.plain} must lie between {limits}, or be NaN where it is unknown, got "
            f"{values[wrong].flat[0]:g} ({int(wrong.sum())} such values)"
        )


def in_label_unit(values, unit, name, what="y", *, err=False):
    """Values of a label, or of its error, in the unit that this package has for it.

    Parameters
    ----------
    values : ndarray of float64
        The numbers.
    unit : astropy.units.UnitBase, FunctionUnitBase or None
        Their unit; None, or dimensionless, for plain numbers.
    name : str
        The label.
    what : str
        Name of the argument, for messages.
    err : bool
        Whether they are standard errors of the label.

    Returns
    -------
    ndarray of float64

    Raises
    ------
    ValueError
        If the unit does not convert, or the logarithm of an acceleration that is not positive is asked for.
    """
    if unit is None or str(unit) == "":
        return values
    from astropy import units as u

    label = label_of(name)
    target = u.Unit(label.error_unit if err else label.unit)
    if unit == u.dex and label.error_unit == "dex":
        return values
    try:
        if unit in (u.mag, u.dB) or not label.unit:
            raise u.UnitConversionError
        quantity = values * u.Unit(unit)
        if target == u.K:
            quantity = getattr(quantity, "physical", quantity)
        with np.errstate(all="ignore"):
            found = quantity.to_value(target, [] if err else u.temperature())
    except u.UnitsError:
        wanted = f"plain numbers or {target}" if label.unit else "plain numbers"
        raise ValueError(
            f"{what}: {label.plain} must be in {wanted}, or in a unit that converts, got {str(unit)!r}"
        ) from None
    lost = np.isfinite(values) & ~np.isfinite(found)
    if lost.any():
        raise ValueError(
            f"{what}: {label.plain} has no value for {values[lost].flat[0]:g} {unit}, which must be positive"
        )
    return found


def label_numbers(values, what, *, err=False):
    """Numbers of a label that is not named, NaN where masked, in the unit that this package has for it.

    Parameters
    ----------
    values : array-like or Quantity
        Plain numbers, or a temperature, an acceleration, its logarithm, or dex.
    what, err
        As for `in_label_unit`.

    Returns
    -------
    ndarray of float64

    Raises
    ------
    ValueError
        If they are no real numbers, or have another unit.
    """
    given = numbers_given(values, what, ValueError)
    for name in ("teff", "logg", "mh"):
        try:
            return in_label_unit(given.visible, given.unit, name, what, err=err)
        except ValueError:
            continue
    raise ValueError(f"{what} must be plain numbers or in the unit of a label, got {str(given.unit)!r}")


def _unmasked(y):
    given = numbers_given(y, "y")
    if given.n_masked:
        raise ValueError(
            f"y must not be masked, got {given.n_masked} masked of {given.values.size} values: leave out "
            "spectra whose labels nobody knows"
        )
    return given


# -- names of columns ----------------------------------------------------------------------------------


def _chosen(table, labels, known):
    """Names of the labels, and their columns, of a table."""
    if labels is None:
        names = label_tuple(table, among=LABELS if known is None else known, what="columns of y")
        return names, list(table.values())
    among = (*LABELS, *labels) if known is None else known
    names, spelled = label_tuple(labels, among=among), {}
    for column in table:
        label = label_called(column, among)
        if label in spelled and label in names:
            raise ValueError(f"y must have one column for {label}, got {spelled[label]!r} and {column!r}")
        spelled[label] = column
    missing = [name for name in names if name not in spelled]
    if missing:
        raise ValueError(f"y must have columns for the labels {missing}, got the columns {list(table)}")
    return names, [table[spelled[name]] for name in names]


def _named(n, labels, known, own):
    """Names of the `n` columns of an array, which is itself called `own`, or by no name of a label."""
    if labels is None:
        defaults = {len(LABELS): LABELS} | ({len(known): known} if known else {}) | {1: (own or "logg",)}
        labels = defaults.get(n, tuple(f"y{k}" for k in range(n)))
    names = label_tuple(labels, among=(*LABELS, *labels) if known is None else known)
    if len(names) != n:
        raise ValueError(f"labels must name the {n} columns of y, got {labels!r}")
    if own is not None and names != (own,):
        raise ValueError(f"y is the column of {own}, labels ask for {names[0]}")
    return names


def _own_name(y):
    """The label that a column or a series is called by, or None."""
    own = getattr(y, "name", None) or getattr(getattr(y, "info", None), "name", None)
    return label_called(own, LABELS) if isinstance(own, str) else None

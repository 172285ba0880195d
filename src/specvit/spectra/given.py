"""What a caller gives as numbers: values, unit and mask told apart, by one rule for every argument.

A unit or a mask that nobody looks at is a wrong number later. `numbers_given` hands both on to those who
convert; `real_array` refuses both where they have no meaning; `bad_pixels` reads masks. Astropy is not
imported: whoever holds a quantity has done so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Given", "bad_pixels", "hidden_in", "numbers_given", "real_array", "unmasked", "with_hidden"]

#: How text tables and databases write that a pixel is bad, and that it is not.
_BAD, _GOOD = {"true", "t", "yes", "y", "1"}, {"false", "f", "no", "n", "0"}


@dataclass(frozen=True)
class Given:
    """Numbers that a caller gave.

    Attributes
    ----------
    values : numpy.ndarray of float64
        The numbers, whatever is masked among them.
    unit : astropy.units.UnitBase, FunctionUnitBase or None
        Their unit; None for plain numbers.
    masked : numpy.ndarray of bool, shape of `values`, or None
        True where masked; None if they came without a mask.

    See Also
    --------
    numbers_given : Makes one.
    """

    values: np.ndarray
    unit: Any = None
    masked: np.ndarray | None = None

    @property
    def visible(self):
        """The numbers, with NaN where they are masked."""
        return self.values if self.masked is None else np.where(self.masked, np.nan, self.values)

    @property
    def n_masked(self):
        """How many are masked."""
        return 0 if self.masked is None else int(self.masked.sum())


def numbers_given(values, name, error=TypeError):
    """Real numbers in any form, with their unit and mask.

    Parameters
    ----------
    values : array-like
        Numbers of any size and byte order: lists, NumPy's and astropy's masked arrays, quantities and columns
        of tables, series and frames of pandas (whose missing values become NaN), tensors of torch. Quantities
        in a list must have units that convert into each other; the first one's is taken.
    name : str
        Name of the argument, for messages.
    error : type
        Exception to raise.

    Returns
    -------
    Given

    Raises
    ------
    error
        If they are not real numbers in one array, or some of a list have a unit and others none.
    """
    if hasattr(values, "uncertainty_type"):
        raise error(f"{name} must be an array of real numbers, got {type(values).__name__}: give its array")
    if isinstance(values, list | tuple) and any(_carries(one) for one in values):
        return _together([numbers_given(one, name, error) for one in values], name, error)
    unit = masked = None
    if isinstance(values, np.ndarray | np.generic):  # a frame of pandas has a method called mask
        unit, masked = getattr(values, "unit", None), hidden_in(values)
    values = unmasked(values)
    values = _floats(getattr(values, "value", values) if unit is not None else values, name, error)
    if masked is not None:
        masked = np.broadcast_to(np.asarray(masked, bool), values.shape)
    return Given(values, unit, masked)


def real_array(values, name, error=TypeError):
    """`values` as a float64 array, refusing what is not plain real numbers. A copy unless already float64.

    Parameters
    ----------
    values : array-like
        As for `numbers_given`; without a unit, or dimensionless, and with nothing masked.
    name : str
        Name of the values, for messages.
    error : type
        Exception to raise.

    Returns
    -------
    numpy.ndarray of float64

    Raises
    ------
    error
        If they are no real numbers, have a unit, or some are masked.
    """
    given = numbers_given(values, name, error)
    if given.n_masked:
        raise error(f"{name} must not be masked, got {given.n_masked} masked of {given.values.size} values")
    if given.unit is None or str(given.unit) == "":
        return given.values
    raise error(f"{name} must be plain numbers, got the unit {str(given.unit)!r}")


def bad_pixels(mask, name="mask", error=ValueError):
    """A mask as booleans, True for a bad pixel.

    Parameters
    ----------
    mask : array-like
        Booleans; numbers, bad where they are not 0; or words, as text tables hold them: true, t, yes, y, 1
        and false, f, no, n, 0, in any case. What is itself masked is bad.
    name : str
        Name of the argument, for messages.
    error : type
        Exception to raise.

    Returns
    -------
    numpy.ndarray of bool

    Raises
    ------
    error
        If it holds anything else.
    """
    mask = mask.detach().cpu() if hasattr(mask, "detach") else mask
    hidden = hidden_in(mask) if isinstance(mask, np.ndarray) else None
    values = np.asarray(unmasked(mask))
    if values.dtype.kind in "biuf":
        bad = values.astype(bool)
    else:
        hidden = np.zeros(values.shape, bool) if hidden is None else hidden
        bad = np.reshape(
            [
                gone or _is_bad(value, name, error)
                for value, gone in zip(values.flat, np.ravel(hidden), strict=True)
            ],
            values.shape,
        ).astype(bool)
    return bad if hidden is None else bad | hidden


def unmasked(values):
    """The numbers of an array of NumPy or astropy, whatever is masked among them; others as they are."""
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.getdata(values)
    return getattr(values, "unmasked", values)


def hidden_in(array):
    """The mask of an array, bool of its shape, or None.

    Astropy's uncertainties and quantities keep the numbers of a masked array alone, as a view. NumPy knows
    what it is a view of, until it is cut or copied.
    """
    whole = array
    while isinstance(whole, np.ndarray | np.generic) and whole.shape == array.shape:
        mask = getattr(whole, "mask", None)
        if mask is not None and mask is not np.ma.nomask:
            return mask
        whole = whole.base
    return None


def with_hidden(array, hidden):
    """An array whose values are masked where `hidden` is True, with its unit."""
    from astropy.utils.masked import Masked

    return array if hidden_in(array) is not None else Masked(array, mask=hidden)


def _is_bad(value, name, error):
    """What one element of a mask says that is no number in an array of its own kind."""
    if isinstance(value, bool | np.bool_ | int | float | np.number):
        return bool(value)
    word = (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip().lower()
    if word in _BAD or word in _GOOD:
        return word in _BAD
    raise error(f"{name} must hold booleans, numbers or the words true and false, got {value!r}")


def _carries(one):
    """Whether an element of a list has a unit or a mask, which an array of all would lose."""
    if isinstance(one, list | tuple):
        # Plain numbers begin with a plain number: long lists of them are not gone through.
        return len(one) > 0 and not isinstance(one[0], float | int) and any(_carries(x) for x in one)
    if not isinstance(one, np.ndarray | np.generic):
        return False
    return getattr(one, "unit", None) is not None or hidden_in(one) is not None


def _floats(values, name, error):
    try:
        values = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    except Exception as reason:  # ragged lists, foreign array types
        raise error(f"{name} must be an array of real numbers: {reason}") from None
    if values.dtype.kind not in "fiu":
        what = "complex" if values.dtype.kind == "c" else f"dtype {values.dtype}"
        raise error(f"{name} must be an array of real numbers, got {what}")
    return values.astype(np.float64, copy=False)


def _together(parts, name, error):
    """One `Given` of those of the elements of a list."""
    unit = parts[0].unit
    if any((part.unit is None) != (unit is None) for part in parts):
        raise error(f"{name} must all have a unit or none, got some with and some without")
    try:
        values = np.stack([p.values if p.unit == unit else p.unit.to(unit, p.values) for p in parts])
    except ValueError as reason:  # of NumPy for shapes, of astropy for units
        raise error(f"{name} must be alike to be one array: {reason}") from None
    masked = None
    if any(part.masked is not None for part in parts):
        masked = np.stack([np.zeros(p.values.shape, bool) if p.masked is None else p.masked for p in parts])
    return Given(values, unit, masked)

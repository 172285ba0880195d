"""Checks shared by the configurations: each error names the argument, the rule and the value."""

from __future__ import annotations

import difflib
from dataclasses import fields
from numbers import Integral, Real

__all__ = ["check_choice", "check_integer", "check_number", "from_known_fields", "in_unit"]


def check_integer(name, value, minimum):
    """Raise unless a value is an integer (not a bool) of at least some minimum.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
        What the user gave for it.
    minimum : int
        Smallest value that is allowed.

    Raises
    ------
    ValueError
        If the rule is broken; the message holds the name, the rule and the value.

    Examples
    --------
    >>> check_integer("epochs", 3, 1)
    >>> check_integer("epochs", 0, 1)
    Traceback (most recent call last):
    ValueError: epochs must be an integer >= 1, got 0
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")


def check_number(name, value, minimum, maximum=float("inf"), *, open_minimum=False, open_maximum=False):
    """Raise unless a value is a real number (not a bool) between two limits.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
        What the user gave for it.
    minimum, maximum : float
        Limits, both of which are allowed themselves unless the next two parameters say otherwise.
    open_minimum, open_maximum : bool
        Whether the limit itself is forbidden.

    Raises
    ------
    ValueError
        If the rule is broken; the message holds the name, the rule and the value.

    Examples
    --------
    >>> check_number("snr", 50, 0, open_minimum=True)
    >>> check_number("snr", 0, 0, open_minimum=True)
    Traceback (most recent call last):
    ValueError: snr must be a number in (0, inf], got 0
    """
    lower, upper = ("(" if open_minimum else "["), (")" if open_maximum else "]")
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} must be a number in {lower}{minimum}, {maximum}{upper}, got {value!r}")
    above = value > minimum if open_minimum else value >= minimum
    below = value < maximum if open_maximum else value <= maximum
    if not (above and below):
        raise ValueError(f"{name} must be a number in {lower}{minimum}, {maximum}{upper}, got {value!r}")


def check_choice(name, value, choices):
    """Raise unless a value is one of several, and suggest the one of the nearest spelling.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
        What the user gave for it.
    choices : collection of str
        Values that are allowed.

    Raises
    ------
    ValueError
        If the rule is broken; the message holds the name, the rule and the value.

    Examples
    --------
    >>> check_choice("medium", "vac", ("air", "vacuum"))
    Traceback (most recent call last):
    ValueError: medium must be one of ['air', 'vacuum'], got 'vac' (did you mean 'vacuum'?)
    """
    if value not in choices:
        near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"{name} must be one of {sorted(choices)}, got {value!r}{hint}")


def from_known_fields(cls, description):
    """Build a dataclass from a dict, answering unknown keys with the nearest known one.

    Parameters
    ----------
    cls : type
        The dataclass.
    description : dict
        Values of its fields by name; fields that are not there take their defaults.

    Returns
    -------
    object
        One of the class.

    Raises
    ------
    ValueError
        If a key is not the name of a field.

    Examples
    --------
    >>> from specvit.labels import Label
    >>> from_known_fields(Label, {"name": "rv", "plain": "RV", "tex": "RV", "unit": "km / s"}).unit
    'km / s'
    """
    known = [field.name for field in fields(cls)]
    for key in description:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{cls.__name__} has no field {key!r}{hint} (known: {', '.join(known)})")
    return cls(**description)


def in_unit(name, value, unit):
    """A value as plain numbers of a unit: a quantity is converted, anything else is taken to be in the unit.

    Astropy is not needed: whoever holds a quantity has it.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
        What the user gave for it.
    unit : str
        The unit, as astropy writes it.

    Returns
    -------
    object
        The numbers, or `value` itself if it has no unit.

    Raises
    ------
    ValueError
        If the unit of the value does not convert.

    Examples
    --------
    >>> import astropy.units as u
    >>> float(in_unit("wave", 850 * u.nm, "Angstrom")), in_unit("wave", 8500.0, "Angstrom")
    (8500.0, 8500.0)
    """
    if getattr(value, "unit", None) is None:
        return value
    try:
        return getattr(value, "quantity", value).to_value(unit)  # of a column of a table the quantity
    except Exception as reason:  # astropy's, which is not imported here
        raise ValueError(f"{name} must be in {unit} or a unit that converts, got {value.unit}") from reason

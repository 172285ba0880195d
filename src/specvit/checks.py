"""Checks shared by the configurations: each error names the argument, the rule and the value."""

from __future__ import annotations

import difflib
from dataclasses import fields
from numbers import Integral, Real

__all__ = ["check_choice", "check_integer", "check_number", "from_known_fields"]


def check_integer(name, value, minimum):
    """Raise unless `value` is an integer (not a bool) of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")


def check_number(name, value, minimum, maximum=float("inf"), *, open_minimum=False, open_maximum=False):
    """Raise unless `value` is a real number between the limits (open where said)."""
    lower, upper = ("(" if open_minimum else "["), (")" if open_maximum else "]")
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} must be a number in {lower}{minimum}, {maximum}{upper}, got {value!r}")
    above = value > minimum if open_minimum else value >= minimum
    below = value < maximum if open_maximum else value <= maximum
    if not (above and below):
        raise ValueError(f"{name} must be a number in {lower}{minimum}, {maximum}{upper}, got {value!r}")


def check_choice(name, value, choices):
    """Raise unless `value` is one of `choices`, suggesting the nearest."""
    if value not in choices:
        near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"{name} must be one of {sorted(choices)}, got {value!r}{hint}")


def from_known_fields(cls, description):
    """Build the dataclass `cls` from a dict, answering unknown keys with the nearest known one."""
    known = [field.name for field in fields(cls)]
    for key in description:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{cls.__name__} has no field {key!r}{hint} (known: {', '.join(known)})")
    return cls(**description)

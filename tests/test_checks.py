"""Checks of arguments: what passes, and that each refusal names argument, rule and value."""

from dataclasses import dataclass

import numpy as np
import pytest

from specvit.checks import check_choice, check_integer, check_number, from_known_fields


@dataclass
class Shape:
    width: int = 1
    depth: int = 2


@pytest.mark.parametrize("value", [2, 3, np.int64(2)])
def test_integers(value):
    check_integer("depth", value, 2)


@pytest.mark.parametrize("value", [1, -2, 2.0, True, "2", None, np.float64(2)])
def test_what_is_no_such_integer(value):
    with pytest.raises(ValueError, match="depth must be an integer >= 2, got ") as raised:
        check_integer("depth", value, 2)
    assert str(raised.value).endswith(repr(value))


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.int64(1)])
def test_numbers(value):
    check_number("beta", value, 0, 1)


@pytest.mark.parametrize("value", [-1e-12, 1.01, np.nan, np.inf, "0.5", None, True, 1j])
def test_what_is_no_such_number(value):
    with pytest.raises(ValueError, match=r"beta must be a number in \[0, 1\], got ") as raised:
        check_number("beta", value, 0, 1)
    assert str(raised.value).endswith(repr(value))


def test_open_ends():
    check_number("rate", 1e-300, 0, 1, open_minimum=True, open_maximum=True)
    with pytest.raises(ValueError, match=r"rate must be a number in \(0, inf\], got 0"):
        check_number("rate", 0, 0, open_minimum=True)
    with pytest.raises(ValueError, match=r"rate must be a number in \[0, 1\), got 1"):
        check_number("rate", 1, 0, 1, open_maximum=True)


def test_choices():
    check_choice("loss", "mse", {"mse", "mae"})
    with pytest.raises(ValueError, match=r"loss must be one of \['mae', 'mse'\], got 'mze' \(did you mean"):
        check_choice("loss", "mze", {"mse", "mae"})
    with pytest.raises(ValueError, match=r"loss must be one of \['mae', 'mse'\], got 7$"):
        check_choice("loss", 7, {"mse", "mae"})


def test_fields_of_a_description():
    assert from_known_fields(Shape, {"depth": 5}) == Shape(1, 5)
    message = r"Shape has no field 'dpeth'; did you mean 'depth'\? \(known: width, depth\)"
    with pytest.raises(ValueError, match=message):
        from_known_fields(Shape, {"dpeth": 5})

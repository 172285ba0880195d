"""Checks of arguments: what passes, and that each refusal names argument, rule and value."""

from dataclasses import dataclass

import numpy as np
import pytest

from specvit.checks import check_choice, check_integer, check_number, from_known_fields, in_unit


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


class TestUnits:
    """Quantities are converted wherever a number has a unit, also where astropy is not needed."""

    def test_wavelengths(self):
        import astropy.units as u

        from specvit.grid import PixelGrid, air_to_vacuum, edges_from_centres, find_windows, vacuum_to_air

        wave = np.linspace(5000, 5100, 11)
        for function in (air_to_vacuum, vacuum_to_air, edges_from_centres):
            np.testing.assert_allclose(function(wave / 10 * u.nm), function(wave), rtol=1e-12)
        plain = PixelGrid(wave, 0.7)
        other = PixelGrid(wave / 10 * u.nm, 0.07 * u.nm)
        np.testing.assert_allclose(other.edges, plain.edges, rtol=1e-12)
        np.testing.assert_allclose(other.lsf_sigma, plain.lsf_sigma, rtol=1e-12)
        for windows in ((759, 770) * u.nm, [(759, 770) * u.nm], (759 * u.nm, 7700 * u.AA)):
            np.testing.assert_allclose(find_windows(windows), [[7590, 7700]])
        with pytest.raises(ValueError, match="edges must be in Angstrom or a unit that converts, got km / s"):
            PixelGrid(wave * u.km / u.s, 0.7)

    def test_velocities_and_windows_of_surveys(self):
        import astropy.units as u

        from specvit import Survey

        survey = Survey("pfs-mr", seed=1, velocity=10_000 * u.m / u.s, masked=[(759, 770) * u.nm])
        np.testing.assert_allclose(survey.masked, [(7590, 7700)])
        star = [[4800, 2.5, -0.5, 0.1, 0.0]]
        assert (survey.velocity.low, survey.velocity.high) == pytest.approx((-10, 10))
        plain = survey.observe(star, 20.0, velocity=5.0)
        other = survey.observe(star, 20.0, velocity=5_000 * u.m / u.s)
        assert (plain.flux == other.flux).all()
        with pytest.raises(ValueError, match="velocity must be in km / s"):
            survey.observe(star, 20.0, velocity=5.0 * u.AA)

    def test_columns_of_tables(self):
        import astropy.units as u
        from astropy.table import Column

        np.testing.assert_allclose(in_unit("x", Column([1.0, 2.0], unit="nm"), "Angstrom"), [10, 20])
        assert in_unit("x", [1, 2], "Angstrom") == [1, 2]
        assert in_unit("x", Column([1.0]), "Angstrom")[0] == 1
        assert in_unit("x", 1 * u.um, "Angstrom") == pytest.approx(1e4)

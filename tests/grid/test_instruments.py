"""Instruments by name: their numbers against the literature's, and what is refused."""

import numpy as np
import pytest

from specvit.grid import (
    INSTRUMENTS,
    PFS_MR,
    TELLURIC,
    Instrument,
    air_to_vacuum,
    find_instrument,
    find_windows,
)

C = 299_792.458


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_preset_is_sampled_as_spectrographs_are(name):
    """Between 1 and 8 pixels per FWHM, within the range of the grid, with a source."""
    one = INSTRUMENTS[name]
    wave = PFS_MR.wave[one.sees(PFS_MR.wave)]
    assert 0.1 < one.coverage(PFS_MR) <= 1
    per_fwhm = one.fwhm_at(wave) / one.pixel_width(wave)
    assert (per_fwhm > 1).all() and (per_fwhm < 8).all()
    assert any(year in one.source for year in map(str, range(2000, 2026)))


@pytest.mark.parametrize(
    ("name", "wave", "power", "tolerance"),
    [
        ("SDSS/BOSS", 8500, 2500, 0.05),  # Smee et al. 2013, fig. 33: 2500 at 8500 Å
        ("LAMOST LRS", 8000, 1800, 0.01),
        ("MUSE", 9300, 3590, 0.05),  # MUSE user manual: 3590 at 9300 Å
        ("DEIMOS 1200G", 8500, 6500, 0.05),  # Kirby et al. 2008
        ("Gaia RVS", 8600, 11500, 0.01),
        ("GALAH IR", 7700, 28000, 0.01),
        ("PFS MR", 7975, 6000, 0.02),
    ],
)
def test_resolving_powers_are_the_published_ones(name, wave, power, tolerance):
    one = find_instrument(name)
    assert wave / one.fwhm_at(wave) == pytest.approx(power, rel=tolerance)


def test_pixels_in_velocity_are_equal_in_ln_wavelength():
    """SDSS files: log10 λ in steps of 1e-4."""
    wave = np.array([4000.0, 8000.0])
    np.testing.assert_allclose(find_instrument("SDSS").pixel_width(wave), wave * np.log(10) * 1e-4)


def test_pixels_in_fwhm_follow_the_resolution():
    one = Instrument("x", ((7000.0, 9000.0),), 0.25, "fwhm", resolving_power=4000.0)
    assert one.pixel_width(8000.0) == pytest.approx(0.25 * 8000 / 4000)


def test_a_curve_is_linear_between_and_constant_beyond():
    one = Instrument("x", ((7000.0, 9000.0),), 0.5, fwhm=((7500.0, 2.0), (8500.0, 3.0)))
    np.testing.assert_allclose(one.fwhm_at([7000, 7500, 8000, 8500, 9000]), [2, 2, 2.5, 3, 3])
    np.testing.assert_allclose(one.lsf_sigma(8000.0), 2.5 / np.sqrt(8 * np.log(2)))


def test_windows_leave_gaps():
    one = Instrument("x", ((7000.0, 7500.0), (8000.0, 8500.0)), 0.5, fwhm=2.0)
    np.testing.assert_array_equal(one.sees([6999, 7200, 7700, 8200, 8600]), [False, True, False, True, False])


@pytest.mark.parametrize("spelling", ["Gaia RVS", "gaia rvs", "gaiarvs", "gaia", "GAIA-RVS"])
def test_names_are_found_as_people_write_them(spelling):
    assert find_instrument(spelling) is INSTRUMENTS["Gaia RVS"]


def test_an_instrument_is_its_own_name():
    mine = Instrument("mine", ((7000.0, 9000.0),), 1.0, fwhm=2.5)
    assert find_instrument(mine) is mine


@pytest.mark.parametrize(("wrong", "right"), [("DESY", "DESI"), ("lamost lsr", "LAMOST LRS")])
def test_a_wrong_name_is_answered_with_the_nearest(wrong, right):
    with pytest.raises(ValueError, match=f"did you mean '{right}'"):
        find_instrument(wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fwhm": None}, "resolving_power or fwhm"),
        ({"resolving_power": 3000.0}, "resolving_power or fwhm"),
        ({"fwhm": -1.0}, "positive"),
        ({"fwhm": ((8000.0, 2.0), (7000.0, 2.0))}, "rising"),
        ({"pixel": 0.0}, "pixel must be positive"),
        ({"pixel_unit": "nm"}, "pixel_unit"),
        ({"medium": "water"}, "medium"),
        ({"windows": ()}, "windows"),
        ({"windows": ((8000.0, 7000.0),)}, "windows"),
        ({"windows": ((7000.0, 8000.0), (7900.0, 8500.0))}, "windows"),
        ({"windows": ((700.0, 900.0),)}, "windows must be in Å, got .*, where no spectrograph sees"),
    ],
)
def test_what_makes_no_instrument_is_refused(change, message):
    arguments = {"name": "x", "windows": ((7000.0, 9000.0),), "pixel": 1.0, "fwhm": 2.5} | change
    with pytest.raises(ValueError, match=message):
        Instrument(**arguments)


def test_telluric_windows_hold_the_bands():
    """Oxygen's A band from its head at 7593.7 Å (air) on; water lines of 7186.5, 8227.0, 8289.3 Å (air)."""
    windows = list(TELLURIC.values())
    for line in (7593.7, 7621.0, 7186.5, 7304.2, 8227.0, 8289.3):
        line = float(air_to_vacuum(line))
        assert any(low < line < high for low, high in windows)
    for line in (8498.02, 8542.09, 8662.14, 7511.02, 7780.6):  # of stars: Ca II and Fe I
        line = float(air_to_vacuum(line))
        assert not any(low < line < high for low, high in windows)


@pytest.mark.parametrize(
    ("mask", "windows"),
    [
        (None, []),
        ("none", []),
        ([], []),
        ("telluric", list(TELLURIC.values())),
        ("Telluric", list(TELLURIC.values())),
        ("O2 A", [TELLURIC["O2 A"]]),
        ("h2o 8230", [TELLURIC["H2O 8230"]]),
        ((8100, 8200), [(8100, 8200)]),
        ([8100.0, 8200.0], [(8100, 8200)]),
        (np.array([[8100, 8200], [8300, 8310]]), [(8100, 8200), (8300, 8310)]),
        (["O2 A", (8100, 8200)], [TELLURIC["O2 A"], (8100, 8200)]),
        (["telluric", "none"], list(TELLURIC.values())),
    ],
)
def test_windows_by_name_and_by_their_ends(mask, windows):
    found = find_windows(mask)
    np.testing.assert_array_equal(found, np.reshape(windows, (-1, 2)))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ("sky", "mask must be one of .*'telluric', 'none', 'H2O 7250'.* got 'sky'"),
        ((8200, 8100), "0 < low < high, got \\(8200.0, 8100.0\\)"),
        ((8100, np.inf), "0 < low < high"),
        ((8100, np.nan), "0 < low < high"),
        ((759, 770), "in Å, got \\(759.0, 770.0\\), where no spectrograph sees: nanometres"),
        ((8100, 8200, 8300), "windows \\(low, high\\) of two wavelengths in Å"),
        (5, "mask must be a name, or windows \\(low, high\\) in Å, got 5"),
        (["telluric", 8100], "windows \\(low, high\\) of two wavelengths in Å"),
    ],
)
def test_what_is_no_window(mask, words):
    with pytest.raises(ValueError, match=words):
        find_windows(mask)

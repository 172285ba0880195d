"""What makes a spectrum of arrays: presets by header, masks of SDSS, what is refused."""

import numpy as np
import pytest

from specvit.grid import find_instrument
from specvit.spectra.readers.assembling import bad_bits, instrument_named, make_spectrum

WAVE = np.arange(7000.0, 9000.0)


@pytest.mark.parametrize(
    ("cards", "preset"),
    [
        ({"INSTRUME": "MUSE"}, "MUSE"),
        ({"INSTRUME": "DEIMOS: Keck-II 10m", "GRATENAM": "1200G"}, "DEIMOS 1200G"),
        ({"INSTRUME": "DEIMOS", "GRATENAM": "1200G"}, "DEIMOS 1200G"),
        ({"INSTRUME": "DEIMOS", "GRATENAM": "600ZD"}, None),
        ({"INSTRUME": "GIRAFFE", "ESO INS EXP MODE": "L881.7"}, "GIRAFFE LR8"),
        ({"INSTRUME": "GIRAFFE", "ESO INS EXP MODE": "H875.7"}, None),
        ({"INSTRUME": "XSHOOTER", "ESO SEQ ARM": "VIS"}, "X-shooter VIS"),
        ({"INSTRUME": "Gaia RVS"}, "Gaia RVS"),
        ({"SURVEY": "RAVE"}, "RAVE"),
        ({"INSTRUME": "unknown"}, None),
        ({}, None),
    ],
)
def test_presets_by_header(cards, preset):
    assert instrument_named(cards) == preset


def test_a_preset_tells_resolution_and_medium_unless_the_header_does():
    one = make_spectrum(WAVE, WAVE, instrument="MUSE")
    assert one.meta["medium"] == "air"
    two = make_spectrum(WAVE, WAVE, instrument="MUSE", header={"AIRORVAC": "vac"})
    assert "medium" not in two.meta  # the header, which is kept, says it
    three = make_spectrum(WAVE, WAVE, instrument="MUSE", medium="vacuum", resolution=3000)
    assert (three.meta["medium"], three.meta["resolution"]) == ("vacuum", 3000)
    np.testing.assert_allclose(
        make_spectrum(WAVE, WAVE, instrument="MUSE", medium="vacuum").meta["resolution"],
        WAVE / find_instrument("MUSE").fwhm_at(WAVE),
    )


def test_pixels_without_wavelength_are_dropped_from_everything():
    wave = np.concatenate([[0.0, np.nan], WAVE])
    values = np.arange(wave.size, dtype=float)
    one = make_spectrum(wave, values, ivar=values, mask=values == 5, resolution=values + 1, medium="vacuum")
    assert one.flux.value[0] == one.uncertainty.array[0] == one.meta["resolution"][0] - 1 == 2
    assert np.flatnonzero(one.mask).tolist() == [3]


def test_bits_of_the_fibre_count_only_where_not_all_pixels_have_them():
    mask = np.full(10, 1 << 3)
    mask[2] |= 1 << 20
    assert np.flatnonzero(bad_bits(mask)).tolist() == [2]
    mask[4] = 0
    assert np.flatnonzero(~bad_bits(mask)).tolist() == [4]
    assert bad_bits(np.full(4, 1 << 24)).all()
    assert not bad_bits(np.array([0, 1 << 30]), 1 << 30).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.arange(1.0, 4001), np.ones(4000)), "the numbers of its 4000 pixels"),
        ((WAVE, np.ones(5)), "one wavelength a flux"),
        ((np.zeros(5), np.ones(5)), "at least 2 finite, positive wavelengths, got 0"),
    ],
)
def test_what_is_no_spectrum(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_spectrum(*arguments)

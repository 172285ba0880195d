"""Names of mask bits, and what they do to pixels."""

import numpy as np
import pytest
from astropy.io import fits

from specvit.spectra.readers import DAMAGE, INFORMATION
from specvit.spectra.readers.pfsmask import bits_of_header, bits_of_text, damaged


def test_names_are_read_from_cards_long_and_short():
    header = fits.Header({"MP_CR": 3, "HIERARCH MP_OVERLAP_FIBERTRACE": 13, "OTHER": 1})
    assert bits_of_header(fits.Header(), header) == {"CR": 3, "OVERLAP_FIBERTRACE": 13}


def test_names_are_read_from_text():
    text = "A: 1\nMP_CR: 3\n'MP_NO_DATA': 8\nHIERARCH MP_BAD_FIBERNORMS: 20\nMP_BAD: 0\n"
    assert bits_of_text(text) == {"CR": 3, "NO_DATA": 8, "BAD_FIBERNORMS": 20, "BAD": 0}


@pytest.mark.parametrize("name", [*DAMAGE, "BAD_NEWS"])
def test_damage_means_lost(name):
    bits = {"FIBERTRACE": 0, name: 31}
    values = np.array([0, 1, 1 << 31, (1 << 31) + 1])
    assert damaged(values, bits).tolist() == [False, False, True, True]


def test_damage_in_the_sign_bit_of_a_32_bit_mask():
    values = np.array([0, -(2**31)], dtype=np.int32)
    assert damaged(values, {"CR": 31, "FIBERTRACE": 0}).tolist() == [False, True]


@pytest.mark.parametrize("name", [*INFORMATION, "SOMETHING_NEW"])
def test_information_loses_nothing(name):
    assert not damaged(np.array([0, 4]), {"CR": 0, name: 2}).any()


def test_without_names_every_bit_counts():
    assert damaged(np.array([0, 4]), {}).tolist() == [False, True]


def test_bits_without_a_name_count_for_nothing():
    assert not damaged(np.array([64]), {"CR": 0}).any()

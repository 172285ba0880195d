"""Flags of a batch."""

from specvit.spectra import Flag


def test_flags_describe_themselves():
    assert Flag.describe(0) == ""
    assert Flag.describe(Flag.NO_UNCERTAINTY | Flag.PARTIAL_COVERAGE) == "NO_UNCERTAINTY, PARTIAL_COVERAGE"

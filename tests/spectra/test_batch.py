"""Flags of a batch."""

import re
from pathlib import Path

from specvit.spectra import Flag


def test_flags_describe_themselves():
    assert Flag.describe(0) == ""
    assert Flag.describe(Flag.NO_UNCERTAINTY | Flag.PARTIAL_COVERAGE) == "NO_UNCERTAINTY, PARTIAL_COVERAGE"


def test_every_flag_is_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "input.rst").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^``([A-Z_]+)`` +(\d+) ", page, re.MULTILINE))
    assert rows == {flag.name: str(flag.value) for flag in Flag}

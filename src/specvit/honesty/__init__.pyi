"""What type checkers see of `specvit.honesty`, whose names are loaded when first used."""

from specvit.honesty.examination import examine as examine
from specvit.honesty.findings import Findings as Findings

__all__: list[str]

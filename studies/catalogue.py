"""All studies by name, the most important first."""

from __future__ import annotations

from studies import losses, noise, positions, real, scaling, several, size, tokens, transfer

__all__ = ["STUDIES"]

_FIRST = (scaling, tokens, positions, losses, noise)
_ALL = (
    *(module.STUDY for module in _FIRST),
    transfer.LINES,
    transfer.INSTRUMENT,
    real.STUDY,
    several.STUDY,
    size.STUDY,
)
STUDIES = {study.name: study for study in _ALL}

"""All studies by name, the most important first."""

from __future__ import annotations

from studies import losses, noise, positions, scaling, several, size, tokens

__all__ = ["STUDIES"]

STUDIES = {
    module.STUDY.name: module.STUDY for module in (scaling, tokens, positions, losses, noise, several, size)
}

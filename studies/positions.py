"""Positions: how tokens learn where they are, and what that is worth when spectra move."""

from __future__ import annotations

from studies.configuration import Configuration
from studies.study import Picture, Study

__all__ = ["STUDY"]

POSITIONS = ("learned", "sinusoidal", "rope", "pipe", "none")


def _position(position, **options):
    # One matrix for all windows: with one for each, every token knows where it is.
    changes = {"tokenizer": "conv1d", "patch_size": 16, "position": position}
    return Configuration(changes=tuple(changes.items()), tests=("paper", "shift", "velocity"), **options)


STUDY = Study(
    name="positions",
    title="How should tokens learn where they are?",
    question="Do position encodings differ on the grid that they were trained on, and on spectra that begin "
    "some pixels later or have a radial velocity?",
    variants=Study.grid({position: _position(position) for position in POSITIONS})
    | Study.grid(
        {f"{position}, trained on ±50 km/s": _position(position, velocity=50.0) for position in POSITIONS}, 1
    ),
    picture=Picture("condition", "name", test="shift", condition="all", log=True, x_label="shift in pixels"),
    columns=("position", "velocity"),
)

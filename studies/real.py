"""Real stars: what 27 stars of STELIB teach networks that have seen none."""

from __future__ import annotations

from studies.configuration import Configuration, seeds
from studies.study import Picture, Study
from studies.transfer import few_ways

__all__ = ["STUDY"]

STARS = 27  # of 33, in five folds: 26 or 27 are learned from

STUDY = Study(
    name="real",
    title="What do a few real stars teach?",
    question="Does it help on real stars to fine-tune weights that have only seen synthetic ones on two "
    "dozen of them, and what would these stars teach a network or trees alone?",
    variants=few_ways("stelib", lambda **options: seeds([Configuration(spectra=STARS, **options)], 3)),
    picture=Picture("name", figure="mae", test="target"),
    columns=(),
)

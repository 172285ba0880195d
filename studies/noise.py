"""Noise: networks trained at one level of noise and tested at another."""

from __future__ import annotations

from studies.configuration import Configuration
from studies.study import Picture, Study

__all__ = ["STUDY"]

LEVELS = (0.0, 0.5, 1.0, 2.0)


def _at(level, encoding="median"):
    # The reference's input, flux alone: a network that is told the noise knows on which level it is.
    return Configuration(encoding=encoding, noise_level=level, tests=("paper", "noise"))


STUDY = Study(
    name="noise",
    title="Which noise should training spectra have?",
    question="How does a network that was trained at one level of noise do at another, is a mixture of "
    "levels better, and does it help to tell the network how large the noise is?",
    variants=Study.grid(
        {f"{level:g}": _at(level) for level in LEVELS}
        | {
            "0 to 2": _at((0.0, 2.0)),
            "1, noise told": _at(1.0, "weighted"),
            "0 to 2, noise told": _at((0.0, 2.0), "weighted"),
        }
    ),
    picture=Picture(
        "condition",
        "name",
        test="noise",
        condition="all",
        x_label="noise of the test spectra",
        series_label="noise in training",
        floor=0.4,
    ),
    columns=("noise_level", "encoding"),
)

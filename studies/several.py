"""Several labels: one label at a time or five at once, and the correlations of their errors."""

from __future__ import annotations

from specvit.labels import LABELS
from studies.configuration import Configuration
from studies.study import Picture, Study

__all__ = ["STUDY"]

STUDY = Study(
    name="several",
    title="One label or five?",
    question="Is log g predicted better by a network that learns it alone or with the other labels, and are "
    "errors correlated as the Fisher information says?",
    variants=Study.grid(
        {f"{name} alone": Configuration(labels=(name,)) for name in LABELS}
        | {"five": Configuration(), "five, with correlations": Configuration(covariance=True)}
    ),
    picture=Picture("name"),
    columns=("labels", "covariance"),
)

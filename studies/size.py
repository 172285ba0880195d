"""Size: width, depth and length of training of the transformer."""

from __future__ import annotations

from dataclasses import replace

from studies.configuration import Configuration
from studies.scaling import LIMIT, REFERENCE
from studies.study import Picture, Study

__all__ = ["STUDY"]

SHAPES = [(width, depth) for width in (64, 128, 256) for depth in (2, 4, 8)]
LONG = 20_000  # steps


def _shape(width, depth, steps=4000):
    changes = {"width": width, "depth": depth, "heads": width // 32, "mlp": 4 * width}
    return Configuration(changes=tuple(changes.items()), spectra=None, steps=steps)


STUDY = Study(
    name="size",
    title="How large, and trained for how long?",
    question="How does the accuracy of log g grow with the parameters of the network and with the "
    "spectra that it has seen, and how far is it from the Bayes limit?",
    variants=Study.grid(
        {f"{width} wide, {depth} deep": _shape(width, depth) for width, depth in SHAPES}
        | {f"128 wide, 4 deep, {steps:,} steps": _shape(128, 4, steps) for steps in (1000, 2000, 8000, LONG)}
    )
    | {
        f"ViT, reference, {n // 1000:,}k stored, {LONG:,} steps": [replace(REFERENCE, spectra=n, steps=LONG)]
        for n in (200_000, 1_000_000)
    }
    | {"Bayes limit": [LIMIT]},
    picture=Picture("parameters", law=True),
    columns=("width", "depth", "parameters", "spectra_seen"),
)

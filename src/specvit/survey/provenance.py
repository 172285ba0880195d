"""What a survey's spectra follow from, in words and numbers that can be kept with them."""

from __future__ import annotations

import dataclasses
import json

from specvit.digests import digest
from specvit.survey.augmentation import Augmentation
from specvit.survey.namedsurveys import NAMED
from specvit.survey.pfsnoise import REFERENCE, PFSNoise

__all__ = ["common_record", "differences", "emulator_digest", "survey_record"]


def survey_record(survey):
    """JSON-ready description of a survey: equal descriptions, equal spectra (of one version of the code)."""
    record = common_record(survey) | {
        "magnitude": None if survey.magnitude is None else list(survey.magnitude),
        "velocity": dataclasses.asdict(survey.velocity),
        "noise": {"model": type(survey.noise).__name__} | survey.noise.describe(),
        "augmentation": dataclasses.asdict(survey.augmentation),
        "masked": [list(window) for window in survey.masked],
    }
    return json.loads(json.dumps(record))  # tuples become lists: it equals itself read from a file


def common_record(survey):
    """What the descriptions of all kinds of survey have: stars, grid and emulator; a dict."""
    grid = survey.grid
    return {
        "name": survey.name,
        "n": survey.n,
        "seed": survey.seed,
        "labels": {name: list(map(float, limits)) for name, limits in survey.label_range.items()},
        "prior": repr(survey.prior),
        "grid": {
            "name": grid.name,
            "n_pixels": len(grid),
            "range": [float(grid.edges[0]), float(grid.edges[-1])],
            "medium": grid.medium,
            "sha256": digest(grid.edges, grid.lsf_sigma),
        },
        "emulator": emulator_digest(survey.emulator),
    }


def emulator_digest(emulator):
    """Short SHA-256 of an emulator's networks and components, and of the correction of its lines."""
    correction = () if emulator.correction is None else sorted(emulator.correction.named_buffers())
    named = (*sorted(emulator.state_dict().items()), *correction)
    tensors = (value.detach().cpu().numpy() for _, value in named)
    arrays = (emulator.wave, emulator.mean, emulator.components, emulator.continuum_components)
    return digest(*tensors, *arrays)


def differences(survey):
    """What a survey has that one of its name need not have: list of ``argument=value``."""
    named, found = NAMED.get(survey.name), []
    if named is None or survey.prior != named.prior:
        found.append(f"prior={survey.prior!r}")
    if named is None or type(survey.noise) is not PFSNoise or survey.noise.conditions != REFERENCE:
        found.append(f"noise={survey.noise!r}")
    if survey.augmentation != (Augmentation() if named is None else named.augmentation):
        found.append(f"augmentation={survey.augmentation!r}")
    if survey.velocity:
        found.append(f"velocity={survey.velocity!r}")
    if survey.masked:
        found.append(f"masked={survey.masked!r}")
    if survey.own_emulator:
        found.append(f"emulator={emulator_digest(survey.emulator)!r}")
    return found

"""Synthetic light: emulator, noise and surveys (torch, numpy and scipy; no astropy)."""

from specvit.simulate.augment import Augmentation
from specvit.simulate.emulator import Emulator, LsfBank
from specvit.simulate.library import LABELS, SyntheticLibrary, read_library
from specvit.simulate.noise import PFSNoise
from specvit.simulate.priors import LabelPrior
from specvit.simulate.survey import Survey, SurveyBatch, SurveyStream

__all__ = [
    "LABELS",
    "Augmentation",
    "Emulator",
    "LabelPrior",
    "LsfBank",
    "PFSNoise",
    "Survey",
    "SurveyBatch",
    "SurveyStream",
    "SyntheticLibrary",
    "read_library",
]

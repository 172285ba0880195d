"""Synthetic light: emulator, noise and surveys (torch, numpy and scipy; no astropy)."""

from specvit.simulate.augment import Augmentation
from specvit.simulate.batches import SurveyBatch, SurveyStream
from specvit.simulate.dataset import SpectrumDataset, StoredSpectra
from specvit.simulate.diskstream import DatasetStream, FrozenBatches
from specvit.simulate.emulator import Emulator
from specvit.simulate.library import LABELS, SyntheticLibrary, read_library
from specvit.simulate.lsfbank import LsfBank
from specvit.simulate.noise import PFSNoise
from specvit.simulate.priors import LabelPrior
from specvit.simulate.shards import Progress, write_dataset
from specvit.simulate.survey import Survey

__all__ = [
    "LABELS",
    "Augmentation",
    "DatasetStream",
    "Emulator",
    "FrozenBatches",
    "LabelPrior",
    "LsfBank",
    "PFSNoise",
    "Progress",
    "SpectrumDataset",
    "StoredSpectra",
    "Survey",
    "SurveyBatch",
    "SurveyStream",
    "SyntheticLibrary",
    "read_library",
    "write_dataset",
]

"""Synthetic light: emulator, noise and surveys (torch, numpy and scipy; no astropy)."""

from specvit.simulate.augment import Augmentation
from specvit.simulate.batches import SurveyBatch, SurveyStream
from specvit.simulate.bosz import read_bosz
from specvit.simulate.dataset import SpectrumDataset, StoredSpectra
from specvit.simulate.diskstream import DatasetStream, FrozenBatches
from specvit.simulate.emulator import Emulator
from specvit.simulate.library import LABELS, SyntheticLibrary, needed_range, read_library
from specvit.simulate.lsfbank import LsfBank
from specvit.simulate.noise import Noise, PhotonNoise
from specvit.simulate.pfsnoise import PFSNoise
from specvit.simulate.priors import LabelPrior, Prior
from specvit.simulate.regrid import regrid_emulator
from specvit.simulate.sampleprior import SamplePrior, TablePrior
from specvit.simulate.shards import Progress, write_dataset
from specvit.simulate.snrnoise import NoNoise, SNRNoise
from specvit.simulate.survey import Survey
from specvit.simulate.velocities import Velocities

__all__ = [
    "LABELS",
    "Augmentation",
    "DatasetStream",
    "Emulator",
    "FrozenBatches",
    "LabelPrior",
    "LsfBank",
    "NoNoise",
    "Noise",
    "PFSNoise",
    "PhotonNoise",
    "Prior",
    "Progress",
    "SNRNoise",
    "SamplePrior",
    "SpectrumDataset",
    "StoredSpectra",
    "Survey",
    "SurveyBatch",
    "SurveyStream",
    "SyntheticLibrary",
    "TablePrior",
    "Velocities",
    "needed_range",
    "read_bosz",
    "read_library",
    "regrid_emulator",
    "write_dataset",
]

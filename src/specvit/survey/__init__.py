"""Starlight is observed: priors, noise, imperfections, and the surveys that they make (torch and numpy)."""

from specvit.survey.anyinstrument import AnyInstrument
from specvit.survey.augmentation import Augmentation
from specvit.survey.batches import SurveyBatch, SurveyStream
from specvit.survey.forward import ForwardModel
from specvit.survey.galacticabundances import GalacticAbundances
from specvit.survey.instrumentsurvey import InstrumentSurvey
from specvit.survey.noise import Noise
from specvit.survey.pfsnoise import PFSNoise
from specvit.survey.photonnoise import PhotonNoise
from specvit.survey.presetsurvey import preset_grid, preset_survey
from specvit.survey.priors import PRIORS, LabelPrior, Prior
from specvit.survey.sampleprior import SamplePrior, TablePrior
from specvit.survey.snrnoise import NoNoise, SNRNoise
from specvit.survey.survey import Survey
from specvit.survey.velocities import Velocities

__all__ = [
    "PRIORS",
    "AnyInstrument",
    "Augmentation",
    "ForwardModel",
    "GalacticAbundances",
    "InstrumentSurvey",
    "LabelPrior",
    "NoNoise",
    "Noise",
    "PFSNoise",
    "PhotonNoise",
    "Prior",
    "SNRNoise",
    "SamplePrior",
    "Survey",
    "SurveyBatch",
    "SurveyStream",
    "TablePrior",
    "Velocities",
    "preset_grid",
    "preset_survey",
]

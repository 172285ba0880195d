"""What type checkers see of `specvit`, whose names are loaded when first used."""

from specvit import assess as assess
from specvit import dataset as dataset
from specvit import grid as grid
from specvit import labels as labels
from specvit import limits as limits
from specvit import network as network
from specvit import predictors as predictors
from specvit import spectra as spectra
from specvit import stars as stars
from specvit import stream as stream
from specvit import survey as survey
from specvit import weights as weights
from specvit.example import example_spectrum as example_spectrum
from specvit.grid import PFS_MR as PFS_MR
from specvit.grid import PixelGrid as PixelGrid
from specvit.predictors import LoggEstimator as LoggEstimator
from specvit.spectra import SpectrumBatch as SpectrumBatch
from specvit.stars import Emulator as Emulator
from specvit.stream import predict_stream as predict_stream
from specvit.survey import Survey as Survey

__all__: list[str]
__version__: str

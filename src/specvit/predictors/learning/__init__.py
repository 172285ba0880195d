"""What `LoggEstimator.fit` does between its arguments and the trained network.

What `X` is decides where spectra and labels come from: see `trainingsources` (surveys, data sets on disk) and
`arraysource` (spectra and arrays in memory). How a network is fitted is a `FitConfig`; what is done is the
same for all: see `networkfit`. Checkpoints are guarded by `fingerprints`. Nothing here knows the estimator.
"""

from specvit.predictors.learning.arraysource import ArraySource
from specvit.predictors.learning.fitconfig import FitConfig
from specvit.predictors.learning.networkfit import Outcome, fit_network
from specvit.predictors.learning.trainingsources import DatasetSource, SurveySource, simulated_source

__all__ = [
    "ArraySource",
    "DatasetSource",
    "FitConfig",
    "Outcome",
    "SurveySource",
    "fit_network",
    "simulated_source",
]

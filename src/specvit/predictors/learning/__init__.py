"""What `LoggEstimator.fit` does between its arguments and the trained network.

What `X` is decides where spectra and labels come from: see `sources` (surveys, data sets on disk) and
`arrays` (spectra and arrays in memory). What is done with them is the same for all: see `run`.
"""

from specvit.predictors.learning.run import Outcome, fit, takes_features

__all__ = ["Outcome", "fit", "takes_features"]

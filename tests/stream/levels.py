"""A predictor whose answer is known: log g is the median of the flux. In a module, so that it pickles."""

import os
import time

import numpy as np

from specvit import PFS_MR
from specvit.predictors import Predictor


class LevelPredictor(Predictor):
    """log g is the median flux, its error the median σ. It may be slow, and fail at a level."""

    label_names, labels = ("logg",), None

    def __init__(self, pause=0.0, fails_at=None):
        self.pause, self.fails_at = pause, fails_at

    def _own_grid(self):
        return PFS_MR

    def _instrument_rules(self):
        return {"lower_resolution": "flag", "min_coverage": 0.05}

    def _infer(self, flux, ivar):
        time.sleep(self.pause)
        level = np.median(flux, axis=1)[:, None]
        if self.fails_at is not None and np.isclose(level, self.fails_at, rtol=1e-6).any():
            raise RuntimeError(f"torn in process {os.getpid() > 0}")
        return level, np.median(ivar, axis=1)[:, None] ** -0.5

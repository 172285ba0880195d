"""A user's script, as strict as type checkers go; `test_typing` has mypy read it. It is not run."""

from pathlib import Path

import numpy as np
from astropy.table import QTable
from specutils import Spectrum

import specvit
from specvit import PFS_MR, LoggEstimator, PixelGrid, Survey, example_spectrum
from specvit.limits import StarLimit, star_limit
from specvit.predictors import Explanation, Predictions, explain
from specvit.survey import preset_survey


def table_of(spectra: list[Spectrum], weights: Path | None = None) -> QTable:
    estimator = LoggEstimator() if weights is None else LoggEstimator.load(weights)
    return estimator.predict_table(spectra, medium="air", given={"teff": (4750, 50)})


def best(grid: PixelGrid = PFS_MR) -> float:
    limit: StarLimit = star_limit({"teff": 4500, "logg": 2.0, "mh": -0.3}, snr=50, grid=grid)
    sigma: float = limit["logg"]
    return sigma


def pixels() -> int:
    grid = PixelGrid.from_resolving_power(7150, 8800, 2500, name="mine")
    return len(grid) + grid.wave.size


def trained(seed: int = 0) -> LoggEstimator:
    return LoggEstimator(weights=None, epochs=2, random_state=seed).fit(Survey("paper", n=1000, seed=seed))


def reasons() -> np.ndarray:
    found: Explanation = explain(LoggEstimator(), example_spectrum(), "logg", n_steps=32)
    return found.attribution


def numbers(flux: np.ndarray) -> np.ndarray:
    predictions: Predictions = LoggEstimator().predict_labels(flux, on_error="nan")
    mean, _ = predictions.columns(["logg"])
    return mean


def drawn() -> int:
    batch = preset_survey("SDSS", snr=40).draw(10)
    return len(batch.flux)


print(specvit.__version__, best(), pixels(), drawn())

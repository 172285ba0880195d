"""A user's script, as strict as type checkers go; `test_typing` has mypy read it. It is not run."""

from pathlib import Path

import numpy as np
from astropy.table import QTable
from specutils import Spectrum

import specvit
from specvit import PFS_MR, Emulator, LoggEstimator, PixelGrid, Survey, example_spectrum, predict_stream
from specvit.assess import evaluate
from specvit.assess.plots import plot_explanation, plot_fit, plot_r2, plot_star_limit
from specvit.dataset import SpectrumDataset, write_dataset
from specvit.grid import Instrument, air_to_vacuum, find_instrument
from specvit.limits import StarLimit, bayes_limit, star_limit
from specvit.predictors import (
    Explanation,
    FittedSpectrum,
    Predictions,
    RidgeEstimator,
    TemplateFit,
    explain,
    fitted_spectrum,
    read_table,
    write_table,
)
from specvit.spectra import Flag, SpectrumBatch, adapt
from specvit.stars import regrid_emulator
from specvit.stream import StreamSummary, predict_parts
from specvit.survey import LabelPrior, SNRNoise, preset_survey
from specvit.weights import list_weights


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


def streamed(folder: Path) -> QTable:
    estimator = LoggEstimator(weights="any", device="cpu", progress=False)
    done: StreamSummary = predict_stream(str(folder), folder / "labels.fits", estimator, workers=2)
    table: QTable = read_table(done.path)
    write_table(table, folder / "labels.vot", overwrite=True)
    words: list[str] = Flag.in_words(table["flags"][0])
    sizes: list[int] = [len(part.table) for part in predict_parts(str(folder), estimator)]
    print(words, sizes)
    return table


def drawn_figures(spectrum: Spectrum, limit: StarLimit, found: Explanation) -> None:
    fit: FittedSpectrum = fitted_spectrum(spectrum)
    plot_fit(fit)
    plot_star_limit(limit)
    plot_explanation(found)
    table = evaluate({"Ridge": RidgeEstimator(labels="logg")}, Survey("paper"), n=100, magnitudes=[20, 21])
    plot_r2(table, legend=False)


def own_spectrograph(out: Path) -> LoggEstimator:
    mine = Instrument("mine", ((7100.0, 8850.0),), 1.1, resolving_power=2500.0)
    survey: Survey = preset_survey(mine, snr=(20, 200))
    prior = LabelPrior((4000, 6000), (1, 5), (-1, 0.3), (-0.1, 0.4), (-0.3, 0.3))
    emulator: Emulator = regrid_emulator(Emulator.load(), survey.grid)
    own = Survey("own", prior=prior, noise=SNRNoise((20, 200)), emulator=emulator, n=100)
    paths: list[Path] = write_dataset(own, out / "set", 100, progress=False)
    return LoggEstimator(weights=None, labels=("logg",)).fit(SpectrumDataset(paths[0].parent))


def peers() -> float:
    batch: SpectrumBatch = adapt(example_spectrum(), grid=PFS_MR, on_error="nan")
    table: QTable = TemplateFit(continuum=8).predict_table(batch)
    limit = bayes_limit(Survey("paper"), magnitude=22.0, n_stars=10)
    print(table.colnames, list(list_weights()), find_instrument("SDSS").name, air_to_vacuum([8500.0]))
    return float(limit.r2[0])


print(specvit.__version__, best(), pixels(), drawn())

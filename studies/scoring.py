"""The test stars, the same for every method, and what is measured on them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from specvit.assess.metrics import bootstrap_errors, bootstrap_weights, figures_of_merit
from specvit.network.positions import WavelengthPosition
from specvit.survey import Survey
from specvit.survey.storedstars import at_noise_level
from specvit.survey.streams import EVALUATION

__all__ = ["TESTS", "TEST_SEED", "drawn", "figures_of_labels", "score", "shifted"]

#: Seed of the test stars; configurations train on other seeds.
TEST_SEED = 20_000
MAGNITUDES = (20.5, 21.0, 21.5, 22.0, 22.5)
NOISE_LEVELS = (0.0, 0.5, 1.0, 2.0)
SHIFTS = (1, 4, 8, 16, 32, 64, 128)
VELOCITIES = (10.0, 30.0, 50.0)
#: What can be measured, by name: the conditions, each a set of 10,000 spectra. "paper" is the survey's own
#: magnitudes (None) and single ones, of the same stars; "noise" multiplies the noise; "shift" lets the
#: spectra begin so many pixels later; "velocity" moves all stars by so many km/s.
TESTS = {
    "paper": (None, *MAGNITUDES),
    "noise": NOISE_LEVELS,
    "shift": SHIFTS,
    "velocity": VELOCITIES,
}
_AT_ONCE, _BOOTSTRAP, _FIGURES = 1000, 200, ("r2", "mae", "rmse", "bias")


def shifted(flux, ivar, pixels):
    """Spectra that begin `pixels` later: pixel i holds what was in i + pixels, and the last are masked."""
    padding = flux.new_zeros(len(flux), pixels)
    return tuple(torch.cat([x[:, pixels:], padding], dim=1) for x in (flux, ivar))


@lru_cache(maxsize=8)
def _test_survey(velocity):
    return Survey("paper", seed=TEST_SEED, velocity=(velocity, velocity) if velocity else None)


def drawn(n):
    """Numbers of the streams that `n` test stars are drawn from and how many each gives, pairs of int."""
    return [(k, min(_AT_ONCE, n - start)) for k, start in enumerate(range(0, n, _AT_ONCE))]


def _batches(test, condition, n, device):
    """Batches (flux, ivar, labels) of `n` test stars under a condition of a test."""
    survey = _test_survey(condition if test == "velocity" else 0.0)
    for k, count in drawn(n):
        batch = survey.draw(
            count,
            stream=EVALUATION + k,
            device=device,
            magnitude=condition if test == "paper" else None,
        )
        flux, ivar = batch.flux, batch.ivar
        if test == "noise":
            flux, ivar = at_noise_level(flux, ivar, batch.noiseless, condition)
        if test == "shift":
            flux, ivar = shifted(flux, ivar, condition)
        yield flux, ivar, batch.labels


def _tell_wavelengths(regressor, pixels):
    """Tell a network whose positions are wavelengths that its pixels begin so many later."""
    position = getattr(regressor.network, "position", None)
    if isinstance(position, WavelengthPosition):
        wave = np.asarray(regressor.wavelength)
        moved = WavelengthPosition(regressor.config, wave + pixels * (wave[1] - wave[0]))
        position.features.copy_(moved.features)


def figures_of_labels(truth, mean, sigma, names, shown=None):
    """Figures of merit with bootstrap errors over the stars, a list of dict, one for each label.

    Parameters
    ----------
    truth, mean : ndarray, shape (n, len(names))
        True and predicted labels; stars without a finite prediction are left out.
    sigma : ndarray, shape (n, len(names)), or None
        Predicted errors, for the coverage of ±σ.
    names : tuple of str
        The labels.
    shown : sequence of str, optional
        Those of them that are wanted; all by default.
    """
    weights = bootstrap_weights(len(truth), _BOOTSTRAP, np.random.default_rng(TEST_SEED))
    rows = []
    for name in names if shown is None else shown:
        k = names.index(name)
        values = truth[:, k], mean[:, k], None if sigma is None else sigma[:, k]
        used = np.isfinite(values[1])
        values = tuple(None if value is None else value[used] for value in values)
        row = {"label": name, "n": int(used.sum())}
        figures, errors = figures_of_merit(*values), bootstrap_errors(*values, weights[:, used])
        for figure in (*_FIGURES, *(("coverage68",) if sigma is not None else ())):
            row[figure], row[f"{figure}_err"] = round(figures[figure], 6), round(errors[figure], 6)
        rows.append(row)
    return rows


def score(predict, names, all_names, tests, n, device, *, regressor=None):
    """Figures of merit of a method under all conditions of some tests.

    Parameters
    ----------
    predict : callable
        Takes flux and ivar (m, n_pixels), gives mean and σ or None, both (m, len(names)).
    names : tuple of str
        Labels that it predicts.
    all_names : tuple of str
        Labels of the survey.
    tests : sequence of str
        Keys of `TESTS`.
    n : int
        Number of test stars.
    device : torch.device
        Where spectra are made.
    regressor : LabelRegressor, optional
        The network, which is told of shifts if its positions are wavelengths.

    Returns
    -------
    results : list of dict
        A dict for each test, condition and label (where log g is predicted, of log g alone but on the
        survey's own magnitudes): ``r2``, ``mae``, ``rmse``, ``bias`` with bootstrap errors over the test
        stars, and the coverage of σ where there is one.
    correlation : list of list of float
        Correlations of the errors of the labels, on the survey's own magnitudes.
    """
    columns = [all_names.index(name) for name in names]
    results, correlation = [], None
    for test in tests:
        for condition in TESTS[test]:
            if test == "shift" and regressor is not None:
                _tell_wavelengths(regressor, condition)
            parts = [
                (*predict(flux, ivar), labels[:, columns])
                for flux, ivar, labels in _batches(test, condition, n, device)
            ]
            mean, sigma, truth = (
                None if part[0] is None else torch.cat(part).double().cpu().numpy()
                for part in map(list, zip(*parts, strict=True))
            )
            if sigma is not None and not np.isfinite(sigma).any():
                sigma = None
            whole = "logg" not in names or (test, condition) == ("paper", None)
            rows = figures_of_labels(truth, mean, sigma, names, names if whole else ("logg",))
            results += [{"test": test, "condition": condition} | row for row in rows]
            if correlation is None and len(names) > 1:
                error = (mean - truth)[np.isfinite(mean).all(1)]
                correlation = np.corrcoef(error.T).round(4).tolist()
            if test == "shift" and regressor is not None:
                _tell_wavelengths(regressor, 0)
    return results, correlation

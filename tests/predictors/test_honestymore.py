"""Tests of what one star cannot mimic: their gains, against least squares of all columns at once."""

import numpy as np
import pytest
import torch

from specvit import LoggEstimator
from specvit.assess.campaign import ALL_TROUBLES
from specvit.assess.scene import STARS, Scene
from specvit.predictors.honesty import line_model
from specvit.predictors.honestyfit import _Fit, examine
from specvit.predictors.honestymore import _SECOND, _SHARE
from specvit.predictors.honestyspectra import LABEL_SPREAD

KINDS = {trouble.name: trouble for trouble in ALL_TROUBLES}


@pytest.fixture(scope="module")
def estimator():
    return LoggEstimator(device="cpu", precision="32-true")


def prepared(estimator, kind, star, snr, n=2):
    """Arguments of `examine` after the model."""
    flux, ivar = KINDS[kind].spectra(Scene(STARS[star], snr), n, 1)
    found = estimator.predict_labels(flux, ivar=ivar)
    return flux, np.array(ivar), found.mean, found.sigma


def reduced(columns, residual, prior, offset):
    """Least χ² of a linear model with Gaussian priors, by QR of the stacked system in float64."""
    matrix = np.concatenate([columns.T, np.diag(prior)])
    target = np.concatenate([residual, prior * offset])
    return np.sum((target - matrix @ np.linalg.lstsq(matrix, target, rcond=None)[0]) ** 2)


def test_gains_are_those_of_least_squares(estimator):
    arrays = prepared(estimator, "another star from 8000 Å on", "giant", 50)
    with torch.no_grad():
        fit = _Fit(line_model("cpu"), *(torch.as_tensor(x) for x in arrays), None, None)
        x = fit._moved(fit.known_shift)
        x[:, 3:] += 0.2  # away from the centre of the priors
        equations = fit._equations(x, fit._label_slopes(x))
        companion, agreement = (values.numpy() for values in fit._more(x, equations))
        rows, residual = (values.double().numpy() for values in equations[:2])
        second = fit.model.observe_many(
            fit.model.depths(fit.model.tensor(_SECOND)).expand(2, -1, -1),
            x[:, 0] * fit.units[:, 0],
            x[:, 1] * fit.units[:, 1],
        ).numpy()
        own = fit.model.observe(
            fit.model.depths(x[:, 3:] * fit.units[:, 3:]),
            x[:, 0] * fit.units[:, 0],
            x[:, 1] * fit.units[:, 1],
        )[0]
        root, flux, units = fit.root.numpy(), fit.flux.numpy(), fit.units[:, 3:].numpy()
        prior, offset = (1 / fit.loose).double().numpy(), (fit.null - x).double().numpy()
    for k in range(2):
        curve = (flux[k] - residual[k] / root[k]) / (1 + own[k].numpy())
        star = np.append(prior[k], np.zeros(8)), np.append(offset[k], np.zeros(8))
        best = reduced(rows[k], residual[k], *star)
        gains = []
        for depth in second[k]:
            more = np.concatenate([rows[k], (curve * (depth - own[k].numpy()) * root[k])[None]])
            gains.append(
                best - reduced(more, residual[k], np.append(star[0], 1 / _SHARE), np.append(star[1], 0))
            )
        # The best of those with a positive share of the light: the others have no gain.
        assert min(abs(companion[k] - gain) for gain in [0, *gains]) < 0.02 * max(companion[k], 1)
        assert companion[k] < max(gains) * 1.02 + 0.02
        bent = rows[k, 3:8] * np.linspace(-1, 1, root.shape[1])
        added = units[k] / np.array(LABEL_SPREAD)
        gain = best - reduced(
            np.concatenate([rows[k], bent]),
            residual[k],
            np.append(star[0], added),
            np.append(star[1], np.zeros(5)),
        )
        assert agreement[k] == pytest.approx(gain, rel=0.02, abs=0.02)


@pytest.mark.parametrize(
    ("kind", "star", "name", "least"),
    [
        ("another star from 8000 Å on", "dwarf", "agreement_test", 40),
        ("another star from 8000 Å on", "turn-off", "agreement_test", 100),
        ("giant + dwarf, same velocity", "m-giant", "companion_test", 30),
        ("giant + dwarf, same velocity", "turn-off", "companion_test", 15),
    ],
)
def test_what_is_not_one_star_stands_out(estimator, kind, star, name, least):
    model = line_model("cpu")
    one, other = (
        getattr(examine(model, *prepared(estimator, what, star, 100)), name) for what in ("untouched", kind)
    )
    assert one.max() < least / 2 < least < other.min()

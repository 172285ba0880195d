"""One configuration that learns from a few simulated stars of a target."""

from __future__ import annotations

import time

import numpy as np
import torch

from specvit.labels import LABELS
from specvit.survey.streams import EVALUATION
from studies.scoring import TEST_SEED, figures_of_labels
from studies.targets import as_batch, target_survey

__all__ = ["fit_few", "hidden_features", "predict_few"]

_FIRST_SEED = 300  # of the stars that are learned from
_ALPHAS = np.logspace(-3, 6, 19)
_AT_ONCE = 500


@torch.no_grad()
def hidden_features(regressor, batch):
    """What the last layer of a network reads off spectra, ndarray (n, width)."""
    found = []
    handle = regressor.network.head.register_forward_pre_hook(lambda _, given: found.append(given[0]))
    like = {"dtype": torch.float32, "device": regressor.label_scale.device}
    try:
        regressor.eval()
        for rows in np.array_split(np.arange(len(batch.flux)), -(-len(batch.flux) // _AT_ONCE)):
            arrays = [torch.tensor(x[rows], **like) for x in (batch.flux, batch.ivar)]
            if regressor.encoding == "instrument":
                arrays += [torch.tensor(x[rows], **like) for x in (batch.lsf, batch.sampling)]
            regressor(*arrays)
    finally:
        handle.remove()
    return torch.cat(found).double().cpu().numpy()


def _estimator(configuration, device, threads):
    from specvit.predictors import LightGBMEstimator, LoggEstimator

    if configuration.method == "lightgbm":
        options = dict(configuration.options) | {"encoding": configuration.encoding}
        return LightGBMEstimator(
            labels=("logg",), random_state=configuration.seed, n_jobs=threads, device=device, **options
        )
    shape, n = configuration.shape, configuration.spectra or 1
    batch_size = min(configuration.batch_size, n)
    given = {
        "epochs": max(1, round(configuration.steps * batch_size / n)),
        "batch_size": batch_size,
        "learning_rate": configuration.learning_rate,
        "random_state": configuration.seed,
        "device": device.type,
    }
    if configuration.weights is not None:
        return LoggEstimator(configuration.weights, **given)
    given |= {name: getattr(shape, name) for name in ("width", "depth", "heads", "dropout")}
    return LoggEstimator(None, labels=("logg",), **given)


def _head(configuration, device, stars, logg, tests):
    """log g by a ridge regression on what the frozen network's last layer reads."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from specvit.weights import load_weights

    regressor = load_weights(configuration.weights)[0].to(device)
    model = make_pipeline(StandardScaler(), RidgeCV(_ALPHAS))
    model.fit(hidden_features(regressor, stars), logg)
    return model.predict(hidden_features(regressor, tests))


def predict_few(configuration, stars, logg, tests, *, device, threads):
    """log g of stars, by what is learned from a few others.

    Parameters
    ----------
    configuration : Configuration
        How is learned.
    stars : SpectrumBatch or None
        What is learned from; None uses the weights as they are.
    logg : ndarray, shape (n,), or None
        Theirs.
    tests : SpectrumBatch
        Of m stars.
    device : torch.device
        Where networks are trained.
    threads : int
        Threads of LightGBM.

    Returns
    -------
    mean : ndarray, shape (m, 1)
    sigma : ndarray, shape (m, 1), or None
        None from methods that give no errors.
    """
    if configuration.method == "head":
        return _head(configuration, device, stars, logg, tests)[:, None], None
    estimator = _estimator(configuration, device, threads)
    told = configuration.weights == "any"  # others take the pixels for those of PFS

    def spectra(batch):
        return (batch, {}) if told else (batch.flux, {"ivar": batch.ivar})

    if stars is not None:
        X, more = spectra(stars)
        estimator.fit(X, logg, on_error="nan", **more)
    X, more = spectra(tests)
    given = estimator.predict_labels(X, on_error="nan", **more)
    column = given.names.index("logg")
    mean, sigma = given.mean[:, [column]], given.sigma[:, [column]]
    return mean, sigma if np.isfinite(sigma[np.isfinite(mean)]).all() else None


def fit_few(configuration, *, device, threads):
    """Learn from a few stars of a target survey, each seen with one noise, and test on others of it.

    Parameters
    ----------
    configuration : Configuration
        With a `target`. Without `spectra` the weights are used as they are.
    device : torch.device
        Where spectra are made and networks trained.
    threads : int
        Threads of LightGBM.

    Returns
    -------
    dict
        Results of the row, under the test ``target``.
    """
    begun = time.monotonic()
    known = target_survey(configuration.target, _FIRST_SEED + configuration.seed)
    unseen = target_survey(configuration.target, TEST_SEED)
    drawn = unseen.draw(configuration.n_test, stream=EVALUATION, device=device)
    tests, truth = as_batch(drawn, unseen.grid)
    truth = truth[:, [LABELS.index("logg")]]
    stars = logg = None
    if configuration.spectra is not None:
        stars, labels = as_batch(known.draw(configuration.spectra, device=device), known.grid)
        logg = labels[:, LABELS.index("logg")]
    around = time.monotonic() - begun
    mean, sigma = predict_few(configuration, stars, logg, tests, device=device, threads=threads)
    figures = figures_of_labels(truth, mean, sigma, ("logg",))
    return {
        "results": [{"test": "target", "condition": None} | row for row in figures],
        "error_correlation": None,
        "minutes": (time.monotonic() - begun - around) / 60,
        "minutes_around": around / 60,
    }

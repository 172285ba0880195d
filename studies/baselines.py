"""One configuration of a method that is no network: Ridge, LightGBM or the χ² fit."""

from __future__ import annotations

import resource
import time

import torch

from specvit.labels import LABELS
from studies.scoring import score
from studies.training import survey_of

__all__ = ["fit_baseline"]


def _predictor(configuration, device, threads):
    from specvit.predictors import LightGBMEstimator, RidgeEstimator, TemplateFit

    options = dict(configuration.options)
    if configuration.method == "template":
        return TemplateFit(device=device, **options)
    options |= {"labels": configuration.labels, "encoding": configuration.encoding, "device": device}
    if configuration.method == "ridge":
        return RidgeEstimator(random_state=configuration.seed, **options)
    return LightGBMEstimator(random_state=configuration.seed, n_jobs=threads, **options)


def fit_baseline(configuration, *, device, threads):
    """Fit a predictor to the stored stars, each seen once with noise, and test it.

    Parameters
    ----------
    configuration : Configuration
        What is fitted.
    device : torch.device
        Where spectra are simulated, and what can be is computed.
    threads : int
        Threads of LightGBM.

    Returns
    -------
    dict
        Results of the row.
    """
    begun, used = time.monotonic(), _core_seconds()
    predictor = _predictor(configuration, device, threads)
    predictor.fit(survey_of(configuration, configuration.spectra))
    fitted, busy = time.monotonic(), _core_seconds()

    def predict(flux, ivar):
        given = predictor.predict_labels(flux.cpu().numpy(), ivar=ivar.cpu().numpy(), on_error="nan")
        columns = [given.names.index(name) for name in configuration.labels]
        return tuple(torch.as_tensor(x[:, columns]) for x in (given.mean, given.sigma))

    results, correlation = score(
        predict, configuration.labels, LABELS, configuration.tests, configuration.n_test, device
    )
    tested = configuration.method == "template"  # which learns nothing: its cost is that of predicting
    return {
        "results": results,
        "error_correlation": correlation,
        "minutes": ((time.monotonic() if tested else fitted) - begun) / 60,
        "minutes_around": 0.0 if tested else (time.monotonic() - fitted) / 60,
        "core_hours": ((_core_seconds() if tested else busy) - used) / 3600,
    }


def _core_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

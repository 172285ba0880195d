"""The Bayes limit of the very stars that all methods are tested on: what no method can exceed on average."""

from __future__ import annotations

import time
from types import SimpleNamespace

import torch

from specvit.labels import LABELS
from specvit.limits import bayes_limit
from specvit.survey import Survey
from specvit.survey.streams import EVALUATION
from studies.scoring import TEST_SEED, drawn, figures_of_labels

__all__ = ["fit_limit"]

_NAMES = ("flux", "ivar", "noiseless_sigma", "labels")


def fit_limit(configuration, *, device):
    """Posterior means of the test stars at the survey's own magnitudes, as if a method had predicted them.

    Parameters
    ----------
    configuration : Configuration
        Gives the number of stars, and in its options what `specvit.limits.bayes_limit` takes.
    device : torch.device
        Where the posteriors are computed.

    Returns
    -------
    dict
        Results of the row; ``limit`` is (R², its error) of log g at the limit, 1 − ⟨variance⟩ / variance of
        the prior.
    """
    begun = time.monotonic()
    survey = Survey("paper", seed=TEST_SEED)
    parts = [
        survey.draw(count, stream=EVALUATION + k, device=device) for k, count in drawn(configuration.n_test)
    ]
    stars = {name: torch.cat([getattr(part, name) for part in parts]) for name in _NAMES}
    stars["labels"] = stars["labels"][:, : len(LABELS)]
    limit = bayes_limit(survey, batch=SimpleNamespace(**stars), device=device, **dict(configuration.options))
    means = limit.posterior.mean, limit.posterior.sigma
    figures = figures_of_labels(stars["labels"].double().cpu().numpy(), *means, LABELS)
    logg = LABELS.index("logg")
    return {
        "results": [{"test": "paper", "condition": None} | row for row in figures],
        "error_correlation": None,
        "limit": [round(float(limit.r2[logg]), 6), round(float(limit.r2_err[logg]), 6)],
        "minutes": (time.monotonic() - begun) / 60,
        "minutes_around": 0.0,
    }

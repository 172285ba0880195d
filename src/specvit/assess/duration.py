"""How long an evaluation will take, by a trial with a few spectra."""

from __future__ import annotations

import time

from specvit.assess.evaluation import evaluate
from specvit.assess.limitrows import unknown_because

__all__ = ["expected_seconds"]

#: Spectra of the trial: all that limits work on at once, as fewer would take nearly as long.
TRIAL = 64
#: Times the trial that work must be worth one.
WORTH = 4


def expected_seconds(predictors, data, *, n, magnitudes=None, limits=True, limit_stars=500, **options):
    """Seconds that `evaluate` will take on this machine, as busy as it is now.

    Parameters
    ----------
    predictors, data, n, magnitudes, limits, limit_stars, **options
        As for `evaluate`.

    Returns
    -------
    dict of str to float
        By kind of work, "predictions" and "limits" (if there are any). Empty if a trial would be a good
        part of the work itself.

    Notes
    -----
    The trial has `TRIAL` stars, of the middle one of the magnitudes, after two that wait for weights and
    memory as nothing after them does.

    Examples
    --------
    >>> from specvit import LoggEstimator, Survey
    >>> vit = {"ViT": LoggEstimator(weights="paper")}
    >>> list(expected_seconds(vit, Survey("paper"), n=4000, limits=False))
    ['predictions']
    """
    each = 1 if magnitudes is None else len(magnitudes)
    known = bool(limits) and unknown_because(data, limits if isinstance(limits, dict) else {}) is None
    work = {"predictions": n * each / TRIAL}  # in trials
    work |= {"limits": -(-limit_stars // TRIAL) * each} if known else {}
    if max(work.values()) < WORTH:
        return {}
    options |= {"magnitudes": None if magnitudes is None else [sorted(magnitudes)[each // 2]], "bootstrap": 0}
    evaluate(predictors, data, n=2, limits=False, progress=False, **options)
    marks = {}

    def mark(what, done, total):
        marks.setdefault(what, []).append(time.monotonic())

    options |= {"limits": limits if known else False, "limit_stars": min(limit_stars, TRIAL)}
    evaluate(predictors, data, n=TRIAL, progress=mark, **options)
    return {what: (marks[what][-1] - marks[what][0]) * times for what, times in work.items()}

"""Learning rate and averaging decay as functions of the step."""

from __future__ import annotations

import math

__all__ = ["ema_decay", "learning_rate"]


def learning_rate(step, config):
    """Learning rate at `step` (from 0): a linear rise over `warmup_steps`, then half a cosine down.

    Parameters
    ----------
    step : int
        Number of steps done.
    config : TrainingConfig
        Steps and rates of the schedule.

    Returns
    -------
    float
        ``learning_rate`` at the end of the warm-up, ``min_learning_rate`` from ``max_steps`` on.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    progress = min(1.0, (step - config.warmup_steps) / (config.max_steps - config.warmup_steps))
    span = config.learning_rate - config.min_learning_rate
    return config.min_learning_rate + 0.5 * span * (1 + math.cos(math.pi * progress))


def ema_decay(step, decay):
    """Decay of the weight average after `step` optimiser steps (from 1).

    It rises to `decay` as (1 + step)/(10 + step), so that an early average is not stuck at the
    initial weights.
    """
    return min(decay, (1 + step) / (10 + step))

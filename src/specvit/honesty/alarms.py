"""Is a spectrum what it is said to be? Flags of those whose findings exceed the limits."""

from __future__ import annotations

import numpy as np

from specvit.honesty.alarmlimits import LIMITED, shipped_limits
from specvit.spectra import Flag

__all__ = ["VELOCITY_SIGMAS", "alarm"]

#: Standard errors of a velocity beyond those that the network has learned to live with, for an alarm.
VELOCITY_SIGMAS = 3.0


def alarm(batch, findings):
    """Flag the spectra of a batch whose findings exceed the limits.

    Parameters
    ----------
    batch : SpectrumBatch
        Its flags are added to.
    findings : Findings
        What they say.
    """
    limits, f, snr = shipped_limits(), findings, batch.snr
    above = {name: getattr(f, name) > limits.at(name, snr) for name in LIMITED}
    moved = np.abs(f.velocity) > f.learned_velocity + VELOCITY_SIGMAS * f.velocity_err
    lined = f.lines_test >= limits.lines
    smooth = f.lines_test < f.labels_test  # a smooth continuum fits better than the star that was predicted
    # Without lines nothing else can be said of them.
    for flag, raised in (
        (Flag.NO_LINES, f.lines_test < limits.lines),
        (Flag.VELOCITY, above["velocity_test"] & moved & lined),
        (Flag.BROADENED, above["broadening_test"] & (f.broadening > 0) & lined),
        (Flag.DILUTED, above["dilution_test"] & (f.dilution > 0) & lined),
        (Flag.BAD_FIT, above["labels_test"] | above["misfit"] | smooth),
    ):
        batch.flags[raised] |= int(flag)

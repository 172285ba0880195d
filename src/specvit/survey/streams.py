"""Streams of a survey that are reserved: for what training must never have seen.

A stream is a number that, with the seed, decides stars and noise (`Survey.draw`). Training counts up from 0;
each use below counts up from a beginning of its own, 2⁴⁰ ≈ 10¹² streams from the next, so that no two ever
meet. Data sets are written from stream 0 on as well, unless ``first_stream`` says otherwise.
"""

from __future__ import annotations

__all__ = ["CALIBRATION", "EVALUATION", "LIMITS", "SCALING", "SCORING", "VALIDATION"]

#: Labels that the scaling of a network's outputs is computed from.
SCALING = 2**40
#: Spectra that training is validated on.
VALIDATION = 2**41
#: Spectra that predicted errors are calibrated on.
CALIBRATION = 2**42
#: Spectra that the figures in the record of weights are measured on.
SCORING = 2**43
#: Spectra on which `specvit.assess.evaluate` compares predictors.
EVALUATION = 2**44
#: Stars that limits are computed for where no others are asked for.
LIMITS = 2**45

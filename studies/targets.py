"""Surveys that networks were not made for: the same stars with other lines, or through another instrument."""

from __future__ import annotations

import numpy as np

from specvit.labels import LABELS
from specvit.spectra import SpectrumBatch
from specvit.stars import Emulator, LineCalibration
from specvit.survey import AnyInstrument, Survey

__all__ = ["as_batch", "other_library", "target_survey"]

#: Scales (Å) of the line errors of another library, those of `AnyInstrument.line_err`, and the size on each.
SCALES, LINE_ERR = (1.7, 14.0, 110.0, 1750.0), 0.12
_DRAW = 14  # the seed of the one other library


def other_library(seed=_DRAW):
    """Emulator of another library: ours, optical depths times one fixed curve, the same for all stars.

    ln of the factor is a sum of Gaussian curves, linear between independent knots `SCALES` apart, of rms
    `LINE_ERR` each: single lines, bands and slopes are wrong, as those of real libraries are. Our library has
    no solar calibration here, and neither has this one.
    """
    table = LineCalibration.identity()
    rng, log_ratio = np.random.default_rng(seed), np.zeros(table.wave.size)
    for scale in SCALES:
        knots = np.arange(table.wave[0] - scale * rng.random(), table.wave[-1] + scale, scale)
        curve = np.interp(table.wave, knots, rng.standard_normal(knots.size))
        # Between knots the variance is 2/3 of theirs on average.
        log_ratio += LINE_ERR * 1.5**0.5 * curve
    return Emulator.load().calibrated(LineCalibration(table.wave, log_ratio))


def target_survey(target, seed):
    """The survey of a target, one of `studies.configuration.TARGETS`: stars of ``paper``, their seed `seed`.

    ``lines``: magnitudes and noise of ``paper``, lines of `other_library`. ``instrument``: SDSS/BOSS at S/N
    10 to 50 per pixel of PFS, with the imperfections of ``Survey("any")``, on the pixels of PFS.
    """
    if target == "lines":
        return Survey("paper", seed=seed, emulator=other_library())
    # Of the pixels at least 55 % are left: some methods refuse spectra with less than half.
    observed = AnyInstrument(snr=(10.0, 50.0), whole_share=1.0, least=0.55, bad_pixels=(0.03, 0.1))
    return Survey("any", seed=seed, instruments="SDSS/BOSS", observed=observed, prior=Survey("paper").prior)


def as_batch(drawn, grid):
    """A `SurveyBatch` as estimators take it: `SpectrumBatch`, and labels (n, 5)."""
    flux, ivar = (x.double().cpu().numpy() for x in (drawn.flux, drawn.ivar))
    told = (None, None) if drawn.lsf is None else (x.cpu().numpy() for x in (drawn.lsf, drawn.sampling))
    lsf, sampling = told
    n, used = len(flux), ivar > 0
    flags = np.zeros(n, np.int64)
    batch = SpectrumBatch(
        np.where(used, flux, 0.0),
        ivar,
        used.mean(1),
        flags,
        [None] * n,
        (n,),
        grid,
        lsf=lsf,
        sampling=sampling,
    )
    return batch, drawn.labels[:, : len(LABELS)].double().cpu().numpy()

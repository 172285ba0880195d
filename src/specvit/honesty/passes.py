"""Spectra are predicted, asked what they say of it, shifted where they show it, and predicted again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from specvit.honesty.alarmlimits import shipped_limits
from specvit.honesty.alarms import alarm
from specvit.honesty.examination import examine
from specvit.honesty.findings import Findings
from specvit.honesty.restframe import air_velocity, at_rest, removable_velocity
from specvit.honesty.screening import judged, line_model
from specvit.labels import LABELS
from specvit.network.tensors import device_of, order_one
from specvit.spectra import Flag

__all__ = ["examined", "findings_of"]

#: Least ``velocity_lead`` of a velocity: of stars at S/N 5 those with a wrong one had less than 9, and 99 in
#: 100 of the others more than 28.
_LEAST_LEAD = 15.0
#: Predictions with ``velocity="fit"``: as given, at the velocity measured with their labels, and once more.
_PASSES = 3


def examined(predict, batch, names, velocity_fit=False, device="cpu"):
    """Predict spectra, look what they say of it themselves, and flag those that disagree.

    Parameters
    ----------
    predict : callable
        Gives mean, σ, both (n, n_labels), and details of a batch.
    batch : SpectrumBatch
        Spectra as they were given.
    names : tuple of str
        Labels that are predicted.
    velocity_fit : bool
        Whether velocities are measured and removed. If not, spectra whose medium nobody stated are taken to
        be in air where their velocity shows it.
    device : str
        Where spectra are fitted.

    Returns
    -------
    batch : SpectrumBatch
        Spectra at rest, flagged.
    answer : tuple
        What `predict` gave for them.
    findings : Findings
        What they say; the velocity is that of the spectra as given.
    """
    given, removed = batch, np.zeros(len(batch))
    passes = _PASSES if velocity_fit else 2
    for left in reversed(range(passes)):
        answer = predict(batch)
        findings = findings_of(batch, names, *answer[:2], device_of(device), thorough=velocity_fit)
        if not left:
            break
        step = removable_velocity(batch, findings) if velocity_fit else air_velocity(batch, findings)
        if not step.any():
            break
        removed = removed + step
        batch = at_rest(given, removed)
    if not velocity_fit:
        batch.flags[removed != 0] |= int(Flag.AIR_FOUND)
    alarm(batch, findings)  # of the velocity, what is left of it
    if velocity_fit:  # which may be that of a peak of noise
        unsure = (findings.velocity_lead < _LEAST_LEAD) & (findings.lines_test >= shipped_limits().lines)
        batch.flags[unsure] |= int(Flag.VELOCITY)
    return batch, answer, replace(findings, velocity=findings.velocity + np.where(velocity_fit, removed, 0))


def findings_of(batch, names, mean, sigma, device="cpu", thorough=False):
    """`Findings` of the usable spectra of a batch against their predicted labels.

    Parameters
    ----------
    batch : SpectrumBatch
        Spectra that were predicted.
    names : tuple of str
        Predicted labels.
    mean, sigma : ndarray, shape (n, n_labels)
        Labels and their errors.
    device : str
        Where the fits are made.
    thorough : bool
        Whether to fit all spectra in full, for the best velocities. By default they are screened, and those
        that come within reach of a limit are fitted.

    Returns
    -------
    Findings
        NaN where the emulator that ships is for another grid, or one of the five labels is missing.
    """
    if line_model(device, 2).emulator.grid != batch.grid or not set(LABELS) <= set(names):
        return Findings.nothing(len(batch))
    order = [names.index(name) for name in LABELS]
    flux, ivar = order_one(batch.flux, np.where(batch.usable[:, None], batch.ivar, 0.0))
    given = flux, ivar, mean[:, order], sigma[:, order], batch.lsf, batch.sampling
    return examine(line_model(device), *given) if thorough else judged(given, batch.snr, device)

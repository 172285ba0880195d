"""Is a spectrum what it is said to be? Alarms, set by limits that draws of the survey have given."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

import numpy as np

from specvit.constants import SPEED_OF_LIGHT
from specvit.labels import LABELS
from specvit.predictors.findings import Findings
from specvit.predictors.honestyfit import examine
from specvit.predictors.honestymodel import LineModel
from specvit.predictors.networkarrays import device_of
from specvit.spectra import Flag
from specvit.stars import Emulator, LineCalibration

__all__ = [
    "LIMITED",
    "HonestyLimits",
    "alarm",
    "at_rest",
    "examined",
    "findings_of",
    "honesty_columns",
    "line_model",
]

#: Tests of `Findings` that have a limit which goes with S/N.
LIMITED = ("velocity_test", "broadening_test", "dilution_test", "labels_test", "misfit")
#: Standard errors of a velocity beyond those that the network has learned to live with, for an alarm.
_VELOCITY_SIGMAS = 3.0
#: Standard error in km/s up to which a velocity is removed.
_LARGEST_ERR = 20.0
#: Velocity in km/s that wavelengths in air show when they are taken to be in vacuum, (1/n − 1) c: 82.7 at
#: 7100 Å, 82.3 at 8850 Å.
_AIR_VELOCITY = -82.5
#: Predictions with ``velocity="fit"``: as given, at the velocity measured with their labels, and once more.
_PASSES = 3


@dataclass(frozen=True)
class HonestyLimits:
    """Limits of the tests, as ``scripts/calibrate_honesty.py`` has found them.

    Attributes
    ----------
    snr : ndarray, shape (k,)
        Median signal-to-noise ratios per pixel, increasing.
    limits : dict of str to ndarray, shape (k,)
        Largest value of each of `LIMITED` that is no alarm; linear in ln(S/N) between, constant beyond.
    lines : float
        Least ``lines_test`` of a spectrum that has lines.
    record : dict
        The survey, the number of draws and the false-alarm rate of each test.
    """

    snr: np.ndarray
    limits: dict[str, np.ndarray]
    lines: float
    record: dict

    @classmethod
    def load(cls):
        """Those that ship."""
        text = (resources.files("specvit") / "data" / "honesty_limits.json").read_text(encoding="utf-8")
        values = json.loads(text)
        limits = {name: np.array(values["limits"][name]) for name in LIMITED}
        return cls(np.array(values["snr"]), limits, values["lines"], values["record"])

    def at(self, name, snr):
        """Limit of a test at ``snr`` (n,), ndarray (n,)."""
        return np.interp(np.log(np.maximum(snr, 1e-3)), np.log(self.snr), self.limits[name])


@lru_cache
def line_model(device):
    """The `LineModel` of the emulator that ships, on a device given by its name."""
    return LineModel(Emulator.load(), LineCalibration.load()).to(device)


@lru_cache
def _limits():
    return HonestyLimits.load()


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
        findings = findings_of(batch, names, *answer[:2], device_of(device))
        if not left:
            break
        step = removable_velocity(findings) if velocity_fit else air_velocity(batch, findings)
        if not step.any():
            break
        batch, removed = at_rest(given, removed + step)
    if not velocity_fit:
        batch.flags[removed != 0] |= int(Flag.AIR_FOUND)
    alarm(batch, findings)  # of the velocity, what is left of it
    return batch, answer, replace(findings, velocity=findings.velocity + np.where(velocity_fit, removed, 0))


def findings_of(batch, names, mean, sigma, device="cpu"):
    """`Findings` of the usable spectra of a batch against their predicted labels.

    Parameters
    ----------
    batch : SpectrumBatch
    names : tuple of str
        Predicted labels.
    mean, sigma : ndarray, shape (n, n_labels)
    device : str
        Where the fits are made.

    Returns
    -------
    Findings
        NaN where the emulator that ships is for another grid, or one of the five labels is missing.
    """
    model = line_model(device)
    if model.emulator.grid != batch.grid or not set(LABELS) <= set(names):
        return Findings.nothing(len(batch))
    order = [names.index(name) for name in LABELS]
    ivar = np.where(batch.usable[:, None], batch.ivar, 0.0)
    return examine(model, batch.flux, ivar, mean[:, order], sigma[:, order], batch.lsf, batch.sampling)


def alarm(batch, findings):
    """Flag the spectra of a batch whose findings exceed the limits.

    Parameters
    ----------
    batch : SpectrumBatch
        Its flags are added to.
    findings : Findings
    """
    limits, f, snr = _limits(), findings, np.nan_to_num(batch.snr, nan=1.0)
    above = {name: getattr(f, name) > limits.at(name, snr) for name in LIMITED}
    moved = np.abs(f.velocity) > f.learned_velocity + _VELOCITY_SIGMAS * f.velocity_err
    lined = f.lines_test >= limits.lines
    # Without lines nothing else can be said of them.
    for flag, raised in (
        (Flag.NO_LINES, f.lines_test < limits.lines),
        (Flag.VELOCITY, above["velocity_test"] & moved & lined),
        (Flag.BROADENED, above["broadening_test"] & (f.broadening > 0) & lined),
        (Flag.DILUTED, above["dilution_test"] & (f.dilution > 0) & lined),
        (Flag.BAD_FIT, above["labels_test"] | above["misfit"]),
    ):
        batch.flags[raised] |= int(flag)


def removable_velocity(findings):
    """Velocities in km/s that are known well enough to be removed, ndarray (n,); 0 for the others."""
    f = findings
    known = (f.lines_test >= _limits().lines) & (f.velocity_err < _LARGEST_ERR)
    return np.where(known & np.isfinite(f.velocity), f.velocity, 0.0)


def air_velocity(batch, findings):
    """`_AIR_VELOCITY` for spectra of no stated medium that show it, else 0: ndarray (n,)."""
    f, unknown = findings, (batch.flags & Flag.MEDIUM_ASSUMED) > 0
    margin = f.learned_velocity + _VELOCITY_SIGMAS * f.velocity_err
    shown = np.abs(f.velocity - _AIR_VELOCITY) < np.minimum(margin, -_AIR_VELOCITY / 2)
    moved = f.velocity_test > _limits().at("velocity_test", np.nan_to_num(batch.snr, nan=1.0))
    lined = f.lines_test >= _limits().lines
    return np.where(unknown & shown & moved & lined, _AIR_VELOCITY, 0.0)


def at_rest(batch, velocity):
    """A copy of a batch with its spectra shifted back by ``velocity`` (n,) km/s, and by how much they were.

    Each pixel takes what was recorded in the pixel nearest to where its light has fallen: noise stays
    independent and lines as sharp as they were. What is left of the velocity, half a pixel (± 8 km/s for PFS
    MR), is within what the networks have learned. Pixels whose light has left the grid hold no information.
    """
    edges, wave = batch.grid.edges, batch.grid.wave
    fell = wave * (1 + np.asarray(velocity)[:, None] / SPEED_OF_LIGHT)
    source = np.searchsorted(edges, fell, side="right") - 1
    inside = (source >= 0) & (source < wave.size)
    source = source.clip(0, wave.size - 1)
    flux = np.where(inside, np.take_along_axis(batch.flux, source, 1), 0.0)
    ivar = np.where(inside, np.take_along_axis(batch.ivar, source, 1), 0.0)
    moved = replace(batch, flux=flux, ivar=ivar, flags=batch.flags.copy(), errors=list(batch.errors))
    return moved, SPEED_OF_LIGHT * np.where(inside, wave[source] / wave - 1, 0).sum(1) / inside.sum(1)


def honesty_columns(findings):
    """Columns of a table, dict of str to Quantity or ndarray (n,).

    ``velocity``, ``velocity_err`` and ``broadening``, ``broadening_err`` (σ of a Gaussian beyond the LSF)
    in km/s; ``dilution``, ``dilution_err``, the share of the light without lines; ``chi2``.
    """
    from astropy import units as u

    f, unit = findings, u.km / u.s
    width, low, high = (
        f.lsf * np.sqrt(np.maximum(f.broadening + sign * f.broadening_err, 0)) for sign in (0, -1, 1)
    )
    return {
        "velocity": f.velocity * unit,
        "velocity_err": f.velocity_err * unit,
        "broadening": width * unit,
        "broadening_err": (high - low) / 2 * unit,
        "dilution": f.dilution,
        "dilution_err": f.dilution_err,
        "chi2": f.chi2,
    }

"""Is a spectrum what it is said to be? Alarms, set by limits that draws of the survey have given."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources

import numpy as np
import torch

from specvit.constants import SPEED_OF_LIGHT
from specvit.grid.native import MIN_WEIGHT
from specvit.labels import LABELS
from specvit.predictors.findings import Findings
from specvit.predictors.honestyfit import examine, screen
from specvit.predictors.honestymodel import LineModel
from specvit.predictors.networkarrays import device_of, order_one
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
    "judged",
    "line_model",
    "screened",
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
        """Limit of a test at ``snr`` (n,), ndarray (n,); that of S/N 1 where it is NaN."""
        snr = np.maximum(np.nan_to_num(snr, nan=1.0), 1e-3)
        return np.interp(np.log(snr), np.log(self.snr), self.limits[name])


#: Shares of the limits, in a screening, from which a spectrum is fitted in full: of 1,024 draws of
#: ``Survey("any")`` with an alarm all but one were beyond one of them, with 18 % of the rest.
_DOUBTFUL = {
    "velocity_test": 0.5, "broadening_test": 0.4, "dilution_test": 0.4, "labels_test": 0.4, "misfit": 0.55
}  # fmt: skip
#: Reduced χ² below which errors are so wrong that a linear step says nothing.
_LEAST_CHI2 = 0.25
#: The same of the test for lines: below the first there are none, above the second there are.
_DOUBTFUL_LINES = (0.5, 1.6)


@lru_cache
def line_model(device, coarse=1):
    """The `LineModel` of the emulator that ships, on a device given by its name."""
    return LineModel(Emulator.load(), LineCalibration.load(), coarse).to(device)


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
    if line_model(device).emulator.grid != batch.grid or not set(LABELS) <= set(names):
        return Findings.nothing(len(batch))
    order = [names.index(name) for name in LABELS]
    flux, ivar = order_one(batch.flux, np.where(batch.usable[:, None], batch.ivar, 0.0))
    given = flux, ivar, mean[:, order], sigma[:, order], batch.lsf, batch.sampling
    return examine(line_model(device), *given) if thorough else judged(given, batch.snr, device)


def judged(given, snr, device):
    """`Findings` of spectra on the grid of the emulator that ships: screened, the doubtful ones examined.

    Parameters
    ----------
    given : tuple
        Arguments of `~specvit.predictors.honestyfit.examine` after the model; of NumPy or torch, or None.
    snr : ndarray, shape (n,)
        Median signal-to-noise ratio per pixel.
    device : str
        Where the fits are made.
    """
    found, rows, some = screened(given, snr, device)
    if len(rows):
        found.put(rows, examine(line_model(device), *some))
    return found


def screened(given, snr, device):
    """`Findings` of spectra that are screened only, numbers of those to be examined, and their `given`."""
    found, jumped = screen(line_model(device, 2), *given)
    rows = np.flatnonzero(_doubtful(found, jumped, snr))
    some = [
        x if x is None else x[torch.as_tensor(rows).to(x.device) if torch.is_tensor(x) else rows]
        for x in given
    ]
    return found, rows, some


def _doubtful(found, jumped, snr):
    """Which screened spectra come within reach of a limit, bool (n,)."""
    f, limits = found, _limits()
    near = {name: getattr(f, name) > share * limits.at(name, snr) for name, share in _DOUBTFUL.items()}
    low, high = (share * limits.lines for share in _DOUBTFUL_LINES)
    of_lines = jumped | (f.lines_test < high) | (np.abs(f.velocity) > f.learned_velocity + f.velocity_err)
    of_lines |= near["velocity_test"]
    of_lines |= (near["broadening_test"] & (f.broadening > 0)) | (near["dilution_test"] & (f.dilution > 0))
    # Without lines there are no such alarms, unless they are somewhere else.
    of_lines &= (f.lines_test > low) | jumped
    unfit = near["labels_test"] | near["misfit"] | (f.chi2 < _LEAST_CHI2)
    return np.isfinite(f.lines_test) & (of_lines | unfit)


def alarm(batch, findings):
    """Flag the spectra of a batch whose findings exceed the limits.

    Parameters
    ----------
    batch : SpectrumBatch
        Its flags are added to.
    findings : Findings
        What they say.
    """
    limits, f, snr = _limits(), findings, batch.snr
    above = {name: getattr(f, name) > limits.at(name, snr) for name in LIMITED}
    moved = np.abs(f.velocity) > f.learned_velocity + _VELOCITY_SIGMAS * f.velocity_err
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


def removable_velocity(batch, findings):
    """Velocities in km/s that are known well enough to be removed, ndarray (n,); 0 for the others."""
    f = findings
    lined, sharp = f.lines_test >= _limits().lines, f.velocity_err < _LARGEST_ERR
    return np.where(lined & (sharp | _shifted(batch, f)), f.velocity, 0.0)


def _shifted(batch, findings):
    """Whether lines fit clearly better at a velocity beyond those learned, bool (n,)."""
    return findings.velocity_test > _limits().at("velocity_test", batch.snr)


def air_velocity(batch, findings):
    """`_AIR_VELOCITY` for spectra of no stated medium that show it, else 0: ndarray (n,)."""
    f, unknown = findings, (batch.flags & Flag.MEDIUM_ASSUMED) > 0
    margin = f.learned_velocity + _VELOCITY_SIGMAS * f.velocity_err
    shown = np.abs(f.velocity - _AIR_VELOCITY) < np.minimum(margin, -_AIR_VELOCITY / 2)
    lined = f.lines_test >= _limits().lines
    return np.where(unknown & shown & _shifted(batch, f) & lined, _AIR_VELOCITY, 0.0)


def at_rest(batch, velocity):
    """A copy of a batch with its spectra shifted back by ``velocity`` (n,) km/s.

    Each pixel takes the mean of the two pixels that its light has fallen into, weighted by overlap: the rule
    by which native pixels come to a grid (`specvit.grid.native`). The line spread function widens by what
    this averages over, a share f of a pixel of width w by the variance f (1 − f) w². Pixels whose light has
    left the grid, or has less than `~specvit.grid.native.MIN_WEIGHT` of its weight on good pixels, hold no
    information.
    """
    grid, moved = batch.grid, np.flatnonzero(velocity)
    copied = replace(
        batch,
        flags=batch.flags.copy(),
        errors=list(batch.errors),
        **{name: getattr(batch, name).copy() for name in ("flux", "ivar", "lsf")},
    )
    fell = grid.edges * (1 + np.asarray(velocity)[moved, None] / SPEED_OF_LIGHT)  # (n_moved, n_pixels + 1)
    low, high = fell[:, :-1], fell[:, 1:]
    first = (np.searchsorted(grid.edges, low, side="right") - 1).clip(0, len(grid) - 2)
    share = ((grid.edges[first + 1] - low) / (high - low)).clip(0, 1)
    inside = (low >= grid.edges[0]) & (high <= grid.edges[-1])
    flux, weight, variance = 0.0, 0.0, 0.0
    for index, part in ((first, share), (first + 1, 1 - share)):
        ivar = np.take_along_axis(batch.ivar[moved], index, 1)
        part = np.where(ivar > 0, part, 0.0)
        flux = flux + part * np.take_along_axis(batch.flux[moved], index, 1)
        variance = variance + part**2 / np.where(ivar > 0, ivar, 1.0)
        weight = weight + part
    good = inside & (weight >= MIN_WEIGHT)
    safe = np.where(good, weight, 1.0)
    copied.flux[moved] = np.where(good, flux / safe, 0.0)
    copied.ivar[moved] = np.where(good, safe**2 / np.where(good, variance, 1.0), 0.0)
    blur = share * (1 - share) * (grid.width / grid.lsf_sigma) ** 2
    copied.lsf[moved] = 0.5 * np.log2(4.0 ** batch.lsf[moved] + blur)
    return copied


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

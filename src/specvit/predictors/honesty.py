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
from specvit.spectra import Flag
from specvit.stars import Emulator

__all__ = [
    "LIMITED",
    "HonestyLimits",
    "alarm",
    "at_rest",
    "findings_of",
    "honesty_columns",
    "removable_velocity",
]

#: Tests of `Findings` that have a limit which goes with S/N.
LIMITED = ("velocity_test", "broadening_test", "dilution_test", "labels_test", "misfit")
#: |v| in km/s that the network has learned to live with, and the σ beyond it that an alarm asks for.
_LEARNED_VELOCITY, _VELOCITY_SIGMAS = 20.0, 3.0


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
def _model(device):
    return LineModel(Emulator.load()).to(device)


@lru_cache
def _limits():
    return HonestyLimits.load()


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
    model = _model(device)
    if model.emulator.grid != batch.grid or not set(LABELS) <= set(names):
        return Findings.nothing(len(batch))
    order = [names.index(name) for name in LABELS]
    ivar = np.where(batch.usable[:, None], batch.ivar, 0.0)
    lsf = getattr(batch, "lsf", None)
    return examine(model, batch.flux, ivar, mean[:, order], sigma[:, order], lsf)


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
    moved = np.abs(f.velocity) > _LEARNED_VELOCITY + _VELOCITY_SIGMAS * f.velocity_err
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
    known = (f.lines_test >= _limits().lines) & (f.velocity_err < _LEARNED_VELOCITY)
    return np.where(known & np.isfinite(f.velocity), f.velocity, 0.0)


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
    own = SPEED_OF_LIGHT * _model("cpu").unit ** 0.5
    width, low, high = (
        own * np.sqrt(np.maximum(f.broadening + sign * f.broadening_err, 0)) for sign in (0, -1, 1)
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

"""Limits beyond which a test of a spectrum is an alarm, as draws of the survey have given them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

from specvit.digests import digest

__all__ = ["LIMITED", "HonestyLimits", "shipped_limits"]

#: Tests of `Findings` that have a limit which goes with S/N.
LIMITED = ("velocity_test", "broadening_test", "dilution_test", "labels_test", "misfit")


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
    def load(cls, path=None):
        """Those of a JSON file at `path`, by default the one that ships; ValueError if it is damaged."""
        path = resources.files("specvit") / "data" / "honesty_limits.json" if path is None else path
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            intact = values["sha256"] == cls.digest(values)
        except (AttributeError, KeyError, TypeError, ValueError):
            intact = False
        if not intact:
            raise ValueError(f"limits of honesty: {path} is damaged, or not a file of such limits")
        limits = {name: np.array(values["limits"][name]) for name in LIMITED}
        return cls(np.array(values["snr"]), limits, values["lines"], values["record"])

    @staticmethod
    def digest(values):
        """SHA-256 of what a file holds, a dict of plain JSON types, apart from its own ``sha256``: str."""
        text = json.dumps({name: x for name, x in values.items() if name != "sha256"}, sort_keys=True)
        return digest(np.frombuffer(text.encode(), np.uint8), length=64)

    def at(self, name, snr):
        """Limit of a test at ``snr`` (n,), ndarray (n,); that of S/N 1 where it is NaN."""
        snr = np.maximum(np.nan_to_num(snr, nan=1.0), 1e-3)
        return np.interp(np.log(snr), np.log(self.snr), self.limits[name])


@lru_cache
def shipped_limits():
    """The `HonestyLimits` that come with the package, read once."""
    return HonestyLimits.load()

"""Which spectra are in order, by one linear step; the doubtful ones are fitted in full."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock

import numpy as np
import torch

from specvit.honesty.alarmlimits import shipped_limits
from specvit.honesty.examination import MODEL_ERR, examine, screen
from specvit.honesty.linemodel import LineModel
from specvit.stars import Emulator, LineCalibration

__all__ = ["judged", "line_model", "screened"]

#: Shares of the limits, in a screening, from which a spectrum is fitted in full: of 2,048 draws of
#: ``Survey("any")`` 28 % were, and of 393 alarms of full fits, most of them for want of lines, 6 were missed.
_DOUBTFUL = {
    "velocity_test": 0.5, "broadening_test": 0.4, "dilution_test": 0.4, "labels_test": 0.4,
    "misfit": 0.55,
}  # fmt: skip
#: χ² over that of right errors below which they are so wrong that a linear step says nothing. The latter
#: falls with S/N, since χ² holds an error of the model.
_LEAST_CHI2 = 0.25
#: The same of the test for lines: below the first there are none, above the second there are.
_DOUBTFUL_LINES = (0.5, 1.6)
#: Two lanes of a GPU ask for models at the same time, and each would make them.
_MAKING = Lock()


def line_model(device, coarse=1):
    """The `LineModel` of the emulator that ships, on a device given by its name."""
    with _MAKING:
        return _models_on(torch.empty(0, device=device).device)[coarse]  # "cuda" is one of them


@lru_cache
def _models_on(device):
    """Those of all pixels and of pairs, by `coarse`: who needs one soon needs the other, of the same file."""
    read = Emulator.load(), LineCalibration.load()
    return {coarse: LineModel(*read, coarse).to(device) for coarse in (1, 2)}


def judged(given, snr, device):
    """`Findings` of spectra on the grid of the emulator that ships: screened, the doubtful ones examined.

    Parameters
    ----------
    given : tuple
        Arguments of `~specvit.honesty.examination.examine` after the model; of NumPy or torch, or None.
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
    f, limits = found, shipped_limits()
    near = {name: getattr(f, name) > share * limits.at(name, snr) for name, share in _DOUBTFUL.items()}
    low, high = (share * limits.lines for share in _DOUBTFUL_LINES)
    of_lines = jumped | (f.lines_test < high) | (np.abs(f.velocity) > f.learned_velocity + f.velocity_err)
    of_lines |= near["velocity_test"]
    of_lines |= (near["broadening_test"] & (f.broadening > 0)) | (near["dilution_test"] & (f.dilution > 0))
    # Without lines there are no such alarms, unless they are somewhere else.
    of_lines &= (f.lines_test > low) | jumped
    unfit = near["labels_test"] | near["misfit"] | (f.chi2 * (1 + 2 * (MODEL_ERR * snr) ** 2) < _LEAST_CHI2)
    return np.isfinite(f.lines_test) & (of_lines | unfit)

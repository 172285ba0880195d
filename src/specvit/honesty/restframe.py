"""Velocities that spectra show, and spectra without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from specvit.constants import SPEED_OF_LIGHT
from specvit.grid.native import MIN_WEIGHT, between_ends, unseen_ends_of
from specvit.honesty.alarmlimits import shipped_limits
from specvit.honesty.alarms import VELOCITY_SIGMAS
from specvit.spectra import Flag

__all__ = ["air_velocity", "at_rest", "removable_velocity"]

#: Standard error in km/s up to which a velocity is removed.
_LARGEST_ERR = 20.0
#: Velocity in km/s that wavelengths in air show when they are taken to be in vacuum, (1/n − 1) c: 82.7 at
#: 7100 Å, 82.3 at 8850 Å.
_AIR_VELOCITY = -82.5


def removable_velocity(batch, findings):
    """Velocities in km/s that are known well enough to be removed, ndarray (n,); 0 for the others."""
    f = findings
    lined, sharp = f.lines_test >= shipped_limits().lines, f.velocity_err < _LARGEST_ERR
    return np.where(lined & (sharp | _shifted(batch, f)), f.velocity, 0.0)


def _shifted(batch, findings):
    """Whether lines fit clearly better at a velocity beyond those learned, bool (n,)."""
    return findings.velocity_test > shipped_limits().at("velocity_test", batch.snr)


def air_velocity(batch, findings):
    """`_AIR_VELOCITY` for spectra of no stated medium that show it, else 0: ndarray (n,)."""
    f, unknown = findings, (batch.flags & Flag.MEDIUM_ASSUMED) > 0
    margin = f.learned_velocity + VELOCITY_SIGMAS * f.velocity_err
    shown = np.abs(f.velocity - _AIR_VELOCITY) < np.minimum(margin, -_AIR_VELOCITY / 2)
    lined = f.lines_test >= shipped_limits().lines
    return np.where(unknown & shown & _shifted(batch, f) & lined, _AIR_VELOCITY, 0.0)


def at_rest(batch, velocity):
    """A copy of a batch with its spectra shifted back by ``velocity`` (n,) km/s.

    Each pixel takes the mean of the two pixels that its light has fallen into, weighted by overlap: the rule
    by which native pixels come to a grid (`specvit.grid.native`). The line spread function widens by what
    this averages over, a share f of a pixel of width w by the variance f (1 − f) w². Pixels whose light has
    left the grid, or has less than `~specvit.grid.native.MIN_WEIGHT` of its weight on good pixels, hold no
    information. Nor do those that are at the ends of the grid only now, of a spectrum less sharp than it
    (`~specvit.grid.native.unseen_ends_of`).
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
    reach = unseen_ends_of(grid.lsf_sigma * 2.0 ** batch.lsf[moved], grid)[:, None]
    good = inside & between_ends(grid.wave, reach, grid) & (weight >= MIN_WEIGHT)
    safe = np.where(good, weight, 1.0)
    copied.flux[moved] = np.where(good, flux / safe, 0.0)
    copied.ivar[moved] = np.where(good, safe**2 / np.where(good, variance, 1.0), 0.0)
    blur = share * (1 - share) * (grid.width / grid.lsf_sigma) ** 2
    copied.lsf[moved] = 0.5 * np.log2(4.0 ** batch.lsf[moved] + blur)
    return copied

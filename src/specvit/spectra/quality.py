"""`Quality`: what is known of spectra besides their pixels."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from specvit.grid import PixelGrid
from specvit.spectra.batch import Flag

__all__ = ["Quality"]


@dataclass
class Quality:
    """What a `SpectrumBatch` says of its n spectra, without their pixels: of millions it fits in memory.

    Attributes
    ----------
    snr, coverage, flags, errors, resolution, names, shape, grid
        As of a `~specvit.SpectrumBatch`.

    See Also
    --------
    SpectrumBatch : Has the pixels, too.
    """

    snr: np.ndarray
    coverage: np.ndarray
    flags: np.ndarray
    errors: list[str | None]
    resolution: np.ndarray
    names: list[str]
    shape: tuple[int, ...]
    grid: PixelGrid

    @classmethod
    def of(cls, batch):
        """That of a `SpectrumBatch`."""
        return cls(**{field.name: getattr(batch, field.name) for field in fields(cls)})

    @classmethod
    def in_order(cls, n, grid):
        """That of n spectra with nothing to report: S/N unknown, all pixels seen, the grid's resolution."""
        return cls(
            snr=np.full(n, np.nan),
            coverage=np.ones(n),
            flags=np.zeros(n, np.int64),
            errors=[None] * n,
            resolution=np.full(n, np.median(grid.resolving_power)),
            names=[""] * n,
            shape=(n,),
            grid=grid,
        )

    def put(self, rows, other):
        """Take what `other` says for the rows of these numbers."""
        for name in ("snr", "coverage", "flags", "resolution"):
            getattr(self, name)[rows] = getattr(other, name)
        for k, row in enumerate(rows):
            self.errors[row], self.names[row] = other.errors[k], other.names[k]

    @classmethod
    def joined(cls, parts):
        """That of several parts, each with one row after the other."""
        values = {}
        for name in ("snr", "coverage", "flags", "resolution"):
            values[name] = np.concatenate([getattr(part, name) for part in parts])
        for name in ("errors", "names"):
            values[name] = [one for part in parts for one in getattr(part, name)]
        return cls(shape=(len(values["names"]),), grid=parts[0].grid, **values)

    def __len__(self):
        return len(self.flags)

    @property
    def usable(self):
        """True for the spectra that can be used, shape (n,)."""
        return (self.flags & Flag.UNUSABLE) == 0

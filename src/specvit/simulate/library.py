"""Libraries of synthetic spectra on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

__all__ = ["LABELS", "SyntheticLibrary", "carbon_star", "read_library"]

#: Label names in the order of every labels array: Teff [K], log g [dex(cgs)], [M/H], [alpha/M], [C/M] [dex].
LABELS = ("teff", "logg", "mh", "alpham", "cm")

_LN_START, _LN_STEP = np.log(7060.0), 2e-5  # the shipped kind of library: ln λ_vac = ln 7060 + 2e-5 i
_CONTINUUM_KNOTS = np.linspace(7060.0, 8890.0, 32)
_RESOLVING_POWER = 20_000.0


@dataclass(frozen=True)
class SyntheticLibrary:
    """Synthetic spectra with their labels.

    Attributes
    ----------
    labels : ndarray, shape (n, 5)
        Teff [K], log g [dex(cm/s2)], [M/H], [alpha/M], [C/M] [dex].
    wave : ndarray, shape (n_wave,)
        Vacuum wavelength in Å, uniform in ln λ.
    normalised : ndarray, shape (n, n_wave)
        Continuum-normalised flux.
    log_continuum : ndarray, shape (n, n_knots)
        Natural logarithm of the continuum F_λ at `continuum_wave`.
    continuum_wave : ndarray, shape (n_knots,)
        Wavelengths of the continuum in Å.
    resolving_power : float
        λ / FWHM of the stored spectra.
    """

    labels: np.ndarray = field(repr=False)
    wave: np.ndarray = field(repr=False)
    normalised: np.ndarray = field(repr=False)
    log_continuum: np.ndarray = field(repr=False)
    continuum_wave: np.ndarray = field(repr=False)
    resolving_power: float

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, selection):
        """Sub-library of the spectra picked by an index array or boolean mask."""
        return SyntheticLibrary(
            self.labels[selection],
            self.wave,
            self.normalised[selection],
            self.log_continuum[selection],
            self.continuum_wave,
            self.resolving_power,
        )


def carbon_star(labels):
    """True where C/O exceeds about 0.8, shape (n,).

    Beyond it TiO vanishes and CN and C2 take over within a few hundredths of a dex. The change is
    real but abrupt, and outside every survey here: a smooth emulator must not be asked to follow it.
    """
    return labels[:, 4] - labels[:, 3] > 0.16


def read_library(folder):
    """Read a folder of ``d*.npz`` files, each with labels, norm and cont, in the order of their names.

    Parameters
    ----------
    folder : path-like
        Folder with the library's files.

    Returns
    -------
    SyntheticLibrary

    Raises
    ------
    FileNotFoundError
        If the folder holds no such file.
    ValueError
        If a file lacks an array or has one of the wrong shape.
    """
    paths = sorted(Path(folder).glob("d*.npz"))
    if not paths:
        raise FileNotFoundError(f"folder {str(folder)!r} holds no library files (d*.npz)")
    labels, normalised, continuum = [], [], []
    for path in paths:
        with np.load(path) as archive:
            missing = {"labels", "norm", "cont"} - set(archive.files)
            if missing:
                raise ValueError(f"{path}: not a library file, it lacks {sorted(missing)}")
            n = len(archive["labels"])
            norm, cont = archive["norm"], archive["cont"]
            if norm.ndim != 2 or len(norm) != n or cont.shape != (n, _CONTINUUM_KNOTS.size):
                raise ValueError(
                    f"{path}: norm and cont must have shapes ({n}, n_wave) and "
                    f"({n}, {_CONTINUUM_KNOTS.size}), got {norm.shape} and {cont.shape}"
                )
            labels.append(archive["labels"])
            normalised.append(norm.astype(np.float32) / 50_000)
            continuum.append(np.log(cont))
    normalised = np.concatenate(normalised)
    return SyntheticLibrary(
        labels=np.concatenate(labels),
        wave=np.exp(_LN_START + _LN_STEP * np.arange(normalised.shape[1])),
        normalised=normalised,
        log_continuum=np.concatenate(continuum),
        continuum_wave=_CONTINUUM_KNOTS,
        resolving_power=_RESOLVING_POWER,
    )

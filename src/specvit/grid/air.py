"""Wavelengths in air and in vacuum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from specvit.checks import in_unit

__all__ = ["air_to_vacuum", "vacuum_to_air"]

# Below 2000 Å the convention is vacuum throughout; the formula has poles there.
_AIR_STARTS = 2000.0


def _refractive_index(wave):
    s = (1e4 / wave) ** 2
    return 1 + 8.34254e-5 + 2.406147e-2 / (130 - s) + 1.5998e-4 / (38.9 - s)


def vacuum_to_air(wave: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Air wavelength of vacuum wavelengths, both in Å.

    Morton (2000, ApJS 130, 403, eq. 8), dry air at 15 °C. Below 2000 Å wavelengths are unchanged.

    Parameters
    ----------
    wave : array-like of float
        Vacuum wavelengths in Å.

    Returns
    -------
    numpy.ndarray of float64

    Examples
    --------
    The middle line of the calcium triplet:

    >>> float(vacuum_to_air(8544.44).round(2))
    8542.09
    """
    wave = np.asarray(in_unit("wave", wave, "Angstrom"), dtype=np.float64)
    far = wave < _AIR_STARTS
    return np.where(far, wave, wave / _refractive_index(np.where(far, _AIR_STARTS, wave)))


def air_to_vacuum(wave: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Vacuum wavelength of air wavelengths, both in Å: the inverse of `vacuum_to_air`.

    Solved by iteration to 1e-15, where the usual n(λ_air) λ_air is good to 1e-9 only.

    Parameters
    ----------
    wave : array-like of float
        Air wavelengths in Å; unchanged where their vacuum wavelength would be below 2000 Å.

    Returns
    -------
    numpy.ndarray of float64

    Examples
    --------
    >>> air_to_vacuum([8498.02, 8542.09, 8662.14]).round(2)
    array([8500.35, 8544.44, 8664.52])
    """
    wave = np.asarray(in_unit("wave", wave, "Angstrom"), dtype=np.float64)
    far = wave < _AIR_STARTS / _refractive_index(_AIR_STARTS)
    near = np.where(far, _AIR_STARTS, wave)
    vacuum = near
    for _ in range(5):  # each pass gains four digits
        vacuum = near * _refractive_index(vacuum)
    return np.where(far, wave, vacuum)

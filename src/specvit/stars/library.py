"""Libraries of synthetic spectra, and which stars, wavelengths and files belong to them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

import numpy as np

from specvit.constants import CARBON_LIMIT, FWHM_PER_SIGMA
from specvit.grid import PixelGrid
from specvit.grid.gaussian import smoothing_matrix
from specvit.labels import LABELS
from specvit.paths import user_path

__all__ = ["SyntheticLibrary", "carbon_star", "library_files", "needed_range"]


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
        Natural logarithm of the continuum F_λ (erg/s/cm²/Å at the surface) at `continuum_wave`; between
        them a cubic spline.
    continuum_wave : ndarray, shape (n_knots,)
        Wavelengths of the continuum in Å.
    resolving_power : float
        λ / FWHM of the stored spectra.
    missing : ndarray, shape (n_missing, 5)
        For a library on a grid, the labels of the grid's points that have no spectrum.

    Raises
    ------
    ValueError
        If shapes do not fit each other, wavelengths do not increase or a value is not finite.

    See Also
    --------
    read_library : Reads one from files.
    specvit.Emulator.fit : Fits an emulator to it.

    Examples
    --------
    >>> import numpy as np
    >>> wave, knots = np.geomspace(8000, 8100, 500), np.linspace(8000, 8100, 8)
    >>> labels = np.array([[5000, 2.0, 0, 0, 0], [5000, 4.5, 0, 0, 0]])
    >>> library = SyntheticLibrary(labels, wave, np.ones((2, 500)), np.zeros((2, 8)), knots, 20_000.0)
    >>> len(library[labels[:, 1] > 4])
    1
    """

    labels: np.ndarray = field(repr=False)
    wave: np.ndarray = field(repr=False)
    normalised: np.ndarray = field(repr=False)
    log_continuum: np.ndarray = field(repr=False)
    continuum_wave: np.ndarray = field(repr=False)
    resolving_power: float
    missing: np.ndarray = field(repr=False, default_factory=lambda: np.empty((0, len(LABELS))))

    def __post_init__(self):
        n = len(self.labels)
        expected = {
            "labels": (n, len(LABELS)),
            "normalised": (n, self.wave.size),
            "log_continuum": (n, self.continuum_wave.size),
        }
        for name, shape in expected.items():
            values = getattr(self, name)
            if values.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {values.shape}")
            if not np.isfinite(values).all():
                bad = np.count_nonzero(~np.isfinite(values))
                raise ValueError(f"{name} must be finite, {bad} of {values.size} values are not")
        for name in ("wave", "continuum_wave"):
            if not (np.diff(getattr(self, name)) > 0).all():
                raise ValueError(f"{name} must be strictly increasing")

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, selection):
        """Sub-library of the spectra picked by an index array or boolean mask."""
        return replace(
            self,
            labels=self.labels[selection],
            normalised=self.normalised[selection],
            log_continuum=self.log_continuum[selection],
        )

    def smoothed(self, sigma, centres):
        """Normalised spectra brought from the library's resolution to a Gaussian LSF, sampled at `centres`.

        Parameters
        ----------
        sigma : ndarray, shape (n_out,)
            Final LSF standard deviation in Å.
        centres : ndarray, shape (n_out,)
            Wavelengths in Å.

        Returns
        -------
        ndarray of float32, shape (n, n_out)

        Raises
        ------
        ValueError
            If the library is not sharper than `sigma` or does not reach 5.5 kernel widths further than
            `centres`.
        """
        own = centres / self.resolving_power / FWHM_PER_SIGMA
        if (sigma <= own).any():
            raise ValueError(
                f"sigma must exceed the library's own LSF ({own.max():.3f} Å at "
                f"R = {self.resolving_power:g}), got {sigma.min():.3f} Å"
            )
        kernel = smoothing_matrix(self.wave, np.sqrt(sigma**2 - own**2), centres)
        return (kernel @ self.normalised.T.astype(np.float64)).T.astype(np.float32)


def carbon_star(labels):
    """True for carbon stars, in which C/O exceeds about 0.8, shape (n,), for `labels` (n, 5).

    At that ratio TiO vanishes and CN and C2 take its place within a few hundredths of a dex. The change is
    real but too abrupt for a smooth emulator. All surveys here are without carbon stars.
    """
    return labels[:, 4] - labels[:, 3] > CARBON_LIMIT


def needed_range(grid: PixelGrid):
    """Wavelengths that a library must cover for an emulator on a grid.

    On either side of the pixels 12 σ of the line spread function and 3 Å are needed: twice the reach of the
    kernels, the shift of a star at 20 km/s, and the difference between wavelengths in air and in vacuum.

    Parameters
    ----------
    grid : PixelGrid
        Pixels of the emulator.

    Returns
    -------
    low, high : float
        Vacuum wavelengths in Å.

    Examples
    --------
    >>> from specvit import PFS_MR
    >>> low, high = needed_range(PFS_MR)
    >>> round(low), round(high)
    (7090, 8860)
    """
    margin = 12 * grid.lsf_sigma.max() + 3.0
    return float(grid.edges[0] - margin), float(grid.edges[-1] + margin)


def library_files(source, belongs):
    """Files of a library.

    Parameters
    ----------
    source : path-like or sequence of path-like
        A folder, a file or files.
    belongs : callable
        Takes a path and returns whether the file belongs to the library. It is asked for the files of a
        folder and of the folders in it.

    Returns
    -------
    list of Path
        The files of a folder in sorted order, or the files given in their order.

    Raises
    ------
    FileNotFoundError
        If one of the files is not there.
    """
    if not isinstance(source, str | os.PathLike):
        files = [user_path(path) for path in source]
    elif user_path(source).is_dir():
        files = sorted(path for path in user_path(source).rglob("*") if belongs(path) and path.is_file())
    else:
        files = [user_path(source)]
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
    return files

"""Libraries of synthetic spectra."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from specvit.constants import CARBON_LIMIT
from specvit.grid import PixelGrid
from specvit.labels import LABELS

__all__ = ["SyntheticLibrary", "carbon_star", "needed_range", "read_library"]

# What files of our own kind are like if they do not say: ln λ_vac = ln 7060 + 2e-5 i, R = 20,000.
_LN_START, _LN_STEP = np.log(7060.0), 2e-5
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


def carbon_star(labels):
    """True where C/O exceeds about 0.8, shape (n,).

    Beyond it TiO vanishes and CN and C2 take over within a few hundredths of a dex. The change is
    real but abrupt, and outside every survey here: a smooth emulator must not be asked to follow it.
    """
    return labels[:, 4] - labels[:, 3] > CARBON_LIMIT


def needed_range(grid: PixelGrid):
    """Vacuum wavelengths (low, high) in Å that a library must cover for an emulator on `grid`.

    They are 12 σ of the line spread function and 3 Å more than the pixels: twice the kernels' reach,
    a star's velocity of ±20 km/s and what lies between air and vacuum.
    """
    margin = 12 * grid.lsf_sigma.max() + 3.0
    return float(grid.edges[0] - margin), float(grid.edges[-1] + margin)


def read_library(source, *, wave_range=None, **bosz):
    """Read a synthetic library: one of our own kind, or BOSZ of 2017 or 2024.

    Parameters
    ----------
    source : path-like or sequence of path-like
        A folder or files. Of our own kind are ``d*.npz`` files, each with arrays ``labels``,
        ``norm`` (flux × 50,000 as uint16, or flux as floats), ``cont`` and, where they differ from the
        shipped kind's, ``wave``, ``continuum_wave`` and ``resolving_power``. Files of BOSZ are known by
        their names, and looked for in the folders of a folder too.
    wave_range : (float, float), optional
        Vacuum wavelengths in Å that are needed, see `needed_range`. BOSZ is cut to them, by default to
        7060–8890 Å.
    **bosz
        Choices for `~specvit.stars.read_bosz`.

    Returns
    -------
    SyntheticLibrary

    Raises
    ------
    FileNotFoundError
        If there are no such files.
    ValueError
        If a file is damaged, foreign, or does not go with the others; the message names it. If the
        library does not cover `wave_range`.
    """
    from specvit.stars.bosz import is_bosz, read_bosz

    files = library_files(source)
    own = [path for path in files if path.suffix == ".npz"]
    other = [path for path in files if is_bosz(path)]
    if own and other:
        raise ValueError(f"a library must be of one kind, got {own[0]} and {other[0]}")
    if other:
        return read_bosz(files, **({} if wave_range is None else {"wave_range": wave_range}), **bosz)
    if not own:
        raise FileNotFoundError(f"{str(source)!r} holds no library files (d*.npz, or spectra of BOSZ)")
    if bosz:
        raise ValueError(f"{sorted(bosz)} are for BOSZ, {own[0]} is not of it")
    library = _read_own(own)
    if wave_range is not None and not (library.wave[0] <= wave_range[0] < wave_range[1] <= library.wave[-1]):
        raise ValueError(
            f"the library must cover {wave_range[0]:.1f}–{wave_range[1]:.1f} Å, "
            f"{own[0].parent} covers {library.wave[0]:.1f}–{library.wave[-1]:.1f} Å"
        )
    return library


def library_files(source):
    """Files of `source`, a folder, a file or files; in a folder only what may be a library's, sorted."""
    from specvit.stars.bosz import may_be_bosz

    if not isinstance(source, str | os.PathLike):
        files = [Path(path) for path in source]
    elif Path(source).is_dir():
        own = sorted(Path(source).glob("d*.npz"))
        files = own + sorted(path for path in Path(source).rglob("*") if may_be_bosz(path) and path.is_file())
    else:
        files = [Path(source)]
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
    return files


def _read_own(paths):
    """Library of npz files of our own kind, in the order given."""
    parts = [_read_npz(path) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        for name in ("wave", "continuum_wave", "resolving_power"):
            if not np.array_equal(part[name], parts[0][name]):
                raise ValueError(f"{path}: its {name} is not that of {paths[0]}")
    joined = {k: np.concatenate([p[k] for p in parts]) for k in ("labels", "normalised", "log_continuum")}
    return SyntheticLibrary(**parts[0] | joined)


def _read_npz(path):
    try:
        with open(path, "rb") as file, np.load(file) as archive:  # np.load leaves a damaged file open
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a readable npz file ({error})") from error
    missing = {"labels", "norm", "cont"} - set(arrays)
    if missing:
        raise ValueError(f"{path}: not a library file, it lacks {sorted(missing)}")
    knots = arrays.get("continuum_wave", _CONTINUUM_KNOTS)
    norm, cont, n = arrays["norm"], arrays["cont"], len(arrays["labels"])
    if norm.ndim != 2 or len(norm) != n or cont.shape != (n, knots.size):
        raise ValueError(
            f"{path}: norm and cont must have shapes ({n}, n_wave) and ({n}, {knots.size}), "
            f"got {norm.shape} and {cont.shape}"
        )
    if not (np.isfinite(cont).all() and (cont > 0).all()):
        raise ValueError(f"{path}: cont must be finite and positive")
    shipped_wave = np.exp(_LN_START + _LN_STEP * np.arange(norm.shape[1]))
    return {
        "labels": arrays["labels"],
        "wave": arrays.get("wave", shipped_wave),
        "normalised": norm.astype(np.float32) / (50_000 if norm.dtype.kind == "u" else 1),
        "log_continuum": np.log(cont),
        "continuum_wave": knots,
        "resolving_power": float(arrays.get("resolving_power", _RESOLVING_POWER)),
    }

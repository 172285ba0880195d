"""Reading libraries of synthetic spectra, of this project's own kind or BOSZ."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from specvit.stars.bosz import is_bosz, may_be_bosz, read_bosz
from specvit.stars.library import SyntheticLibrary, library_files

__all__ = ["read_library"]

# What files of our own kind are like if they do not say: ln λ_vac = ln 7060 + 2e-5 i, R = 20,000.
_LN_START, _LN_STEP = np.log(7060.0), 2e-5
_CONTINUUM_KNOTS = np.linspace(7060.0, 8890.0, 32)
_RESOLVING_POWER = 20_000.0
_OWN = "d*.npz"


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

    Examples
    --------
    Two spectra, written as files of a library are:

    >>> import numpy as np, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> wave = 8000 * np.exp(np.arange(2000) / 60_000)
    >>> flux = np.ones((2, 2000))
    >>> flux[:, 900:910] = [[0.5], [0.8]]
    >>> np.savez(
    ...     f"{folder}/d0.npz",
    ...     labels=[[4500, 2, 0, 0, 0], [5000, 4, 0, 0, 0]],
    ...     norm=flux,
    ...     cont=np.ones((2, 30)),
    ...     wave=wave,
    ...     continuum_wave=np.linspace(wave[0], wave[-1], 30),
    ...     resolving_power=20_000,
    ... )
    >>> len(read_library(folder))
    2
    """

    def belongs(path):
        return may_be_bosz(path) or (path.match(_OWN) and path.parent == Path(source))

    files = library_files(source, belongs)
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

"""Files of BOSZ: one spectrum each, or the wavelengths of all."""

from __future__ import annotations

import bz2
import gzip
import math
import warnings
import zlib

import numpy as np

from specvit.stars.bosz.names import BoszName, wave_file_name

__all__ = ["find_wave_file", "read_spectrum", "read_wave"]

#: Surface flux F_λ (erg/s/cm²/Å) per unit of the flux column, by release: see `specvit.stars.bosz`.
_SURFACE_FLUX = {2017: math.pi, 2024: 4 * math.pi}
_COLUMNS_2017 = ("Wavelength", "SpecificIntensity", "Continuum")
_ANGSTROM = {"", "a", "aa", "angstrom", "angstroms"}


def read_spectrum(name: BoszName, wave=None):
    """Read one spectrum.

    Parameters
    ----------
    name : BoszName
        The file, and what its name says.
    wave : ndarray, shape (n,), optional
        Wavelengths (Å) that it must be at: for 2024 those of `read_wave`, for 2017 those of another file.

    Returns
    -------
    wave, flux, continuum : ndarray of float64, shape (n,)
        Wavelengths in Å, in the release's own medium; surface fluxes in erg/s/cm²/Å.

    Raises
    ------
    ValueError
        If the file cannot be read, has other columns or wavelengths. Values are not checked.
    """
    if name.release == 2024:
        columns = _read_text(name.path, 2)
        if len(columns) != len(wave):
            raise ValueError(
                f"{name.path}: must have a row for each of the {len(wave)} wavelengths in "
                f"{wave_file_name(name)}, got {len(columns)}"
            )
        flux, continuum = columns.T
    else:
        read = _read_fits if name.path.suffix == ".fits" else lambda path: _read_text(path, 3).T
        # The last row, at 32 µm, is one that webbpsf_ext leaves out of every file: so do we.
        own, flux, continuum = (column[:-1] for column in read(name.path))
        _check_wave(name.path, own)
        if wave is not None and not (own.shape == wave.shape and np.allclose(own, wave, rtol=1e-6, atol=0)):
            raise ValueError(f"{name.path}: its wavelengths are not those of the other files")
        wave = own if wave is None else wave
    factor = _SURFACE_FLUX[name.release]
    return wave, factor * flux, factor * continuum


def find_wave_file(names, files):
    """The file of wavelengths for spectra of BOSZ 2024.

    Looked for among `files`, then beside the first spectrum and in the two folders above it, as the
    archive's own tree has it (``wavelength_grids/`` beside ``r5000/m+0.00/``).

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    wanted = wave_file_name(names[0])
    folders = [
        folder for above in list(names[0].path.parents)[:3] for folder in (above, above / "wavelength_grids")
    ]
    candidates = [path for path in files if path.name == wanted] + [folder / wanted for folder in folders]
    for path in candidates:
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{wanted}: no such file among those given, beside {names[0].path} or above it; the archive has it "
        "in wavelength_grids/"
    )


def read_wave(path):
    """Wavelengths of BOSZ 2024 in Å, shape (n,), in air above 2000 Å; ValueError if the file is not that."""
    wave = _read_text(path, 1)[:, 0]
    _check_wave(path, wave)
    return wave


def _check_wave(path, wave):
    if wave.size < 2 or not (np.isfinite(wave).all() and wave[0] > 0 and (np.diff(wave) > 0).all()):
        raise ValueError(f"{path}: wavelengths must be finite, positive and strictly increasing")


def _read_text(path, n_columns):
    """Numbers of a text file, plain or compressed, float64 (n, n_columns)."""
    opener = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix, open)
    try:
        with opener(path, "rt", encoding="ascii") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a file without data, refused below
            table = np.loadtxt(file, ndmin=2)
    except (EOFError, OSError, UnicodeDecodeError, ValueError, zlib.error) as error:
        raise ValueError(f"{path}: damaged, or not a table of numbers ({error})") from error
    if not len(table) or table.shape[1] != n_columns:
        raise ValueError(f"{path}: must have {n_columns} columns, got a table of shape {table.shape}")
    return table


def _read_fits(path):
    """Columns of the binary table in a FITS file of 2017, float64 (n,) each."""
    from astropy.io import fits  # the one thing of astropy's in this room: FITS is not to be parsed twice

    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with fits.open(path, memmap=False) as hdus:
                tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
                if not tables:
                    raise ValueError("it has no binary table")
                data, columns = tables[0].data, tables[0].columns
                known = {column.name.lower(): column for column in columns}
                missing = [name for name in _COLUMNS_2017 if name.lower() not in known]
                if missing:
                    raise ValueError(f"its table lacks {missing}, it has {columns.names}")
                unit = (known["wavelength"].unit or "").strip().lower()
                if unit not in _ANGSTROM:
                    raise ValueError(f"wavelengths must be in Å, got {unit!r}")
                found = [np.array(data[known[name.lower()].name], np.float64) for name in _COLUMNS_2017]
        truncated = [str(warning.message) for warning in said if "truncated" in str(warning.message)]
        if truncated:
            raise ValueError(truncated[0])
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"{path}: not a spectrum of BOSZ 2017 ({error})") from error
    return [column.ravel() for column in found]  # a row a point, or one row of arrays

"""Spectra from files of any kind: by specutils, or from text tables by the names of their columns."""

from __future__ import annotations

from specvit.cli.common import one_line
from specvit.paths import user_path

__all__ = ["check_file", "read_spectrum"]

#: Suffixes of text tables, which are read by the names of their columns.
_TEXT = {".txt", ".dat", ".csv", ".tsv", ".ascii", ".ecsv"}
_COLUMNS = {
    "wave": ("wavelength", "wave", "lambda", "wl", "lam", "spectral_axis"),
    "flux": ("flux", "f_lambda", "flam"),
    "sigma": ("uncertainty", "error", "err", "sigma", "flux_err", "flux_error", "e_flux"),
    "ivar": ("ivar", "inverse_variance"),
    "mask": ("mask",),
}


def read_spectrum(path, *, format=None, wave_unit="Angstrom", flux_unit="erg / (s cm2 Angstrom)"):
    """Read the spectrum or spectra in a file.

    Parameters
    ----------
    path : str or path-like
        Text tables (by suffix: .txt .dat .csv .tsv .ascii .ecsv) are read by the names of their
        columns; everything else, and everything when `format` is given, by specutils.
    format : str, optional
        Name of a specutils reader.
    wave_unit, flux_unit : str
        Units for text tables that state none.

    Returns
    -------
    `~specutils.Spectrum` or `~specutils.SpectrumList`

    Raises
    ------
    OSError, ValueError
        If the file cannot be read as a spectrum; the message names the file.
    """
    path = check_file(path)
    try:
        if format is None and path.suffix.lower() in _TEXT:
            return _read_table(path, wave_unit, flux_unit)
        return _read_specutils(path, format)
    except Exception as error:  # readers of every kind, on files of every kind
        raise ValueError(f"{path}: {one_line(error)}") from error


def check_file(path):
    path = user_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return path


def _read_specutils(path, format):
    from astropy.io.registry import IORegistryError
    from specutils import Spectrum, SpectrumList

    import specvit.spectra.readers  # noqa: F401 - registers them

    options = {} if format is None else {"format": format}
    try:
        return Spectrum.read(path, **options)
    except IORegistryError as error:
        try:
            return SpectrumList.read(path, **options)  # some formats are read as lists only
        except IORegistryError:
            which = "its format is not recognised" if format is None else f"no reader is called {format!r}"
            raise ValueError(
                f"{which}; specutils' Spectrum.read.list_formats() lists those there are"
            ) from error


def _read_table(path, wave_unit, flux_unit):
    import astropy.units as u
    import numpy as np
    from astropy.nddata import InverseVariance, StdDevUncertainty
    from astropy.table import Table
    from specutils import Spectrum

    table = Table.read(path, format="ascii.ecsv" if path.suffix.lower() == ".ecsv" else "ascii")
    if all(name == f"col{i}" for i, name in enumerate(table.colnames, 1)):
        if len(table.columns) not in (2, 3):
            raise ValueError(f"columns without names must be two or three, got {len(table.columns)}")
        found = dict(zip(("wave", "flux", "sigma"), table.itercols(), strict=False))
    else:
        lower = {name.lower(): table[name] for name in table.colnames}
        found = {key: next((lower[n] for n in names if n in lower), None) for key, names in _COLUMNS.items()}
    for key in ("wave", "flux"):
        if found.get(key) is None:
            raise ValueError(f"no column {' or '.join(_COLUMNS[key])} among {', '.join(table.colnames)}")

    def quantity(key, default):
        column = found[key]
        values = np.ma.filled(np.ma.asarray(column, dtype=float), np.nan)
        return u.Quantity(values, column.unit or u.Unit(default))

    wave, flux = quantity("wave", wave_unit), quantity("flux", flux_unit)
    uncertainty = None
    if found.get("sigma") is not None:
        uncertainty = StdDevUncertainty(quantity("sigma", flux.unit))
    elif found.get("ivar") is not None:
        uncertainty = InverseVariance(quantity("ivar", flux.unit**-2))
    mask = None if found.get("mask") is None else np.asarray(found["mask"], dtype=bool)
    return Spectrum(flux=flux, spectral_axis=wave, uncertainty=uncertainty, mask=mask)

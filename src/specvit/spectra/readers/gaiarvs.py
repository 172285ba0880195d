"""Gaia RVS mean spectra: one star as a table (datalink INDIVIDUAL), or rows of arrays (RAW, bulk download).

Medium: vacuum, at rest. Unit: nm; flux normalised. Resolution: the preset ``Gaia RVS``. Lost: NaN, as the
pixels at both ends are. Rows of arrays state no wavelengths: they are 846–870 nm in steps of 0.01 nm. Tables
with a column source_id and a wavelength (COMBINED) are parted by star. FITS, VOTable, ECSV and CSV are read.

References
----------
* https://gea.esac.esa.int/archive/documentation/GDR3/Gaia_archive/chap_datamodel/sec_dm_spectroscopic_tables/ssec_dm_rvs_mean_spectrum.html
"""

from __future__ import annotations

import numpy as np

from specvit.spectra.readers.assembling import make_spectrum
from specvit.spectra.readers.filelayout import Layout
from specvit.spectra.readers.fitsfile import columns
from specvit.spectra.readers.unitwords import wave_unit_of

__all__ = ["LAYOUTS", "is_gaia", "spectra_of_table"]

_FIRST, _STEP = 846.0, 0.01  # nm


def is_gaia(names, wave=None):
    """Whether columns are those of RVS spectra.

    Parameters
    ----------
    names : sequence of str
        The columns.
    wave : numpy.ndarray, optional
        Values of the column wavelength, if there is one.

    Returns
    -------
    bool
        True for flux and flux_error with source_id, or with wavelengths in nm that lie within 845–873.
    """
    names = {str(name).lower() for name in names}
    if not {"flux", "flux_error"} <= names:
        return False
    if "wavelength" not in names:
        return "source_id" in names
    return wave is not None and len(wave) > 2 and np.nanmin(wave) > 845 and np.nanmax(wave) < 873


def spectra_of_table(table, header=None, stated=None):
    """Spectra of a table of RVS spectra.

    Parameters
    ----------
    table : mapping of str to column
        The columns, whatever their capitals.
    header : mapping, optional
        Kept in ``meta``.
    stated : str, optional
        Unit of the wavelengths; nm if None.

    Returns
    -------
    list of specutils.Spectrum
        One a star.
    """
    names = {str(name).lower(): name for name in getattr(table, "colnames", None) or table.dtype.names}
    flux, error = (_arrays(table[names[name]]) for name in ("flux", "flux_error"))
    ids = np.asarray(table[names["source_id"]]) if "source_id" in names else None
    if "wavelength" not in names:
        flux, error = np.atleast_2d(flux), np.atleast_2d(error)
        wave = _FIRST + _STEP * np.arange(flux.shape[1])
        return [
            _one(wave, *pair, header, None if ids is None else ids[i])
            for i, pair in enumerate(zip(flux, error, strict=True))
        ]
    wave = _arrays(table[names["wavelength"]])
    unit = wave_unit_of(stated)
    wave = wave if unit is None else wave * unit.to("nm")
    if wave.ndim == 2:
        return [
            _one(*row, header, None if ids is None else ids[i])
            for i, row in enumerate(zip(wave, flux, error, strict=True))
        ]
    if ids is None or ids.shape != wave.shape:
        return [_one(wave, flux, error, header, None)]
    stars = list(dict.fromkeys(ids.tolist()))
    return [_one(wave[ids == star], flux[ids == star], error[ids == star], header, star) for star in stars]


def _arrays(column):
    """Numbers of a column, of arrays too, and of arrays that CSV has as text."""
    values = np.ma.filled(np.ma.asarray(column), "" if np.asarray(column).dtype.kind in "US" else np.nan)
    if values.dtype.kind in "US":
        return np.stack([_numbers(text) for text in values])
    if values.dtype.kind == "O":
        return np.stack([_numbers(one) for one in values])
    return np.asarray(values, np.float64)


def _numbers(text):
    if not isinstance(text, str):
        return np.ma.filled(np.ma.asarray(text, dtype=np.float64), np.nan)
    words = text.strip("[](){} ").replace(",", " ").split()
    return np.array([np.nan if word.lower() in ("null", "none", "--") else float(word) for word in words])


def _one(wave, flux, error, header, source_id):
    return make_spectrum(
        wave,
        flux,
        wave_unit="nm",
        sigma=error,
        medium="vacuum",
        instrument="Gaia RVS",
        header=header,
        source_id=None if source_id is None else int(source_id),
    )


def _table(file):
    for hdu in file.hdus[1:]:
        names = {name.lower(): name for name in columns(hdu)}
        if {"flux", "flux_error"} <= set(names):
            wave = None
            if "wavelength" in names:
                wave = np.asarray(hdu.data[names["wavelength"]], np.float64)
                unit = wave_unit_of(hdu.columns[names["wavelength"]].unit)
                wave = wave if unit is None else wave * unit.to("nm")
            if is_gaia(names, wave):
                return hdu
    return None


def _read(file):
    hdu = _table(file)
    names = {name.lower(): name for name in columns(hdu)}
    stated = hdu.columns[names["wavelength"]].unit if "wavelength" in names else None
    return spectra_of_table(file.table(hdu), file.header, stated)


LAYOUTS = (Layout("Gaia RVS", lambda file: _table(file) is not None, _read),)

"""Files of one target: pfsSingle, pfsObject and pfsStar, and pfsObject as it was in 2019."""

from __future__ import annotations

import ast

import numpy as np

from specvit.spectra.readers.fitsfile import columns, plain_text, stated_unit
from specvit.spectra.readers.pfsaxis import linear_wavelengths
from specvit.spectra.readers.pfsmask import bits_of_file
from specvit.spectra.readers.pfsspectrum import PfsArrays, build, flux_unit

__all__ = ["find_flux_table", "read_observations", "read_target"]

#: Spellings of the HDU with the spectrum on its own sampling; the last two are those of 2019.
_FLUX_TABLE = ("FLUX_TABLE", "FLUXTABLE", "FLUXTBL", "FLUX_TBL")
_NUMBERS = ("visit", "spectrograph", "pfsDesignId", "pfsConfigId", "fiberId", "expTime")
_TEXTS = ("arm", "obsTime")
_TARGET = ("catId", "tract", "patch", "objId", "ra", "dec", "targetType")


def read_target(file, *, damage=None, own_sampling=False):
    """Read the file of one target.

    Parameters
    ----------
    file : FitsFile
        The file.
    damage : sequence of str, optional
        Names of mask bits that mean a lost pixel.
    own_sampling : bool
        Read the flux table, on the pixels of the detector, in place of the resampled arrays.

    Returns
    -------
    specutils.Spectrum
        Without uncertainty if the file has no HDU COVAR.

    Raises
    ------
    ValueError
        If the file is damaged or incomplete; the message names file and HDU.
    """
    rows = find_flux_table(file)
    # Files of 2019 state their linear axis in two ways that differ by a pixel; their table is clear.
    of_2019 = rows is not None and "lambda" in map(str.lower, columns(rows))
    if rows is None and own_sampling:
        raise ValueError(f"{file.name}: no HDU FLUX_TABLE or FLUXTABLE, which own_sampling=True reads")
    by_table = own_sampling or of_2019 or (rows is not None and file.find("FLUX") is None)
    arrays = _from_table(file, rows) if by_table else _from_images(file)
    arrays.meta = _meta(file)
    return build(arrays, file, flux_unit(file), damage)


def find_flux_table(file):
    """The HDU with the flux table, under any of its names.

    Parameters
    ----------
    file : FitsFile
        The file.

    Returns
    -------
    astropy HDU or None
        None if none has the columns flux and wavelength (or lambda).
    """
    for hdu in (*map(file.find, _FLUX_TABLE), *file.hdus):
        names = {name.lower() for name in columns(hdu)}
        if "flux" in names and {"wavelength", "lambda"} & names:
            return hdu
    return None


def read_observations(rows, which=None):
    """What a table of exposures (OBSERVATIONS), or of one exposure (CONFIG), says.

    Parameters
    ----------
    rows : astropy.io.fits.FITS_rec or None
        Rows of the table.
    which : sequence of int, optional
        The rows to take. None: all.

    Returns
    -------
    dict of str to list
        One entry an exposure, for each column that is known.
    """
    if rows is None:
        return {}
    which = range(len(rows)) if which is None else which
    found = {}
    for name in rows.names:
        values = rows[name]
        if name in _NUMBERS:
            found[name] = [values[i].item() for i in which]
        elif name in _TEXTS:
            found[name] = [plain_text(values[i]) for i in which]
        elif name == "identity":  # of 2019: a dictionary, written out
            known = [ast.literal_eval(plain_text(values[i])) for i in which]
            for key in ("visit", "arm", "spectrograph"):
                if all(key in one for one in known):
                    found[key] = [one[key] for one in known]
    return found


def _from_images(file):
    flux = file.image("FLUX", np.float64, ndim=1)
    if flux is None:
        raise file.error("FLUX", "is missing or empty, and there is no flux table")
    wave = file.image("WAVELENGTH", np.float64, ndim=1)
    wave_unit = stated_unit(file.find("WAVELENGTH"))
    if wave is None:
        wave_unit = "nm"
        try:
            wave = linear_wavelengths(file.find("FLUX").header, flux.size)
        except ValueError as error:
            raise file.error("FLUX", error) from error
    if wave is None:
        raise ValueError(
            f"{file.name}: no wavelengths: no HDU WAVELENGTH, and HDU FLUX has no CRVAL1 and CDELT1"
        )
    return PfsArrays(
        wave=wave,
        wave_unit=wave_unit,
        flux=flux,
        mask=file.image("MASK", np.int64),
        covariance=file.image("COVAR", np.float64),
        bits=bits_of_file(file, file.find("MASK")),
    )


def _from_table(file, hdu):
    rows = file.table(hdu)
    names = {name.lower(): name for name in rows.names}

    def column(name, dtype=np.float64):
        return np.array(rows[names[name.lower()]], dtype=dtype) if name.lower() in names else None

    axis = "lambda" if "lambda" in names else "wavelength"
    wave = column(axis)
    error, variance = column("error"), column("fluxVariance")
    if error is not None:
        variance = error**2
    arrays = PfsArrays.from_detector(wave, column("flux"), column("mask", np.int64), variance)
    arrays.bits = bits_of_file(file, hdu)
    arrays.wave_unit = stated_unit(hdu, names[axis])
    return arrays


def _meta(file):
    """Identifiers, exposures and the primary header."""
    target = file.find("TARGET")
    header = file.header if target is None else target.header  # 2019: in the primary header
    meta = {name: header[name] for name in _TARGET if name in header}
    if {"filterName", "fiberFlux"} <= set(columns(target)):
        rows = file.table("TARGET")
        names = [plain_text(one) for one in rows["filterName"]]
        meta["fiberFlux"] = dict(zip(names, rows["fiberFlux"].tolist(), strict=True))
    observations = "OBSERVATIONS" if file.find("OBSERVATIONS") else "CONFIG"
    return {**meta, **read_observations(file.table(observations)), "header": file.header}

"""Files of one target: pfsSingle, pfsObject and pfsStar, and pfsObject as it was in 2019."""

from __future__ import annotations

import numpy as np

from specvit.spectra.readers.hdus import columns, file_name, find, image, plain_text, table, unreadable
from specvit.spectra.readers.pfsaxis import linear_wavelengths
from specvit.spectra.readers.pfsmask import bits_of_header
from specvit.spectra.readers.pfsspectrum import PfsArrays, build

__all__ = ["flux_table", "read_observations", "read_target"]

#: Spellings of the HDU with the spectrum on its own sampling; the last two are those of 2019.
_FLUX_TABLE = ("FLUX_TABLE", "FLUXTABLE", "FLUXTBL", "FLUX_TBL")
_UNIT = "nJy"  # by convention: the HDU FLUX has no BUNIT card
_OBSERVATION = ("visit", "arm", "spectrograph", "pfsDesignId", "pfsConfigId", "fiberId", "obsTime", "expTime")
_TARGET = ("catId", "tract", "patch", "objId", "ra", "dec", "targetType")


def read_target(hdus, *, damage=None, own_sampling=False):
    """Read the file of one target.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
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
    rows = flux_table(hdus)
    # Files of 2019 state the linear axis in two ways that differ by a pixel; their table is clear.
    of_2019 = rows is not None and "lambda" in columns(rows)
    if own_sampling or of_2019 or (find(hdus, "FLUX") is None and rows is not None):
        if rows is None:
            raise ValueError(
                f"{file_name(hdus)}: no HDU {' or '.join(_FLUX_TABLE[:2])}, for own_sampling=True"
            )
        arrays = _from_table(hdus, rows)
    else:
        arrays = _from_images(hdus)
    arrays.meta = _meta(hdus)
    return build(arrays, hdus, _UNIT, damage)


def flux_table(hdus):
    """The HDU with the flux table, under any of its names.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The file.

    Returns
    -------
    astropy HDU or None
        None if there is none with the columns flux and wavelength (or lambda).
    """
    named = [find(hdus, name) for name in _FLUX_TABLE]
    for hdu in [*named, *hdus]:
        if "flux" in columns(hdu) and {"wavelength", "lambda"} & set(columns(hdu)):
            return hdu
    return None


def read_observations(rows, which=None):
    """What a table of exposures or of one exposure (OBSERVATIONS, CONFIG) says.

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
    found = {}
    for name in _OBSERVATION:
        if name in rows.names:
            text = name in ("arm", "obsTime")
            column = rows[name]
            # Cell by cell: letters of variable length come as arrays.
            found[name] = [
                plain_text(column[i]) if text else column[i].item()
                for i in (range(len(rows)) if which is None else which)
            ]
    return found


def _from_images(hdus):
    flux = image(hdus, "FLUX", np.float64)
    if flux is None:
        raise unreadable(hdus, "FLUX", "is missing or empty, and there is no flux table")
    if flux.ndim != 1:
        raise unreadable(hdus, "FLUX", f"must have one dimension, got the shape {flux.shape}")
    wave = image(hdus, "WAVELENGTH", np.float64)
    if wave is None:
        try:
            wave = linear_wavelengths(find(hdus, "FLUX").header, flux.size)
        except ValueError as error:
            raise unreadable(hdus, "FLUX", error) from error
    if wave is None:
        raise ValueError(
            f"{file_name(hdus)}: no wavelengths: no HDU WAVELENGTH, and no CRVAL1 and CDELT1 in HDU FLUX"
        )
    return PfsArrays(
        wave=wave,
        flux=flux,
        mask=image(hdus, "MASK", np.int64),
        covariance=image(hdus, "COVAR", np.float64),
        bits=_bits(hdus, find(hdus, "MASK")),
    )


def _from_table(hdus, hdu):
    rows = table(hdus, hdu.name)
    wave = np.array(rows["lambda" if "lambda" in rows.names else "wavelength"], dtype=np.float64)
    order = np.argsort(wave, kind="stable")
    arrays = PfsArrays(
        wave=wave[order],
        flux=np.array(rows["flux"], dtype=np.float64)[order],
        mask=np.array(rows["mask"], dtype=np.int64)[order] if "mask" in rows.names else None,
        covariance=None,
        bits=_bits(hdus, hdu),
    )
    variance = None
    if "error" in rows.names:
        variance = np.array(rows["error"], dtype=np.float64) ** 2
    elif "fluxVariance" in rows.names:
        variance = np.array(rows["fluxVariance"], dtype=np.float64)
    if variance is not None:  # pixels as the detector has them: neighbours are independent
        arrays.covariance = np.stack([variance[order], np.zeros(wave.size), np.zeros(wave.size)])
    return arrays


def _bits(hdus, hdu):
    headers = [other.header for other in (hdu, find(hdus, "MASK"), hdus[0]) if other is not None]
    return bits_of_header(*headers)


def _meta(hdus):
    """Identifiers, exposures and the primary header."""
    target = find(hdus, "TARGET")
    header = hdus[0].header if target is None else target.header  # the primary header, in 2019
    meta = {name: header[name] for name in _TARGET if name in header}
    if "filterName" in columns(target):
        rows = table(hdus, "TARGET")
        names = [plain_text(rows["filterName"][i]) for i in range(len(rows))]
        meta["fiberFlux"] = dict(zip(names, map(float, rows["fiberFlux"]), strict=True))
    meta |= read_observations(table(hdus, "OBSERVATIONS" if find(hdus, "OBSERVATIONS") else "CONFIG"))
    meta["header"] = hdus[0].header.copy()
    return meta

"""Files of many targets, keyed by targetId: pfsCoadd and pfsCalibrated."""

from __future__ import annotations

import numpy as np

from specvit.spectra.readers.hdus import columns, file_name, find, image, plain_text, table, unreadable
from specvit.spectra.readers.pfsmask import bits_of_text
from specvit.spectra.readers.pfsspectrum import PfsArrays, build
from specvit.spectra.readers.pfstarget import flux_table, read_observations

__all__ = ["read_bundle"]

_UNIT = "nJy"
_NUMBERS = ("targetId", "catId", "tract", "objId", "ra", "dec", "targetType")


def read_bundle(hdus, *, damage=None, own_sampling=False, obj_id=None):
    """Read the targets of a bundle.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The file.
    damage : sequence of str, optional
        Names of mask bits that mean a lost pixel.
    own_sampling : bool
        Read the HDU FLUXTABLE, each target on the pixels of the detector, in place of the resampled arrays.
    obj_id : int or sequence of int, optional
        Read the targets with these objId only. None: all.

    Returns
    -------
    list of specutils.Spectrum
        In the order of the HDU TARGET.

    Raises
    ------
    ValueError
        If the file is damaged or incomplete (the message names file and HDU), or lacks an `obj_id`.
    """
    targets = table(hdus, "TARGET", ("targetId", "objId"))
    if targets is None:
        raise ValueError(f"{file_name(hdus)}: no HDU TARGET, which says what the spectra are of")
    chosen = range(len(targets))
    if obj_id is not None:
        wanted = np.atleast_1d(np.asarray(obj_id, dtype=np.int64))
        missing = np.setdiff1d(wanted, targets["objId"])
        if missing.size:
            raise ValueError(f"{file_name(hdus)}: no target with the objId {missing[0]}")
        chosen = np.flatnonzero(np.isin(targets["objId"], wanted)).tolist()
    arrays_of = _table_reader(hdus) if own_sampling else _array_reader(hdus, len(targets))
    bits = _bits_by_target(hdus)
    exposures, of_exposures = _rows_by_target(hdus, "OBSERVATIONS")
    fluxes, of_fluxes = _rows_by_target(hdus, "TARGETFLUX")
    spectra = []
    for i in chosen:
        arrays = arrays_of(i)
        key = int(targets["targetId"][i])
        arrays.bits = bits.get(key, {})
        arrays.meta = {name: targets[name][i].item() for name in _NUMBERS if name in targets.names}
        if "patch" in targets.names:
            arrays.meta["patch"] = plain_text(targets["patch"][i])
        if key in of_fluxes:
            names, values = fluxes["filterName"], fluxes["fiberFlux"]
            arrays.meta["fiberFlux"] = {plain_text(names[k]): float(values[k]) for k in of_fluxes[key]}
        if key in of_exposures:
            arrays.meta |= read_observations(exposures, of_exposures[key])
        arrays.meta["header"] = hdus[0].header.copy()
        spectra.append(build(arrays, hdus, _UNIT, damage))
    return spectra


def _array_reader(hdus, n):
    """A function from the row to its `PfsArrays`, from HDUs that are images or tables."""
    wave, flux, mask = (_rows(hdus, *what) for what in _ARRAYS)
    covariance = _covariance(hdus)
    for name, rows in (("WAVELENGTH", wave), ("FLUX", flux)):
        if rows is None:
            raise unreadable(hdus, name, "is missing or empty")
    shared = isinstance(wave, np.ndarray) and wave.ndim == 1
    for name, rows in (("WAVELENGTH", wave), ("FLUX", flux), ("MASK", mask), ("COVAR", covariance)):
        if rows is not None and len(rows) != n and not (name == "WAVELENGTH" and shared):
            raise unreadable(hdus, name, f"must have a row for each of {n} targets, got {len(rows)}")

    def arrays_of(i):
        return PfsArrays(
            wave=wave if shared else wave[i],
            flux=flux[i],
            mask=None if mask is None else mask[i],
            covariance=None if covariance is None else covariance[i],
        )

    return arrays_of


_ARRAYS = (("WAVELENGTH", np.float64), ("FLUX", np.float64), ("MASK", np.int64))


def _rows(hdus, name, dtype):
    """The spectra's rows of one HDU: an array, or a list of arrays of unequal lengths; None if absent."""
    if not columns(find(hdus, name)):
        return image(hdus, name, dtype)
    return _cells(hdus, name, table(hdus, name, ("value",)), "value", dtype)


def _covariance(hdus):
    """Covariances, (3, npix) a spectrum, as image or table; None if absent."""
    names = ("row_0", "row_1", "row_2")
    if not columns(find(hdus, "COVAR")):
        return image(hdus, "COVAR", np.float64)
    rows = table(hdus, "COVAR", names)
    parts = [_cells(hdus, "COVAR", rows, name, np.float64) for name in names]
    return [np.stack(three) for three in zip(*parts, strict=True)]


def _cells(hdus, name, rows, column, dtype):
    """The arrays in a column, one a row."""
    try:
        return [np.array(rows[column][i], dtype=dtype) for i in range(len(rows))]
    except Exception as error:  # cut or damaged files fail in many ways
        raise unreadable(hdus, name, f"cannot be read: {error}") from error


def _table_reader(hdus):
    """A function from the row to its `PfsArrays`, from the flux table."""
    hdu = flux_table(hdus)
    if hdu is None:
        raise ValueError(f"{file_name(hdus)}: no HDU FLUXTABLE, for own_sampling=True")
    name = hdu.name
    rows = table(hdus, name, ("wavelength", "flux", "error", "mask"))
    wave, flux, error = (_cells(hdus, name, rows, one, np.float64) for one in ("wavelength", "flux", "error"))
    mask = _cells(hdus, name, rows, "mask", np.int64)

    def arrays_of(i):
        order = np.argsort(wave[i], kind="stable")
        none = np.zeros(order.size)  # pixels as the detector has them: neighbours are independent
        covariance = np.stack([error[i][order] ** 2, none, none])
        return PfsArrays(wave[i][order], flux[i][order], mask[i][order], covariance)

    return arrays_of


def _bits_by_target(hdus):
    """Names and numbers of mask bits, for each targetId."""
    rows = table(hdus, "METADATA", ("targetId", "metadata"))
    if rows is None:
        return {}
    return {int(rows["targetId"][i]): bits_of_text(plain_text(rows["metadata"][i])) for i in range(len(rows))}


def _rows_by_target(hdus, name):
    """A table with several rows a target, and the rows' numbers for each targetId."""
    rows = table(hdus, name)
    if rows is None or "targetId" not in rows.names:
        return None, {}
    keys = np.asarray(rows["targetId"])
    return rows, {int(key): np.flatnonzero(keys == key).tolist() for key in np.unique(keys)}

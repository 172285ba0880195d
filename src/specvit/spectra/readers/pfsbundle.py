"""Files of many targets, keyed by targetId: pfsCoadd and pfsCalibrated."""

from __future__ import annotations

from functools import partial

import numpy as np

from specvit.spectra.readers.fitsfile import columns, plain_text, stated_unit
from specvit.spectra.readers.pfsmask import bits_of_file, bits_of_text
from specvit.spectra.readers.pfsspectrum import PfsArrays, build_all, flux_unit
from specvit.spectra.readers.pfstarget import find_flux_table, read_observations

__all__ = ["read_bundle"]

_ARRAYS = (("WAVELENGTH", np.float64), ("FLUX", np.float64), ("MASK", np.int64))
_NUMBERS = ("targetId", "catId", "tract", "objId", "ra", "dec", "targetType")


def read_bundle(file, *, damage=None, own_sampling=False, obj_id=None):
    """Read the targets of a bundle.

    Parameters
    ----------
    file : FitsFile
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
    targets = file.table("TARGET", ("targetId", "objId"))
    if targets is None:
        raise ValueError(f"{file.name}: no HDU TARGET, which says what the spectra are of")
    if not len(targets):
        raise ValueError(f"{file.name}: HDU TARGET has no rows: there is no spectrum in this file")
    chosen = range(len(targets))
    if obj_id is not None:
        wanted = [_identifier(one) for one in np.atleast_1d(obj_id)]
        found = [_identifier(one) for one in targets["objId"]]
        missing = [one for one in wanted if one not in found]
        if missing:
            raise ValueError(f"{file.name}: no target with the objId {missing[0]}")
        chosen = [i for i, one in enumerate(found) if one in wanted]
    arrays_of = _table_reader(file) if own_sampling else _array_reader(file, len(targets))
    bits, common_bits = _bits_by_target(file), bits_of_file(file, file.find("MASK"))
    unit = flux_unit(file)
    exposures, of_exposures = _rows_by_target(file, "OBSERVATIONS")
    fluxes, of_fluxes = _rows_by_target(file, "TARGETFLUX")

    def read(i, key):
        arrays = arrays_of(i)
        arrays.bits = bits.get(key) or common_bits
        return arrays

    readers = []
    for i in chosen:
        key = _identifier(targets["targetId"][i])
        meta = {name: _identifier(targets[name][i]) for name in _NUMBERS if name in targets.names}
        if "patch" in targets.names:
            meta["patch"] = plain_text(targets["patch"][i])
        if key in of_fluxes:
            names, values = fluxes["filterName"], fluxes["fiberFlux"]
            meta["fiberFlux"] = {plain_text(names[k]): float(values[k]) for k in of_fluxes[key]}
        if key in of_exposures:
            meta |= read_observations(exposures, of_exposures[key])
        meta["header"] = file.header
        readers.append((partial(read, i, key), meta))
    return build_all(readers, file, unit, damage)


def _identifier(value):
    """A number of a table, or the text of an identifier that is none."""
    if hasattr(value, "item") and not isinstance(value, np.ndarray | np.str_ | np.bytes_):
        return value.item()
    if isinstance(value, int | float):
        return value
    text = plain_text(value)
    return int(text) if text.isdecimal() else text


def _array_reader(file, n):
    """A function from the row to its `PfsArrays`, from HDUs that are images or tables."""
    found = {name: _rows(file, name, dtype) for name, dtype in _ARRAYS} | {"COVAR": _covariance(file)}
    for name in ("WAVELENGTH", "FLUX"):
        if found[name] is None:
            raise file.error(name, "is missing or empty")
    shared = getattr(found["WAVELENGTH"], "ndim", 2) == 1  # one axis for all
    wave_unit = stated_unit(file.find("WAVELENGTH"))
    for name, rows in found.items():
        if rows is not None and len(rows) != n and not (name == "WAVELENGTH" and shared):
            raise file.error(name, f"must have a row for each of {n} targets, got {len(rows)}")

    def arrays_of(i):
        wave = found["WAVELENGTH"] if shared else found["WAVELENGTH"][i]
        flux, mask, covariance = (
            None if found[name] is None else found[name][i] for name in ("FLUX", "MASK", "COVAR")
        )
        if isinstance(covariance, list):
            if len({row.size for row in covariance}) > 1:
                raise file.error("COVAR", f"must have rows of one length, got {[x.size for x in covariance]}")
            covariance = np.array(covariance)
        return PfsArrays(wave, flux, mask, covariance, wave_unit=wave_unit)

    return arrays_of


def _rows(file, name, dtype):
    """The spectra's rows of one HDU: an array, or a list of arrays of unequal lengths; None if absent."""
    return file.cells(name, "value", dtype) if columns(file.find(name)) else file.image(name, dtype)


def _covariance(file):
    """Covariances of each spectrum, (3, npix) from an image, a list of rows from a table; None if absent."""
    names = columns(file.find("COVAR"))
    if not names:
        return file.image("COVAR", np.float64)
    rows = [name for name in ("row_0", "row_1", "row_2") if name in names] or ["row_0"]
    parts = [file.cells("COVAR", name, np.float64) for name in rows]
    return [list(some) for some in zip(*parts, strict=True)]


def _table_reader(file):
    """A function from the row to its `PfsArrays`, from the flux table."""
    hdu = find_flux_table(file)
    if hdu is None:
        raise ValueError(f"{file.name}: no HDU FLUXTABLE, which own_sampling=True reads")
    wave, flux, error = (file.cells(hdu, name, np.float64) for name in ("wavelength", "flux", "error"))
    mask, wave_unit = file.cells(hdu, "mask", np.int64), stated_unit(hdu, "wavelength")

    def arrays_of(i):
        arrays = PfsArrays.from_detector(wave[i], flux[i], mask[i], error[i] ** 2)
        arrays.wave_unit = wave_unit
        return arrays

    return arrays_of


def _bits_by_target(file):
    """Names and numbers of mask bits, for each targetId."""
    rows = file.table("METADATA", ("targetId", "metadata"))
    if rows is None:
        return {}
    keys, texts = rows["targetId"], rows["metadata"]
    return {_identifier(keys[i]): bits_of_text(plain_text(texts[i])) for i in range(len(rows))}


def _rows_by_target(file, name):
    """A table with several rows a target, and the rows' numbers for each targetId."""
    rows = file.table(name)
    if rows is None or "targetId" not in rows.names:
        return None, {}
    found = {}
    for i, key in enumerate(rows["targetId"]):
        found.setdefault(_identifier(key), []).append(i)
    return rows, found

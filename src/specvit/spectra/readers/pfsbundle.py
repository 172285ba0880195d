"""Files of many targets, keyed by targetId: pfsCoadd and pfsCalibrated."""

from __future__ import annotations

import numpy as np

from specvit.spectra.readers.fitsfile import columns, plain_text
from specvit.spectra.readers.pfsmask import bits_of_file, bits_of_text
from specvit.spectra.readers.pfsspectrum import PfsArrays, build, flux_unit
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
    chosen = range(len(targets))
    if obj_id is not None:
        wanted = np.atleast_1d(np.asarray(obj_id, dtype=np.int64))
        missing = np.setdiff1d(wanted, targets["objId"])
        if missing.size:
            raise ValueError(f"{file.name}: no target with the objId {missing[0]}")
        chosen = np.flatnonzero(np.isin(targets["objId"], wanted)).tolist()
    arrays_of = _table_reader(file) if own_sampling else _array_reader(file, len(targets))
    bits, common_bits = _bits_by_target(file), bits_of_file(file, file.find("MASK"))
    unit = flux_unit(file)
    exposures, of_exposures = _rows_by_target(file, "OBSERVATIONS")
    fluxes, of_fluxes = _rows_by_target(file, "TARGETFLUX")
    spectra = []
    for i in chosen:
        arrays = arrays_of(i)
        key = int(targets["targetId"][i])
        arrays.bits = bits.get(key) or common_bits
        arrays.meta = {name: targets[name][i].item() for name in _NUMBERS if name in targets.names}
        if "patch" in targets.names:
            arrays.meta["patch"] = plain_text(targets["patch"][i])
        if key in of_fluxes:
            names, values = fluxes["filterName"], fluxes["fiberFlux"]
            arrays.meta["fiberFlux"] = {plain_text(names[k]): float(values[k]) for k in of_fluxes[key]}
        if key in of_exposures:
            arrays.meta |= read_observations(exposures, of_exposures[key])
        arrays.meta["header"] = file.header
        spectra.append(build(arrays, file, unit, damage))
    return spectra


def _array_reader(file, n):
    """A function from the row to its `PfsArrays`, from HDUs that are images or tables."""
    found = {name: _rows(file, name, dtype) for name, dtype in _ARRAYS} | {"COVAR": _covariance(file)}
    for name in ("WAVELENGTH", "FLUX"):
        if found[name] is None:
            raise file.error(name, "is missing or empty")
    shared = getattr(found["WAVELENGTH"], "ndim", 2) == 1  # one axis for all
    for name, rows in found.items():
        if rows is not None and len(rows) != n and not (name == "WAVELENGTH" and shared):
            raise file.error(name, f"must have a row for each of {n} targets, got {len(rows)}")

    def arrays_of(i):
        wave = found["WAVELENGTH"] if shared else found["WAVELENGTH"][i]
        flux, mask, covariance = (
            None if found[name] is None else found[name][i] for name in ("FLUX", "MASK", "COVAR")
        )
        return PfsArrays(wave, flux, mask, covariance)

    return arrays_of


def _rows(file, name, dtype):
    """The spectra's rows of one HDU: an array, or a list of arrays of unequal lengths; None if absent."""
    return file.cells(name, "value", dtype) if columns(file.find(name)) else file.image(name, dtype)


def _covariance(file):
    """Covariances, (3, npix) a spectrum, from image or table; None if absent."""
    if not columns(file.find("COVAR")):
        return file.image("COVAR", np.float64)
    parts = [file.cells("COVAR", name, np.float64) for name in ("row_0", "row_1", "row_2")]
    return [np.stack(three) for three in zip(*parts, strict=True)]


def _table_reader(file):
    """A function from the row to its `PfsArrays`, from the flux table."""
    hdu = find_flux_table(file)
    if hdu is None:
        raise ValueError(f"{file.name}: no HDU FLUXTABLE, which own_sampling=True reads")
    wave, flux, error = (file.cells(hdu, name, np.float64) for name in ("wavelength", "flux", "error"))
    mask = file.cells(hdu, "mask", np.int64)
    return lambda i: PfsArrays.from_detector(wave[i], flux[i], mask[i], error[i] ** 2)


def _bits_by_target(file):
    """Names and numbers of mask bits, for each targetId."""
    rows = file.table("METADATA", ("targetId", "metadata"))
    if rows is None:
        return {}
    keys, texts = rows["targetId"], rows["metadata"]
    return {int(keys[i]): bits_of_text(plain_text(texts[i])) for i in range(len(rows))}


def _rows_by_target(file, name):
    """A table with several rows a target, and the rows' numbers for each targetId."""
    rows = file.table(name)
    if rows is None or "targetId" not in rows.names:
        return None, {}
    keys = np.asarray(rows["targetId"])
    return rows, {int(key): np.flatnonzero(keys == key).tolist() for key in np.unique(keys)}

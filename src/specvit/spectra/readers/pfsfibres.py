"""Files of one exposure, all its fibres: pfsMerged and pfsArm, before flux calibration."""

from __future__ import annotations

from functools import partial

import numpy as np

from specvit.spectra.readers.fitsfile import stated_unit
from specvit.spectra.readers.pfsmask import bits_of_file
from specvit.spectra.readers.pfsspectrum import PfsArrays, build_all
from specvit.spectra.readers.pfstarget import read_observations

__all__ = ["read_fibres"]


def read_fibres(file, *, damage=None, fiber_id=None):
    """Read the fibres of an exposure.

    Parameters
    ----------
    file : FitsFile
        The file.
    damage : sequence of str, optional
        Names of mask bits that mean a lost pixel.
    fiber_id : int or sequence of int, optional
        Read these fibres only. None: all.

    Returns
    -------
    list of specutils.Spectrum
        In the order of the file; ``meta["flux_calibrated"]`` is False.

    Raises
    ------
    ValueError
        If the file is damaged or incomplete (the message names file and HDU), or lacks a `fiber_id`.

    Notes
    -----
    Fluxes are in electrons (per nm, in pfsMerged). They are divided by the HDU NORM, the same fibre's
    counts from the flat-field lamp, where there is one: the instrument's response cancels, the lamp's
    spectrum, a smooth function, remains. Either way they are no flux density but, without a unit, relative.
    """
    from astropy import units as u

    flux = file.image("FLUX", np.float64, ndim=2)
    wave = file.image("WAVELENGTH", np.float64)
    for name, array in (("FLUX", flux), ("WAVELENGTH", wave)):
        if array is None:
            raise file.error(name, "is missing or empty")
    if wave.ndim == 1:  # one axis for all
        wave = np.broadcast_to(wave, (len(flux), wave.size))
    fibres = file.image("FIBERID", np.int64, ndim=1)
    if fibres is None and fiber_id is not None:
        raise file.error("FIBERID", "is missing or empty, which fiber_id asks for")
    mask = file.image("MASK", np.int64, ndim=2)
    norm = file.image("NORM", np.float64, ndim=2)
    covariance = file.image("COVAR", np.float64, ndim=3)
    per_fibre = {"FIBERID": fibres, "WAVELENGTH": wave, "MASK": mask, "NORM": norm, "COVAR": covariance}
    for name, array in per_fibre.items():
        if array is not None and len(array) != len(flux):
            raise file.error(name, f"must have a row for each of {len(flux)} fibres, got {len(array)}")
    if norm is not None:
        if norm.shape != flux.shape:
            raise file.error("NORM", f"must have the shape of FLUX, {flux.shape}, got {norm.shape}")
        with np.errstate(all="ignore"):
            norm = np.where(norm > 0, norm, np.nan)
            flux = flux / norm
            if covariance is not None:
                covariance = covariance / norm[:, None] ** 2

    chosen = range(len(flux))
    if fiber_id is not None:
        wanted = np.atleast_1d(np.asarray(fiber_id, dtype=np.int64))
        missing = np.setdiff1d(wanted, fibres)
        if missing.size:
            raise ValueError(f"{file.name}: no fibre with the fiberId {missing[0]}")
        chosen = np.flatnonzero(np.isin(fibres, wanted)).tolist()
    bits = bits_of_file(file, file.find("MASK"))
    exposure = read_observations(file.table("CONFIG"))
    wave_unit = stated_unit(file.find("WAVELENGTH"))

    def arrays_of(i):
        rows = (None if array is None else array[i] for array in (mask, covariance))
        return PfsArrays(wave[i], flux[i], *rows, bits, wave_unit=wave_unit)

    def meta_of(i):
        meta = {**exposure, "flux_calibrated": False, "header": file.header}
        if fibres is not None:
            meta |= {"fiberId": int(fibres[i]), "name": f"fibre {fibres[i]}"}
        return meta

    readers = ((partial(arrays_of, i), meta_of(i)) for i in chosen)
    return build_all(readers, file, (u.dimensionless_unscaled, None), damage)

"""DESI: coadd and spectra files, of healpixels and tiles, arms joined into one spectrum for each target.

Medium: vacuum, heliocentric. Unit: that of the HDU, 1e-17 erg / (s cm² Å). Resolution: the preset ``DESI``;
the resolution matrix is not used. Lost: inverse variance 0, and every pixel with a mask value. The arms B, R
and Z share their pixels where they overlap, and are averaged there with inverse variance as weight; exposures
of a target (spectra files) are averaged the same way before. Targets are rows: of the two-dimensional
spectrum of ``Spectrum.read``, of the list of ``SpectrumList.read``; ``targetid=`` chooses some.

References
----------
* https://desidatamodel.readthedocs.io/en/latest/DESI_SPECTRO_REDUX/SPECPROD/healpix/SURVEY/PROGRAM/PIXGROUP/PIXNUM/coadd-SURVEY-PROGRAM-PIXNUM.html
* https://desidatamodel.readthedocs.io/en/latest/DESI_SPECTRO_REDUX/SPECPROD/healpix/SURVEY/PROGRAM/PIXGROUP/PIXNUM/spectra-SURVEY-PROGRAM-PIXNUM.html
"""

from __future__ import annotations

import numpy as np

from specvit.spectra.readers.assembling import make_spectrum
from specvit.spectra.readers.filelayout import Layout
from specvit.spectra.readers.fitsfile import columns
from specvit.spectra.readers.joining import Piece, average, join
from specvit.spectra.readers.unitwords import flux_unit_of

__all__ = ["LAYOUTS"]


def _arms(file):
    """Letters of the arms: b, r, z, or brz where DESI's software has joined them."""
    return [
        hdu.name[:-11]
        for hdu in file.hdus
        if hdu.name.endswith("_WAVELENGTH") and file.find(hdu.name[:-11] + "_FLUX")
    ]


def _is_desi(file):
    return bool(_arms(file)) and file.find("FIBERMAP", "EXP_FIBERMAP") is not None


def _read(file, *, targetid=None):
    arms = []
    for arm in _arms(file):
        wave = file.image(f"{arm}_WAVELENGTH", np.float64, ndim=1)
        flux = file.image(f"{arm}_FLUX", np.float64, ndim=2)
        ivar = file.image(f"{arm}_IVAR", np.float64, ndim=2)
        mask = file.image(f"{arm}_MASK", np.int64, ndim=2)
        for name, array in (("IVAR", ivar), ("MASK", mask)):
            if array is not None and array.shape != flux.shape:
                raise file.error(
                    f"{arm}_{name}", f"must have the shape {flux.shape} of the flux, got {array.shape}"
                )
        arms.append((wave, flux, ivar, None if mask is None else mask != 0))
    fibres = (
        file.find("FIBERMAP") if "TARGETID" in columns(file.find("FIBERMAP")) else file.find("EXP_FIBERMAP")
    )
    ids = np.array(file.table(fibres, ("TARGETID",))["TARGETID"], np.int64)
    if len(ids) != len(arms[0][1]):
        raise file.error(
            fibres.name, f"must have a row for each of {len(arms[0][1])} spectra, got {len(ids)}"
        )
    targets = list(dict.fromkeys(ids.tolist()))
    if targetid is not None:
        wanted = np.atleast_1d(np.asarray(targetid, np.int64)).tolist()
        missing = [one for one in wanted if one not in targets]
        if missing:
            raise ValueError(f"{file.name}: no target with the TARGETID {missing[0]}")
        targets = wanted
    rows = [_target(arms, np.flatnonzero(ids == target)) for target in targets]
    wave = rows[0].wave
    stated = file.find(_arms(file)[0] + "_FLUX").header.get("BUNIT", "10**-17 erg/(s cm2 Angstrom)")
    unit, note = flux_unit_of(stated)
    several = len(rows) > 1
    stack = (
        (lambda name: np.stack([getattr(row, name) for row in rows]))
        if several
        else lambda name: getattr(rows[0], name)
    )
    return [
        make_spectrum(
            wave,
            stack("flux"),
            unit=unit,
            variance=None if rows[0].variance is None else stack("variance"),
            mask=~stack("good"),
            medium="vacuum",
            instrument="DESI",
            header=file.header,
            targetid=targets if several else targets[0],
            notes=(note,),
        )
    ]


def _target(arms, rows):
    """One target: its exposures averaged, its arms joined."""
    pieces = []
    for wave, flux, ivar, mask in arms:
        pieces.append(
            average(
                [
                    Piece.of(
                        wave,
                        flux[i],
                        ivar=None if ivar is None else ivar[i],
                        mask=None if mask is None else mask[i],
                    )
                    for i in rows
                ]
            )
        )
    return join(pieces)


LAYOUTS = (Layout("DESI", _is_desi, _read),)

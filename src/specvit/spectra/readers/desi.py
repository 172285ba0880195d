"""DESI: coadd and spectra files, of healpixels and tiles, arms joined into one spectrum for each target.

Medium: vacuum, heliocentric. Unit: that of the HDU, 1e-17 erg / (s cm² Å). Resolution: of each target, from
its matrices in the HDUs ``…_RESOLUTION`` (`band_widths`); without them the preset ``DESI``. Lost: inverse
variance 0, and every pixel with a mask value. The arms B, R and Z share their pixels where they overlap, and
are averaged there with inverse variance as weight; exposures of a target (spectra files) are averaged the
same way before. Targets are rows: of the two-dimensional spectrum of ``Spectrum.read``, of the list of
``SpectrumList.read``; ``targetid=`` chooses some. Names of the targets are their TARGETID.

References
----------
* https://desidatamodel.readthedocs.io/en/latest/DESI_SPECTRO_REDUX/SPECPROD/healpix/SURVEY/PROGRAM/PIXGROUP/PIXNUM/coadd-SURVEY-PROGRAM-PIXNUM.html
* https://desidatamodel.readthedocs.io/en/latest/DESI_SPECTRO_REDUX/SPECPROD/healpix/SURVEY/PROGRAM/PIXGROUP/PIXNUM/spectra-SURVEY-PROGRAM-PIXNUM.html
"""

from __future__ import annotations

import numpy as np

from specvit.grid import FWHM_PER_SIGMA
from specvit.spectra.readers.assembling import make_spectrum
from specvit.spectra.readers.filelayout import Layout
from specvit.spectra.readers.fitsfile import columns
from specvit.spectra.readers.joining import Piece, average, join
from specvit.spectra.readers.unitwords import flux_unit_of

__all__ = ["LAYOUTS", "band_widths"]

_PERIOD = 8.0  # pixels


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
        widths = _widths(file, f"{arm}_RESOLUTION", flux.shape)
        arms.append((wave, flux, ivar, None if mask is None else mask != 0, widths))
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
    members = [np.flatnonzero(ids == target) for target in targets]
    rows = [_target(arms, member) for member in members]
    wave = rows[0].wave
    power = [_resolving_power(arms, member, wave) for member in members]
    if any(one is None for one in power):  # the preset's, for all
        power = None
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
            resolution=power if several or power is None else power[0],
            instrument="DESI",
            header=file.header,
            targetid=targets if several else targets[0],
            notes=(note,),
        )
    ]


def _widths(file, name, shape):
    """FWHM in pixels of all spectra of an arm, (n, npix); None without matrices. Never all in memory."""
    hdu = file.find(name)
    if hdu is None:
        return None
    found = tuple(hdu.shape or ())
    if len(found) != 3 or (found[0], found[2]) != shape:
        raise file.error(name, f"must have matrices for the flux of shape {shape}, got {found}")
    return np.stack([band_widths(np.asarray(hdu.section[i])) for i in range(found[0])])


def _target(arms, rows):
    """One target: its exposures averaged, its arms joined."""
    pieces = []
    for wave, flux, ivar, mask, _ in arms:
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


def _resolving_power(arms, rows, wave):
    """λ/FWHM of a target at wavelengths in Å, (npix,), from its matrices; None if there are none.

    Where exposures or arms are averaged, so are the squares of their widths, by their inverse variance.
    """
    total, weights = np.zeros(wave.size), np.zeros(wave.size)
    for own, _, ivar, _, widths in arms:
        if widths is None:
            return None
        step = np.gradient(own)
        inside = (wave >= own[0] - step[0]) & (wave <= own[-1] + step[-1])
        for i in rows:
            width = widths[i] * step
            known = np.isfinite(width)
            if not known.any():
                continue
            square = np.interp(wave[inside], own[known], width[known] ** 2)
            weight = 1.0 if ivar is None else max(float(np.median(ivar[i])), np.finfo(np.float32).tiny)
            total[inside] += weight * square
            weights[inside] += weight
    known = weights > 0
    if not known.any():
        return None
    return wave / np.sqrt(np.interp(wave, wave[known], total[known] / weights[known]))


def band_widths(bands):
    """Widths of the line spread function from a matrix of resolution.

    Parameters
    ----------
    bands : numpy.ndarray of float, shape (ndiag, npix)
        The matrix's diagonals, from the highest to the lowest, as ``scipy.sparse.dia_matrix`` keeps them:
        column j holds what a line at pixel j leaves in the pixels j - ndiag // 2 to j + ndiag // 2.

    Returns
    -------
    numpy.ndarray of float64, shape (npix,)
        FWHM in pixels of the Gaussian that lets through as much as the column does of a wave with a period of
        8 pixels: |T| = exp(-2 π² σ² / 8²). NaN where a column is cut by the end of the arm, or is no line.

    Notes
    -----
    The second moment would be that of the far wings, where the matrix has noise and negative lobes.
    """
    half = len(bands) // 2
    phase = np.exp(2j * np.pi * (np.arange(len(bands)) - half) / _PERIOD)
    with np.errstate(all="ignore"):
        passed = np.abs(phase @ bands.astype(np.float64)) / bands.sum(axis=0, dtype=np.float64)
        sigma = np.sqrt(-np.log(passed) / (2 * np.pi**2)) * _PERIOD
    sigma[: half + 1] = sigma[sigma.size - half - 1 :] = np.nan
    return np.where(sigma > 0, sigma, np.nan) * FWHM_PER_SIGMA


LAYOUTS = (Layout("DESI", _is_desi, _read),)

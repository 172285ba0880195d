"""SDSS and BOSS: spec and spec-lite files, spSpec files of SDSS-I/II, spPlate files.

Medium: vacuum, heliocentric. Unit: 1e-17 erg / (s cm² Å). Resolution: that of the column ``wdisp`` (σ in
pixels of 1e-4 in log10 λ, Smee et al. 2013), else the preset ``SDSS/BOSS``. Lost: inverse variance 0, and
pixels flagged in all exposures (AND mask), bits of the whole fibre and of emission lines left out.

The loaders of specutils (2.x) for spSpec and spPlate place each pixel one too far to the red, 69 km/s, and
that for spec knows files of reductions v5 only: these files are read here.

References
----------
* spec: https://data.sdss.org/datamodel/files/BOSS_SPECTRO_REDUX/RUN2D/spectra/PLATE4/spec.html
* spSpec: https://classic.sdss.org/dr7/dm/flatFiles/spSpec.php
* spPlate: https://data.sdss.org/datamodel/files/BOSS_SPECTRO_REDUX/RUN2D/PLATE4/spPlate.html
"""

from __future__ import annotations

import numpy as np

from specvit.constants import FWHM_PER_SIGMA
from specvit.spectra.readers.assembling import bad_bits, make_spectrum
from specvit.spectra.readers.filelayout import Layout
from specvit.spectra.readers.fitsfile import columns
from specvit.spectra.readers.headeraxes import log_linear
from specvit.spectra.readers.unitwords import flux_unit_of

__all__ = ["LAYOUTS"]

_UNIT = "1e-17 erg / (s cm2 Angstrom)"
_STEP = 1e-4 * np.log(10)  # of ln λ, a pixel
_EMISSION_LINE = 1 << 30  # EMLINE of spSpec masks: a line was found there, nothing is lost


def _coadd(file):
    """The table of a spec file and its columns by their names in small letters, or None."""
    for hdu in file.hdus[1:3]:
        names = {name.lower(): name for name in columns(hdu)}
        if {"flux", "loglam", "ivar"} <= set(names) and {"and_mask", "wdisp"} & set(names):
            return hdu, names
    return None


def _read_spec(file):
    hdu, names = _coadd(file)
    rows = file.table(hdu)

    def column(name):
        return np.array(rows[names[name]]).reshape(-1) if name in names else None

    mask = column("and_mask")
    return [
        make_spectrum(
            10.0 ** column("loglam").astype(np.float64),
            column("flux"),
            unit=_unit(file.header),
            ivar=column("ivar"),
            mask=None if mask is None else bad_bits(mask),
            medium="vacuum",
            instrument="SDSS/BOSS",
            resolution=_resolution(column("wdisp")),
            header=file.header,
        )
    ]


def _resolution(dispersion):
    """λ/FWHM of the dispersion that the pipeline measured, (npix,), or None if it is not there."""
    if dispersion is None:
        return None
    dispersion = dispersion.astype(np.float64)
    good = np.isfinite(dispersion) & (dispersion > 0.2) & (dispersion < 10)
    if good.mean() < 0.5:
        return None
    pixels = np.arange(dispersion.size)
    return 1 / (FWHM_PER_SIGMA * _STEP * np.interp(pixels, pixels[good], dispersion[good]))


def _unit(header):
    stated = header.get("BUNIT")
    return _UNIT if stated is None else flux_unit_of(stated)[0]


def _is_sdss(file):
    header = file.hdus[0].header
    return "SDSS" in str(header.get("TELESCOP", "")).upper() and file.hdus[0].header.get("NAXIS") == 2


def _is_plate(file):
    return _is_sdss(file) and len(file.hdus) > 5 and file.hdus[0].header["NAXIS2"] > 5


def _is_spspec(file):
    return _is_sdss(file) and "COEFF0" in file.hdus[0].header and 4 <= file.hdus[0].header["NAXIS2"] <= 6


def _read_spspec(file):
    image = file.image(file.hdus[0].name, np.float64, ndim=2)
    return [
        make_spectrum(
            log_linear(file.header, image.shape[1]),
            image[0],
            unit=_unit(file.header),
            sigma=image[2],
            mask=bad_bits(image[3], _EMISSION_LINE),
            medium="vacuum",
            instrument="SDSS/BOSS",
            header=file.header,
        )
    ]


def _read_plate(file):
    flux, ivar, mask = (np.array(hdu.data) for hdu in file.hdus[:3])
    return [
        make_spectrum(
            log_linear(file.header, flux.shape[1]),
            flux,
            unit=_unit(file.header),
            ivar=ivar,
            mask=bad_bits(mask),
            medium="vacuum",
            instrument="SDSS/BOSS",
            header=file.header,
            fiberid=list(range(1, len(flux) + 1)),
        )
    ]


LAYOUTS = (
    Layout("SDSS spec", lambda file: _coadd(file) is not None, _read_spec),
    Layout("SDSS plate", _is_plate, _read_plate),
    Layout("SDSS spSpec", _is_spspec, _read_spspec),
)

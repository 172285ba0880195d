"""LAMOST: the image of DR1–DR7 and the tables of DR8–DR10 (COADD), low and medium resolution.

Medium: vacuum, heliocentric. Unit: relative (the flux calibration is relative). Resolution: the preset
``LAMOST LRS`` (R = 1800), 7500 for medium-resolution files. Lost: inverse variance 0, and pixels flagged in
all exposures (ANDMASK; PIXMASK of single exposures). Arms of a medium-resolution star are joined by weight.

Wavelengths of the tables are single precision, good to 0.0005 Å: where the cards COEFF0 and COEFF1 agree with
them, these are used. The plate of the image has five rows: flux, inverse variance, wavelength, AND mask, OR
mask.

References
----------
* https://www.lamost.org/dr10/v2.0/doc/lr-data-production-description
* https://www.lamost.org/dr10/v2.0/doc/mr-data-production-description
"""

from __future__ import annotations

import numpy as np

from specvit.spectra.readers.assembling import bad_bits, make_spectrum
from specvit.spectra.readers.filelayout import Layout
from specvit.spectra.readers.fitsfile import columns
from specvit.spectra.readers.headeraxes import log_linear
from specvit.spectra.readers.joining import Piece, join

__all__ = ["LAYOUTS"]

_MEDIUM_RESOLUTION = 7500.0  # Liu et al. 2020, arXiv:2005.07210


def _is_lamost(file):
    return "LAMOST" in str(file.hdus[0].header.get("TELESCOP", "")).upper()


def _is_image(file):
    header = file.hdus[0].header
    return _is_lamost(file) and header.get("NAXIS") == 2 and header["NAXIS2"] >= 4 and "COEFF0" in header


def _tables(file):
    """The HDUs of coadded spectra, by their columns."""
    found = []
    for hdu in file.hdus[1:]:
        names = {name.upper() for name in columns(hdu)}
        if {"FLUX", "IVAR"} <= names and {"WAVELENGTH", "LOGLAM"} & names:
            found.append(hdu)
    coadds = [hdu for hdu in found if hdu.name.upper().startswith("COADD")]
    return coadds or found


def _is_table(file):
    tables = _tables(file)
    if not tables:
        return False
    names = {name.upper() for name in columns(tables[0])}
    return _is_lamost(file) or (
        tables[0].name.upper().startswith("COADD") and bool({"ANDMASK", "PIXMASK"} & names)
    )


def _read_image(file):
    image = file.image(file.hdus[0].name, np.float64, ndim=2)
    return [
        make_spectrum(
            log_linear(file.header, image.shape[1]),
            image[0],
            ivar=image[1],
            mask=bad_bits(image[3]),
            medium="vacuum",
            instrument="LAMOST LRS",
            header=file.header,
        )
    ]


def _read_table(file):
    pieces = [_piece(file, hdu) for hdu in _tables(file)]
    header = file.header
    medium_resolution = len(pieces) > 1 or pieces[0].wave[-1] < 7100 or pieces[0].wave[0] > 4900
    one = join(pieces)
    return [
        make_spectrum(
            one.wave,
            one.flux,
            variance=one.variance,
            mask=~one.good,
            medium="vacuum",
            resolution=_MEDIUM_RESOLUTION if medium_resolution else None,
            instrument=None if medium_resolution else "LAMOST LRS",
            header=header,
            joined=len(pieces) if len(pieces) > 1 else None,
        )
    ]


def _piece(file, hdu):
    rows, names = file.table(hdu), {name.upper(): name for name in columns(hdu)}

    def column(name, dtype=np.float64):
        return np.array(rows[names[name]], dtype).reshape(-1) if name in names else None

    wave = column("WAVELENGTH") if "WAVELENGTH" in names else 10.0 ** column("LOGLAM")
    for header in (hdu.header, file.header):
        exact = log_linear(header, wave.size)
        if exact is not None and np.abs(exact - wave).max() < 0.01:
            wave = exact
            break
    mask = next((column(name, np.int64) for name in ("ANDMASK", "PIXMASK") if name in names), None)
    flagged = None if mask is None else bad_bits(mask)
    return Piece.of(wave, column("FLUX"), ivar=column("IVAR"), mask=flagged)


LAYOUTS = (
    Layout("LAMOST image", _is_image, _read_image),
    Layout("LAMOST table", _is_table, _read_table),
)

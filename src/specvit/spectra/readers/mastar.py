"""MaStar, the stellar library of MaNGA: rows of arrays, visits of one star averaged.

Medium: vacuum, heliocentric. Unit: 1e-17 erg / (s cm² Å). Resolution: λ/FWHM of the column DISP (σ in Å,
pixel included). Lost: inverse variance 0, and every pixel with a mask value. Visits of one MANGAID are
averaged with inverse variance as weight; ``mangaid=`` chooses stars of a large file.

References
----------
* https://data.sdss.org/datamodel/files/MANGA_SPECTRO_MASTAR/DRPVER/MPROCVER/mastar-goodspec-DRPVER-MPROCVER.html
"""

from __future__ import annotations

import numpy as np

from specvit.constants import FWHM_PER_SIGMA
from specvit.spectra.readers.assembling import make_spectrum
from specvit.spectra.readers.filelayout import Layout
from specvit.spectra.readers.fitsfile import columns
from specvit.spectra.readers.joining import Piece, average

__all__ = ["LAYOUTS"]


def _table(file):
    return next(
        (hdu for hdu in file.hdus[1:] if {"MANGAID", "WAVE", "FLUX", "IVAR"} <= set(columns(hdu))), None
    )


def _read(file, *, mangaid=None):
    hdu = _table(file)
    rows, names = file.table(hdu), set(columns(hdu))
    ids = [str(one).strip() for one in rows["MANGAID"]]
    stars = list(dict.fromkeys(ids))
    if mangaid is not None:
        wanted = [mangaid] if isinstance(mangaid, str) else list(mangaid)
        missing = [one for one in wanted if one not in stars]
        if missing:
            raise ValueError(f"{file.name}: no star with the MANGAID {missing[0]!r}")
        stars = wanted
    spectra = []
    for star in stars:
        visits = [i for i, one in enumerate(ids) if one == star]
        pieces = [
            Piece.of(
                rows["WAVE"][i],
                rows["FLUX"][i],
                ivar=rows["IVAR"][i],
                mask=np.asarray(rows["MASK"][i]) != 0 if "MASK" in names else None,
            )
            for i in visits
        ]
        same = [piece for piece in pieces if piece.wave.shape == pieces[0].wave.shape]
        one = average([piece for piece in same if np.allclose(piece.wave, pieces[0].wave, rtol=0, atol=1e-3)])
        resolution = None
        if "DISP" in names:
            sigma = np.mean([np.asarray(rows["DISP"][i], np.float64) for i in visits], axis=0)
            if sigma.shape == one.wave.shape and np.isfinite(sigma).all() and (sigma > 0).all():
                resolution = one.wave / (FWHM_PER_SIGMA * sigma)
        spectra.append(
            make_spectrum(
                one.wave,
                one.flux,
                unit="1e-17 erg / (s cm2 Angstrom)",
                variance=one.variance,
                mask=~one.good,
                medium="vacuum",
                resolution=resolution,
                instrument=None if resolution is not None else "SDSS/BOSS",
                header=file.header,
                mangaid=star,
                joined=len(visits) if len(visits) > 1 else None,
            )
        )
    return spectra


LAYOUTS = (Layout("MaStar", lambda file: _table(file) is not None, _read),)

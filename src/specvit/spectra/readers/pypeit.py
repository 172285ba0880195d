"""PypeIt: coadded spectra (OneSpec) and extracted ones (spec1d), orders of an echelle joined.

Medium: vacuum, heliocentric. Unit: 1e-17 erg / (s cm² Å) where fluxed, else counts, relative. Resolution:
preset ``DEIMOS 1200G`` for that grating of DEIMOS, else none. Lost: mask 0 (in PypeIt 1 is good), inverse
variance 0, wavelength 0. Of an extraction the optimal one is read (OPT), fluxed if it is (FLAM), else the
boxcar (BOX). Objects are rows; orders of one object are joined by weight, divided by their continuum before
if they are in counts.

References
----------
* https://pypeit.readthedocs.io/en/release/out_onespec.html
* https://pypeit.readthedocs.io/en/release/out_spec1D.html
"""

from __future__ import annotations

import re

import numpy as np

from specvit.spectra.readers.assembling import make_spectrum
from specvit.spectra.readers.filelayout import Layout
from specvit.spectra.readers.fitsfile import columns
from specvit.spectra.readers.joining import Piece, join

__all__ = ["LAYOUTS"]

_FLUXED = "1e-17 erg / (s cm2 Angstrom)"
_WAYS = (("OPT", "FLAM"), ("BOX", "FLAM"), ("OPT", "COUNTS"), ("BOX", "COUNTS"))


def _coadd(file):
    """The table of a coadd, or None."""
    for hdu in file.hdus[1:]:
        if hdu.header.get("DMODCLS") == "OneSpec" or {"wave", "wave_grid_mid", "flux", "ivar"} <= set(
            columns(hdu)
        ):
            return hdu
    return None


def _objects(file):
    """Tables of extracted objects or orders."""
    return [hdu for hdu in file.hdus[1:] if any(f"{way}_WAVE" in columns(hdu) for way in ("OPT", "BOX"))]


def _instrument(file):
    header = file.hdus[0].header
    words = " ".join(str(header.get(card, "")) for card in ("PYP_SPEC", "INSTRUME")).upper()
    grating = " ".join(str(header.get(card, "")) for card in ("DISPNAME", "GRATENAM")).upper()
    return "DEIMOS 1200G" if "DEIMOS" in words and "1200G" in grating else None


def _read_coadd(file):
    hdu = _coadd(file)
    rows = file.table(hdu)
    fluxed = bool(hdu.header.get("FLUXED", True))
    mask = rows["mask"] if "mask" in columns(hdu) else np.ones(len(rows))
    return [
        make_spectrum(
            rows["wave"],
            rows["flux"],
            unit=_FLUXED if fluxed else None,
            ivar=rows["ivar"],
            mask=~(np.asarray(mask) > 0),
            medium="vacuum",
            instrument=_instrument(file),
            header=file.header,
            notes=(None if fluxed else "flux in counts is taken as relative",),
        )
    ]


def _read_objects(file):
    by_object = {}
    for hdu in _objects(file):
        way = next(((way, kind) for way, kind in _WAYS if f"{way}_{kind}" in columns(hdu)), None)
        if way is None:
            continue
        extraction, kind = way
        rows = file.table(hdu)
        found = {
            name: np.array(rows[name], np.float64)
            for name in columns(hdu)
            if name.startswith(extraction + "_")
        }

        mask = found.get(f"{extraction}_MASK")
        piece = Piece.of(
            found[f"{extraction}_WAVE"],
            found[f"{extraction}_{kind}"],
            ivar=found.get(f"{extraction}_{kind}_IVAR"),
            mask=None if mask is None else ~(mask > 0),
        )
        name = re.sub(r"-?ORDER\d+", "", hdu.name)
        by_object.setdefault((name, kind), []).append(piece)
    if not by_object:
        raise ValueError(f"{file.name}: no object of it has OPT_FLAM, OPT_COUNTS, BOX_FLAM or BOX_COUNTS")
    spectra = []
    for (name, kind), pieces in by_object.items():
        relative, several = kind == "COUNTS", len(pieces) > 1
        one = join([piece.flattened() for piece in pieces] if relative and several else pieces)
        notes = ["flux in counts is taken as relative"] * relative
        notes += [f"{len(pieces)} orders are joined" + ", each divided by its continuum" * relative] * several
        spectra.append(
            make_spectrum(
                one.wave,
                one.flux,
                unit=None if relative else _FLUXED,
                variance=one.variance,
                mask=~one.good,
                medium="vacuum",
                instrument=_instrument(file),
                header=file.header,
                notes=notes,
                name=name,
                joined=len(pieces) if several else None,
            )
        )
    return spectra


LAYOUTS = (
    Layout("PypeIt coadd1d", lambda file: _coadd(file) is not None, _read_coadd),
    Layout("PypeIt spec1d", lambda file: bool(_objects(file)), _read_objects),
)

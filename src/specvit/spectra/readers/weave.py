"""WEAVE L1: the fibres of one arm, or both arms joined, targets as rows.

Medium: air, as the preset has it. Unit: counts times the sensitivity function, erg / (s cm² Å); without it
relative. Resolution: preset ``WEAVE LR``, 20000 in the high-resolution mode. Lost: inverse variance 0. Fibres
whose TARGUSE in FIBTABLE is S (sky), or that are broken or parked, are left out.

References
----------
* https://www.ing.iac.es/astronomy/instruments/weave/weaveinst.html
* Jin et al. 2024, MNRAS 530, 2688
"""

from __future__ import annotations

import numpy as np

from specvit.spectra.readers.assembling import make_spectrum
from specvit.spectra.readers.filelayout import Layout
from specvit.spectra.readers.fitsfile import columns
from specvit.spectra.readers.headeraxes import header_axis
from specvit.spectra.readers.joining import Piece, join
from specvit.spectra.readers.unitwords import flux_unit_of

__all__ = ["LAYOUTS"]

_HIGH_RESOLUTION = 20000.0
_UNUSED = {"S", "N", "I", "D", "P"}


def _arms(file):
    """Beginnings of the names of the HDUs of each arm: RED_, BLUE_."""
    return [name for name in ("BLUE_", "RED_") if file.find(name + "DATA") and file.find(name + "IVAR")]


def _read(file):
    arms = []
    for arm in _arms(file):
        flux, ivar = (file.image(arm + name, np.float64, ndim=2) for name in ("DATA", "IVAR"))
        hdu = file.find(arm + "DATA")
        wave = header_axis(hdu.header, flux.shape[1])[0].to_value("Angstrom")
        sensitivity = file.image(arm + "SENSFUNC", np.float64)
        if sensitivity is not None:
            with np.errstate(all="ignore"):
                flux, ivar = flux * sensitivity, ivar / sensitivity**2
        arms.append((wave, flux, ivar, sensitivity is not None, hdu.header.get("BUNIT")))
    fibres = file.find("FIBTABLE")
    uses = np.full(len(arms[0][1]), "T")
    if "TARGUSE" in columns(fibres):
        uses = np.array([str(one).strip().upper() for one in file.table(fibres)["TARGUSE"]])
    rows = [i for i, use in enumerate(uses[: len(arms[0][1])]) if use not in _UNUSED]
    if not rows:
        raise file.error("FIBTABLE", "has no fibre on a target")
    pieces = [join([Piece.of(wave, flux[i], ivar=ivar[i]) for wave, flux, ivar, *_ in arms]) for i in rows]
    calibrated = all(arm[3] for arm in arms)
    unit, note = ("erg / (s cm2 Angstrom)", None) if calibrated else flux_unit_of(arms[0][4] or "counts")
    high = "HIGH" in str(file.header.get("MODE", file.header.get("OBSMODE", ""))).upper()
    names = {}
    for name in ("TARGID", "CNAME"):
        if name in columns(fibres):
            values = file.table(fibres)[name]
            names[name.lower()] = [str(values[i]).strip() for i in rows]
    several = len(rows) > 1

    def stack(name):
        values = [getattr(piece, name) for piece in pieces]
        return np.stack(values) if several else values[0]

    return [
        make_spectrum(
            pieces[0].wave,
            stack("flux"),
            unit=unit,
            variance=stack("variance"),
            mask=~stack("good"),
            medium="air",
            resolution=_HIGH_RESOLUTION if high else None,
            instrument=None if high else "WEAVE LR",
            header=file.header,
            notes=(note,),
            **{key: value if several else value[0] for key, value in names.items()},
        )
    ]


LAYOUTS = (Layout("WEAVE L1", lambda file: bool(_arms(file)), _read),)

"""GALAH DR2 and DR3: one file an arm of HERMES; and a file with all arms.

Medium: air, barycentric. Unit: counts, relative. Resolution: preset ``GALAH IR``, R = 28000. Lost: NaN.

HDU 0 is the reduced flux, HDU 1 its error divided by the flux, HDU 4 the flux normalised, on an axis of its
own (cut at the red end in the infrared arm); CRPIX1 = 0 there means 1. HDU 0 is read, which has the error on
the same pixels. Only the infrared arm, 7587–7889 Å, lies in the range of the networks: its file has the digit
4 at the end of its name. A file of another arm is read as well, and said to be one.

References
----------
* https://www.galah-survey.org/dr3/the_spectra/
* Buder et al. 2021, MNRAS 506, 150; Kos et al. 2017, MNRAS 464, 1259
"""

from __future__ import annotations

import numpy as np

from specvit.spectra.readers.assembling import make_spectrum
from specvit.spectra.readers.filelayout import Layout
from specvit.spectra.readers.headeraxes import header_axis
from specvit.spectra.readers.joining import Piece, join

__all__ = ["LAYOUTS"]

_INFRARED = (7500.0, 7950.0)  # Å
_LARGEST_ERROR = 0.5  # of the flux, in the median


def _is_galah(file):
    header = file.hdus[0].header
    cards = " ".join(
        str(header.get(card, "")) for card in ("ORIGIN", "SURVEY", "PROJECT", "INSTRUME", "TELESCOP")
    ).upper()
    is_hermes = "GALAH" in cards or "HERMES" in cards or "GALAH_ID" in header or "SOBJECT_ID" in header
    return is_hermes and "MERCATOR" not in cards and bool(_arms(file))


def _arms(file):
    """Pairs of the HDUs of flux and relative error: one of an arm's file, several of a file with all arms."""
    spectra = [
        hdu for hdu in file.hdus if hdu.is_image and len(hdu.shape or ()) == 1 and "CRVAL1" in hdu.header
    ]
    if not spectra:
        return []
    starts = {round(float(hdu.header["CRVAL1"]), -2) for hdu in spectra}
    if len(starts) == 1 or spectra[0] is file.hdus[0]:
        return [(spectra[0], _relative_error(spectra[0], file.hdus[1:3]))]
    arms = {}
    for hdu in spectra:
        arms.setdefault(round(float(hdu.header["CRVAL1"]), -2), []).append(hdu)
    return [(one[0], _relative_error(one[0], one[1:3])) for one in arms.values()]


def _relative_error(flux, others):
    """The first of the next two HDUs that can be an error relative to the flux, or None.

    Later reductions have the normalised flux before it, which is about 1.
    """
    for hdu in others:
        if hdu.is_image and hdu.shape == flux.shape and 0 < np.nanmedian(hdu.data) < _LARGEST_ERROR:
            return hdu
    return None


def _read(file):
    pieces = []
    for flux, error in _arms(file):
        values = np.asarray(flux.data, np.float64)
        header = flux.header.copy()
        if float(header.get("CRPIX1", 1)) == 0:
            header["CRPIX1"] = 1.0
        wave = header_axis(header, values.size)[0].to_value("Angstrom")
        sigma = None if error is None else np.abs(values * np.asarray(error.data, np.float64))
        pieces.append(Piece.of(wave, values, sigma=sigma))
    infrared = [piece for piece in pieces if _INFRARED[0] < piece.wave.mean() < _INFRARED[1]]
    one = join(infrared or pieces)
    note = None
    if not infrared:
        note = (
            f"this is an arm of {one.wave[0]:.0f}–{one.wave[-1]:.0f} Å: the infrared arm, 7587–7889 Å, "
            "is in the file whose name ends in 4"
        )
    return [
        make_spectrum(
            one.wave,
            one.flux,
            variance=one.variance,
            mask=~one.good,
            medium="air",
            instrument="GALAH IR",
            header=file.header,
            notes=("flux in counts is taken as relative", note),
        )
    ]


LAYOUTS = (Layout("GALAH arm", _is_galah, _read),)

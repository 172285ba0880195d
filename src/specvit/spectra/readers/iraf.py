"""IRAF: one-dimensional spectra with DC-FLAG, equispec and multispec images, of two and three dimensions.

Medium: what the header says, as AIRORVAC or VACUUM; IRAF has no card for it. Unit: BUNIT, mostly counts:
relative. Resolution: the header's. Lost: NaN. Of three dimensions the third is the band: the spectrum is that
of the first, its error the band whose BANDIDn says sigma. Apertures that lie side by side in wavelength are
orders of one star and are joined by weight, divided by their continuum before, if their flux is relative;
apertures of the same wavelengths are stars of their own.

References
----------
* https://iraf.readthedocs.io/en/latest/tasks/noao/onedspec/specwcs.html
* Valdes 1993, ASP Conf. Ser. 52, 467
"""

from __future__ import annotations

import re

import numpy as np
from numpy.polynomial import chebyshev, legendre

from specvit.spectra.readers.assembling import instrument_named, make_spectrum
from specvit.spectra.readers.filelayout import Layout
from specvit.spectra.readers.headeraxes import header_axis
from specvit.spectra.readers.joining import Piece, are_orders, join
from specvit.spectra.readers.unitwords import flux_unit_of, wave_unit_of

__all__ = ["LAYOUTS", "multispec_axis"]


def _image(file):
    """The HDU of the spectrum: the primary one, or the first with data (GMOS)."""
    return next((hdu for hdu in file.hdus if hdu.is_image and hdu.shape), file.hdus[0])


def _is_iraf(file):
    hdu = _image(file)
    header = hdu.header
    if (
        not hdu.shape
        or len(hdu.shape) > 3
        or ("CRVAL3" in header and "CTYPE3" in header and "AWAV" in str(header["CTYPE3"]))
    ):
        return False
    kind = str(header.get("CTYPE1", "")).upper()
    if kind.startswith("MULTISPE"):
        return True
    if hdu is not file.hdus[0]:  # the header's axis, errors in other HDUs: any image
        return False
    marks = ("WAT0_001", "BANDID1", "APNUM1")
    return "CRVAL1" in header and ("DC-FLAG" in header or any(mark in header for mark in marks))


def _read(file):
    from astropy import units as u

    hdu = _image(file)
    header = file.header
    if hdu is not file.hdus[0]:
        header.update(hdu.header)
    data = np.asarray(hdu.data, np.float64)
    sigma = None
    if data.ndim == 3:
        bands = [str(header.get(f"BANDID{i}", "")).lower() for i in range(1, len(data) + 1)]
        which = next((i for i, text in enumerate(bands) if "sigma" in text), None)
        data, sigma = data[0], None if which is None else data[which]
    data = np.atleast_2d(data)
    sigma = None if sigma is None else np.atleast_2d(sigma)
    unit, unit_note = flux_unit_of(header.get("BUNIT"))
    if str(header.get("CTYPE1", "")).upper().startswith("MULTISPE"):
        scale = (_unit_of_text(header) or u.AA).to(u.AA)
        waves = [
            scale * multispec_axis(text, data.shape[1]) for text in _specifications(header, len(data), file)
        ]
        medium = note = None
    else:
        try:
            wave, medium, note = header_axis(header, data.shape[1])
        except ValueError as error:
            raise file.error("PRIMARY", error) from None
        waves = [wave.to_value(u.AA, u.spectral())] * len(data)
    common = {
        "unit": unit,
        "medium": medium,
        "instrument": instrument_named(header),
        "header": header,
        "notes": [unit_note, note],
    }
    pieces = [
        Piece.of(wave, data[i], sigma=None if sigma is None else sigma[i]) for i, wave in enumerate(waves)
    ]
    if are_orders(pieces):
        relative = unit == u.dimensionless_unscaled
        one = join([piece.flattened() for piece in pieces] if relative else pieces)
        common["notes"].append(
            f"{len(pieces)} orders are joined" + ", each divided by its continuum" * relative
        )
        return [
            make_spectrum(
                one.wave, one.flux, variance=one.variance, mask=~one.good, joined=len(pieces), **common
            )
        ]
    return [
        make_spectrum(wave, data[i], sigma=None if sigma is None else sigma[i], **common)
        for i, wave in enumerate(waves)
    ]


def _text(header, axis):
    """The cards WATn_001, WATn_002 … as one text; each has 68 letters, blanks at the end among them."""
    cards = sorted(card for card in header if re.fullmatch(rf"WAT{axis}_\d+", card))
    return "".join(str(header[card]).ljust(68) for card in cards)


def _unit_of_text(header):
    match = re.search(r"units\s*=\s*\"?([^\s\"]+)", _text(header, 1))
    return wave_unit_of(match[1]) if match else None


def _specifications(header, n, file):
    """The text spec1 = "…" of each aperture."""
    found = {
        int(number): text for number, text in re.findall(r"spec(\d+)\s*=\s*\"([^\"]*)\"", _text(header, 2))
    }
    missing = [i for i in range(1, n + 1) if i not in found]
    if missing:
        raise file.error(
            "PRIMARY", f"states no wavelengths: WAT2 has no spec{missing[0]} of its {n} apertures"
        )
    return [found[i] for i in range(1, n + 1)]


def multispec_axis(text, npix):
    """Wavelengths of one aperture of a multispec image.

    Parameters
    ----------
    text : str
        ``ap beam dtype w1 dw nw z aplow aphigh [weight offset function …]``.
    npix : int
        Number of pixels of the image's rows.

    Returns
    -------
    numpy.ndarray of float64, shape (npix,)
        NaN beyond the aperture's nw pixels.

    Raises
    ------
    ValueError
        If the axis states pixels, or a function that is not known.

    Notes
    -----
    λ = w1 + dw (p − 1) for dtype 0, 10 to that for dtype 1, and Σ weight (offset + f(p)) for dtype 2, divided
    by 1 + z. f is a Chebyshev (1) or Legendre series (2), a cubic (3) or linear spline (4), or an array of
    wavelengths of the pixels (5).
    """
    words = [float(word) for word in text.split()]
    kind, start, step, count, redshift = int(words[2]), *words[3:5], int(words[5]), words[6]
    pixels = np.arange(1, npix + 1, dtype=np.float64)
    if kind in (0, 1):
        wave = start + step * (pixels - 1)
        wave = 10.0**wave if kind == 1 else wave
    elif kind == 2:
        wave, rest = np.zeros(npix), words[9:]
        while rest:
            weight, offset, function = rest[0], rest[1], int(rest[2])
            values, used = _function(function, rest[3:], pixels)
            wave += weight * (offset + values)
            rest = rest[3 + used :]
    else:
        raise ValueError(f"an aperture has no wavelengths (dtype {kind} in WAT2)")
    wave = wave / (1 + redshift)
    wave[count:] = np.nan
    return wave


def _function(kind, words, pixels):
    """Values of a function of the pixels, and the number of its words."""
    if kind in (1, 2):
        order, low, high = int(words[0]), words[1], words[2]
        x = (2 * pixels - (high + low)) / (high - low)
        value = chebyshev.chebval if kind == 1 else legendre.legval
        return value(x, np.array(words[3 : 3 + order])), 3 + order
    if kind in (3, 4):
        count, low, high = int(words[0]), words[1], words[2]
        s = (pixels - low) / (high - low) * count
        j = np.clip(np.floor(s).astype(int), 0, count - 1)
        a, b = j + 1 - s, s - j
        terms = [a, b] if kind == 4 else [a**3, 1 + 3 * a * (1 + a * b), 1 + 3 * b * (1 + a * b), b**3]
        used = count + len(terms) - 1
        coefficients = np.array(words[3 : 3 + used])
        return sum(coefficients[j + i] * term for i, term in enumerate(terms)), 3 + used
    if kind == 5:
        count = int(words[0])
        return np.interp(pixels, np.arange(1, count + 1), words[1 : 1 + count]), 1 + count
    raise ValueError(f"the function {kind} of a multispec axis is not known")


LAYOUTS = (Layout("IRAF spectrum", _is_iraf, _read),)

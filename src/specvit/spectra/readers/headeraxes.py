"""Headers and their wavelengths, linear or logarithmic, as IRAF, SDSS and the standard write them."""

from __future__ import annotations

import re

import numpy as np

from specvit.spectra.readers.unitwords import NATURAL_NOTE, unit_by_size, wave_unit_of

__all__ = ["header_axis", "log_linear", "merged_header"]


def log_linear(header, npix):
    """Wavelengths of the cards COEFF0 and COEFF1, log10 λ/Å = COEFF0 + COEFF1 i, i from 0.

    Parameters
    ----------
    header : astropy.io.fits.Header
        The header.
    npix : int
        Number of pixels.

    Returns
    -------
    numpy.ndarray of float64, shape (npix,), or None
        In Å; None without the cards.
    """
    if "COEFF0" not in header or "COEFF1" not in header:
        return None
    return 10.0 ** (float(header["COEFF0"]) + float(header["COEFF1"]) * np.arange(npix))


def header_axis(header, npix, axis=1):
    """Wavelengths of an axis from CRVALn, CRPIXn, CDELTn or CDn_n, CTYPEn, CUNITn, DC-FLAG, WAT, else COEFF0.

    Parameters
    ----------
    header : astropy.io.fits.Header
        The header.
    npix : int
        Number of pixels.
    axis : int
        Number of the axis, from 1.

    Returns
    -------
    wave : astropy.units.Quantity, shape (npix,)
        Wavelengths, in the unit stated or Å.
    medium : {"air", "vacuum"} or None
        "air" for CTYPEn = AWAV; CTYPEn = WAVE means vacuum in the standard but is often written for air.
    note : str or None
        What was assumed.

    Raises
    ------
    ValueError
        If the cards state no wavelengths.

    Notes
    -----
    Linear, λ = CRVAL + (p − CRPIX) CDELT, with p from 1, is the rule. It is log10 λ, or ln λ/Å if it lies in
    7.5–10.5, if DC-FLAG is 1 (IRAF), CTYPE says LOG, or the size of numbers without a unit does
    (`unit_by_size`); λ = CRVAL exp((p − CRPIX) CDELT / CRVAL) for CTYPE = WAVE-LOG and AWAV-LOG (Greisen et
    al. 2006, A&A 446, 747).
    """
    from astropy import units as u

    step = header.get(f"CDELT{axis}")
    if f"CD{axis}_{axis}" in header and (step in (None, 1.0) or float(header[f"CD{axis}_{axis}"]) != 0):
        step = header[f"CD{axis}_{axis}"]
    elif step is not None:
        step = step * header.get(f"PC{axis}_{axis}", 1.0)
    if axis == 1 and step in (None, 0) and (wave := log_linear(header, npix)) is not None:
        return wave * u.AA, None, None
    if f"CRVAL{axis}" not in header or step in (None, 0):
        raise ValueError(
            f"states no wavelengths: CRVAL{axis} and CDELT{axis} or CD{axis}_{axis} are not there"
        )
    kind = str(header.get(f"CTYPE{axis}", "")).strip().upper()
    if kind in ("PIXEL", "PIXELS", "PIX") or kind.startswith(("RA--", "DEC-", "VELO", "VRAD", "VOPT")):
        raise ValueError(f"states no wavelengths: CTYPE{axis} = {kind!r}")
    start, step = float(header[f"CRVAL{axis}"]), float(step)
    offset = (np.arange(1, npix + 1) - float(header.get(f"CRPIX{axis}", 1.0))) * step
    stated = header.get(f"CUNIT{axis}") or _iraf_unit(header, axis)
    unit, note = wave_unit_of(stated), None
    medium = "air" if kind.startswith("AWAV") else None
    if kind in ("WAVE-LOG", "AWAV-LOG") and not 3.3 < start < 10.5:  # of the standard, not just a logarithm
        return start * np.exp(offset / start) * (unit or u.AA), medium, None
    values = start + offset
    logarithm = str(header.get("DC-FLAG", "0")).strip() == "1" or "LOG" in kind
    if not logarithm and kind.startswith("FREQ"):
        unit = unit or u.Hz
    elif not logarithm and (unit is None or (unit == u.AA and abs(step) < 0.01)):
        logarithm, guess, note = unit_by_size(values.min(), values.max())
        unit = unit or guess
    if logarithm and values.min() > 7.5 and values.max() < 10.5:
        return np.exp(values) * u.AA, medium, NATURAL_NOTE
    if logarithm and values.max() > 10:
        raise ValueError(f"must have log10 wavelengths, as its header says, got {start:g} to {values[-1]:g}")
    return (10.0**values if logarithm else values) * (unit or u.AA), medium, note


def merged_header(primary, own):
    """The primary header with the cards of an HDU over it.

    Parameters
    ----------
    primary, own : astropy.io.fits.Header
        Both headers.

    Returns
    -------
    astropy.io.fits.Header
        A new one.
    """
    merged = primary.copy()
    for card in own.cards:
        if card.keyword in ("", "COMMENT", "HISTORY", "XTENSION"):
            continue
        if card.keyword in merged:
            merged[card.keyword] = card.value
        else:  # a card stays what it is: HIERARCH, as those of ESO, without a warning
            merged.append(card, end=True)
    return merged


def _iraf_unit(header, axis):
    """Unit in the cards WATn_001 of IRAF, as ``units=angstroms``, or None."""
    match = re.search(r"units\s*=\s*\"?([^\s\"]+)", str(header.get(f"WAT{axis}_001", "")))
    return match[1] if match else None

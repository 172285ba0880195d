"""Units as files write them: what astropy cannot parse, what is no unit, and what nobody states."""

from __future__ import annotations

import re
import warnings

import numpy as np

__all__ = ["NATURAL_NOTE", "flux_unit_of", "to_wavelengths", "unit_by_size", "wave_unit_of"]

_NATURAL = (7.5, 10.5)  # ln λ/Å of 1800 Å to 3.6 µm
#: Said of wavelengths that are taken for such logarithms.
NATURAL_NOTE = "logarithms of 7.5 to 10.5 are taken for ln of Å"

# Words for a flux whose scale means nothing: the network needs its shape only.
_RELATIVE = re.compile(
    r"counts?|cts?|adu|du|dn|electrons?|e-?|photo-?electrons?|photons?|ph|arbitrary( units?)?"
    r"|arb\.?( ?units?)?|a\.?u\.?|relative( flux| intensity)?|normali[sz]ed( flux| intensity)?|none|unknown"
    r"|unitless|dimensionless|norm|rel\.?|-+|n/?a|null|intensity|flux"
)
_PER = re.compile(
    r"\s*(/|per)\s*(s|sec|second|pix|pixel|px|angstroms?|ang|a|nm|exposure|bin)\b", re.IGNORECASE
)
_NAMED = {"flam": "erg / (s cm2 Angstrom)", "fnu": "erg / (s cm2 Hz)", "jy": "Jy", "mjy": "mJy", "ujy": "uJy"}
# 10**-17, 10^(-17), 1E-17, 1.0e-17, 10E-17 and the rest of it
_SCALE = re.compile(
    r"^\(?\s*(?:10\s*(?:\*\*|\^)\s*\(?\s*(?P<power>[-+]?\d+)\s*\)?|10(?P<bare>[-+]\d+)"
    r"|(?P<number>\d+(?:\.\d*)?[eE][-+]?\d+))\s*\)?\s*[*.]?\s*(?P<rest>.*)$"
)
_SPELLINGS = (
    (r"\bergs\b", "erg"),
    (r"\b(seconds?|secs?)\b", "s"),
    (r"(?<![a-zA-Z])(angstroms?|angs?|aa?|Å|å)(?![a-zA-Z])", "Angstrom"),
    (r"\b(microns?|micrometers?|micrometres?|µm|μm)\b", "um"),
    (r"\b(nanometers?|nanometres?)\b", "nm"),
    (r"\bcm/s/Angstrom", "cm2/s/Angstrom"),  # as spSpec files of SDSS have it
)
_WAVES = {
    "": None,
    **dict.fromkeys(
        ("angstrom", "angstroms", "angstroem", "ang", "angs", "a", "aa", "å", "0.1nm", "0.1 nm"), "Angstrom"
    ),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), "nm"),
    **dict.fromkeys(("um", "micron", "microns", "micrometer", "micrometers", "µm", "μm"), "um"),
}


def flux_unit_of(stated):
    """Unit of a flux from what a file says.

    Parameters
    ----------
    stated : str, astropy.units.UnitBase or None
        As in BUNIT, TUNITn, a column's heading.

    Returns
    -------
    unit : astropy.units.UnitBase
        Dimensionless for a relative flux.
    note : str or None
        What was made of it, if it was no unit: counts, ADU, words that nobody knows.

    Examples
    --------
    >>> from specvit.spectra.readers.unitwords import flux_unit_of
    >>> flux_unit_of("10**-17 erg/s/cm^2/Ang")[0].to("erg / (s cm2 Angstrom)")
    1e-17
    >>> flux_unit_of("DU/PIXEL")
    (Unit(dimensionless), "flux in 'DU/PIXEL' is taken as relative")
    """
    from astropy import units as u

    text = "" if stated is None else " ".join(str(stated).split()).strip("'\"[] ")
    if not text:
        return u.dimensionless_unscaled, None
    relative = u.dimensionless_unscaled, f"flux in {text!r} is taken as relative"
    bare = text
    while bare != (shorter := _PER.sub("", bare)):
        bare = shorter
    if _RELATIVE.fullmatch(bare.lower().strip("() ")):
        return relative
    unit = _parsed(text)
    if unit is None:
        return relative
    counted = {u.ct, u.adu, u.electron, u.photon, u.DN, u.pix}
    if counted & set(unit.bases) and not u.Unit(unit).is_equivalent(
        "ph / (s cm2 Angstrom)", u.spectral_density(1 * u.um)
    ):
        return relative
    return unit, None


def _parsed(text):
    """The unit that a text means, or None."""
    from astropy import units as u

    if text.lower() in _NAMED:
        return u.Unit(_NAMED[text.lower()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scale, rest = 1.0, text
        if match := _SCALE.match(text):
            power = match["power"] or match["bare"]
            scale = float(match["number"]) if power is None else 10.0 ** int(power)
            rest = match["rest"].strip()
            if not text.startswith("(") and rest.count(")") > rest.count("("):
                rest = rest.rstrip(")")
        for pattern, unit in _SPELLINGS:
            rest = re.sub(pattern, unit, rest, flags=re.IGNORECASE)
        for candidate in (rest.replace("**", "^"), rest, rest.lower().replace("angstrom", "Angstrom")):
            for form in (None, "fits", "vounit", "cds", "ogip"):
                try:
                    unit = u.Unit(candidate, **({} if form is None else {"format": form}))
                except (ValueError, TypeError):
                    continue
                if isinstance(unit, u.UnitBase):
                    return u.Unit(scale * unit)
    return None


def wave_unit_of(stated):
    """Unit of wavelengths from what a file says.

    Parameters
    ----------
    stated : str, astropy.units.UnitBase or None
        As in CUNIT1, TUNITn, WAT1_001, a column's heading: ANGSTROMS, Ang, microns …

    Returns
    -------
    astropy.units.UnitBase or None
        None if nothing is stated, or nothing that is a wavelength, frequency or energy.
    """
    from astropy import units as u

    text = "" if stated is None else str(stated).strip("'\"[]() ")
    known = _WAVES.get(text.lower(), text)
    unit = None if known is None else _parsed(known)
    return unit if unit is not None and unit.is_equivalent(u.AA, u.spectral()) else None


def to_wavelengths(values, stated=None, *, logarithm=False):
    """Wavelengths in Å of numbers whose unit is stated, or of the size that they have.

    Parameters
    ----------
    values : array-like of float, shape (npix,)
        The numbers.
    stated : str, astropy.units.UnitBase or None
        The unit, as `wave_unit_of` takes it.
    logarithm : bool
        Whether they are log10 of the wavelength, or ln if they lie in 7.5–10.5.

    Returns
    -------
    wave : astropy.units.Quantity, shape (npix,)
        In the unit stated, else in Å, nm or µm.
    note : str or None
        What was assumed, if it is not Å.

    Notes
    -----
    Without a unit, the size of the numbers tells it (`unit_by_size`).
    """
    from astropy import units as u

    values = np.asarray(values, dtype=np.float64)
    unit, note = wave_unit_of(stated), None
    finite = values[np.isfinite(values) & (values != 0)]
    if not logarithm and unit is None and finite.size:
        logarithm, unit, note = unit_by_size(finite.min(), finite.max())
    if logarithm:
        natural = finite.size and finite.min() > _NATURAL[0] and finite.max() < _NATURAL[1]
        with np.errstate(over="ignore"):
            values = np.where(values == 0, np.nan, np.exp(values) if natural else 10.0**values)
        note = NATURAL_NOTE if natural else note
    return values * (unit or u.AA), note


def unit_by_size(low, high):
    """What wavelengths are given in, by their size, where nothing says it.

    Parameters
    ----------
    low, high : float
        Least and largest of the numbers.

    Returns
    -------
    logarithm : bool
        Whether they are log10 or ln of λ/Å, which their size tells.
    unit : astropy.units.UnitBase or None
        None for Å and for logarithms.
    note : str or None
        What was assumed.

    Notes
    -----
    Numbers that all lie in 3.3–4.6 are log10 λ/Å (2000 Å to 4 µm), in 7.5–10.5 ln λ/Å, in 0.3–3.3 µm, in
    300–2500 nm, in 3e-7–3.3e-6 m; else Å. No spectrum of the range of the networks is mistaken so: in Å it
    has numbers above 2500, in nm none.
    """
    from astropy import units as u

    for least, most, unit in ((300, 2500, u.nm), (0.3, 3.3, u.um), (3e-7, 3.3e-6, u.m)):
        if low > least and high < most:
            return False, unit, f"wavelengths without a unit are taken for {unit.to_string('unicode')}"
    if low > 3.3 and high < 4.6:
        return True, None, "wavelengths without a unit are taken for log10 of Å"
    if low > _NATURAL[0] and high < _NATURAL[1]:
        return True, None, NATURAL_NOTE
    return False, None, None

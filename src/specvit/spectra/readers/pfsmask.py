"""Named mask bits of PFS: which bits of a file's masks mean that a pixel is lost.

The numbers of the bits are not fixed; their names are, and each file states them: in header cards
``MP_<name>``, in bundles in the YAML text of the HDU METADATA.
"""

from __future__ import annotations

import re

import numpy as np

__all__ = [
    "DAMAGE",
    "INFORMATION",
    "bits_of_file",
    "bits_of_header",
    "bits_of_text",
    "damaged",
    "mask_note",
]

#: Names of bits that mean a lost pixel, by default; so does every other name that begins with ``BAD``.
DAMAGE = (
    "BAD",
    "SAT",
    "INTRP",
    "CR",
    "SUSPECT",
    "NO_DATA",
    "UNMASKEDNAN",
    "BAD_FLAT",
    "BAD_SKY",
    "BAD_FLUXCAL",
    "BAD_FIBERNORMS",
)
#: Names of bits that say something about a pixel, and do not make it worse.
INFORMATION = (
    "FIBERTRACE",
    "REFLINE",
    "OVERLAP",
    "OVERLAP_FIBERTRACE",
    "DETECTED",
    "DETECTED_NEGATIVE",
    "EDGE",
)

# What other pipelines call the same damage.
_OTHER_WORDS = (
    "SATURATED",
    "INTERPOLATED",
    "COSMIC_RAY",
    "COSMICRAY",
    "COSMIC",
    "NODATA",
    "NAN",
    "VIGNETTED",
    "CROSSTALK",
    "STREAK",
)

_LINE = re.compile(r"MP_(\w+?)['\"]?\s*:\s*['\"]?(\d+)")


def bits_of_header(*headers):
    """Names and numbers of the mask bits that header cards state.

    Parameters
    ----------
    *headers : mapping
        FITS headers; the first that states any is taken.

    Returns
    -------
    dict of str to int
        Name to bit number (the power of two); empty if none is stated.
    """
    for header in headers:
        found = {str(key): header[key] for key in header if "MP_" in str(key)}
        found = {
            key[key.index("MP_") + 3 :]: int(value)
            for key, value in found.items()
            if isinstance(value, int) and 0 <= value < 64
        }
        if found:
            return found
    return {}


def bits_of_file(file, hdu=None):
    """Names and numbers of the mask bits that the headers of a file state.

    Parameters
    ----------
    file : FitsFile
        The file.
    hdu : astropy HDU, optional
        The HDU with the mask, whose header is asked before those of the others.

    Returns
    -------
    dict of str to int
        Name to bit number; empty if none is stated.
    """
    return bits_of_header(*(one.header for one in (hdu, *file.hdus) if one is not None))


def bits_of_text(text):
    """Names and numbers of the mask bits in the metadata text of a bundle.

    Parameters
    ----------
    text : str
        YAML, one ``MP_<name>: <number>`` a line.

    Returns
    -------
    dict of str to int
        Name to bit number; empty if none is stated.
    """
    return {name: int(number) for name, number in _LINE.findall(text) if int(number) < 64}


def damaged(values, bits, damage=None):
    """Pixels that are lost.

    Parameters
    ----------
    values : numpy.ndarray of int
        Mask values of a file.
    bits : dict of str to int
        Name to bit number, as the file states them. If it states none, every bit counts as damage, unless
        `damage` is empty.
    damage : sequence of str, optional
        Names that mean a lost pixel. None: `DAMAGE`, and every name that begins with ``BAD``.

    Returns
    -------
    numpy.ndarray of bool
        True where a pixel is lost; the shape of `values`.

    Raises
    ------
    ValueError
        If `damage` holds a name that neither the file nor this module knows.
    """
    if isinstance(damage, str):
        damage = (damage,)
    if damage is not None:
        for name in damage:
            if name not in {*bits, *DAMAGE, *INFORMATION}:
                named = ", ".join(bits) or "of which the file states none"
                raise ValueError(f"damage must be names of mask bits, {named}, got {name!r}")
    if damage is not None and not len(damage):
        return np.zeros(values.shape, bool)
    if not bits:
        return values != 0
    chosen = [
        bit for name, bit in bits.items() if (name in damage if damage is not None else _is_damage(name))
    ]
    pattern = sum(1 << bit for bit in set(chosen))
    return (values.astype(np.int64).view(np.uint64) & np.uint64(pattern)) != 0


def _is_damage(name):
    """Whether a bit of this name means a lost pixel, by default."""
    return name in (*DAMAGE, *_OTHER_WORDS) or name.startswith("BAD")


def mask_note(values, bits, damage=None):
    """What has to be said of the bits of a mask.

    Parameters
    ----------
    values : numpy.ndarray of int
        Mask values of a file.
    bits : dict of str to int
        Name to bit number.
    damage : sequence of str, optional
        As for `damaged`.

    Returns
    -------
    str or None
        That bits have no names, and therefore all count; or that bits which are set count for nothing, since
        nothing is known of their names.
    """
    if damage is not None and not len(damage):
        return None
    if not bits:
        return (
            "the file names no mask bits (cards MP_…): each is taken for damage; "
            "--damage none, or damage=(), looks at none"
            if values.any()
            else None
        )
    unknown = [name for name in bits if not _is_damage(name) and name not in INFORMATION]
    unknown = [name for name in unknown if ((values.astype(np.int64) >> bits[name]) & 1).any()]
    if damage is not None or not unknown:
        return None
    return f"mask bits of unknown meaning count for nothing: {', '.join(unknown)}"

"""What is said of a file that no reader knows."""

from __future__ import annotations

from specvit.spectra.readers import fitstable
from specvit.spectra.readers.fitsfile import open_fits
from specvit.spectra.readers.textbytes import decode, is_fits, unpack
from specvit.spectra.readers.textlines import parse

__all__ = ["hdus_of", "not_recognised"]


def not_recognised(head, path, names, format=None, reason=None):
    """What a file is that is not recognised, and what to do: one line.

    Parameters
    ----------
    head : bytes
        How the file begins.
    path : pathlib.Path
        The file.
    names : list of str
        Readers that there are.
    format : str, optional
        Reader that was asked for, and is not there.
    reason : Exception, optional
        What the last reader said.
    """
    if format is not None:
        return f"no reader is called {format!r}; there are {', '.join(names)}"
    if is_fits(head) or head.startswith(b"\x1f\x8b"):
        what = f"its HDUs are {hdus_of(path)}"
        what += "" if reason is None else f" ({' '.join(str(reason).split())[:200]})"
    else:
        what = f"no FITS file, and as text {_no_table(path)}"
    return (
        f"its format is not recognised: {what}. --columns wave=NAME,flux=NAME names columns, "
        f"--format a reader: {', '.join(names)}"
    )


def _no_table(path):
    """Why a file is no table in text."""
    try:
        parse(decode(unpack(path.read_bytes())))
    except ValueError as error:
        return str(error)
    return "it is no table of a spectrum"


def hdus_of(path):
    """What a FITS file holds, in some words."""
    try:
        with open_fits(str(path)) as file:
            parts = []
            for i, hdu in enumerate(file.hdus):
                names = fitstable.names_of(hdu)
                shape = "x".join(map(str, hdu.shape or ())) if hdu.is_image else ""
                what = f"columns {', '.join(names)}" if names else f"image {shape}" if shape else "empty"
                parts.append(f"{hdu.name or i} ({what})")
            return "; ".join(parts)
    except (OSError, ValueError) as error:
        return f"not to be read, {error}"

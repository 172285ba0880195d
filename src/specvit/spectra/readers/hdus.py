"""FITS files opened, and their HDUs asked for what they should hold; messages name the file and the HDU."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

__all__ = ["columns", "file_name", "find", "image", "open_fits", "plain_text", "table", "unreadable"]


@contextlib.contextmanager
def open_fits(source):
    """Open a FITS file for reading.

    Parameters
    ----------
    source : str, path-like, file-like or astropy.io.fits.HDUList
        What specutils hands to a reader. Files that were given open stay open, wound back.

    Yields
    ------
    astropy.io.fits.HDUList
        Its data live as long as the block.

    Raises
    ------
    ValueError
        If it is no FITS file.
    """
    from astropy.io import fits

    if isinstance(source, fits.HDUList):
        yield source
        return
    is_file = hasattr(source, "read")
    if is_file:
        source.seek(0)
    try:
        # Not mapped: arrays are copied at once, and a mapped file cannot be closed under them.
        hdus = fits.open(source, memmap=False)
    except (OSError, TypeError, ValueError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise ValueError(f"{file_name(source)}: not a FITS file that can be read: {error}") from error
    try:
        yield hdus
    finally:
        if is_file:
            source.seek(0)
        else:
            hdus.close()


def file_name(source):
    """Name of the file behind `source`, without its folder, for messages.

    Parameters
    ----------
    source : str, path-like, file-like or astropy.io.fits.HDUList
        What was opened.

    Returns
    -------
    str
        "FITS file" if nothing says it.
    """
    if isinstance(source, str | os.PathLike):
        return Path(source).name
    named = getattr(source, "name", None)
    if named is None and callable(getattr(source, "filename", None)):
        named = source.filename()
    return Path(named).name if isinstance(named, str) and named else "FITS file"


def unreadable(hdus, name, reason):
    """The error against one HDU: file, HDU and reason in one line.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The file.
    name : str
        The HDU.
    reason : str or Exception
        What is wrong with it.

    Returns
    -------
    ValueError
        To be raised.
    """
    reason = " ".join(str(reason).split()) or type(reason).__name__
    return ValueError(f"{file_name(hdus)}: HDU {name} {reason}")


def find(hdus, *names):
    """The first HDU with one of these names.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The file.
    *names : str
        Spellings of the name, the preferred one first.

    Returns
    -------
    astropy HDU or None
        None if no HDU is called so.
    """
    for name in names:
        for hdu in hdus:
            if hdu.name == name.upper():
                return hdu
    return None


def columns(hdu):
    """Names of the columns of a table HDU; an empty tuple for images and for None.

    Parameters
    ----------
    hdu : astropy HDU or None
        What `find` has found.

    Returns
    -------
    tuple of str
    """
    if hdu is None or getattr(hdu, "is_image", False) or not hasattr(hdu, "columns"):
        return ()
    return tuple(hdu.columns.names)


def image(hdus, name, dtype):
    """Array of an image HDU, compressed or not.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The file.
    name : str
        The HDU.
    dtype : numpy.dtype or type
        Type of the result, in native byte order.

    Returns
    -------
    numpy.ndarray or None
        A copy; None if there is no such HDU.

    Raises
    ------
    ValueError
        If the HDU is damaged, empty or no image of numbers.
    """
    hdu = find(hdus, name)
    if hdu is None:
        return None
    if columns(hdu):
        raise unreadable(hdus, name, f"must be an image, got a table of {', '.join(columns(hdu))}")
    try:
        data = hdu.data
        return None if data is None else np.array(data, dtype=dtype)
    except Exception as error:  # cut or damaged files fail in many ways
        raise unreadable(hdus, name, f"cannot be read: {error}") from error


def table(hdus, name, wanted=()):
    """Rows of a table HDU.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The file.
    name : str
        The HDU.
    wanted : sequence of str
        Columns that it must have.

    Returns
    -------
    astropy.io.fits.FITS_rec or None
        None if there is no such HDU.

    Raises
    ------
    ValueError
        If the HDU is damaged or lacks a column.
    """
    hdu = find(hdus, name)
    if hdu is None:
        return None
    missing = [column for column in wanted if column not in columns(hdu)]
    if missing:
        found = ", ".join(columns(hdu)) or "none"
        raise unreadable(hdus, name, f"must have the column {missing[0]}, got {found}")
    try:
        return hdu.data
    except Exception as error:
        raise unreadable(hdus, name, f"cannot be read: {error}") from error


def plain_text(value):
    """Text of a table's cell, be it a string or an array of single letters ("PA()" columns).

    Parameters
    ----------
    value : str, bytes or numpy.ndarray of single letters
        The cell.

    Returns
    -------
    str
        Line breaks between letters are kept, padding at the end is not.
    """
    if isinstance(value, bytes):
        return value.decode("ascii", "replace").strip()
    if isinstance(value, str):
        return value.strip()
    # A plain view: astropy's own view of letters drops white space, and with it line breaks.
    letters = np.asarray(value).view(np.ndarray).ravel().tolist()
    return "".join(
        one.decode("ascii", "replace") if isinstance(one, bytes) else one for one in letters
    ).strip()

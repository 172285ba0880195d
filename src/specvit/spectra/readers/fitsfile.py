"""An open FITS file that answers for its HDUs; what is wrong is said in one line, with file and HDU."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

__all__ = ["FitsFile", "columns", "fibre_names", "open_fits", "plain_text", "source_name", "stated_unit"]


class FitsFile:
    """HDUs of an open file, by name.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The open file.
    name : str
        Name of the file, for messages.

    Attributes
    ----------
    hdus : list of astropy HDU
        The HDUs, in the file's order.
    name : str
        Name of the file, for messages.
    """

    def __init__(self, hdus, name):
        self.hdus = list(hdus)
        self.name = name
        self._by_name = {}
        for hdu in self.hdus:
            self._by_name.setdefault(hdu.name, hdu)

    @property
    def header(self):
        """A copy of the primary header."""
        return self.hdus[0].header.copy()

    def find(self, *names):
        """The first HDU with one of these names.

        Parameters
        ----------
        *names : str
            Spellings of the name, the preferred one first.

        Returns
        -------
        astropy HDU or None
            None if no HDU is called so.
        """
        return next((self._by_name[name] for name in names if name in self._by_name), None)

    def error(self, name, reason):
        """The error against one HDU.

        Parameters
        ----------
        name : str
            The HDU.
        reason : str or Exception
            What is wrong with it.

        Returns
        -------
        ValueError
            To be raised.
        """
        return ValueError(f"{self.name}: HDU {name} {' '.join(str(reason).split())}")

    def image(self, name, dtype, ndim=None):
        """Array of an image HDU, compressed or not.

        Parameters
        ----------
        name : str
            The HDU.
        dtype : type
            Type of the result, in native byte order.
        ndim : int, optional
            The number of dimensions that it must have.

        Returns
        -------
        numpy.ndarray or None
            A copy; None if there is no such HDU, or no data in it.

        Raises
        ------
        ValueError
            If the HDU is damaged, a table, or of other dimensions.
        """
        hdu = self.find(name)
        if hdu is None:
            return None
        if columns(hdu):
            raise self.error(name, f"must be an image, got a table of {', '.join(columns(hdu))}")
        try:
            data = None if hdu.data is None else np.array(hdu.data, dtype=dtype)
        except Exception as error:  # cut and damaged files fail in many ways
            raise self.error(name, f"cannot be read: {error}") from error
        if data is not None and ndim is not None and data.ndim > ndim:
            data = data.reshape([n for k, n in enumerate(data.shape) if n != 1 or k >= data.ndim - ndim])
        if data is not None and ndim not in (None, data.ndim):
            raise self.error(name, f"must have {ndim} dimension(s), got the shape {data.shape}")
        return data

    def table(self, which, wanted=()):
        """Rows of a table HDU.

        Parameters
        ----------
        which : str or astropy HDU
            The HDU, or its name.
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
        hdu = self.find(which) if isinstance(which, str) else which
        if hdu is None:
            return None
        missing = [column for column in wanted if column not in columns(hdu)]
        if missing:
            found = ", ".join(columns(hdu)) or "none"
            raise self.error(hdu.name, f"must have the column {missing[0]}, got {found}")
        try:
            return hdu.data
        except Exception as error:
            name = hdu.name or self.hdus.index(hdu)
            raise self.error(name, f"cannot be read, the file is cut or damaged: {error}") from error

    def cells(self, which, column, dtype):
        """The arrays in a column of a table HDU, one a row, of equal or unequal lengths.

        Parameters
        ----------
        which : str or astropy HDU
            The HDU, or its name.
        column : str
            The column.
        dtype : type
            Type of the arrays, in native byte order.

        Returns
        -------
        list of numpy.ndarray, or None
            Copies; None if there is no such HDU.

        Raises
        ------
        ValueError
            If the HDU is damaged or lacks the column.
        """
        rows = self.table(which, (column,))
        if rows is None:
            return None
        try:
            values = rows[column]
            return [np.array(values[i], dtype=dtype) for i in range(len(rows))]
        except Exception as error:
            name = which if isinstance(which, str) else which.name
            raise self.error(name, f"cannot be read in column {column}: {error}") from error


@contextlib.contextmanager
def open_fits(source):
    """Open a FITS file for reading.

    Parameters
    ----------
    source : str, path-like, file-like or astropy.io.fits.HDUList
        The object that specutils gives to a reader. An open file stays open and is rewound.

    Yields
    ------
    FitsFile
        Lives as long as the block.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is no FITS file.
    """
    from astropy.io import fits

    if isinstance(source, fits.HDUList):
        yield FitsFile(source, source_name(source))
        return
    if getattr(source, "closed", False) and isinstance(source.name, str):
        source = source.name  # another identifier of specutils has closed it
    is_open = hasattr(source, "read")
    if is_open:
        source.seek(0)
    with contextlib.ExitStack() as stack:
        try:
            # Not mapped: arrays are copied at once, and a mapped file cannot be closed under them.
            hdus = fits.open(source, memmap=False)
            if is_open:
                stack.callback(source.seek, 0)
            else:
                stack.callback(hdus.close)
            file = FitsFile(hdus, source_name(source))
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            raise
        except Exception as error:  # cut and damaged files fail in many ways
            raise ValueError(f"{source_name(source)}: no FITS file that can be read: {error}") from error
        yield file


def source_name(source):
    """Name of a file, without its folder, for messages.

    Parameters
    ----------
    source : str, path-like, file-like or astropy.io.fits.HDUList
        The object that is, or was, opened.

    Returns
    -------
    str
        "FITS file" if nothing says it.
    """
    if isinstance(source, str | os.PathLike):
        return Path(source).name
    name = getattr(source, "name", None)
    if name is None and hasattr(source, "filename"):
        name = source.filename()
    return Path(name).name if isinstance(name, str) and name else "FITS file"


def columns(hdu):
    """Names of the columns of a table HDU.

    Parameters
    ----------
    hdu : astropy HDU or None
        The HDU that `FitsFile.find` has found.

    Returns
    -------
    tuple of str
        Empty for images, compressed ones too, and for None.
    """
    if hdu is None or hdu.is_image or not hasattr(hdu, "columns"):
        return ()
    return tuple(hdu.columns.names)


def stated_unit(hdu, column="value"):
    """Unit that an HDU states of its data.

    Parameters
    ----------
    hdu : astropy HDU or None
        An image, or a table.
    column : str
        Column of a table.

    Returns
    -------
    str or None
        BUNIT, or the unit of the column; None if nothing is stated.
    """
    if hdu is None:
        return None
    names = columns(hdu)
    return (hdu.columns[column].unit if column in names else None) if names else hdu.header.get("BUNIT")


#: Columns that name the target of a fibre, the most particular first.
_TARGETS = ("NAME", "OBJECT", "TARGET", "TARGETID", "OBJID", "CNAME", "ID")


def fibre_names(file, n):
    """Names of the targets of n fibres, by the first table of as many rows that has them.

    Parameters
    ----------
    file : FitsFile
        The file.
    n : int
        Number of spectra.

    Returns
    -------
    list of str, or None
        None without such a table.
    """
    for hdu in file.hdus[1:]:
        names = {name.upper(): name for name in columns(hdu)}
        found = next((names[name] for name in _TARGETS if name in names), None)
        if found is not None and hdu.header["NAXIS2"] == n:
            return [plain_text(one) for one in file.table(hdu)[found]]
    return None


def plain_text(value):
    """Text of a table's cell, a string or an array of single letters, as columns of variable length hold it.

    Parameters
    ----------
    value : str, bytes or numpy.ndarray of single letters
        The cell.

    Returns
    -------
    str
        Line breaks between letters are kept, white space at the ends is not.
    """
    if isinstance(value, np.ndarray):
        # A plain view: astropy's own view of letters drops white space, and with it line breaks.
        letters = value.view(np.ndarray).ravel().tolist()
        value = (b"" if letters and isinstance(letters[0], bytes) else "").join(letters)
    return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip()

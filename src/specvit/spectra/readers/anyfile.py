"""Any file: its layout is found by its content, and what no layout here knows is left to specutils."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

from specvit.paths import user_path
from specvit.spectra.readers import (
    desi,
    fitsimage,
    fitstable,
    gaiarvs,
    galah,
    hdf5file,
    iraf,
    lamost,
    mastar,
    parquetfile,
    pypeit,
    sdss,
    weave,
)
from specvit.spectra.readers.assembling import in_density
from specvit.spectra.readers.filelayout import GENERIC_PRIORITY, identify, register, register_reader
from specvit.spectra.readers.fitsfile import open_fits
from specvit.spectra.readers.hdf5file import is_hdf5, read_hdf5
from specvit.spectra.readers.npzfile import is_archive, read_archive
from specvit.spectra.readers.parquetfile import is_parquet, read_parquet
from specvit.spectra.readers.pfs import is_pfs, read_pfs
from specvit.spectra.readers.textbytes import beginning, is_fits, is_packed, unpack
from specvit.spectra.readers.textfile import is_text, read_text
from specvit.spectra.readers.unrecognised import hdus_of, not_recognised

__all__ = ["LAYOUTS", "cube_rows", "read", "reader_names", "register_all"]

#: All layouts of FITS files but those of PFS, in the order in which they are tried.
LAYOUTS = (
    *lamost.LAYOUTS,
    *sdss.LAYOUTS,
    *desi.LAYOUTS,
    *mastar.LAYOUTS,
    *gaiarvs.LAYOUTS,
    *pypeit.LAYOUTS,
    *weave.LAYOUTS,
    *fitstable.LAYOUTS,
    *galah.LAYOUTS,
    *fitsimage.LAYOUTS,
    *iraf.LAYOUTS,
    fitstable.ANY_TABLE,
    fitsimage.ANY_IMAGE,
    fitsimage.ROWS,
)
#: Files of arrays: format -> how they are known, and read.
_OF_ARRAYS = {
    "text": (is_text, read_text),
    "NumPy archive": (is_archive, read_archive),
    "HDF5": (is_hdf5, read_hdf5),
    "Parquet": (is_parquet, read_parquet),
}
_BINARY = {b"PK": read_archive, b"\x93NUM": read_archive}
_BINARY |= {hdf5file.MAGIC[:6]: read_hdf5, parquetfile.MAGIC: read_parquet}


def register_all():
    """Register all layouts, text tables and files of arrays with specutils."""
    register(LAYOUTS)
    for name, (is_one, reader) in _OF_ARRAYS.items():
        register_reader(name, is_one, reader)


def reader_names():
    """Names of all formats that can be read, those of specutils among them.

    Returns
    -------
    list of str
        As ``format=`` takes them, sorted.

    Examples
    --------
    >>> {"PFS", "SDSS spec", "text"} <= set(reader_names())
    True
    """
    from astropy.io.registry import get_formats
    from specutils import Spectrum, SpectrumList

    names = set()
    for kind in (Spectrum, SpectrumList):
        formats = get_formats(kind, "Read")
        names |= set(formats["Format"].tolist())
    return sorted(names, key=lambda name: (name.lower(), name))


def cube_rows(path):
    """Shape of a FITS cube that `read` reads in parts.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    CubeShape or None
        Image rows ``ny``, spaxels in each ``nx``, wavelengths ``npix``, image rows that are unpacked
        ``together``. None if it is no cube, the file is packed as a whole, or tiles are as high as the image.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from specvit.spectra.readers.anyfile import cube_rows
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fits.PrimaryHDU(np.ones((8, 8))).writeto(f"{folder}/image.fits")
    ...     cube_rows(f"{folder}/image.fits") is None
    True
    """
    layout = identify(str(path), LAYOUTS)
    if layout is None or "rows" not in inspect.signature(layout.read).parameters:
        return None
    with open(path, "rb") as file:
        if not file.read(6).startswith(b"SIMPLE"):
            return None
    with open_fits(str(path)) as file:
        return fitsimage.cube_shape(file)


def read(path, *, format=None, columns=None, wave_unit=None, flux_unit=None, damage=None, rows=None):
    """Read the spectrum or spectra in a file.

    Parameters
    ----------
    path : str or path-like
        The file.
    format : str, optional
        Name of a reader, one of `reader_names`. None: found by the content.
    columns : dict of str to str or int, optional
        For tables, FITS or text: role ("wave", "loglam", "flux", "err", "ivar", "var", "mask", "good") ->
        name or number, from 1, of the column. None: known by their names.
    wave_unit, flux_unit : str, optional
        Units for tables that state none. None: Å, nm, µm by the size of the numbers; relative flux.
    damage : sequence of str, optional
        For files of PFS: names of mask bits that mean a lost pixel, none for ``()``. None:
        `~specvit.spectra.readers.DAMAGE`, and every bit where the file names none.
    rows : tuple of int, optional
        First image row of a cube of `cube_rows` to be read, and the one after the last. None: all.

    Returns
    -------
    list of specutils.Spectrum
        Those of two and three dimensions have their wavelengths last. ``meta["notes"]`` says what was assumed
        and left out, ``meta["medium"]`` and ``meta["resolution"]`` what is known.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it cannot be read as a spectrum: one line that says what was found and what to do.

    See Also
    --------
    specvit.spectra.adapt : What becomes of the spectra.

    Notes
    -----
    The order: PFS, `LAYOUTS` of surveys and instruments, readers of specutils for its surveys, tables and
    images by the names of their columns and HDUs, text, the rest of specutils.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/star.csv"
    >>> with open(path, "w") as file:
    ...     _ = file.write("wavelength,flux,error\\n")
    ...     _ = file.writelines(f"{8400 + k},{1 + 0.01 * k},0.1\\n" for k in range(100))
    >>> (spectrum,) = read(path)
    >>> spectrum.shape, spectrum.spectral_axis[0]
    ((100,), <SpectralAxis 8400. Angstrom>)
    """
    path = user_path(path)
    if path.is_dir():
        raise ValueError("a directory, no file: give the files in it")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    units = {"wave_unit": wave_unit, "flux_unit": flux_unit}
    if damage is not None:
        if format not in (None, "PFS") or columns is not None or not _safely(is_pfs, path):
            raise ValueError("damage is for mask bits of PFS, and this is read as another file: leave it out")
        return list(read_pfs(str(path), damage=damage))
    if rows is not None:
        return _with_layout(identify(str(path), LAYOUTS), path, units | {"rows": rows})
    if format is not None:
        return _by_format(path, format, columns, units)
    head = beginning(path, 80)
    if not head:
        raise ValueError("the file is empty")
    if is_text(path):
        return read_text(path, columns=columns, **units)
    if head.startswith(b"SIMPLE") and not is_fits(head):
        raise ValueError(not_recognised(head, path, reader_names()))
    for magic, reader in _BINARY.items():
        if head.startswith(magic):
            return reader(path, columns=columns, **units)
    if columns is not None:
        with open_fits(str(path)) as file:
            return fitstable.read_any_table(file, columns=columns, **units)
    if _safely(is_pfs, path):
        return list(read_pfs(str(path)))
    layout = identify(path, LAYOUTS)
    if layout is not None and (layout.priority > GENERIC_PRIORITY or not _known_to_specutils(path)):
        return _with_layout(layout, path, units)
    if is_packed(head) and not is_fits(unpack(path.read_bytes())):
        raise ValueError(not_recognised(head, path, reader_names()))
    return _with_specutils(path, head)


def _safely(recognises, path):
    try:
        return recognises("read", str(path), None, str(path))
    except (OSError, ValueError):
        return False


def _with_layout(layout, path, units=None):
    """Read a file with one of the layouts here; options that its reader has not are left out."""
    taken = inspect.signature(layout.read).parameters
    options = {key: value for key, value in (units or {}).items() if value is not None and key in taken}
    with open_fits(str(path)) as file:
        try:
            return layout.read(file, **options)
        except ValueError:
            raise
        except Exception as error:  # cut and damaged files fail in many ways
            raise ValueError(f"damaged, or no {layout.name} file after all: {error}") from error


def _by_format(path, format, columns, units):
    """Read with the reader of a name."""
    layout = next((one for one in LAYOUTS if one.name == format), None)
    if format in _OF_ARRAYS:
        return _OF_ARRAYS[format][1](path, columns=columns, **units)
    if columns is not None and format == fitstable.ANY_TABLE.name:
        with open_fits(str(path)) as file:
            return fitstable.read_any_table(file, columns=columns, **units)
    if columns is not None:
        raise ValueError(
            f"columns are for the formats {', '.join((*_OF_ARRAYS, fitstable.ANY_TABLE.name))}, got {format}"
        )
    if layout is not None:
        if identify(path, (layout,)) is None:
            raise ValueError(
                f"no file of the format {format!r}: its HDUs are {hdus_of(path)}; without a format the "
                "reader is found by the content"
            )
        return _with_layout(layout, path, units)
    return _with_specutils(path, b"", format)


#: Readers of specutils that go by units or take anything: ours are tried before.
_ANY_FILE = {"tabular-fits", "wcs1d-fits", "iraf", "ASCII", "IPAC", "ECSV", "JWST x1d MIRI MRS"}
_OURS = {*_OF_ARRAYS, *(layout.name for layout in LAYOUTS)}


def _known_to_specutils(path):
    """Whether a reader of specutils for one survey or instrument knows the file."""
    with open_fits(str(path)) as file:
        cards = (file.hdus[0].header.get(card) for card in ("TELESCOP", "INSTRUME", "ORIGIN", "SURVEY"))
        parts = tuple((hdu.name, fitstable.names_of(hdu) or hdu.header["NAXIS"]) for hdu in file.hdus)
    return _claimed((*map(str, cards), *parts), Path(path))


_claims = {}  # what a file is made of -> whether specutils knows it: its identifiers open a file fifty times


def _claimed(signature, path):
    if signature not in _claims:
        from astropy.io import registry
        from specutils import Spectrum, SpectrumList

        found = set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for kind in (Spectrum, SpectrumList):
                with open(path, "rb") as file:
                    found |= set(registry.identify_format("read", kind, str(path), file, (str(path),), {}))
        if len(_claims) > 1000:
            _claims.clear()
        _claims[signature] = bool(found - _OURS - _ANY_FILE)
    return _claims[signature]


def _with_specutils(path, head, format=None):
    """Read with specutils, one spectrum or several."""
    from astropy.io.registry import IORegistryError
    from specutils import Spectrum, SpectrumList

    options = {} if format is None else {"format": format}
    try:
        return [in_density(Spectrum.read(path, **options))]
    except IORegistryError:
        pass
    except (
        Exception
    ) as error:  # readers of any table say that they found no column, and which they looked for
        if format is None:
            raise ValueError(not_recognised(head, path, reader_names(), None, error)) from error
        raise
    try:
        # Some formats are read as lists only.
        return [in_density(one) for one in SpectrumList.read(path, **options)]
    except IORegistryError as error:
        if format is not None and format in reader_names():
            raise ValueError(f"{format} does not read this file: {error}") from error
        raise ValueError(not_recognised(head, path, reader_names(), format)) from error

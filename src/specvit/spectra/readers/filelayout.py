"""What a layout of files is, and how all of them are registered with specutils."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from specvit.spectra.objectname import row_of_meta
from specvit.spectra.readers.fitsfile import open_fits, source_name

__all__ = ["Layout", "identify", "one_of", "register", "register_reader", "rows_of"]

#: Before specutils' readers of surveys, which have 10.
SURVEY_PRIORITY = 20
#: Behind these, before its readers of any table or image, which have 5 and 6 and go by units.
GENERIC_PRIORITY = 8


@dataclass(frozen=True)
class Layout:
    """One layout of FITS files.

    Attributes
    ----------
    name : str
        Name of the format, as ``Spectrum.read(path, format=name)`` takes it.
    recognises : callable
        Whether a `FitsFile` has this layout, by its content.
    read : callable
        Spectra, a list of `~specutils.Spectrum`, in a `FitsFile`; options are passed on.
    priority : int
        Place among all readers of specutils.
    """

    name: str
    recognises: Callable
    read: Callable
    priority: int = SURVEY_PRIORITY


def rows_of(spectrum):
    """The one-dimensional spectra in one of two dimensions.

    Parameters
    ----------
    spectrum : specutils.Spectrum
        Of any number of dimensions, wavelengths last.

    Returns
    -------
    list of specutils.Spectrum
        ``meta`` has of each list that is as long as there are rows the entry of the row.
    """
    from specutils import Spectrum

    if spectrum.flux.ndim == 1:
        return [spectrum]
    npix = spectrum.flux.shape[-1]
    flux = spectrum.flux.reshape(-1, npix)
    mask = None if spectrum.mask is None else spectrum.mask.reshape(-1, npix)
    errors = None if spectrum.uncertainty is None else spectrum.uncertainty.array.reshape(-1, npix)
    rows = []
    for i in range(len(flux)):
        meta = row_of_meta(spectrum.meta, len(flux), i)
        kind = type(spectrum.uncertainty)
        rows.append(
            Spectrum(
                flux=flux[i],
                spectral_axis=spectrum.spectral_axis,
                uncertainty=None if errors is None else kind(errors[i], unit=spectrum.uncertainty.unit),
                mask=None if mask is None else mask[i],
                meta=meta,
            )
        )
    return rows


def one_of(spectra, name):
    """The only spectrum of a list.

    Parameters
    ----------
    spectra : list of specutils.Spectrum
        As a layout has read them.
    name : str
        Name of the file, for the message.

    Returns
    -------
    specutils.Spectrum

    Raises
    ------
    astropy.io.registry.IORegistryError
        If there are several: by this error specutils says "no single spectrum".
    """
    from astropy.io.registry import IORegistryError

    if len(spectra) != 1:
        raise IORegistryError(f"{name} holds {len(spectra)} spectra: SpectrumList.read reads them all")
    return spectra[0]


_last = (None, None)  # specutils asks the identifier of each format about the same file, one after the other


def identify(source, layouts):
    """The layout that a file has.

    Parameters
    ----------
    source : str, path-like, file-like or astropy.io.fits.HDUList
        The file.
    layouts : sequence of Layout
        Those to choose from, special ones first.

    Returns
    -------
    Layout or None
        The first that recognises the file.
    """
    global _last
    key = None
    if isinstance(source, str | os.PathLike) and os.path.isfile(source):
        stat = os.stat(source)
        names = tuple(one.name for one in layouts)
        key = (os.path.abspath(source), stat.st_mtime_ns, stat.st_size, names)
        if key == _last[0]:
            return _last[1]
    try:
        with open_fits(source) as file:
            found = next((one for one in layouts if _recognised(one, file)), None)
    except (OSError, ValueError):  # no FITS file, or one that is cut: not for us to say here
        found = None
    if key is not None:
        _last = (key, found)
    return found


def _recognised(layout, file):
    try:
        return bool(layout.recognises(file))
    except Exception:  # headers and data that are broken in any way belong to no layout
        return False


def register(layouts):
    """Register layouts with specutils, for `~specutils.Spectrum` and `~specutils.SpectrumList`.

    Parameters
    ----------
    layouts : tuple of Layout
        All of them, in the order in which they are tried.
    """
    for layout in layouts:

        def recognises(source, layout=layout):
            return identify(source, layouts) is layout

        def read(source, layout=layout, **options):
            with open_fits(source) as file:
                return layout.read(file, **options)

        register_reader(layout.name, recognises, read, layout.priority)


def register_reader(name, recognises, read, priority=GENERIC_PRIORITY):
    """Register a reader with specutils, for `~specutils.Spectrum` and `~specutils.SpectrumList`.

    Parameters
    ----------
    name : str
        Name of the format. A reader of this name that there may be is replaced.
    recognises : callable
        Whether a file, a path or an open file, is for this reader.
    read : callable
        Spectra, a list of `~specutils.Spectrum`, in such a file.
    priority : int
        Place among all readers.
    """
    from specutils import Spectrum, SpectrumList
    from specutils.io.registers import data_loader

    def identifier(origin, path, fileobj, *args, **options):
        if origin != "read":
            return False
        is_path = isinstance(path, str | os.PathLike) and os.path.isfile(path)
        return recognises(path if is_path else next(one for one in (fileobj, *args) if one is not None))

    def read_list(source, **options):
        return SpectrumList(row for one in read(source, **options) for row in rows_of(one))

    def read_one(source, **options):
        return one_of(read(source, **options), source_name(source))

    options = {"identifier": identifier, "extensions": [], "priority": priority, "force": True}
    data_loader(name, dtype=SpectrumList, **options)(read_list)
    data_loader(name, dtype=Spectrum, autogenerate_spectrumlist=False, **options)(read_one)

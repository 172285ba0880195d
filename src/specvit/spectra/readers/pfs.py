"""PFS files known by their content, and their readers, registered with specutils."""

from __future__ import annotations

import re

from astropy.io.registry import IORegistryError
from specutils import Spectrum, SpectrumList
from specutils.io.registers import data_loader

from specvit.spectra.readers.fitsfile import columns, open_fits, source_name
from specvit.spectra.readers.pfsbundle import read_bundle
from specvit.spectra.readers.pfsfibres import read_fibres
from specvit.spectra.readers.pfsmask import bits_of_file
from specvit.spectra.readers.pfstarget import find_flux_table, read_target

__all__ = ["read_pfs", "read_pfs_one"]

_PRIORITY = 20  # specutils' own reader, of the layout of 2019, has 10
_NAME = re.compile(r"pfs(Single|Object|Star|Coadd|Calibrated|Merged|Arm)-.*\.fits(\.gz)?")
_READERS = {"target": read_target, "bundle": read_bundle, "fibres": read_fibres}


def read_pfs(source, **options):
    """Read all spectra of a PFS file: pfsSingle, pfsObject, pfsMerged, pfsArm, pfsCoadd, pfsCalibrated.

    Parameters
    ----------
    source : str, path-like, file-like or astropy.io.fits.HDUList
        The file.
    **options : dict
        ``damage``: names of mask bits that mean a lost pixel, a sequence of str, in place of
        `~specvit.spectra.readers.DAMAGE`. ``own_sampling``: True reads the flux table, on the pixels of
        the detector, in place of the resampled arrays (not for files of fibres). ``obj_id``: targets of
        a bundle, an int or several. ``fiber_id``: fibres of an exposure, an int or several.

    Returns
    -------
    specutils.SpectrumList
        Wavelengths in nm, vacuum; flux in nJy (relative for pfsMerged and pfsArm); variance as
        uncertainty, None if the file has none; masked where a pixel is lost or not finite; ids,
        exposures, resolution and neighbour covariance in ``meta``.

    Raises
    ------
    ValueError
        If the file is no PFS file, damaged or incomplete: one line, with the file and the HDU.

    See Also
    --------
    read_pfs_one : The same for one spectrum.
    specvit.spectra.adapt : What becomes of the spectra.

    Examples
    --------
    >>> import tempfile
    >>> from specvit import LoggEstimator, example_spectrum
    >>> from specvit.spectra.writers import write_pfs_star
    >>> star = example_spectrum().with_flux_unit("nJy")
    >>> star.meta |= {"objId": 10015, "visit": [1], "arm": ["m"]}
    >>> path = tempfile.mkdtemp() + "/pfsStar-10015.fits"
    >>> write_pfs_star(path, star, LoggEstimator().predict_table(star)[0])
    >>> len(read_pfs(path))
    1
    """
    with open_fits(source) as file:
        layout = layout_of(file)
        if layout is None:
            found = ", ".join(hdu.name or "(no name)" for hdu in file.hdus)
            raise ValueError(f"{file.name}: not a PFS file, or cut: its HDUs are {found}")
        spectra = _READERS[layout](file, **options)
    return SpectrumList(spectra if isinstance(spectra, list) else [spectra])


def read_pfs_one(source, **options):
    """Read the one spectrum of a PFS file.

    Parameters
    ----------
    source : str, path-like, file-like or astropy.io.fits.HDUList
        The file.
    **options : dict
        As for `read_pfs`.

    Returns
    -------
    specutils.Spectrum
        As from `read_pfs`.

    Raises
    ------
    astropy.io.registry.IORegistryError
        If the file holds several spectra and the options choose none.
    ValueError
        As for `read_pfs`.

    Examples
    --------
    What this package writes in PFS's format it reads, too:

    >>> import tempfile
    >>> from specvit import LoggEstimator, example_spectrum
    >>> from specvit.spectra.writers import write_pfs_star
    >>> star = example_spectrum().with_flux_unit("nJy")
    >>> star.meta |= {"objId": 10015, "visit": [1], "arm": ["m"]}
    >>> path = tempfile.mkdtemp() + "/pfsStar-10015.fits"
    >>> write_pfs_star(path, star, LoggEstimator().predict_table(star)[0])
    >>> read_pfs_one(path).shape
    (4096,)
    """
    spectra = read_pfs(source, **options)
    if len(spectra) != 1:
        # The error by which specutils says "no single spectrum": those who catch it try the list.
        raise IORegistryError(
            f"{source_name(source)} holds {len(spectra)} spectra: SpectrumList.read reads them all, "
            "Spectrum.read(..., obj_id=…) one target of a bundle, Spectrum.read(..., fiber_id=…) one fibre"
        )
    return spectra[0]


def layout_of(file):
    """Which of the PFS layouts a file has.

    Parameters
    ----------
    file : FitsFile
        The file.

    Returns
    -------
    {"target", "bundle", "fibres"} or None
        None for a file of another kind.

    Notes
    -----
    A file of PFS has the HDU FLUX or a flux table, and one thing that only PFS writes: the cards CATID
    and OBJID in TARGET; a column targetId, pfsDesignId or pfsConfigId; a card ``MP_…``; the columns of
    2019; or FIBERID beside WAVELENGTH. With targetId it is a bundle; with fluxes of two dimensions,
    fibres; else the file of one target.
    """
    flux, rows, target = file.find("FLUX"), find_flux_table(file), file.find("TARGET")
    if flux is None and rows is None:
        return None
    names = set().union(*map(columns, file.hdus))
    if "targetId" in names:
        return "bundle"
    has_fibres = bool(file.find("FIBERID") and file.find("WAVELENGTH"))
    if has_fibres or (
        (target is not None and "CATID" in target.header and "OBJID" in target.header)
        or {"pfsDesignId", "pfsConfigId"} & names
        or {"lambda", "fluxVariance"} <= names
        or bits_of_file(file, file.find("MASK"))
    ):
        two_dimensions = flux is not None and flux.is_image and len(flux.shape) == 2
        return "fibres" if has_fibres or (two_dimensions and target is None) else "target"
    return None


def is_pfs(origin, path, fileobj, *args, **options):
    """Whether a file is one of PFS, for specutils.

    Parameters
    ----------
    origin : str
        "read".
    path : str, path-like or None
        The file's path, if it was given by its path.
    fileobj : file-like or None
        The open file.
    *args, **options
        What else was given to ``Spectrum.read``.

    Returns
    -------
    bool
        By the content. A file without it that has the name of one is claimed too: it is damaged, and
        `read_pfs` says how.
    """
    source = next(one for one in (fileobj, path, *args) if one is not None)
    if _NAME.fullmatch(source_name(path or source)):
        return True
    with open_fits(source) as file:
        return layout_of(file) is not None


_register = {"identifier": is_pfs, "extensions": ["fits"], "priority": _PRIORITY}
data_loader("PFS", dtype=SpectrumList, **_register)(read_pfs)
data_loader("PFS", dtype=Spectrum, autogenerate_spectrumlist=False, **_register)(read_pfs_one)

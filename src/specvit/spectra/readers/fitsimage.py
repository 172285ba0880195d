"""FITS images: spectra, stacks of spectra and cubes, of MUSE and of anybody.

* MUSE cubes (MPDAF, the pipeline): DATA, STAT (variance), DQ; wavelengths along the third axis; the spectra
  of MPDAF and of PampelMuse, of one dimension, with the same extensions or with SIGMA. Medium: CTYPE AWAV is
  air; WAVE, of a MUSE file, is vacuum; else that of the preset. Unit: BUNIT, as
  10**(-20)*erg/s/cm**2/Angstrom. Resolution: preset ``MUSE``. Lost: DQ not 0, NaN. Spaxels of a cube are
  called x,y, their pixel from 1 as the standard counts. [1]_ [2]_
* RAVE: one image, or rows of flux and error. Medium: air, heliocentric. Relative. Resolution: preset
  ``RAVE``. [3]_
* Any other: the flux is the first image of 1 to 3 dimensions; wavelengths of an HDU by its name (WAVELENGTH,
  LOGLAM …) or of the header; errors and masks of HDUs by their names, as those of columns. Wavelengths of two
  dimensions are those of orders, which are joined (CARMENES, PypeIt), or of stars. Rows are called as a table
  of as many fibres calls them (2dFdr). Medium: the header's. Instrument: INSTRUME, if it is the name of a
  preset.
* Three or four rows of one image without an axis, of which the first rises: wavelength, flux, error, and a
  mask that is not used (SpeX).

References
----------
.. [1] https://mpdaf.readthedocs.io/en/latest/cube.html
.. [2] https://pampelmuse.readthedocs.io
.. [3] Steinmetz et al. 2020, AJ 160, 82 (DR6)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from specvit.spectra.readers.assembling import (
    camera_medium,
    instrument_named,
    make_spectrum,
    stated_medium,
)
from specvit.spectra.readers.columnroles import find_columns
from specvit.spectra.readers.filelayout import GENERIC_PRIORITY, Layout
from specvit.spectra.readers.fitsfile import columns, fibre_names
from specvit.spectra.readers.headeraxes import header_axis, merged_header
from specvit.spectra.readers.tablerows import join_orders
from specvit.spectra.readers.unitwords import flux_unit_of, to_wavelengths

__all__ = ["ANY_IMAGE", "LAYOUTS", "ROWS", "CubeShape", "cube_shape"]

_RAVE = (8380.0, 8830.0)  # Å


def _images(file):
    """Image HDUs with data, by name; the primary one is PRIMARY."""
    found = {}
    for i, hdu in enumerate(file.hdus):
        if hdu.is_image and not columns(hdu) and len(hdu.shape or ()) in (1, 2, 3) and min(hdu.shape) > 0:
            found.setdefault(hdu.name or ("PRIMARY" if i == 0 else f"HDU{i}"), hdu)
    return found


def _parts(file):
    """Name of the HDU of the flux, and the HDUs by role, or None."""
    images = _images(file)
    roles = find_columns(images)
    others = {roles[role] for role in roles if role != "flux"}
    flux = roles.get("flux") or next((name for name in images if name not in others), None)
    if flux is None:
        return None
    shape = images[flux].shape
    if shape[-1 if len(shape) < 3 else 0] < 3:
        return None
    matched = {
        role: images[name]
        for role, name in roles.items()
        if role != "flux" and images[name].shape in (shape, shape[-1:])
    }
    return images[flux], matched


def _is_image(file):
    parts = _parts(file)
    if parts is None:
        return False
    header, axis = parts[0].header, 3 if len(parts[0].shape) == 3 else 1
    return bool({"wave", "loglam"} & set(parts[1])) or any(
        f"CRVAL{axis}" in one or (axis == 1 and "COEFF0" in one) for one in (header, file.hdus[0].header)
    )


class CubeShape(NamedTuple):
    """Shape of a cube whose image rows can be read by themselves.

    Attributes
    ----------
    ny, nx, npix : int
        Image rows, spaxels in each, wavelengths.
    together : int
        Image rows that are unpacked together; 1 if the cube is not compressed.
    """

    ny: int
    nx: int
    npix: int
    together: int

    @property
    def nbytes(self):
        """Bytes of the fluxes once they are read, in double precision."""
        return 8 * self.ny * self.nx * self.npix


def cube_shape(file):
    """Shape of a cube whose image rows can be read by themselves.

    Parameters
    ----------
    file : FitsFile
        An open file that is read as an image.

    Returns
    -------
    CubeShape or None
        None for images of fewer dimensions, and for cubes whose compressed tiles are as high as the image.
    """
    parts = _parts(file)
    if parts is None or len(parts[0].shape) != 3:
        return None
    npix, ny, nx = parts[0].shape
    cubes = [one for one in (parts[0], *parts[1].values()) if len(one.shape) == 3]
    together = max(getattr(one, "tile_shape", (1, 1, 1))[1] for one in cubes)
    return None if together >= ny > 1 else CubeShape(ny, nx, npix, together)


def _read(file, *, hdu=None, rows=None):
    flux, parts = _parts(file)
    if hdu is not None:
        flux = file.hdus[hdu] if isinstance(hdu, int) else file.find(hdu)
        if flux is None or not flux.is_image:
            raise ValueError(f"{file.name}: no image HDU {hdu!r}")
    is_cube = len(flux.shape) == 3

    def data(one):
        some = rows is not None and len(one.shape) == 3
        values = np.asarray(one.section[:, slice(*rows)] if some else one.data)
        return np.moveaxis(values, 0, -1) if values.ndim == 3 else values

    values = data(flux)
    header = file.header if flux is file.hdus[0] else merged_header(file.header, flux.header)
    medium = note = None
    if "wave" in parts or "loglam" in parts:
        axis = parts.get("wave", parts.get("loglam"))
        wave, note = to_wavelengths(axis.data, axis.header.get("BUNIT"), logarithm="loglam" in parts)
    else:
        try:
            wave, medium, note = header_axis(header, values.shape[-1], 3 if is_cube else 1)
        except ValueError as error:
            raise file.error(flux.name or "PRIMARY", error) from None
    instrument = "MUSE" if _is_pampelmuse(header) else instrument_named(header)
    kind = str(header.get("CTYPE3" if is_cube else "CTYPE1", "")).upper()
    if instrument == "MUSE" and medium is None and kind.startswith("WAVE") and not _is_pampelmuse(header):
        medium = "vacuum"
    if medium is None and stated_medium(header) is None:
        medium = camera_medium(header)
    unit, unit_note = flux_unit_of(header.get("BUNIT"))
    common = {
        "unit": unit,
        "medium": medium,
        "instrument": instrument,
        "header": header,
        "notes": (note, unit_note),
    }
    uncertain = next((role for role in ("sigma", "ivar", "var") if role in parts), None)
    key = {"sigma": "sigma", "ivar": "ivar", "var": "variance", None: "sigma"}[uncertain]
    errors = None if uncertain is None else data(parts[uncertain])
    mask = data(parts["mask"]) != 0 if "mask" in parts else None
    if "good" in parts:
        mask = ~(data(parts["good"]) > 0)
    if wave.ndim == 2:
        return _with_own_waves(wave, values, {"mask": mask, key: errors}, common)
    if is_cube:
        common["name"] = _pixels(values.shape, 0 if rows is None else rows[0])
    elif values.ndim == 2:
        common["name"] = fibre_names(file, len(values))
    return [make_spectrum(wave, values, mask=mask, **{key: errors}, **common)]


def _with_own_waves(wave, values, arrays, common):
    """Spectra of rows (n, npix) of which each has its wavelengths: orders joined, or stars."""
    if values.shape != wave.shape:
        raise ValueError(f"there must be one wavelength a flux, got the shapes {wave.shape}, {values.shape}")

    def of_row(i):
        return {key: x if x is None or x.ndim < 2 else x[i] for key, x in arrays.items()}

    rows = [i for i in range(len(wave)) if (np.isfinite(wave[i].value) & (wave[i].value > 0)).sum() > 1]
    spectra = [make_spectrum(wave[i], values[i], **of_row(i), **common) for i in rows]
    return join_orders(spectra, relative=common["unit"].is_equivalent(""))


def _pixels(shape, first):
    """Names of the spaxels of a cube, in the order of its rows."""
    ny, nx, _ = shape
    return [f"{x},{y}" for y in range(first + 1, first + ny + 1) for x in range(1, nx + 1)]


def _is_rows(file):
    """Whether the primary image is rows of wavelength, flux, error."""
    first, *others = file.hdus
    shape = tuple(first.shape or ())
    if any(one.shape for one in others if one.is_image) or len(shape) != 2 or not 2 <= shape[0] <= 4:
        return False
    if shape[1] < 10 or any(card in first.header for card in ("CRVAL1", "COEFF0", "CDELT1", "CD1_1")):
        return False
    wave = np.asarray(first.data[0], np.float64)
    wave = wave[np.isfinite(wave) & (wave > 0)]
    step = np.diff(wave)
    return wave.size > 9 and bool((step > 0).all()) and not np.allclose(step, 1)


def _read_rows(file):
    rows, header = np.array(file.hdus[0].data, np.float64), file.header
    wave, note = to_wavelengths(rows[0], header.get("XUNITS"))
    unit, unit_note = flux_unit_of(header.get("YUNITS", header.get("BUNIT")))
    note = note or "rows of an image are taken for wavelength, flux, error"
    medium = camera_medium(header) if stated_medium(header) is None else None
    return [
        make_spectrum(
            wave,
            rows[1],
            unit=unit,
            sigma=rows[2] if len(rows) > 2 else None,
            medium=medium,
            instrument=instrument_named(header),
            header=header,
            notes=(note, unit_note),
        )
    ]


def _is_rave(file):
    parts = _parts(file)
    if parts is None or len(parts[0].shape) > 2 or (len(parts[0].shape) == 2 and parts[0].shape[0] > 3):
        return False
    header = merged_header(file.hdus[0].header, parts[0].header)
    cards = " ".join(
        str(header.get(card, ""))
        for card in ("SURVEY", "ORIGIN", "PROJECT", "OBJECT", "RAVE_OBS_ID", "TITLE")
    )
    telescope = " ".join(str(header.get(card, "")) for card in ("TELESCOP", "INSTRUME")).upper()
    named = (
        "RAVE" in cards.upper().replace("_", " ").split() or "RAVE" in telescope or "RAVE_OBS_ID" in header
    )
    if not named and "6DF" not in telescope and "UKST" not in telescope and "SCHMIDT" not in telescope:
        return False
    wave = header_axis(header, parts[0].shape[-1])[0].to_value("Angstrom")
    return _RAVE[0] < wave[0] and wave[-1] < _RAVE[1]


def _read_rave(file):
    flux, parts = _parts(file)
    header = merged_header(file.header, flux.header)
    values = np.atleast_2d(np.asarray(flux.data, np.float64))
    wave, _, note = header_axis(header, values.shape[-1])
    sigma = np.asarray(parts["sigma"].data, np.float64) if "sigma" in parts else None
    if sigma is None and len(values) > 1:
        sigma = values[1]
    unit, unit_note = flux_unit_of(header.get("BUNIT"))
    return [
        make_spectrum(
            wave,
            values[0],
            unit=unit,
            sigma=None if sigma is None else np.atleast_2d(sigma)[0],
            medium="air",
            instrument="RAVE",
            header=header,
            notes=(note, unit_note),
        )
    ]


def _is_pampelmuse(header):
    """Whether PampelMuse has extracted the spectrum: cards HIERARCH SPECTRUM … say so."""
    return "SPECTRUM SNRATIO" in header or "SPECTRUM STAR-ID" in header


def _is_muse(file):
    parts = _parts(file)
    if parts is not None and _is_pampelmuse(file.hdus[0].header):
        return _is_image(file)
    return (
        parts is not None
        and str(file.hdus[0].header.get("INSTRUME", parts[0].header.get("INSTRUME", ""))).strip().upper()
        == "MUSE"
        and _is_image(file)
    )


LAYOUTS = (
    Layout("MUSE", _is_muse, _read),
    Layout("RAVE", _is_rave, _read_rave),
)
ANY_IMAGE = Layout("FITS image", _is_image, _read, GENERIC_PRIORITY)
ROWS = Layout("FITS rows", _is_rows, _read_rows, GENERIC_PRIORITY)

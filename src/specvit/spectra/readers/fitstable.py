"""FITS tables: of ESO phase 3 and 4MOST, of CALSPEC, and any other by the names of its columns.

* ESO phase 3, one row of arrays (X-shooter, UVES, FEROS, GIRAFFE, HARPS …). Medium: UCD ``em.wl;obs.atmos``
  of the wavelengths is air, ``em.wl`` vacuum. Unit: TUNITn. Resolution: SPEC_RES, else the preset ``X-shooter
  VIS``. Lost: QUAL not 0. Where FLUX holds nothing, FLUX_REDUCED is read. [1]_
* 4MOST L1, of the same form: WAVE, FLUX, ERR_FLUX, QUAL. Vacuum. SPEC_RES, else the preset ``4MOST LRS``.
  [2]_
* CALSPEC: WAVELENGTH (ANGSTROMS), FLUX (FLAM), STATERROR, SYSERROR, FWHM, DATAQUAL. Vacuum. Resolution:
  λ/FWHM of the column. The two errors are added in quadrature. [3]_
* Any other, by the names of its columns (`specvit.spectra.readers.columnroles`); medium, resolution and
  instrument are those of the header.

References
----------
.. [1] https://www.eso.org/sci/observing/phase3/p3sdpstd.pdf, section 5, 1D spectra
.. [2] https://www.eso.org/sci/observing/phase3/data_streams.html, 4MOST
.. [3] Bohlin, Gordon & Tremblay 2014, PASP 126, 711; https://www.stsci.edu, CALSPEC
"""

from __future__ import annotations

import numpy as np

from specvit.spectra.readers.assembling import (
    camera_medium,
    instrument_named,
    make_spectrum,
    stated_medium,
)
from specvit.spectra.readers.columnroles import find_columns
from specvit.spectra.readers.filelayout import GENERIC_PRIORITY, Layout
from specvit.spectra.readers.fitsfile import columns as names_of
from specvit.spectra.readers.headeraxes import merged_header
from specvit.spectra.readers.tablerows import join_orders, spectra_of_columns
from specvit.spectra.readers.unitwords import flux_unit_of, to_wavelengths

__all__ = ["ANY_TABLE", "LAYOUTS", "read_any_table"]

_XSHOOTER_VIS = (5000.0, 10600.0)  # Å: the other arms are bluer or redder


def _tables(file):
    return [hdu for hdu in file.hdus[1:] if find_columns(names_of(hdu)).complete]


def _card(file, hdu, *names):
    """The first of some cards that the header of the table or the primary one has."""
    for header in (hdu.header, file.hdus[0].header):
        for name in names:
            if header.get(name) not in (None, ""):
                return header[name]
    return None


def _phase3(file):
    """The table of an ESO phase 3 spectrum, or None."""
    header = file.hdus[0].header
    for hdu in _tables(file):
        is_product = "SCIENCE.SPECTRUM" in str(header.get("PRODCATG", "")).upper()
        is_product |= str(hdu.header.get("VOCLASS", "")).upper().startswith("SPECTRUM")
        is_product |= hdu.name == "PHASE3SPECTRUM"
        is_4most = "QMOST" in str(header.get("INSTRUME", "")).upper()
        if is_4most or (is_product and hdu.header["NAXIS2"] <= 1):
            return hdu
    return None


def _read_phase3(file, *, columns=None):
    hdu = _phase3(file)
    rows = file.table(hdu)
    names, units = _named_units(hdu)
    chosen = dict(columns or {})
    by_name = {name.upper(): name for name in names}
    both = not chosen and {"FLUX", "FLUX_REDUCED"} <= set(by_name)
    if both and not np.isfinite(np.asarray(rows[by_name["FLUX"]], np.float64)).any():
        chosen = {"flux": by_name["FLUX_REDUCED"]}
        if "ERR_REDUCED" in by_name:
            chosen["sigma"] = by_name["ERR_REDUCED"]
    camera = str(file.header.get("INSTRUME", "")).upper()
    if {"ERR_FLUX", "FLUX_NOSS"} <= set(by_name):
        camera = "QMOST"
    found = find_columns(names, chosen)
    axis = found.get("wave") or found["loglam"]
    resolution = _positive(_card(file, hdu, "SPEC_RES"))
    instrument = None
    if resolution is None:
        wave = to_wavelengths(np.ravel(rows[axis]), units.get(axis))[0].to_value("Angstrom")
        if "XSHOO" in camera and _XSHOOTER_VIS[0] < np.nanmin(wave) and np.nanmax(wave) < _XSHOOTER_VIS[1]:
            instrument = "X-shooter VIS"
        instrument = "4MOST LRS" if "QMOST" in camera or "4MOST" in camera else instrument
    return spectra_of_columns(
        names,
        lambda name: rows[name],
        units,
        chosen=chosen,
        header=file.header,
        medium=_medium_of_ucd(hdu, names.index(axis) + 1) or camera_medium({"INSTRUME": camera}),
        resolution=resolution,
        instrument=instrument,
    )


def _medium_of_ucd(hdu, number):
    """Medium of the wavelengths by the UCD of their column, or None."""
    ucd = str(hdu.header.get(f"TUCD{number}", "")).lower().replace(" ", "")
    if ucd.startswith("em.wl"):
        return "air" if "obs.atmos" in ucd else "vacuum"
    return None


def _positive(value):
    """A number above zero, or None."""
    try:
        value = float(value)
    except (TypeError, ValueError):
        return None
    return value if 0 < value < np.inf else None


def _named_units(hdu):
    """Names of the columns, and the units that they state."""
    names = list(names_of(hdu))
    return names, {name: hdu.columns[name].unit for name in names}


def _is_calspec(file):
    return any(
        {"WAVELENGTH", "FLUX", "STATERROR", "SYSERROR"} <= {n.upper() for n in names_of(hdu)}
        for hdu in file.hdus
    )


def _read_calspec(file):
    hdu = next(one for one in file.hdus if "STATERROR" in {name.upper() for name in names_of(one)})
    rows, names = file.table(hdu), {name.upper(): name for name in names_of(hdu)}

    def column(name):
        return np.array(rows[names[name]], np.float64) if name in names else None

    wave, _ = to_wavelengths(column("WAVELENGTH"), hdu.columns[names["WAVELENGTH"]].unit)
    unit, note = flux_unit_of(hdu.columns[names["FLUX"]].unit or "FLAM")
    sigma = np.hypot(column("STATERROR"), column("SYSERROR"))
    fwhm = column("FWHM")
    resolution = None
    if fwhm is not None and (fwhm > 0).all() and np.isfinite(fwhm).all():
        resolution = wave.to_value("Angstrom") / fwhm
    quality = column("DATAQUAL")  # 1 is good; SYNPHOT tables have it so
    return [
        make_spectrum(
            wave,
            column("FLUX"),
            unit=unit,
            sigma=sigma if (sigma > 0).any() else None,
            mask=None if quality is None or not (quality == 1).any() else quality != 1,
            medium="vacuum",
            resolution=resolution,
            header=file.header,
            notes=(note,),
        )
    ]


def read_any_table(file, *, columns=None, hdu=None, wave_unit=None, flux_unit=None):
    """Read a FITS table by the names of its columns.

    Parameters
    ----------
    file : FitsFile
        The file.
    columns : dict, optional
        Columns that the caller chose, as for `find_columns`.
    hdu : int or str, optional
        The HDU of the table. None: the first with a wavelength and a flux.
    wave_unit, flux_unit : str, optional
        Units where the table states none.

    Returns
    -------
    list of specutils.Spectrum

    Raises
    ------
    ValueError
        If no table has a wavelength and a flux; the message has the columns that there are.
    """
    tables = [one for one in file.hdus[1:] if names_of(one)]
    if hdu is None and not columns and (parts := _axis_elsewhere(file)) is not None:
        return _of_table(file, parts[0], {"wave_unit": wave_unit, "flux_unit": flux_unit}, parts[1])
    usable = [one for one in tables if columns or find_columns(names_of(one)).complete]
    if hdu is not None:
        chosen = file.hdus[hdu] if isinstance(hdu, int) else file.find(hdu)
        usable = [] if chosen is None or not names_of(chosen) else [chosen]
    if not usable:
        found = "; ".join(f"{one.name or '(no name)'}: {', '.join(names_of(one))}" for one in tables)
        raise ValueError(
            f"{file.name}: no table with a wavelength and a flux; the columns are {found or 'none'}"
        )
    options = {"chosen": columns, "wave_unit": wave_unit, "flux_unit": flux_unit}
    spectra = _of_table(file, usable[0], options)
    if len(usable) > 1:
        read, rows = [usable[0]], spectra
        for one in (one for one in usable[1:] if names_of(one) == names_of(usable[0])):
            longer = rows + _of_table(file, one, options)
            if len(joined := join_orders(longer)) == 1:  # arms; what covers the same again is left
                read, rows, spectra = [*read, one], longer, joined
        left = ", ".join(one.name or f"HDU {file.hdus.index(one)}" for one in usable if one not in read)
        if not left:
            return spectra
        name = " and ".join(one.name or f"HDU {file.hdus.index(one)}" for one in read)
        verb = "tables {} are" if len(read) > 1 else "table {} is"
        note = f"the {verb.format(name)} read, not {left}: Spectrum.read(..., hdu=) reads another"
        for spectrum in spectra:
            spectrum.meta["notes"] = (*spectrum.meta["notes"], note)
    return spectra


def _axis_elsewhere(file):
    """A table of fluxes, and another with nothing but their wavelengths; None if there are none such."""
    if _tables(file):
        return None
    tables = [one for one in file.hdus[1:] if names_of(one)]
    flux = [one for one in tables if "flux" in find_columns(names_of(one))]
    axes = [one for one in tables if {"wave", "loglam"} & set(find_columns(names_of(one)))]
    if len(flux) != 1 or len(axes) != 1 or len(names_of(axes[0])) > 1:
        return None
    return flux[0], axes[0]


def _of_table(file, table, options, axis=None):
    """Spectra of one table, with the wavelengths of another if it has none."""
    rows = file.table(table)
    names, units = _named_units(table)
    columns = dict.fromkeys(names, rows)
    if axis is not None:
        added, of_added = _named_units(axis)
        names, units = names + added, of_added | units
        columns = dict.fromkeys(added, file.table(axis)) | columns
    header = merged_header(file.header, table.header)
    return spectra_of_columns(
        names,
        lambda name: columns[name][name],
        units,
        header=header,
        medium=None if stated_medium(header) else camera_medium(header),
        resolution=_positive(_card(file, table, "SPEC_RES")),
        instrument=instrument_named(header),
        **options,
    )


LAYOUTS = (
    Layout("ESO phase 3", lambda file: _phase3(file) is not None, _read_phase3),
    Layout("CALSPEC", _is_calspec, _read_calspec),
)
ANY_TABLE = Layout(
    "FITS table",
    lambda file: bool(_tables(file)) or _axis_elsewhere(file) is not None,
    read_any_table,
    GENERIC_PRIORITY,
)

"""Text tables, CSV, ECSV and VOTables, by their content, whatever their names.

Medium and resolution: what comments or the names of columns say (``wave_air``, ``# R = 20000``), an
instrument that a comment names by its preset. Unit: in brackets behind a name, in a line below the names, in
ECSV and VOTable; else wavelengths by their size (`specvit.spectra.readers.unitwords.to_wavelengths`) and a
relative flux. Without names, columns are wavelength, flux, error, and a mask of 0 and 1. Lost: missing
values, and a column of a mask.
"""

from __future__ import annotations

import io

import numpy as np

from specvit.grid import find_instrument
from specvit.spectra.readers.gaiarvs import is_gaia, spectra_of_table
from specvit.spectra.readers.tablerows import spectra_of_columns
from specvit.spectra.readers.textbytes import beginning, decode, is_fits, unpack
from specvit.spectra.readers.textlines import parse
from specvit.spectra.readers.unitwords import to_wavelengths

__all__ = ["is_text", "read_text"]

_HEADS = (1 << 13, 1 << 16)  # bytes by which a file is known; more if comments are long
_BARE = ("wave", "flux", "sigma", "mask")


def is_text(source):
    """Whether a file is a text table with numbers, or a VOTable.

    Parameters
    ----------
    source : str, path-like or file-like
        The file.

    Returns
    -------
    bool
    """
    for size in _HEADS:
        try:
            content = _content(source, size)
            if _is_votable(content) or content.startswith(b"# %ECSV"):
                return True
            if is_fits(content):
                return False
            lines = decode(content).splitlines()
            parse("\n".join(lines[: -1 if len(lines) > 3 and len(content) >= size else None]))
            return True
        except (ValueError, OSError):
            continue
    return False


def read_text(source, *, columns=None, wave_unit=None, flux_unit=None):
    """Read the spectrum or spectra in a text table.

    Parameters
    ----------
    source : str, path-like or file-like
        The file, packed by gzip, bzip2, xz or not.
    columns : dict of str to str or int, optional
        Columns by role, as for `find_columns`: names, or numbers from 1.
    wave_unit, flux_unit : str, optional
        Units where the table states none.

    Returns
    -------
    list of specutils.Spectrum
        Several for tables of Gaia RVS spectra, else one.

    Raises
    ------
    ValueError
        If there is no such table, or no wavelength and flux in it.
    """
    content = _content(source)
    if _is_votable(content) or content.startswith(b"# %ECSV"):
        table, header = _astropy_table(content)
        names = table.colnames
        units = {name: str(table[name].unit or "") for name in names}
        if not columns and _is_gaia(names, lambda name: table[name], units):
            wave = next((name for name in names if name.lower() == "wavelength"), None)
            return spectra_of_table(table, header, units.get(wave))
        return spectra_of_columns(
            names,
            lambda name: table[name],
            units,
            chosen=columns,
            wave_unit=wave_unit,
            flux_unit=flux_unit,
            header=header,
        )
    table = parse(decode(content))
    facts = dict(table.facts)
    instrument = _preset(facts.pop("instrument", None))
    if table.has_names and not columns and _is_gaia(table.names, table.values, table.units):
        return spectra_of_table(_Arrays(table), {})
    if not table.has_names:
        columns = columns if columns else _bare_columns(table)
        table.names = [f"column {i}" for i in range(1, len(table.columns) + 1)]
    spectra = spectra_of_columns(
        table.names,
        table.values,
        table.units,
        chosen=columns,
        wave_unit=wave_unit,
        flux_unit=flux_unit,
        instrument=instrument,
        **facts,
    )
    for spectrum in spectra:
        spectrum.meta["notes"] += tuple(table.notes)
    return spectra


class _Arrays(dict):
    """Columns of a text table as Gaia's reader takes them: numbers, or text that holds arrays."""

    def __init__(self, table):
        def column(name):
            fields = table.columns[table.names.index(name)]
            return np.array(fields) if fields[0].startswith(("[", "(", "{")) else table.values(name)

        super().__init__((name, column(name)) for name in table.names if _is_needed(name))
        if "source_id" in self:  # 64 bits, more than a float holds
            self["source_id"] = np.array([int(one) for one in table.columns[table.names.index("source_id")]])
        self.colnames = list(self)


def _is_needed(name):
    return name.lower() in ("source_id", "wavelength", "flux", "flux_error")


def _content(source, size=-1):
    """The file, unpacked, or what its first `size` bytes hold."""
    return unpack(beginning(source, size), whole=size < 0)


def _is_votable(content):
    return b"<VOTABLE" in content[:2048]


def _astropy_table(content):
    """Table of a VOTable or ECSV file, and what it says of itself."""
    import warnings

    from astropy.table import Table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units and of the standard, which the reader judges itself
        if _is_votable(content):
            from astropy.io.votable import parse_single_table

            votable = parse_single_table(io.BytesIO(content))
            params = {param.name: param.value for param in votable.params}
            return votable.to_table(use_names_over_ids=True), params
        table = Table.read(decode(content).splitlines(), format="ascii.ecsv")
        return table, dict(table.meta)


def _is_gaia(names, values, units):
    """Whether the table is one of Gaia RVS."""
    lower = {name.lower(): name for name in names}
    if not {"flux", "flux_error"} <= set(lower):
        return False
    wave = None
    if "wavelength" in lower:
        name = lower["wavelength"]
        try:
            column = np.asarray(values(name), np.float64)
        except (ValueError, TypeError):  # arrays of each row, as text or objects
            return "source_id" in lower
        wave = to_wavelengths(column.ravel(), units.get(name))[0].to_value("nm")
    return is_gaia(lower, wave)


def _preset(name):
    """Preset of an instrument that a comment names, or None."""
    try:
        return None if name is None else find_instrument(name).name
    except ValueError:
        return None


def _bare_columns(table):
    """Roles of columns without names: wavelength, flux, error, mask; by number."""
    width = len(table.columns)
    roles = list(_BARE[:width])
    if width in (3, 4) and _is_mask(table.values(width - 1)):
        roles = [*_BARE[: width - 1], "mask"]
    elif width > 3:
        raise ValueError(
            f"columns without names must be two or three, got {width}: choose them by their numbers, as "
            "--columns wave=1,flux=2,err=3, or columns={'wave': 1, …}"
        )
    return {role: i for i, role in enumerate(roles, 1)}


def _is_mask(values):
    return bool(np.isin(values, (0, 1)).all())

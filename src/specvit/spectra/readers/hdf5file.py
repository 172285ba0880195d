"""HDF5 files of a few spectra: groups of arrays, or tables, by the names of arrays and columns.

Each group with a wavelength and a flux holds spectra, or one; wavelengths at the top are those of groups that
have none. Large files, of fluxes (n, n_pixels), are read some rows at a time (`specvit.stream`).

Medium and resolution: the attributes ``medium`` and ``resolution`` of the wavelengths, their group or the
file, or a name as ``wave_air``. Unit: the attribute ``unit`` or ``units``, or what astropy keeps of a table;
else by the size of the numbers. Lost: NaN, and an array ``mask`` (true is bad) or ``good`` (true is good).
"""

from __future__ import annotations

import numpy as np

from specvit.spectra.readers.columnroles import find_columns
from specvit.spectra.readers.tablerows import spectra_of_columns
from specvit.spectra.readers.textbytes import beginning

__all__ = ["MAGIC", "is_hdf5", "read_hdf5", "stated_facts", "stated_unit"]

MAGIC = b"\x89HDF\r\n\x1a\n"


def is_hdf5(source):
    """Whether a file is one of HDF5 with a wavelength and a flux.

    Parameters
    ----------
    source : str, path-like or file-like
        The file.

    Returns
    -------
    bool
    """
    if beginning(source, len(MAGIC)) != MAGIC:
        return False
    try:
        with _opened(source) as file:
            return bool(_groups(file))
    except (OSError, ValueError):
        return False


def read_hdf5(source, *, columns=None, wave_unit=None, flux_unit=None):
    """Read the spectra in an HDF5 file.

    Parameters
    ----------
    source : str, path-like or file-like
        The file.
    columns : dict of str to str, optional
        Names of arrays by role, as for `find_columns`.
    wave_unit, flux_unit : str, optional
        Units where the file states none.

    Returns
    -------
    list of specutils.Spectrum
        Group by group, called as these if there are several.

    Raises
    ------
    ValueError
        If the file cannot be read, or no group has a wavelength and a flux.
    """
    with _opened(source) as file:
        groups = _groups(file, columns)
        if not groups:
            found = ", ".join(f"{name} {item.shape}" for name, item in arrays_of(file).items()) or "nothing"
            raise ValueError(f"no group has arrays called wave and flux; in the file are {found}")
        spectra = []
        for where, members in groups.items():
            names = list(members)
            axis = find_columns(names, columns)
            axis = members[axis.get("wave", axis.get("loglam"))]
            found = spectra_of_columns(
                names,
                lambda name, members=members: members[name][:],
                {name: stated_unit(item) for name, item in members.items()},
                chosen=columns,
                wave_unit=wave_unit,
                flux_unit=flux_unit,
                **stated_facts(axis, file.get(where) if where else None, file),
            )
            for spectrum in found:
                if len(groups) > 1 and where:
                    spectrum.meta.setdefault("name", where.rsplit("/", 1)[-1])
            spectra += found
    return spectra


def _opened(source):
    import h5py

    try:
        return h5py.File(source, "r")
    except OSError as error:
        raise ValueError(f"no HDF5 file that can be read: {error}") from None


def arrays_of(file):
    """All arrays of numbers of an open HDF5 file: their path -> data set."""
    import h5py

    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(visit)
    return found


def _groups(file, chosen=None):
    """What holds spectra: path of a group or table -> name of an array -> the array."""
    by_group = {}
    for path, item in arrays_of(file).items():
        where, _, name = path.rpartition("/")
        if item.dtype.names:
            by_group[path] = _table(file, path)
        elif item.ndim in (1, 2):
            by_group.setdefault(where, {})[name] = item
    top = by_group.get("", {})
    complete = {}
    for where, members in by_group.items():
        shared = {} if "flux" not in find_columns(members) else top
        for names in (members, shared | members):
            if _is_complete(names, chosen):
                complete[where] = names
                break
    return complete


def _is_complete(names, chosen):
    try:
        return find_columns(list(names), chosen).complete
    except ValueError:  # a column that was chosen is in another group
        return False


def _table(file, path):
    """Columns of a table that is one data set, as astropy writes it; each has the table's metadata."""
    from astropy.table import Table

    table = Table.read(file, path=path)
    for column in table.itercols():
        column.meta = {**table.meta, **column.meta}
    return {name: table[name] for name in table.colnames}


def stated_unit(item):
    """Unit that an array of HDF5 or Zarr, or a column of a table, states.

    Parameters
    ----------
    item : h5py.Dataset, zarr.Array or astropy.table.Column
        With attributes ``unit`` or ``units``.

    Returns
    -------
    str or None
    """
    own = getattr(item, "unit", None)
    return str(own) if own is not None else _attribute(item, "unit", "units")


def stated_facts(*items):
    """Medium and resolution that attributes state.

    Parameters
    ----------
    *items : object
        Arrays, groups, files, the first that states something counts; None is left out.

    Returns
    -------
    dict
        With "medium" ("air", "vacuum") and "resolution" (a number), where they are stated.
    """
    facts = {}
    for item in items:
        medium = str(_attribute(item, "medium") or "").strip().lower()
        if medium in ("air", "vacuum"):
            facts.setdefault("medium", medium)
        try:
            power = float(_attribute(item, "resolution", "resolving_power", "R") or "nan")
        except ValueError:
            power = np.nan
        if 0 < power < np.inf:
            facts.setdefault("resolution", power)
    return facts


def _attribute(item, *names):
    attributes = getattr(item, "attrs", None) or getattr(item, "meta", {})  # of HDF5, of a column
    for name in names:
        value = attributes.get(name)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if value is not None and np.ndim(value) == 0:
            return str(value)
    return None

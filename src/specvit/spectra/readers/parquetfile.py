"""Parquet tables, by the names of their columns: one row a pixel, or one row a spectrum of lists.

Medium, resolution and unit: in names (``wave_air``, ``wave_nm``), else as for text. Lost: NaN, nothing, and a
column ``mask`` or ``good``. Needs the package pyarrow.
"""

from __future__ import annotations

import numpy as np

from specvit.spectra.readers.columnroles import find_columns
from specvit.spectra.readers.tablerows import spectra_of_columns
from specvit.spectra.readers.textbytes import beginning

__all__ = ["MAGIC", "is_parquet", "read_parquet"]

MAGIC = b"PAR1"


def is_parquet(source):
    """Whether a file is a Parquet table with a wavelength and a flux.

    Parameters
    ----------
    source : str, path-like or file-like
        The file.

    Returns
    -------
    bool
        Whatever its columns, True where pyarrow is not installed: `read_parquet` says so.
    """
    if beginning(source, len(MAGIC)) != MAGIC:
        return False
    try:
        from pyarrow.parquet import read_schema

        return find_columns(read_schema(source).names).complete
    except ImportError:
        return True
    except (OSError, ValueError):
        return False


def read_parquet(source, *, columns=None, wave_unit=None, flux_unit=None):
    """Read the spectra in a Parquet table.

    Parameters
    ----------
    source : str, path-like or file-like
        The file.
    columns : dict of str to str or int, optional
        Columns by role, as for `find_columns`.
    wave_unit, flux_unit : str, optional
        Units of columns that state none in their names.

    Returns
    -------
    list of specutils.Spectrum
        One for each row of lists, else one.

    Raises
    ------
    ValueError
        If pyarrow is not installed, the file cannot be read, or it has no wavelength and flux.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ImportError:
        raise ValueError("Parquet files need the package pyarrow, which is not installed") from None
    try:
        table = read_table(source)
    except (OSError, ArrowException) as error:
        raise ValueError(f"no Parquet table that can be read: {error}") from None

    def values(name):
        column = table.column(name)
        if not str(column.type).startswith(("list", "large_list", "fixed_size_list")):
            return column.to_numpy()
        rows = np.empty(len(column), dtype=object)
        rows[:] = [np.asarray(one, np.float64) for one in column.to_pylist()]
        return rows

    return spectra_of_columns(
        table.column_names, values, chosen=columns, wave_unit=wave_unit, flux_unit=flux_unit
    )

"""The HDF5 layout of data sets: names of what is in a file, and its pandas table by h5py alone."""

from __future__ import annotations

import io
import pickle

import numpy as np

from specvit.labels import LABELS, label_of

__all__ = ["ARRAYS", "COLUMNS", "LABEL_COLUMNS", "create_table", "find_table", "table_dtype"]

WAVE, EDGES, LSF = "spectrumdataset/wave", "spectrumdataset/wave_edges", "spectrumdataset/lsf_sigma"
FLUX, ERROR, MASK = (f"dataset/arrays/{name}/value" for name in ("flux", "error", "mask"))
#: σ that noise is drawn with, in files of this package; in the reference's own files it is `ERROR`.
NOISELESS_ERROR = "dataset/arrays/error_noiseless/value"
PARAMS = "dataset/params"
#: What is stored of each spectrum, pixel by pixel.
ARRAYS = {"flux": FLUX, "error": ERROR, "error_noiseless": NOISELESS_ERROR, "mask": MASK}

_NAMES = """id redshift redshift_err exp_count exp_time seeing ext target_zenith_angle target_field_angle
    moon_zenith_angle moon_target_angle moon_phase snr mag fiberid cont_fit random_seed Fe_H Fe_H_err M_H
    M_H_err a_M a_M_err C_M C_M_err O_M O_M_err T_eff T_eff_err log_g log_g_err N_He v_turb L_H
    interp_param"""
#: Columns of the table, in the order of the layout.
COLUMNS = tuple(_NAMES.split())
#: Column that holds each label.
LABEL_COLUMNS = {name: label_of(name).column for name in LABELS}

_INTEGER, _STRING = {"id", "exp_count", "fiberid", "random_seed"}, {"interp_param"}


def table_dtype():
    """Type of a row of the table: the index, then `COLUMNS`; int64, float64 or bytes."""
    kinds = dict.fromkeys(_INTEGER, "<i8") | dict.fromkeys(_STRING, "S16")
    return np.dtype([("index", "<i8")] + [(name, kinds.get(name, "<f8")) for name in COLUMNS])


# -- writing -------------------------------------------------------------------------------------------


def _text(value):
    """A string as PyTables marks it: anything not of UTF-8 it takes for bytes."""
    import h5py

    return np.array(value.encode(), h5py.string_dtype("utf-8", len(value)))


def _pickled(value):
    return np.bytes_(pickle.dumps(value, 0))  # as PyTables keeps what is neither number nor text


def create_table(file, n):
    """The table that ``pandas.read_hdf(path, key="dataset/params")`` reads, its rows still to be written.

    Parameters
    ----------
    file : h5py.File
        Open for writing.
    n : int
        Number of rows.

    Returns
    -------
    h5py.Dataset
        Of `table_dtype`, shape (n,).
    """
    import h5py

    kinds = table_dtype()
    names = list(kinds.names)
    columns = names[1:]
    group = file.require_group(PARAMS)
    table = group.create_dataset("table", (n,), kinds, chunks=(min(n, 1024),), maxshape=(None,))
    title = h5py.Empty("S1")
    for node in (file, file["dataset"], group):
        node.attrs.update({"CLASS": _text("GROUP"), "VERSION": _text("1.0"), "TITLE": title})
    file.attrs["PYTABLES_FORMAT_VERSION"] = _text("2.1")
    group.attrs.update(
        {
            "pandas_type": _text("frame_table"),
            "pandas_version": _text("0.15.2"),  # of the format, the last; older pandas ask for it
            "table_type": _text("appendable_frame"),
            "index_cols": _pickled([(0, "index")]),
            "values_cols": _pickled(columns),
            "data_columns": _pickled(columns),
            "non_index_axes": _pickled([(1, columns)]),
            "info": _pickled({1: {"names": [None], "type": "Index"}, "index": {}}),
            "nan_rep": _pickled(None),
            "encoding": _text("UTF-8"),
            "errors": _text("strict"),
            "levels": np.int64(1),
        }
    )
    table.attrs.update(
        {"CLASS": _text("TABLE"), "VERSION": _text("2.7"), "TITLE": title, "NROWS": np.int64(n)}
    )
    for number, name in enumerate(names):
        kind = kinds[name]
        table.attrs[f"FIELD_{number}_NAME"] = _text(name)
        table.attrs[f"FIELD_{number}_FILL"] = np.zeros((), kind)[()]
        if name == "index":
            table.attrs["index_kind"] = _text("integer")
            continue
        table.attrs[f"{name}_dtype"] = _text("bytes128" if kind.kind == "S" else kind.name)
        table.attrs[f"{name}_kind"] = _pickled([name])
        table.attrs[f"{name}_meta"] = _pickled(None)
    return table


# -- reading -------------------------------------------------------------------------------------------


class _PlainUnpickler(pickle.Unpickler):
    """Lists, numbers and strings: a file must not be able to run code."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"{module}.{name} is not a plain value")


def _unpickled(value):
    return _PlainUnpickler(io.BytesIO(bytes(value)), encoding="utf-8").load()


def _decoded(names):
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def find_table(file, path):
    """Where each numeric column of a file's pandas table is.

    The table is that of `PARAMS` or, in older files, the only one, whatever its key: what
    ``pandas.read_hdf(path)`` finds. Both of pandas' formats, ``table`` and ``fixed``, are read.

    Parameters
    ----------
    file : h5py.File
        The file, open for reading.
    path : str or Path
        Path of the file, for messages.

    Returns
    -------
    columns : dict of str to (h5py.Dataset, str or None, int or None)
        Dataset, field and column of the field that hold a column.
    n : int
        Number of rows.

    Raises
    ------
    ValueError
        If there is no such table, several, or one that cannot be understood.
    """
    keys = [PARAMS] if PARAMS in file else []
    if not keys:
        file.visititems(lambda name, node: keys.append(name) if "pandas_type" in node.attrs else None)
    if len(keys) != 1:
        found = f"it has {sorted(keys)}" if keys else "it has none"
        raise ValueError(f"{path}: needs one table, at {PARAMS!r} or as the only one of pandas; {found}")
    group = file[keys[0]]
    try:
        return _fixed(group) if "axis0" in group else _appendable(group)
    except (KeyError, TypeError, AttributeError, IndexError, UnicodeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: {keys[0]!r} is not a table written by pandas ({error})") from error


def _appendable(group):
    table = group["table"]
    columns = {}
    for field in table.dtype.names:
        kind = table.dtype[field]
        if kind.base.kind not in "iufb" or field == "index":
            continue
        if kind.shape:  # a block of columns of one type
            names = _decoded(_unpickled(table.attrs[f"{field}_kind"]))
            columns |= {name: (table, field, k) for k, name in enumerate(names)}
        else:
            columns[field] = (table, field, None)
    return columns, len(table)


def _fixed(group):
    columns = {}
    for k in range(int(group.attrs["nblocks"])):
        values = group[f"block{k}_values"]
        if values.ndim == 2 and values.dtype.kind in "iufb":
            names = _decoded(group[f"block{k}_items"][:])
            columns |= {name: (values, None, j) for j, name in enumerate(names)}
    return columns, len(group["axis1"])

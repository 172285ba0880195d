"""The names by which the metadata of spectra call their objects."""

from __future__ import annotations

import numpy as np

__all__ = ["object_name", "object_names", "row_of_meta"]

#: Keys of ``meta`` and ``meta["header"]`` in which a name is looked for, the most particular first.
_KEYS = (
    "name", "object_name", "OBJECT", "object", "OBJNAME", "TARGNAME", "target", "DESIG", "designation",
    "objId", "objid", "OBJID", "targetId", "TARGETID", "targetid", "cname", "targid", "mangaid", "source_id",
    "SOURCE_ID", "sobject_id", "obsid", "OBSID", "id", "ID",
)  # fmt: skip


def object_name(meta):
    """Name of the object of a spectrum, str; empty if its metadata give none.

    Parameters
    ----------
    meta : mapping or None
        Metadata of the spectrum; its ``"header"`` is asked after it.
    """
    header = meta.get("header") if hasattr(meta, "get") else None
    for source in (meta, header):
        if not hasattr(source, "get"):
            continue
        for key in _KEYS:
            value = source.get(key)
            if isinstance(value, bytes):
                value = value.decode("utf-8", "replace")
            if isinstance(value, str | int | np.integer) and not isinstance(value, bool):
                text = str(value).strip()
                if text:
                    return text
    return ""


def row_of_meta(meta, n, row):
    """Metadata of one of n spectra that share theirs: of each list with n entries, the row's.

    Parameters
    ----------
    meta : mapping or None
        Metadata of all. ``{"targetid": [7, 8], "medium": "air"}`` are those of two spectra.
    n : int
        How many spectra there are.
    row : int or slice
        Which; the lists of a slice stay lists.

    Returns
    -------
    dict
    """
    items = meta.items() if hasattr(meta, "items") else ()
    return {key: x[row] if isinstance(x, list) and len(x) == n else x for key, x in items}


def object_names(meta, n):
    """Names of the n objects of spectra that share their metadata, list of str.

    Those of a list with n entries, as `row_of_meta` reads it, else `object_name` for all.
    """
    listed = {key: x for key in _KEYS if isinstance(x := _get(meta, key), list) and len(x) == n}
    if not listed:
        return [object_name(meta)] * n
    return [object_name({key: x[i] for key, x in listed.items()}) for i in range(n)]


def _get(meta, key):
    return meta.get(key) if hasattr(meta, "get") else None

"""The name by which a spectrum's own metadata call its object."""

from __future__ import annotations

import numpy as np

__all__ = ["object_name"]

#: Keys of ``meta`` and ``meta["header"]`` in which a name is looked for, the most particular first.
_KEYS = (
    "name", "object_name", "OBJECT", "object", "OBJNAME", "TARGNAME", "target", "DESIG", "designation",
    "objId", "objid", "OBJID", "targetId", "TARGETID", "source_id", "SOURCE_ID", "sobject_id", "obsid",
    "OBSID", "id", "ID",
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

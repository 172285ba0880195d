"""Whether a file's wavelengths are in air or in vacuum."""

from __future__ import annotations

__all__ = ["medium_of"]


def medium_of(spectrum):
    """Medium that a spectrum's metadata or WCS states.

    In this order: ``meta["medium"]`` ("air" or "vacuum"); then in ``meta`` and ``meta["header"]``
    the cards ``AIRORVAC`` ("air", "vac"), ``VACUUM`` (logical) and ``CTYPEn`` = ``AWAV…``
    (air, Greisen et al. 2006); then ``CTYPE`` of a FITS WCS. The card ``CTYPEn`` = ``WAVE`` means
    vacuum in the standard, but is often written for air: it settles nothing.

    Parameters
    ----------
    spectrum : object
        Anything with ``meta`` and ``wcs``.

    Returns
    -------
    {"air", "vacuum"} or None
        None if nothing is stated.

    Raises
    ------
    ValueError
        If ``medium`` or ``AIRORVAC`` hold something else.
    """
    for source in _cards(spectrum):
        for key in ("medium", "AIRORVAC"):
            if source.get(key) is not None:
                stated = str(source[key]).strip().lower()
                if stated in ("air", "vac", "vacuum"):
                    return "air" if stated == "air" else "vacuum"
                raise ValueError(f"meta[{key!r}] must be 'air' or 'vacuum', got {source[key]!r}")
        vacuum = source.get("VACUUM")
        if vacuum is not None:
            return "air" if str(vacuum).strip().lower() in ("f", "false", "0", "no") else "vacuum"
        if any(str(source.get(f"CTYPE{axis}", "")).upper().startswith("AWAV") for axis in (1, 2, 3)):
            return "air"
    header_wcs = getattr(getattr(spectrum, "wcs", None), "wcs", None)
    if any(str(kind).upper().startswith("AWAV") for kind in getattr(header_wcs, "ctype", ())):
        return "air"
    return None


def _cards(spectrum):
    """The metadata and the FITS header in it, each if it can be asked for a key."""
    meta = getattr(spectrum, "meta", None)
    if not hasattr(meta, "get"):
        return []
    header = meta.get("header")
    return [meta, header] if hasattr(header, "get") else [meta]

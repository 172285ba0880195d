"""Labels of many stars in one table, as the PFS galactic-archaeology pipeline has them: pfsStarCatalog."""

from __future__ import annotations

import numpy as np

from specvit.spectra.writers.pfslabels import bin_table, measured

__all__ = ["write_pfs_star_catalog"]

#: Columns of the target: name, FITS format, and what stands for unknown.
_IDS = (
    ("catId", "J", -1),
    ("objId", "K", -1),
    ("ra", "D", np.nan),
    ("dec", "D", np.nan),
    ("targetType", "J", -1),
)
_ARMS = "bmrn"
_PARAMETERS = ("v_los", "EBV", "T_eff", "M_H", "a_M", "C", "log_g")


def write_pfs_star_catalog(path, spectra, table, *, overwrite=False):
    """Write predicted labels as a pfsStarCatalog file.

    Parameters
    ----------
    path : str or path-like
        The file to write.
    spectra : sequence of specutils.Spectrum
        Spectra read from PFS files.
    table : astropy.table.Table
        Their ``predict_table``, row by row.
    overwrite : bool
        Replace `path` if it exists.

    Raises
    ------
    ValueError
        If there are not as many rows as spectra, or none.
    OSError
        If `path` exists and `overwrite` is False.

    See Also
    --------
    write_pfs_star : One star with its spectrum and the covariance of its labels.

    Notes
    -----
    The HDU is STARCATALOG. v_los and EBV, which are not predicted, are NaN; snr_m is the median S/N a
    pixel of the prediction, those of the other arms NaN. nVisit and expTimeEff of an arm count the
    exposures with its letter; the effective exposure time is the nominal one.

    Examples
    --------
    >>> import tempfile
    >>> from astropy.io import fits
    >>> from specvit import LoggEstimator, example_spectrum
    >>> stars = [example_spectrum(20.0), example_spectrum(21.0)]
    >>> path = tempfile.mkdtemp() + "/pfsStarCatalog.fits"
    >>> write_pfs_star_catalog(path, stars, LoggEstimator().predict_table(stars))
    >>> len(fits.getdata(path, "STARCATALOG"))
    2
    """
    from astropy.io import fits

    if len(spectra) != len(table) or not len(table):
        raise ValueError(f"table must have a row for each spectrum, got {len(table)} for {len(spectra)}")
    rows = [_row(spectrum.meta, row) for spectrum, row in zip(spectra, table, strict=True)]
    columns = [(name, form, [row[name] for row in rows]) for name, form in _columns()]
    fits.HDUList([fits.PrimaryHDU(), bin_table("STARCATALOG", columns)]).writeto(path, overwrite=overwrite)


def _columns():
    """Names and FITS formats, in order."""
    yield from ((name, form) for name, form, _ in _IDS)
    yield "nVisit", "J"
    for name, form in (("nVisit", "J"), ("expTimeEff", "E"), ("snr", "E")):
        yield from ((f"{name}_{arm}", form) for arm in _ARMS)
    for name in _PARAMETERS:
        yield from ((name, "E"), (f"{name}Err", "E"), (f"{name}Status", "A"))
    yield from (("flag", "L"), ("status", "A"))


def _row(meta, row):
    """One star, by column."""
    star = measured(row)
    found = {name: meta.get(name, unknown) for name, _, unknown in _IDS}
    arms = meta.get("arm", [])
    times = meta.get("expTime", [np.nan] * len(arms))
    found["nVisit"] = len(set(meta.get("visit", [])))
    for arm in _ARMS:
        exposed = [time for letters, time in zip(arms, times, strict=True) if arm in letters]
        found[f"nVisit_{arm}"] = len(exposed)
        found[f"expTimeEff_{arm}"] = float(sum(exposed))
        found[f"snr_{arm}"] = np.nan
    names = getattr(row, "colnames", None) or row
    if "snr" in names:
        found["snr_m"] = float(row["snr"])
    for name in _PARAMETERS:
        known = name in star.params
        k = star.params.index(name) if known else None
        found[name] = star.values[k] if known else np.nan
        found[f"{name}Err"] = star.errors[k] if known else np.nan
        found[f"{name}Status"] = star.status if known else ""
    return {**found, "flag": star.flagged, "status": star.status}

"""Catalogues of HATS with nested spectra, by LSDB: predicted partition by partition."""

from __future__ import annotations

import numpy as np

from specvit.predictors import LoggEstimator
from specvit.stream.partitions import RowSource, packed, predicted_frame

__all__ = ["predict_lsdb"]

#: Fields of nested spectra, in any case, by role: the first that is there counts.
_FIELDS = {
    "wave": ("wave", "wavelength", "lambda"),
    "flux": ("flux",),
    "ivar": ("ivar", "inverse_variance"),
    "mask": ("mask", "and_mask"),
}


def predict_lsdb(catalog, predictor=None, *, nested="spectrum", **options):
    """Labels of the spectra of a catalogue, as columns of the catalogue.

    Parameters
    ----------
    catalog : lsdb.catalog.Catalog
        With a nested column of spectra, whose fields are called wave (or wavelength, lambda), flux and, if
        there are any, ivar and mask, as the HATS catalogues of DESI and SDSS have them. Wavelengths are in Å.
    predictor : Predictor, optional
        Who predicts; by default ``LoggEstimator()``. Each worker loads its weights once.
    nested : str
        Name of the nested column.
    **options : object
        Of `~specvit.predictors.Predictor.predict_table`.

    Returns
    -------
    lsdb.catalog.Catalog
        With the other columns of `catalog`, and those of ``predict_table`` without units. Nothing is computed
        before its ``compute`` or ``write_catalog``.

    Raises
    ------
    ValueError
        If there is no such column, or it has no wavelengths and fluxes.

    See Also
    --------
    predict_dask : For arrays, data frames and bags.

    Examples
    --------
    The page "Dask and LSDB" of the documentation.
    """
    predictor = LoggEstimator() if predictor is None else predictor
    columns = list(catalog.columns)
    if nested not in columns:
        raise ValueError(f"nested must be a column of the catalogue, {', '.join(columns)}, got {nested!r}")
    return catalog.map_partitions(_predicted, nested, packed(predictor), options)  # tried on no rows, by LSDB


def _free(name, columns):
    """Name of a new column: that of the catalogue stays what it is."""
    return f"specvit_{name}" if name in columns else name


def _predicted(frame, nested, payload, options):
    """A partition with labels instead of spectra."""
    rest, rows = frame.drop(columns=nested), []
    for cell in frame[nested]:
        fields = {} if cell is None else {str(name).lower(): name for name in cell.columns}
        roles = {role: next((n for n in names if n in fields), None) for role, names in _FIELDS.items()}
        if fields and (roles["wave"] is None or roles["flux"] is None):
            raise ValueError(f"{nested} must have fields called wave and flux, got {', '.join(fields)}")
        named = {role: fields[name] for role, name in roles.items() if name is not None}
        rows.append({role: np.asarray(cell[name]) for role, name in named.items()})
    found = predicted_frame(payload, RowSource(rows), index=rest.index, **options)
    return rest.assign(**{_free(name, frame.columns): found[name] for name in found})

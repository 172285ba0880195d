"""Spectra in arrays, data frames and bags of Dask: predicted where they are, on any number of machines."""

from __future__ import annotations

import numpy as np

from specvit.predictors import LoggEstimator
from specvit.stream.partitions import RowSource, empty_frame, packed, predicted_frame

__all__ = ["predict_dask"]


def predict_dask(source, predictor=None, *, ivar=None, wave=None, flux="flux", keep=(), **options):
    """Labels of spectra in a collection of Dask, as a data frame of Dask.

    Parameters
    ----------
    source : dask.array.Array, dask.dataframe.DataFrame or dask.bag.Bag
        Fluxes (n, n_pixels), in chunks of any number of rows; a data frame whose cells in the column `flux`
        are arrays; or a bag of `~specutils.Spectrum` or of paths of files.
    predictor : Predictor, optional
        Who predicts; by default ``LoggEstimator()``. Each worker loads its weights once. One that was fitted
        goes to the workers as a whole, 20 MB: save it and give ``LoggEstimator("weights.safetensors")``.
    ivar : dask.array.Array, or str, optional
        Inverse variance: an array (n, n_pixels), or the column of a data frame.
    wave : array-like of shape (n_pixels,), or str, optional
        Wavelengths in Å of all spectra, or for a data frame the column of them. Without it the fluxes must be
        on the grid of the predictor.
    flux : str
        Column of a data frame with the fluxes.
    keep : sequence of str
        Columns of a data frame that the result has, too.
    **options : object
        Of `~specvit.predictors.Predictor.predict_table`.

    Returns
    -------
    dask.dataframe.DataFrame
        The columns of ``predict_table`` without units, a partition for each of `source`. Nothing is computed
        before its ``compute`` or ``to_parquet``.

    Raises
    ------
    ImportError
        Without the package dask (``pip install specvit[dask]``).
    TypeError, ValueError
        If `source` is none of these, or an option is wrong.

    See Also
    --------
    predict_stream : On one machine, resumable.
    predict_lsdb : For catalogues on the sky.

    Notes
    -----
    Advantages: any number of machines, Dask's scheduler, retries and storage. Disadvantages: no parts that
    survive the end of the cluster, unless the result goes to Parquet.

    Examples
    --------
    The page "Dask and LSDB" of the documentation.
    """
    import dask.array
    import dask.bag
    import dask.dataframe

    predictor = LoggEstimator() if predictor is None else predictor
    payload = packed(predictor)
    if isinstance(source, dask.array.Array):
        meta = empty_frame(predictor, wave is not None, **options)
        return _of_array(source, ivar, wave, payload, meta, options)
    if isinstance(source, dask.dataframe.DataFrame):
        if "str" in str(source.dtypes[flux]):
            raise ValueError(
                f"the cells of {flux!r} must be arrays, and Dask has made text of them: open the data frame "
                "under dask.config.set({'dataframe.convert-string': False})"
            )
        empty = empty_frame(predictor, wave is not None, **options)
        meta = source._meta[list(keep)].join(empty) if keep else empty
        meta.index = source._meta.index
        columns = {"flux": flux, "ivar": ivar, "wave": wave}
        return source.map_partitions(_rows_frame, columns, list(keep), payload, options, meta=meta)
    if isinstance(source, dask.bag.Bag):
        meta = empty_frame(predictor, **options)
        parts = [dask.delayed(_bag_frame)(part, payload, options) for part in source.to_delayed()]
        return dask.dataframe.from_delayed(parts, meta=meta, verify_meta=False)
    raise TypeError(f"source must be an array, data frame or bag of dask, got {type(source).__name__}")


def _of_array(flux, ivar, wave, payload, meta, options):
    import dask
    import dask.dataframe

    if flux.ndim != 2:
        raise ValueError(f"source must have shape (n, n_pixels), got {flux.shape}")
    if ivar is not None and ivar.shape != flux.shape:
        raise ValueError(f"ivar must have the shape of the source {flux.shape}, got {ivar.shape}")
    flux = flux.rechunk({1: -1})
    blocks = flux.to_delayed().ravel()
    weights = [None] * len(blocks) if ivar is None else ivar.rechunk(flux.chunks).to_delayed().ravel()
    parts = [
        dask.delayed(_array_frame)(block, weight, wave, payload, options)
        for block, weight in zip(blocks, weights, strict=True)
    ]
    return dask.dataframe.from_delayed(parts, meta=meta, verify_meta=False)


def _array_frame(flux, ivar, wave, payload, options):
    return predicted_frame(payload, flux, ivar=ivar, wave=wave, **options)


def _rows_frame(frame, columns, keep, payload, options):
    """Labels of a partition of a data frame."""
    if not len(frame):
        empty = predicted_frame(payload, RowSource([], columns["wave"] is not None), **options)
        return frame[keep].join(empty)
    named = {role: name for role, name in columns.items() if isinstance(name, str)}
    cells = {role: frame[name].tolist() for role, name in named.items()}
    if columns["wave"] is not None and "wave" not in cells:
        cells["wave"] = [np.asarray(columns["wave"])] * len(frame)
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    found = predicted_frame(payload, RowSource(rows, "wave" in cells), index=frame.index, **options)
    return found if not keep else frame[keep].assign(**{name: found[name] for name in found})


def _bag_frame(part, payload, options):
    return predicted_frame(payload, list(part), **options).drop(columns="file", errors="ignore")

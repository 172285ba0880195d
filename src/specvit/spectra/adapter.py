"""`adapt`, which brings every accepted kind of spectrum to one grid."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from typing import Any

import numpy as np

from specvit.grid import PFS_MR, Instrument, PixelGrid, air_to_vacuum
from specvit.spectra.arrays import batch_from_array
from specvit.spectra.batch import SpectrumBatch, SpectrumError
from specvit.spectra.given import bad_pixels, numbers_given
from specvit.spectra.kinds import Kind, kind_of
from specvit.spectra.objectname import row_of_meta
from specvit.spectra.observed import Parts, Stated, parts_of
from specvit.spectra.resampling import resample_all
from specvit.spectra.rules import judge
from specvit.spectra.units import resolving_power

__all__ = ["adapt"]


def adapt(
    spectra: Any,
    *,
    ivar: Any = None,
    grid: PixelGrid = PFS_MR,
    medium: str | None = None,
    resolution: Any = None,
    instrument: str | Instrument | None = None,
    mask: Any = None,
    on_error: str = "raise",
    lower_resolution: float | str = "raise",
    min_coverage: float = 0.5,
    covariance: bool = False,
) -> SpectrumBatch:
    """Bring spectra to a grid: F_λ, rest frame, the grid's medium; sharper ones to its line spread function.

    Parameters
    ----------
    spectra : specutils.Spectrum, specutils.SpectrumCollection, list, tuple, SpectrumBatch or array-like
        One `~specutils.Spectrum` of any number of dimensions (``Spectrum1D`` is one), a
        `~specutils.SpectrumCollection`, a list or tuple of one-dimensional `~specutils.Spectrum`
        (`~specutils.SpectrumList` is one), axes and units free to differ; or fluxes already on
        the grid, F_λ at rest, shape (npix,) or (n, npix), of NumPy, of torch or in lists; or a
        `SpectrumBatch` on that grid, which is judged anew. Never written to.
    ivar : array-like of float, optional
        Inverse variance of the fluxes, of their shape; for arrays only.
    grid : PixelGrid
        The output grid.
    medium : {"air", "vacuum"}, optional
        Medium of the wavelengths of all `spectra`. By default the one that the metadata of a spectrum
        state; where they state none, that of the `instrument`, else vacuum.
    resolution : float, array-like of shape (npix,) or astropy.units.Quantity, optional
        Resolving power R = λ/FWHM of all `spectra`, one number or one for each pixel; a length is taken as
        the FWHM. By default it is read from ``meta`` or ``meta["header"]`` under "resolution",
        "resolving_power", "R" or "SPEC_RES" (a list has one for each of several spectra); where it is not
        there, that of the `instrument`, else that of the grid is assumed, or two pixels per FWHM where these
        are wider.
    instrument : str or Instrument, optional
        What took all `spectra`, by the name of a preset (`specvit.grid.INSTRUMENTS`) or as an
        `~specvit.grid.Instrument`: gives the line spread function, the native pixels and the medium that the
        spectra do not state, and a default for `mask`.
    mask : str, (float, float) or sequence of these, optional
        Wavelengths not to be used, as observed, in vacuum Å: ``"telluric"``, the name of one band of
        `specvit.grid.TELLURIC`, windows (low, high), or several (see `~specvit.grid.find_windows`). None:
        ``"telluric"`` for a ground-based `instrument`, else nothing; ``"none"`` is nothing. In an array or a
        `SpectrumBatch` they are wavelengths of the grid.
    on_error : {"raise", "nan"}
        What happens to a spectrum that cannot be used. "raise" stops, so that no fault stays unnoticed;
        "nan" keeps its row, without information and flagged, with the reason in ``errors``, so that one
        fault does not cost the other spectra.
    lower_resolution : {"raise", "flag"} or float
        What to do with a spectrum whose FWHM is more than 10 % above the grid's, up to where networks that
        are not told of it are trained: treat it as unusable, or flag it and leave it as it is. A number: flag
        it down to this median resolving power, below it is unusable.
    min_coverage : float
        Least share of the grid's pixels with information, 0 to 1. The default, 0.5, is about what
        masked chunks leave in training. The less there is, the more labels depend on the prior.
    covariance : bool
        Also return the covariance of each pixel with the next two.

    Returns
    -------
    SpectrumBatch
        One row for each spectrum, in the order given.

    Raises
    ------
    SpectrumError
        If a spectrum cannot be used and ``on_error="raise"``: the message names the spectrum, the
        rule and the value. Unusable are spectra without any valid pixel, with less than
        `min_coverage`, of flux zero, or of a median flux that is not positive; with an axis that
        is unsorted, repeats, or is no wavelength; with a unit that is no flux density; of a
        resolution too low.
    TypeError, ValueError
        If the call itself is wrong (types, shapes, options, empty input), whatever `on_error` says.

    Notes
    -----
    The steps, in this order: wavelengths are converted to Å, flux and uncertainty to F_λ and
    variance; observed wavelengths are brought from air to vacuum (Morton 2000); the redshift or
    radial velocity of the spectral axis is removed; one sparse matrix rebins and smooths
    (`~specvit.grid.Resampler`). Masked pixels, pixels without a finite flux or a finite, positive
    uncertainty, and gaps hold no information: output pixels with less than 80 % of their weight on the others
    have ``ivar`` 0. So have those at both ends of the grid into which a less sharp spectrum blurs light from
    beyond (`~specvit.grid.unseen_ends`). Without uncertainties the noise is estimated from the scatter
    between pixels, and pixels of flux exactly 0 are taken for lost.

    See Also
    --------
    specvit.spectra.SpectrumBatch : What is returned, and its flags.
    specvit.grid.Resampler : The sparse matrix that rebins and smooths.

    Examples
    --------
    >>> import numpy as np
    >>> from specvit.spectra import adapt
    >>> batch = adapt(np.ones((2, 4096)), ivar=np.full((2, 4096), 100.0))
    >>> batch.shape, batch.snr.tolist(), batch.coverage.tolist()
    ((2,), [10.0, 10.0], [1.0, 1.0])
    """
    _check_options(grid, medium, resolution, on_error, lower_resolution, min_coverage)
    kind = kind_of(spectra)
    stated = Stated.of(medium, resolution, instrument, mask)
    instrument, windows = stated.instrument, stated.windows
    if instrument is not None and kind in (Kind.ARRAY, Kind.BATCH):
        raise ValueError(f"instrument is for Spectrum, got {instrument.name!r} with fluxes on the grid")
    if kind is Kind.ARRAY:
        batch, reasons = batch_from_array(spectra, ivar, grid, medium, resolution, covariance)
        return judge(_masked(batch, windows), reasons, on_error, min_coverage)
    if ivar is not None:
        raise ValueError(
            f"ivar is for arrays; a {'SpectrumBatch' if kind is Kind.BATCH else 'Spectrum'} carries its own "
            "uncertainty"
        )
    if kind is Kind.BATCH:
        batch = _copied(spectra, grid, medium, resolution, covariance)
        return judge(_masked(batch, windows), batch.errors, on_error, min_coverage)
    if kind is Kind.SPECTRUM:
        index = spectra.spectral_axis_index
        shape = tuple(np.delete(spectra.data.shape, index).tolist())
        sources = _same_resolution(parts_of(spectra), int(np.prod(shape)))
    elif kind is Kind.COLLECTION:
        shape = spectra.shape
        sources = [(parts, 1) for parts in _collection_parts(spectra)]
    else:
        for i, one in enumerate(spectra):
            if kind_of(one) is not Kind.SPECTRUM:
                raise TypeError(f"spectra[{i}] must be a Spectrum like others here, got {type(one).__name__}")
            if one.data.ndim != 1:
                raise ValueError(
                    f"spectra[{i}] must be one-dimensional in a list, got a flux of shape {one.data.shape}: "
                    "give a spectrum of several rows, or a cube, by itself"
                )
        shape = (len(spectra),)
        sources = [(parts_of(one), 1) for one in spectra]
    if not sum(n for _, n in sources):
        raise ValueError(f"spectra must not be empty, got shape {shape}")
    batch = SpectrumBatch.empty(shape, grid, covariance)
    reasons = resample_all(sources, batch, stated, lower_resolution)
    return judge(batch, reasons, on_error, min_coverage)


def _check_options(grid, medium, resolution, on_error, lower_resolution, min_coverage):
    if not isinstance(grid, PixelGrid):
        raise TypeError(f"grid must be a PixelGrid, got {type(grid).__name__}")
    for name, value, allowed in (
        ("medium", medium, (None, "air", "vacuum")),
        ("on_error", on_error, ("raise", "nan")),
    ):
        if not (value is None or isinstance(value, str)) or value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    number = not isinstance(lower_resolution, bool | str) and np.isscalar(lower_resolution)
    if not (lower_resolution > 0 if number else lower_resolution in ("raise", "flag")):
        raise ValueError(
            "lower_resolution must be one of 'raise', 'flag' or a positive resolving power, got "
            f"{lower_resolution!r}"
        )
    if resolution is not None:
        size = np.size(resolution)
        try:
            resolving_power(resolution, np.ones(size))
        except SpectrumError as error:
            raise ValueError(str(error)) from None
    if isinstance(min_coverage, bool | str) or not np.isscalar(min_coverage) or not 0 <= min_coverage <= 1:
        raise ValueError(f"min_coverage must be a number from 0 to 1, got {min_coverage!r}")


def _copied(batch, grid, medium, resolution, covariance):
    """A copy of a `SpectrumBatch` on the grid asked for: the caller's stays as it was."""
    if batch.grid != grid:
        raise ValueError(f"spectra must be on the grid {grid!r}, got a SpectrumBatch on {batch.grid!r}")
    if medium not in (None, grid.medium) or resolution is not None:
        raise ValueError(
            "medium and resolution are for Spectrum: a SpectrumBatch has those of its grid, got "
            f"{medium!r} and {resolution!r}"
        )
    if covariance and batch.covariance is None:
        raise ValueError("covariance must be False for a SpectrumBatch that was made without it")
    arrays = (field.name for field in fields(batch) if field.name not in ("shape", "grid"))
    return replace(batch, **{name: copy.copy(getattr(batch, name)) for name in arrays})


def _masked(batch, windows):
    """The batch, without information in the windows (k, 2)."""
    wave = air_to_vacuum(batch.grid.wave) if batch.grid.medium == "air" else batch.grid.wave
    for low, high in windows:
        inside = (wave >= low) & (wave <= high)
        batch.flux[:, inside] = batch.ivar[:, inside] = 0
        if batch.covariance is not None:
            batch.covariance[:, :, inside] = 0
    return batch


def _same_resolution(parts, n):
    """Pairs (`Parts`, rows) of n spectra on one axis: one pair, unless each has a resolution of its own."""
    own = parts.meta.get("resolution") if hasattr(parts.meta, "get") else None
    if not isinstance(own, list) or len(own) != n:
        return [(parts, n)]

    def rows(values):
        values = np.moveaxis(values, parts.axis_index, -1)
        return values.reshape(n, values.shape[-1])

    # Masks that only NumPy remembers are lost by a cut: `visible` has NaN there.
    flux, error = rows(numbers_given(parts.flux, "flux").visible), parts.uncertainty
    errors = None if error is None else rows(numbers_given(error.array, "uncertainty").visible)
    mask = None if parts.mask is None else rows(np.broadcast_to(parts.mask, np.shape(parts.flux)))
    return [
        (
            replace(
                parts,
                flux=flux[i],
                axis_index=0,
                uncertainty=None if error is None else type(error)(errors[i], unit=error.unit),
                mask=None if mask is None else mask[i],
                meta=row_of_meta(parts.meta, n, i),
            ),
            1,
        )
        for i in range(n)
    ]


def _collection_parts(collection):
    """`Parts` of each spectrum of a collection, in C order."""
    meta, mask, uncertainty = collection.meta, collection.mask, collection.uncertainty
    if (
        uncertainty is not None
        and (hidden := numbers_given(uncertainty.array, "uncertainty").masked) is not None
    ):
        mask = hidden if mask is None else bad_pixels(mask) | hidden  # which a cut of the uncertainty forgets
    for index in np.ndindex(collection.shape):
        one = meta
        if isinstance(meta, list | tuple | np.ndarray):
            one = np.asarray(meta, dtype=object)[index] if len(meta) else None
        yield Parts(
            flux=collection.flux.value[index],
            unit=collection.flux.unit,
            axis=collection.spectral_axis[index],
            axis_index=0,
            uncertainty=None if uncertainty is None else uncertainty[index],
            mask=None if mask is None else mask[index],
            meta=one,
            wcs=None,
        )

"""Spectra in the columns of a table, whatever table that is: one row a pixel, or one row a spectrum."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from specvit.spectra.readers.assembling import make_spectrum
from specvit.spectra.readers.columnroles import NEED_UNITS, find_columns, plain_name, split_unit
from specvit.spectra.readers.joining import Piece, are_orders, join
from specvit.spectra.readers.unitwords import flux_unit_of, to_wavelengths, wave_unit_of

__all__ = ["join_orders", "spectra_of_columns"]

_SHORTEST = 10  # pixels of an order
_CALLED = ("name", "object", "target", "targetid", "objid", "sourceid", "id")  # columns that name rows


def spectra_of_columns(
    names,
    values,
    units=None,
    *,
    chosen=None,
    wave_unit=None,
    flux_unit=None,
    header=None,
    medium=None,
    **facts,
):
    """Make the spectra of a table.

    Parameters
    ----------
    names : sequence of str
        Names of the columns.
    values : callable
        Name -> array-like, of shape (npix,), or (n, npix) where each row holds arrays.
    units : dict of str to str, optional
        Name -> unit that the table states.
    chosen : dict, optional
        Columns that the caller chose, as for `find_columns`.
    wave_unit, flux_unit : str, optional
        Units where the table states none.
    header : mapping, optional
        Kept in ``meta``.
    medium : {"air", "vacuum"}, optional
        Medium of the wavelengths; None: the name of the column may say it.
    **facts : dict
        For `make_spectrum`: resolution, instrument and entries of ``meta``.

    Returns
    -------
    list of specutils.Spectrum
        One for each row of arrays, and for each stretch of wavelengths that begin anew; if these are orders
        of one star (`are_orders`), one, joined.

    Raises
    ------
    ValueError
        If there is no wavelength or no flux among the columns.
    """
    columns, units = find_columns(names, chosen), units or {}
    _check_units(wave_unit, flux_unit)
    if not columns.complete:
        missing = " and ".join(
            ["wavelength"] * (not {"wave", "loglam"} & set(columns)) + ["flux"] * ("flux" not in columns)
        )
        raise ValueError(
            f"no column of {missing} is known by its name among {', '.join(map(str, names))}: "
            "choose columns, as --columns wave=NAME,flux=NAME,err=NAME, or columns={'wave': NAME, …}"
        )

    def column(role):
        return _numbers(values(columns[role]), columns[role]) if role in columns else None

    def stated(role, default):
        name = columns.get(role, "")
        return units.get(name) or split_unit(name)[1] or default

    axis = "wave" if "wave" in columns else "loglam"
    needs_unit = plain_name(split_unit(columns[axis])[0]) in NEED_UNITS
    if needs_unit and wave_unit_of(stated(axis, wave_unit)) is None:
        raise ValueError(f"column {columns[axis]!r} must state its unit: --wave-unit UNIT, or wave_unit=UNIT")
    unit, unit_note = flux_unit_of(stated("flux", flux_unit))
    flux, raw = np.atleast_2d(column("flux")), np.atleast_2d(column(axis))
    if len(raw) == 1 and flux.shape[1] != raw.size == len(flux):
        raise ValueError(
            f"column {columns['flux']!r} holds {flux.shape[1]} spectra side by side: they are read one a row"
        )
    naming = next((name for name in names if plain_name(name) in _CALLED), None) if len(flux) > 1 else None
    notes = [unit_note, _ignored([name for name in columns.ignored if name != naming])]
    kind = next((role for role in ("sigma", "ivar", "var") if role in columns), None)
    error = None if kind is None else np.broadcast_to(np.atleast_2d(column(kind)), flux.shape)
    if error is not None:
        error = _in_unit_of(error, stated(kind, None), unit, {"sigma": 1, "ivar": -2, "var": 2}[kind])
        if not (np.isfinite(error) & (error > 0)).any():
            notes.append(f"column {columns[kind]!r} has no error that is finite and positive: it is not used")
            error = None
    mask = _lost(column("mask"), column("good"), flux.shape)
    rows = []
    for i, one in enumerate(flux):
        wave, note = to_wavelengths(
            raw[i if len(raw) > 1 else 0], stated(axis, wave_unit), logarithm=axis == "loglam"
        )
        if wave.size != one.size:
            raise ValueError(f"there must be one wavelength a flux, got {wave.size} and {one.size}")
        own = (one, None if error is None else error[i], None if mask is None else mask[i])
        for part in _stretches(wave.value):
            some = (None if x is None else x[part] for x in own)
            rows.append((wave[part], *some, i))
    notes.append(note)
    called = [None] * len(flux) if naming is None else [str(one).strip() for one in values(naming)]
    common = {"unit": unit, "medium": medium or columns.medium, "header": header, "notes": notes, **facts}
    key = {"sigma": "sigma", "ivar": "ivar", "var": "variance", None: "sigma"}[kind]
    return join_orders(
        [
            make_spectrum(wave, one, mask=lost, name=called[i], **{key: uncertain}, **common)
            for wave, one, uncertain, lost, i in rows
        ]
    )


def _stretches(wave):
    """Where wavelengths rise, or fall, without a turn: slices; one for all but orders below each other.

    Wavelengths in no order at all, which turn within ten pixels, are brought into it.
    """
    turns = np.sign(np.diff(wave))
    turns = turns[turns != 0]
    if wave.size < 2 or not np.isfinite(wave).all() or (turns == turns[:1]).all():
        return [slice(None)]
    rising = np.median(np.diff(wave)) > 0
    starts = np.flatnonzero((np.diff(wave) < 0) if rising else (np.diff(wave) > 0)) + 1
    bounds = [0, *starts.tolist(), wave.size]
    if min(np.diff(bounds)) < _SHORTEST:
        return [np.argsort(wave, kind="stable")]
    return [slice(*pair) for pair in pairwise(bounds)]


def join_orders(spectra, relative=False):
    """Join spectra that are arms or orders of one star; others stay as they are.

    Parameters
    ----------
    spectra : list of specutils.Spectrum
        One-dimensional, of one file.
    relative : bool
        Whether the flux has the blaze of a grating in it, as counts have, without saying so.

    Returns
    -------
    list of specutils.Spectrum
        One, if `are_orders` says so and the units agree, divided by their continuum before if in counts.
    """
    from astropy import units as u

    if len(spectra) < 2 or any(one.flux.ndim > 1 or one.unit != spectra[0].unit for one in spectra):
        return spectra
    pieces = []
    for one in spectra:
        error = one.uncertainty
        key = {"std": "sigma", "ivar": "ivar", "var": "variance"}.get(
            getattr(error, "uncertainty_type", None)
        )
        errors = {} if key is None else {key: error.array}
        wave = one.spectral_axis.to_value(u.AA, u.spectral())
        pieces.append(Piece.of(wave, one.flux.value, mask=one.mask, **errors))
    if not are_orders(pieces):
        return spectra
    meta = {**spectra[0].meta, "joined": len(pieces)}
    notes = list(dict.fromkeys(note for one in spectra for note in one.meta["notes"]))
    in_counts = relative or any(note.endswith("is taken as relative") for note in notes)
    notes.append(f"{len(pieces)} arms or orders are joined" + ", each divided by its continuum" * in_counts)
    whole = join([piece.flattened() for piece in pieces] if in_counts else pieces)
    if np.ndim(meta.get("resolution")) > 0:
        del meta["resolution"]  # of a preset, which knows the other pieces too
    meta["notes"] = notes
    return [
        make_spectrum(
            whole.wave,
            whole.flux,
            unit=spectra[0].unit,
            variance=whole.variance,
            mask=~whole.good,
            **meta,
        )
    ]


def _check_units(wave_unit, flux_unit):
    """Units of the caller must be units: only files may have words that are none."""
    from astropy import units as u

    if wave_unit is not None and wave_unit_of(wave_unit) is None:
        raise ValueError(f"wave_unit must be a unit of wavelength, frequency or energy, got {wave_unit!r}")
    if flux_unit is not None and flux_unit_of(flux_unit)[1] is not None:
        u.Unit(flux_unit)  # counts are relative, apples are a mistake


def _numbers(values, name):
    """Values of a column as float64; masked ones are NaN."""
    try:
        values = np.ma.asarray(values)
        if values.dtype.kind == "O":  # a column of variable length: shorter rows are filled up
            rows = [np.asarray(one, np.float64) for one in values]
            values = np.full((len(rows), max(row.size for row in rows)), np.nan)
            for full, row in zip(values, rows, strict=True):
                full[: row.size] = row
        if values.dtype.kind in "SU":
            values = np.ma.asarray(np.char.strip(np.asarray(values, str)).astype(np.float64))
        if values.dtype.kind == "b":
            return np.ma.filled(values, False).astype(np.float64)
        return np.ma.filled(values.astype(np.float64), np.nan)
    except (ValueError, TypeError) as error:
        raise ValueError(f"column {name!r} must hold numbers: {' '.join(str(error).split())}") from None


def _in_unit_of(error, stated, unit, power):
    """Errors whose unit is stated, in the unit of the flux."""
    from astropy import units as u

    found, note = flux_unit_of(stated)
    if note is not None or found == u.dimensionless_unscaled:
        return error
    for target in (unit**power, unit):  # files often state the flux's unit for a variance
        if found.is_equivalent(target):
            return error * (found.to(target) if target == unit**power else found.to(unit) ** power)
    return error


def _lost(mask, good, shape):
    """Where pixels are lost, by a column of damage or one of goodness."""
    if mask is not None:
        return np.broadcast_to(np.nan_to_num(np.atleast_2d(mask), nan=1) != 0, shape)
    return None if good is None else np.broadcast_to(~(np.atleast_2d(good) > 0), shape)


def _ignored(columns):
    if not columns:
        return None
    several = len(columns) > 1
    names = ", ".join(str(name).removeprefix("column ") for name in columns)
    return f"column{'s' * several} {names} {'are' if several else 'is'} not used"

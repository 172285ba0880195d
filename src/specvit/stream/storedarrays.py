"""Files of arrays: HDF5, Zarr and ``.npy``, opened without reading them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from specvit.dataset import SpectrumDataset
from specvit.spectra.readers.columnroles import find_columns
from specvit.spectra.readers.hdf5file import arrays_of, is_hdf5, stated_facts, stated_unit
from specvit.spectra.readers.npzfile import single_spectrum
from specvit.spectra.readers.unitwords import to_wavelengths
from specvit.stream.arraysources import ArraySource, BatchSource, stamp

__all__ = ["is_stored", "open_stored"]

_SUFFIXES = (".h5", ".hdf5", ".zarr", ".npy")
_NAMES = ("name", "names", "id", "ids", "object", "targetid", "source_id")  # of objects, in any case
_SIMULATED = "spectrumdataset"


def is_stored(path):
    """Whether a path is that of a file of arrays, by its suffix."""
    return Path(path).suffix.lower() in _SUFFIXES


def open_stored(path, *, wave=None, names=None, batch_size=256):
    """Open a file of arrays as a source.

    Parameters
    ----------
    path : str or path-like
        ``.h5`` or ``.hdf5`` (a data set of `~specvit.dataset.write_dataset`, or with arrays called flux and,
        if you like, ivar or error, mask, wave, name, or as columns of tables may be called, at the top or in
        groups), ``.zarr`` (the same, or one array), or ``.npy``.
    wave, names, batch_size
        As for `specvit.stream.open_source`.

    Returns
    -------
    ArraySource or BatchSource, or None
        None for single spectra, which `specvit.spectra.readers` reads.

    Raises
    ------
    OSError, ValueError
        If there is no such file, or no flux (n, n_pixels) in it.
    ImportError
        For a Zarr file without the package zarr.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if path.suffix.lower() == ".npy":
        array = np.load(path, mmap_mode="r")
        if single_spectrum(array) is not None:
            return None
        found = {"flux": array}
    else:
        found = _zarr_arrays(path) if path.suffix.lower() == ".zarr" else _hdf5_arrays(path)
    if found is None:
        dataset = SpectrumDataset(path)
        mark = ["dataset", stamp(path)]
        batches = dataset.frozen(batch_size)
        return BatchSource(batches, total=len(dataset), batch_size=batch_size, mark=mark)
    shallow = {}  # name without its group -> the array that is least deep
    for where in sorted(found, key=lambda where: where.count("/")):
        shallow.setdefault(where.rsplit("/", 1)[-1], found[where])
    roles = find_columns(list(shallow))
    flux = shallow.get(roles.get("flux"))
    axis = shallow.get(roles.get("wave", roles.get("loglam")))
    per_row = flux is None or len(flux.shape) != 2 or (axis is not None and len(axis.shape) != 1)
    if per_row and wave is None and path.suffix.lower() not in (".npy", ".zarr") and is_hdf5(path):
        return None
    if flux is None or len(flux.shape) != 2:
        told = ", ".join(f"{name} {tuple(array.shape)}" for name, array in found.items()) or "nothing"
        raise ValueError(f"{path}: needs an array called flux of shape (n, n_pixels), has {told}")
    ivar, lost = _of_pixels(path, shallow, roles, flux.shape)
    facts, note = {}, None
    if axis is not None and axis.shape[0] == flux.shape[0] != flux.shape[1]:
        raise ValueError(
            f"{path}: flux must have a spectrum in each row, (n, n_pixels), got {tuple(flux.shape)} for "
            f"{axis.shape[0]} wavelengths: transpose it"
        )
    if wave is None and axis is not None:
        logarithm = "wave" not in roles
        wave, note = to_wavelengths(np.asarray(axis[:]), stated_unit(axis), logarithm=logarithm)
        facts = stated_facts(axis, getattr(axis, "parent", None), getattr(axis, "file", None))
    elif wave is None:
        _refuse_unknown_axis(path, shallow, flux.shape[1])
    if names is None:
        names = _names_in(shallow, flux.shape[0])
    flux = flux if lost is None else Unmasked(flux, *lost)
    notes = [] if note is None else [(note, str(path))]
    return ArraySource(flux, ivar, wave=wave, names=names, batch_size=batch_size, meta=facts, notes=notes)


def _of_pixels(path, arrays, roles, shape):
    """Inverse variance, and a mask with the value that it has where pixels are lost; None if absent."""
    found = {role: arrays[name] for role, name in roles.items() if role not in ("flux", "wave", "loglam")}
    for role, array in found.items():
        if tuple(array.shape) != tuple(shape):
            raise ValueError(
                f"{path}: {roles[role]} must have the shape of the flux {tuple(shape)}, got {array.shape}"
            )
    ivar = found.get("ivar")
    for role, power in (("sigma", 2), ("var", 1)):
        if role in found:
            ivar = FromErrors(found[role], power)
    for role, bad in (("mask", True), ("good", False)):
        if role in found:
            return ivar, (found[role], bad)
    return ivar, None


def _refuse_unknown_axis(path, arrays, npix):
    """Raise if there may be wavelengths under a name that is not known: the grid would be assumed."""
    for name, array in arrays.items():
        if tuple(array.shape) == (npix,) and array.dtype.kind in "fiu":
            steps = np.diff(np.asarray(array[:], float))
            if (steps > 0).all() or (steps < 0).all():
                raise ValueError(
                    f"{path}: {name} may be the wavelengths, but no such name is known: call it wave, or "
                    "give wave= yourself"
                )


def _names_in(arrays, n):
    """Names of the n objects, or None."""
    for name in _NAMES:
        array = next((array for one, array in arrays.items() if one.lower() == name), None)
        if array is not None and tuple(array.shape) == (n,):
            values = array[:].tolist()
            return [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in values]
    return None


class Unmasked:
    """Stored fluxes, NaN where a stored mask says that pixels are lost.

    Parameters
    ----------
    flux, mask : array-like, shape (n, n_pixels)
        Sliced together.
    bad : bool
        Whether pixels are lost where the mask is not 0, or where it is 0.
    """

    def __init__(self, flux, mask, bad=True):
        self.flux, self.mask, self.bad = flux, mask, bad
        self.shape, self.dtype = tuple(flux.shape), flux.dtype

    def __getitem__(self, rows):
        lost = (np.asarray(self.mask[rows]) != 0) == self.bad
        return np.where(lost, np.nan, self.flux[rows])


class FromErrors:
    """Inverse variances of stored errors, computed for the rows that are asked for.

    Parameters
    ----------
    error : array-like, shape (n, n_pixels)
        1σ errors, or variances; where one is not above 0 the inverse variance is 0.
    power : {2, 1}
        2 for errors, 1 for variances.
    """

    def __init__(self, error, power=2):
        self.error, self.power, self.shape = error, power, tuple(error.shape)

    def __getitem__(self, rows):
        error = np.asarray(self.error[rows], dtype=np.float64)
        good = np.isfinite(error) & (error > 0)
        return np.where(good, 1 / np.where(good, error, 1.0) ** self.power, 0.0)


def _hdf5_arrays(path):
    """All data sets by name; None for a simulated set, which has its own reader."""
    import h5py

    file = h5py.File(path, "r")
    if _SIMULATED in file:
        file.close()
        return None
    return arrays_of(file)


def _zarr_arrays(path):
    try:
        import zarr
    except ImportError:
        raise ImportError(f"{path}: Zarr files need the package zarr, which is not installed") from None
    opened = zarr.open(str(path), mode="r")
    return dict(opened.arrays()) if hasattr(opened, "arrays") else {"flux": opened}

"""Files of arrays: HDF5, Zarr and ``.npy``, opened without reading them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from specvit.dataset import SpectrumDataset
from specvit.stream.arraysources import ArraySource, BatchSource, stamp

__all__ = ["is_stored", "open_stored"]

_SUFFIXES = (".h5", ".hdf5", ".zarr", ".npy")
#: Names of arrays, in any case, in groups too: the first that is there counts.
_ROLES = {
    "flux": ("flux", "fluxes", "spectra", "spectrum"),
    "ivar": ("ivar", "inverse_variance", "invvar"),
    "error": ("error", "err", "sigma", "uncertainty", "flux_err", "flux_error"),
    "wave": ("wave", "wavelength", "lambda", "wavelengths"),
    "name": ("name", "names", "id", "ids", "object", "targetid", "source_id"),
}
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
        if you like, ivar or error, wave, name, at the top or in groups), ``.zarr`` (the same, or one array),
        or ``.npy``.
    wave, names, batch_size
        As for `specvit.stream.open_source`.

    Returns
    -------
    ArraySource or BatchSource

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
        found = {"flux": np.load(path, mmap_mode="r")}
    else:
        found = _zarr_arrays(path) if path.suffix.lower() == ".zarr" else _hdf5_arrays(path)
    if found is None:
        dataset = SpectrumDataset(path)
        mark = ["dataset", stamp(path)]
        batches = dataset.frozen(batch_size)
        return BatchSource(batches, total=len(dataset), batch_size=batch_size, mark=mark)
    chosen = {role: _choose(found, names) for role, names in _ROLES.items()}
    flux, ivar = chosen["flux"], chosen["ivar"]
    if flux is None or len(flux.shape) != 2:
        told = ", ".join(f"{name} {tuple(array.shape)}" for name, array in found.items()) or "nothing"
        raise ValueError(f"{path}: needs an array called flux of shape (n, n_pixels), has {told}")
    if ivar is None and chosen["error"] is not None:
        ivar = FromErrors(chosen["error"])
    if wave is None and chosen["wave"] is not None:
        wave = np.asarray(chosen["wave"][:])
    if names is None and chosen["name"] is not None and len(chosen["name"].shape) == 1:
        values = chosen["name"][:].tolist()
        names = [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in values]
    return ArraySource(flux, ivar, wave=wave, names=names, batch_size=batch_size)


class FromErrors:
    """Inverse variances of stored errors, computed for the rows that are asked for.

    Parameters
    ----------
    error : array-like, shape (n, n_pixels)
        1σ errors; where one is not above 0 the inverse variance is 0.
    """

    def __init__(self, error):
        self.error, self.shape = error, tuple(error.shape)

    def __getitem__(self, rows):
        error = np.asarray(self.error[rows], dtype=np.float64)
        good = np.isfinite(error) & (error > 0)
        return np.where(good, 1 / np.where(good, error, 1.0) ** 2, 0.0)


def _choose(found, names):
    """The array of the first of the names that is there, the shallowest."""
    for name in names:
        places = [where for where in found if where.rsplit("/", 1)[-1].lower() == name]
        if places:
            return found[min(places, key=lambda where: where.count("/"))]
    return None


def _hdf5_arrays(path):
    """All data sets by name; None for a simulated set, which has its own reader."""
    import h5py

    file = h5py.File(path, "r")
    if _SIMULATED in file:
        file.close()
        return None
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(visit)
    return found


def _zarr_arrays(path):
    try:
        import zarr
    except ImportError:
        raise ImportError(f"{path}: Zarr files need the package zarr, which is not installed") from None
    opened = zarr.open(str(path), mode="r")
    return dict(opened.arrays()) if hasattr(opened, "arrays") else {"flux": opened}

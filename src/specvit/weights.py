"""Trained regressors on disk: safetensors for the numbers, JSON in its header for everything else."""

from __future__ import annotations

import logging
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from specvit.archive import read_archive, write_archive
from specvit.network import LabelRegressor
from specvit.network.inputs import SNR_DEFINITION
from specvit.network.vit import without_drawing
from specvit.paths import user_path

_LOG = logging.getLogger(__name__)

__all__ = ["BUNDLED", "list_weights", "load_weights", "save_weights"]

FORMAT = "specvit-weights-1"
#: Standard deviations that the middle of a network's label may lie beyond the range that it was learned in.
_FAR = 5

#: Names of the weights that ship with the package, the default first.
BUNDLED = ("any", "paper")
#: Names of weights that shipped before, and of those that do now what they did.
_RETIRED = {"pfs-mr": "any"}


def save_weights(
    path: str | PathLike[str],
    regressor: Any,
    *,
    grid: Any = None,
    record: dict[str, Any] | None = None,
    dtype: Any = torch.float32,
) -> None:
    """Write a regressor to a safetensors file.

    Parameters
    ----------
    path : path-like
        File to be written; one that exists is replaced.
    regressor : LabelRegressor
        The trained network, with its scalings and calibration.
    grid : PixelGrid, optional
        Pixels of the spectra it takes.
    record : dict, optional
        How the network was trained, in plain JSON types. The definition of the S/N is added.
    dtype : torch.dtype
        Type of the network's weights in the file; float16 halves the size and moves predictions by about
        a thousandth of their σ. Scalings and calibration stay as they are.

    Examples
    --------
    >>> import tempfile
    >>> regressor, grid, record = load_weights("paper")
    >>> path = tempfile.mkdtemp() + "/mine.safetensors"
    >>> save_weights(path, regressor, grid=grid, record=record)
    >>> load_weights(path)[1] == grid
    True
    """
    tensors = {}
    for name, tensor in regressor.state_dict().items():
        narrow = name.startswith("network.") and tensor.is_floating_point()
        tensors[name] = tensor.detach().to("cpu", dtype if narrow else None)
    fields = {"regressor": regressor.to_dict(), "record": {"snr": SNR_DEFINITION} | (record or {})}
    write_archive(path, FORMAT, tensors, fields, grid)


def load_weights(source: str | PathLike[str] = BUNDLED[0]) -> tuple[Any, Any, dict[str, Any]]:
    """Read a regressor.

    Parameters
    ----------
    source : str or path-like
        Name of bundled weights (`list_weights`) or path of a file that `save_weights` wrote.

    Returns
    -------
    regressor : LabelRegressor
        The network in eval mode, float32, on the CPU.
    grid : PixelGrid or None
        Pixels of the spectra it takes; None for a network of plain features.
    record : dict
        How the network was trained.

    Raises
    ------
    FileNotFoundError
        If it is neither the name of bundled weights nor an existing file.
    ValueError
        If the file is truncated, damaged or not a weights file of this package, or what it says of the
        network cannot be.

    Examples
    --------
    >>> regressor, grid, record = load_weights()
    >>> regressor.label_names, len(grid)
    (('teff', 'logg', 'mh', 'alpham', 'cm'), 4096)
    """
    path = _locate(source)
    _LOG.debug("weights %s are read from %s", source, path)
    archive = read_archive(path, FORMAT, what="weights")
    try:
        with without_drawing():
            regressor = LabelRegressor.from_dict(archive.fields["regressor"])
        regressor.load_state_dict(archive.tensors)
        record = archive.fields["record"]
        _check_state(regressor, archive.grid)
        _check_record(regressor, record)
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"weights: {path} does not hold the model that its header describes ({error})"
        ) from error
    return regressor.eval(), archive.grid, record


def _check_state(regressor, grid):
    """Raise ValueError unless numbers and grid of a network are such as can be."""
    for name, values in regressor.network.state_dict().items():
        if not torch.stack(values.aminmax()).isfinite().all():  # one NaN makes both NaN; no array is made
            raise ValueError(f"{name} must be finite")
    regressor.set_label_scaling(regressor.label_centre, regressor.label_scale)
    # Labels whose σ nobody knows have NaN, as a whole.
    unknown = regressor.calibration_factor.isnan().flatten(0, -2).all(0)
    axes = [regressor.calibration_snr, torch.where(unknown, 1.0, regressor.calibration_factor)]
    if regressor.encoding == "instrument":
        axes += [regressor.calibration_lsf, regressor.calibration_coverage]
        if not (axes[2].isfinite().all() and (axes[2].diff() > 0).all()):
            raise ValueError("calibration_lsf must be finite and strictly increasing")
    factor = regressor.calibration_factor
    if regressor.encoding == "instrument":
        shape = regressor.shape_limits, regressor.shape_coefficients
        regressor.set_calibration(*axes)
        regressor.set_shape(*shape)
    else:
        regressor.set_calibration(*axes)
    regressor.calibration_factor = factor
    if regressor.covariance and not 0 <= regressor.correlation_shrinkage <= 1:
        raise ValueError(f"correlation_shrinkage must be in [0, 1], got {regressor.correlation_shrinkage}")
    if grid is not None and len(grid) != regressor.config.n_pixels:
        raise ValueError(
            f"the grid must have the network's {regressor.config.n_pixels} pixels, got {len(grid)}"
        )


def _check_record(regressor, record):
    """Raise ValueError unless the record of a network speaks of its labels, in its order of magnitude."""
    if not isinstance(record, dict):
        raise ValueError(f"the record must be a dict, got {record!r}")
    names, ranges = regressor.label_names, record.get("label_range", {})
    if not isinstance(ranges, dict) or not set(ranges) <= set(names):
        raise ValueError(f"label_range must be a dict of ranges of the labels {names}, got {ranges!r}")
    for name, centre, scale in zip(
        names, regressor.label_centre.tolist(), regressor.label_scale.tolist(), strict=True
    ):
        low, high = ranges.get(name, (centre, centre))
        if not (torch.isfinite(torch.tensor([low, high])).all() and low <= high):
            raise ValueError(f"label_range of {name} must be finite, the lowest first, got {ranges[name]!r}")
        if not low - _FAR * scale <= centre <= high + _FAR * scale:
            raise ValueError(
                f"label_range of {name}, {low:g} to {high:g}, must be about where the network's label lies, "
                f"{centre:g} ± {scale:g}: its labels are in another order"
            )
    columns = record.get("columns")
    if columns is not None and not (isinstance(columns, list) and set(columns) <= set(names)):
        raise ValueError(f"columns must be labels of {names}, got {columns!r}")
    features = record.get("features") or []
    if not isinstance(features, list) or len(features) not in (0, regressor.config.n_pixels):
        raise ValueError(f"features must name the {regressor.config.n_pixels} features, got {features!r}")


def list_weights() -> dict[str, dict[str, Any]]:
    """The records of the bundled weights by their names, a dict of str to dict.

    Examples
    --------
    >>> list(list_weights())
    ['any', 'paper']
    """
    found = {name: _bundled(name) for name in BUNDLED}
    return {
        name: read_archive(path, FORMAT, what="weights", header_only=True).fields["record"]
        for name, path in found.items()
        if path.exists()
    }


def _bundled(name):
    return Path(str(resources.files("specvit") / "data" / f"weights_{name}.safetensors"))


def _locate(source):
    if str(source) in BUNDLED and _bundled(source).exists():
        return _bundled(source)
    if user_path(source).is_file():
        return user_path(source)
    successor = _RETIRED.get(str(source))
    hint = f"; {successor!r} has replaced these" if successor else ""
    raise FileNotFoundError(
        f"weights must name bundled weights {tuple(list_weights())} or an existing file, got "
        f"{str(source)!r}{hint}"
    )

"""Trained regressors on disk: safetensors for the numbers, JSON in its header for everything else."""

from __future__ import annotations

import logging
from importlib import resources
from pathlib import Path

import torch

from specvit.archive import read_archive, write_archive
from specvit.network import LabelRegressor
from specvit.network.inputs import SNR_DEFINITION
from specvit.paths import user_path

_LOG = logging.getLogger(__name__)

__all__ = ["BUNDLED", "list_weights", "load_weights", "save_weights"]

FORMAT = "specvit-weights-1"

#: Names of the weights that ship with the package, the default first.
BUNDLED = ("any", "paper")
#: Names of weights that shipped before, and of those that do now what they did.
_RETIRED = {"pfs-mr": "any"}


def save_weights(path, regressor, *, grid=None, record=None, dtype=torch.float32):
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
    """
    tensors = {}
    for name, tensor in regressor.state_dict().items():
        narrow = name.startswith("network.") and tensor.is_floating_point()
        tensors[name] = tensor.detach().to("cpu", dtype if narrow else None)
    fields = {"regressor": regressor.to_dict(), "record": {"snr": SNR_DEFINITION} | (record or {})}
    write_archive(path, FORMAT, tensors, fields, grid)


def load_weights(source=BUNDLED[0]):
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
        If the file is truncated, damaged or not a weights file of this package.
    """
    path = _locate(source)
    _LOG.debug("weights %s are read from %s", source, path)
    archive = read_archive(path, FORMAT, what="weights")
    try:
        regressor = LabelRegressor.from_dict(archive.fields["regressor"])
        regressor.load_state_dict(archive.tensors)
        record = archive.fields["record"]
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"weights: {path} does not hold the model that its header describes ({error})"
        ) from error
    return regressor.eval(), archive.grid, record


def list_weights():
    """The records of the bundled weights by their names, a dict of str to dict."""
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

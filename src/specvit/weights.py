"""Trained regressors on disk: safetensors for the numbers, JSON in its header for everything else."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from specvit.grid import PixelGrid
from specvit.network import LabelRegressor
from specvit.network.inputs import SNR_DEFINITION

__all__ = ["BUNDLED", "list_weights", "load_weights", "save_weights"]

FORMAT = "specvit-weights-1"

#: Names of the weights that ship with the package, the default first.
BUNDLED = ("pfs-mr", "paper")


def save_weights(path, regressor, *, grid=None, record=None, dtype=torch.float32):
    """Write a regressor to a safetensors file.

    Parameters
    ----------
    path : path-like
    regressor : LabelRegressor
    grid : PixelGrid, optional
        Pixels of the spectra it takes.
    record : dict, optional
        How it came about: plain JSON types. The definition of the S/N is added.
    dtype : torch.dtype
        Of the network's weights in the file; float16 halves the size and moves predictions by about
        a thousandth of their σ. Scalings and calibration stay as they are.
    """
    tensors = {}
    for name, tensor in regressor.state_dict().items():
        narrow = name.startswith("network.") and tensor.is_floating_point()
        tensors[name] = tensor.detach().to("cpu", dtype if narrow else None).contiguous()
    if grid is not None:
        tensors |= {"grid.edges": torch.tensor(grid.edges), "grid.lsf_sigma": torch.tensor(grid.lsf_sigma)}
    header = {
        "format": FORMAT,
        "regressor": json.dumps(regressor.to_dict()),
        "record": json.dumps({"snr": SNR_DEFINITION} | (record or {})),
        "grid": json.dumps(None if grid is None else {"medium": grid.medium, "name": grid.name}),
    }
    save_file(tensors, str(path), metadata=header)


def load_weights(source=BUNDLED[0]):
    """Read a regressor.

    Parameters
    ----------
    source : str or path-like
        Name of bundled weights (`list_weights`) or path of a file that `save_weights` wrote.

    Returns
    -------
    regressor : LabelRegressor
        In eval mode, float32, on the CPU.
    grid : PixelGrid or None
    record : dict

    Raises
    ------
    FileNotFoundError
        If it is neither the name of bundled weights nor an existing file.
    ValueError
        If the file is truncated or is not a weights file of this package.
    """
    path = _locate(source)
    header, tensors = _read(path, with_tensors=True)
    try:
        regressor = LabelRegressor.from_dict(json.loads(header["regressor"]))
        description, grid = json.loads(header["grid"]), None
        edges, sigma = tensors.pop("grid.edges", None), tensors.pop("grid.lsf_sigma", None)
        if description is not None:
            grid = PixelGrid(edges.numpy(), sigma.numpy(), **description)
        regressor.load_state_dict(tensors)
        record = json.loads(header["record"])
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"weights: {path} does not hold the model that its header describes ({error})"
        ) from error
    return regressor.eval(), grid, record


def list_weights():
    """Names of the bundled weights with their records: dict of str to dict."""
    found = {name: _bundled(name) for name in BUNDLED}
    return {name: json.loads(_read(path)[0]["record"]) for name, path in found.items() if path.exists()}


def _bundled(name):
    return Path(str(resources.files("specvit") / "data" / f"weights_{name}.safetensors"))


def _locate(source):
    if str(source) in BUNDLED and _bundled(source).exists():
        return _bundled(source)
    if Path(source).is_file():
        return Path(source)
    raise FileNotFoundError(
        f"weights must name bundled weights {tuple(list_weights())} or an existing file, got {str(source)!r}"
    )


def _read(path, with_tensors=False):
    """Header and tensors of a weights file."""
    try:
        with safe_open(str(path), framework="pt") as archive:
            header = archive.metadata() or {}
            names = archive.keys() if with_tensors else ()
            tensors = {name: archive.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"weights: {path} is truncated or not a safetensors file ({error})") from error
    if header.get("format") != FORMAT:
        raise ValueError(
            f"weights: {path} is not a file of format {FORMAT} (it says {header.get('format')!r})"
        )
    return header, tensors

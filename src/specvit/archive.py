"""Files of numbers on a pixel grid: safetensors, with everything else as JSON in the header.

Weights and emulators are kept in this way. Reading a safetensors file never runs code, and one tensor can be
read by its name without reading the others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from specvit.digests import digest
from specvit.grid import PixelGrid
from specvit.paths import user_path

__all__ = ["Archive", "read_archive", "write_archive"]

_EDGES, _LSF = "grid.edges", "grid.lsf_sigma"
_OWN_FIELDS = ("format", "grid", "sha256")


@dataclass(frozen=True)
class Archive:
    """What a file that `write_archive` wrote holds.

    Attributes
    ----------
    tensors : dict of str to Tensor
        Tensors on the CPU, without those of the grid; empty if only the header was read.
    fields : dict
        The plain JSON values that stand beside the tensors in the header.
    grid : PixelGrid or None
        None if there is none in the file, or only the header was read.

    See Also
    --------
    read_archive : Makes one from a file.
    specvit.weights.load_weights : Makes a network of what a file of weights holds.

    Examples
    --------
    >>> import tempfile, torch
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "numbers.safetensors"
    >>> write_archive(path, "numbers-1", {"slope": torch.arange(3.0)}, {"author": "me"})
    >>> archive = read_archive(path, "numbers-1")
    >>> archive.tensors["slope"].tolist(), archive.fields
    ([0.0, 1.0, 2.0], {'author': 'me'})
    """

    tensors: dict
    fields: dict
    grid: PixelGrid | None = field(default=None)


def write_archive(path, kind, tensors, fields, grid=None):
    """Write tensors, plain fields and a grid to one file.

    Parameters
    ----------
    path : path-like
        File to be written; one that exists is replaced.
    kind : str
        Name and version of the format, such as ``specvit-weights-1``.
    tensors : dict of str to Tensor
        Numbers, of any type and device.
    fields : dict
        Plain JSON types, under any key but ``format``, ``grid`` and ``sha256``.
    grid : PixelGrid, optional
        Pixels that the numbers are for.

    Raises
    ------
    ValueError
        If a name is reserved.

    Examples
    --------
    >>> import tempfile, torch
    >>> path = tempfile.mkdtemp() + "/numbers.safetensors"
    >>> write_archive(path, "numbers-1", {"slope": torch.arange(3.0)}, {"author": "me"})
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    reserved = sorted({_EDGES, _LSF} & set(tensors) | set(_OWN_FIELDS) & set(fields))
    if reserved:
        raise ValueError(f"tensors and fields must not have the names {reserved}, which are reserved")
    if grid is not None:
        tensors |= {_EDGES: torch.tensor(grid.edges), _LSF: torch.tensor(grid.lsf_sigma)}
    header = {name: json.dumps(value) for name, value in fields.items()}
    header["grid"] = json.dumps(None if grid is None else {"medium": grid.medium, "name": grid.name})
    header["format"] = kind
    save_file(tensors, str(user_path(path)), metadata=header | {"sha256": _digest(tensors, header)})


def read_archive(path, kind, *, what="file", header_only=False, unverified=False):
    """Read a file that `write_archive` wrote.

    Parameters
    ----------
    path : path-like
        File to be read.
    kind : str
        Name and version of the format that the file must have.
    what : str
        What users call such a file, for messages: "weights", "emulator".
    header_only : bool
        Whether to leave the tensors unread; they are then not checked for damage either.

    unverified : bool
        Whether to accept a file without digest, of a version that wrote none: `write_archive` makes a new one
        of what is read.

    Returns
    -------
    Archive
        Tensors, fields and grid of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, damaged, of another format or without digest. The message names it and says
        what is wrong.

    Notes
    -----
    The header holds a SHA-256 of names, types, shapes and values of all tensors and of the other fields;
    what is read is compared with it.

    Examples
    --------
    >>> import tempfile, torch
    >>> path = tempfile.mkdtemp() + "/numbers.safetensors"
    >>> write_archive(path, "numbers-1", {"slope": torch.arange(3.0)}, {"author": "me"})
    >>> read_archive(path, "numbers-1", header_only=True).fields
    {'author': 'me'}
    """
    if not user_path(path).exists():
        raise FileNotFoundError(f"{what}: {path} does not exist")
    try:
        with safe_open(str(user_path(path)), framework="pt") as file:
            header = file.metadata() or {}
            names = () if header_only else file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{what}: {path} is truncated or not a safetensors file ({error})") from error
    if header.get("format") != kind:
        raise ValueError(f"{what}: {path} is not a file of format {kind} (it says {header.get('format')!r})")
    stored = header.pop("sha256", None)
    if stored is None and not unverified:
        raise ValueError(
            f"{what}: {path} has no digest of its contents, by which damage is found: it is damaged, or of "
            "an old version (read_archive(..., unverified=True) reads it, write_archive makes a new one)"
        )
    if stored is not None and not header_only and stored != _digest(tensors, header):
        raise ValueError(f"{what}: {path} is damaged, its numbers or header are not those that were written")
    fields = {}
    for name, text in header.items():
        if name != "format":
            try:
                fields[name] = json.loads(text)
            except json.JSONDecodeError as error:
                raise ValueError(
                    f"{what}: {path} is damaged, {name!r} in its header is no JSON ({error})"
                ) from error
    description, edges, sigma = fields.pop("grid", None), tensors.pop(_EDGES, None), tensors.pop(_LSF, None)
    if header_only or description is edges is sigma is None:
        return Archive(tensors, fields)
    try:
        medium, name = description["medium"], description["name"]
        grid = PixelGrid(edges.numpy(), sigma.numpy(), medium, name)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{what}: {path} does not hold the grid that its header describes ({error})"
        ) from error
    return Archive(tensors, fields, grid)


def _digest(tensors, header):
    """SHA-256 of everything in a file but itself."""
    about = {name: [str(values.dtype), list(values.shape)] for name, values in tensors.items()}
    text = json.dumps([about, header], sort_keys=True).encode()
    values = (tensors[name].reshape(-1).view(torch.uint8).numpy() for name in sorted(tensors))
    return digest(np.frombuffer(text, np.uint8), *values, length=64)

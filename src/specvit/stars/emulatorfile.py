"""Emulators on disk: a safetensors file with the components' arrays, the networks, the grid and a record."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
import torch

from specvit.archive import read_archive, write_archive
from specvit.grid import PixelGrid
from specvit.labels import LABELS

__all__ = ["EmulatorParts", "read_emulator_parts", "write_emulator"]

_FORMAT = "specvit-emulator-1"
#: Arrays of a file, in the order in which `Emulator` takes them.
_ARRAYS = ("wave", "mean", "components", "continuum_wave", "continuum_mean", "continuum_components")
_MODULE = "module."


@dataclass(frozen=True, eq=False)
class EmulatorParts:
    """What a file of an emulator holds.

    Attributes
    ----------
    path : path-like
        The file.
    grid : PixelGrid
        Pixels and line spread function of its spectra.
    arrays : tuple of ndarray
        ``wave`` to ``continuum_components``, in the order in which `~specvit.stars.Emulator` takes them.
    state : dict of str to tensor
        The module's state: its networks, their scales and the range of labels.
    record : dict
        How it was fitted and what it is worth.
    """

    path: object
    grid: PixelGrid
    arrays: tuple[np.ndarray, ...]
    state: dict
    record: dict


def write_emulator(path, emulator):
    """Write an emulator.

    Parameters
    ----------
    path : path-like
        Where to.
    emulator : Emulator
        On any device; a correction of its lines is not written.
    """
    tensors = {_MODULE + name: tensor for name, tensor in emulator.state_dict().items()}
    tensors |= {name: torch.as_tensor(getattr(emulator, name)) for name in _ARRAYS}
    write_archive(path, _FORMAT, tensors, {"labels": LABELS, "record": emulator.record}, emulator.grid)


def read_emulator_parts(path=None):
    """Read what `write_emulator` wrote; without `path`, the emulator that ships (PFS MR).

    Parameters
    ----------
    path : path-like, optional
        The file.

    Returns
    -------
    EmulatorParts

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, damaged or not an emulator.
    """
    if path is None:
        path = resources.files("specvit") / "data" / "emulator_pfs_mr.safetensors"
    archive = read_archive(path, _FORMAT, what="emulator")
    state = {k.removeprefix(_MODULE): v for k, v in archive.tensors.items() if k.startswith(_MODULE)}
    try:
        arrays = tuple(archive.tensors[name].numpy() for name in _ARRAYS)
        return EmulatorParts(path, archive.grid, arrays, state, archive.fields["record"])
    except KeyError as error:
        raise ValueError(f"emulator: {path} lacks a part of an emulator ({error})") from error

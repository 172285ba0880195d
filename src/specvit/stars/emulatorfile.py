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
        parts = EmulatorParts(path, archive.grid, arrays, state, archive.fields["record"])
        labels = archive.fields["labels"]
    except KeyError as error:
        raise ValueError(f"emulator: {path} lacks a part of an emulator ({error})") from error
    wrong = _what_is_wrong(parts, labels)
    if wrong:
        raise ValueError(f"emulator: {path} {wrong}")
    return parts


def _what_is_wrong(parts, labels):
    """The first thing in a file that cannot be, or None."""
    if labels != list(LABELS):
        return f"must be of the labels {list(LABELS)}, in this order, got {labels!r}"
    if parts.grid is None or not isinstance(parts.record, dict):
        return f"must have a grid and a record, got {parts.grid!r} and {type(parts.record).__name__}"
    arrays = dict(zip(_ARRAYS, parts.arrays, strict=True))
    for name, values in {**arrays, **{name: tensor.numpy() for name, tensor in parts.state.items()}}.items():
        if not np.isfinite(values).all():
            return f"must have finite numbers, got others in {name}"
    for name in ("wave", "continuum_wave"):
        wave = arrays[name]
        if wave.ndim != 1 or not (wave[0] > 0 and (np.diff(wave) > 0).all()):
            return f"must have positive, strictly increasing wavelengths, got others in {name}"
    for prefix, wave in (("", arrays["wave"]), ("continuum_", arrays["continuum_wave"])):
        mean, components = arrays[f"{prefix}mean"], arrays[f"{prefix}components"]
        if mean.shape != wave.shape or components.ndim != 2 or components.shape[1:] != wave.shape:
            return f"must have a mean and components for each of its {prefix}wave, got {components.shape}"
    for name in ("_scale", "_continuum_scale", "_half_range"):
        if name in parts.state and (parts.state[name] < 0).any():
            return f"must have no negative scale, got one in {name}"
    limits = parts.state.get("label_range")
    if limits is not None and not (limits.shape == (2, len(LABELS)) and (limits[0] < limits[1]).all()):
        return "must have a lowest and a higher highest value of each label, got other limits"
    return None

"""Fingerprints of fits, so that a checkpoint is only ever continued by the fit that it is of."""

from __future__ import annotations

import json

import numpy as np
import torch

from specvit.dataset import SpectrumDataset
from specvit.dataset.shardrecords import dataset_fingerprint
from specvit.digests import digest
from specvit.grid import PixelGrid
from specvit.network import LabelRegressor
from specvit.survey import Survey

__all__ = ["fingerprint"]


def fingerprint(*parts):
    """What tells one fit from another: sixteen hexadecimal digits of a SHA-256.

    Parameters
    ----------
    *parts : object
        All that determines the fit, in a fixed order: arrays and tensors (their numbers, type and shape),
        a survey (`~specvit.Survey.to_dict`), a data set (the checksums in its files), a grid, a network (its
        shape and its numbers); strings, numbers, None, and lists and dicts of these.

    Returns
    -------
    str

    Examples
    --------
    >>> fingerprint({"epochs": 3}, np.ones(2)) == fingerprint({"epochs": 3}, np.ones(2))
    True
    >>> fingerprint({"epochs": 3}, np.ones(2)) == fingerprint({"epochs": 3}, np.ones(3))
    False
    """
    text = json.dumps([_plain(part) for part in parts], sort_keys=True, default=repr)
    return digest(np.frombuffer(text.encode(), np.uint8))


def _plain(part):
    """Plain JSON types that stand for a part."""
    if isinstance(part, np.ndarray | torch.Tensor):
        values = part.detach().cpu().numpy() if isinstance(part, torch.Tensor) else part
        return ["array", str(values.dtype), list(values.shape), digest(values, length=64)]
    if isinstance(part, LabelRegressor):
        state = {name: _plain(value) for name, value in part.state_dict().items()}
        return ["network", part.to_dict(), state]
    if isinstance(part, PixelGrid):
        return ["grid", part.medium, digest(part.edges, part.lsf_sigma, length=64)]
    if isinstance(part, Survey):
        return ["survey", type(part).__name__, part.to_dict()]
    if isinstance(part, SpectrumDataset):
        return ["data set", dataset_fingerprint(part)]
    if isinstance(part, list | tuple):
        return [_plain(one) for one in part]
    return part

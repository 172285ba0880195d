"""What ``fit`` may be given, and which labels are learned from it: rules that all predictors share."""

from __future__ import annotations

import numpy as np

from specvit.dataset import SpectrumDataset
from specvit.grid import PFS_MR
from specvit.labels import label_tuple
from specvit.survey import Survey

__all__ = ["grid_to_learn", "is_source", "known_range", "labels_to_learn", "simulated_grid"]


def is_source(X):
    """Whether `X` is a survey or data set, which bring their own labels."""
    return isinstance(X, Survey | SpectrumDataset)


def grid_to_learn(grid, plain):
    """Grid of spectra in memory: the one given or PFS MR; None for plain features."""
    return None if plain else PFS_MR if grid is None else grid


def simulated_grid(X, grid, *, plain, **given):
    """Grid of a survey or data set to be learned from, None for plain features.

    Parameters
    ----------
    X : Survey or SpectrumDataset
        The survey or data set.
    grid : PixelGrid or None
        The one that was asked for.
    plain : bool
        Whether pixels are taken as plain features.
    **given : object
        Arguments that must be None, because `X` knows.

    Raises
    ------
    ValueError
        If one of `given` is not None, grids differ, or the files do not tell theirs.
    """
    kind = "survey" if isinstance(X, Survey) else "data set"
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} must be None for a {kind}, which knows its own")
    if X.grid is not None and grid not in (None, X.grid):
        raise ValueError(f"grid must be that of the {kind}, {X.grid!r}, got {grid!r}")
    if X.grid is None and not plain:
        raise ValueError(
            "X must be a data set of known grid; its files do not say their line spread function: open "
            "it as SpectrumDataset(path, grid=PixelGrid(edges, lsf_sigma))"
        )
    return None if plain else X.grid


def labels_to_learn(labels, offered, known=None):
    """Labels to learn of a survey or data set.

    Parameters
    ----------
    labels : str, sequence of str or None
        Labels asked for; None is all that can be learned.
    offered : tuple of str
        Labels of the survey or data set.
    known : tuple of str, optional
        Labels of a network to be fine-tuned.

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If a name is not offered, or unknown to the network.
    """
    if labels is None:
        labels = offered if known is None else tuple(name for name in known if name in offered)
    names = label_tuple(labels, among=offered)
    return names if known is None else label_tuple(names, among=known)


def known_range(names, values):
    """Lowest and highest finite value of each column of `values`; a column without any is left out."""
    return {
        name: [float(np.nanmin(column)), float(np.nanmax(column))]
        for name, column in zip(names, values.T, strict=True)
        if np.isfinite(column).any()
    }

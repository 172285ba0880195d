"""Spectra and arrays in memory, with the labels that the caller gives for them."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.utils.validation import validate_data

from specvit.network.feed import ShuffledArrays
from specvit.predictors.learning.sources import FEWEST_TO_SPLIT, Feed, Source, known_range
from specvit.predictors.prediction import order_one
from specvit.spectra import adapt

__all__ = ["ArraySource", "label_columns"]


class ArraySource(Source):
    """Spectra, or an array (n, n_pixels), and `y`; arguments as for `LoggEstimator.fit`.

    Parameters
    ----------
    plain : bool
        Take any features, unscaled.
    """

    def __init__(self, estimator, X, y, ivar, *, known, grid, medium, resolution, plain):
        if y is None:
            raise ValueError(
                f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is "
                "None."
            )
        y = getattr(y, "value", y)
        if plain:
            flux, y = validate_data(
                estimator,
                X,
                y,
                dtype=np.float64,
                ensure_all_finite="allow-nan",
                multi_output=True,
                y_numeric=True,
            )
            ivar = np.isfinite(flux).astype(np.float64)
        else:
            batch = adapt(X, ivar=ivar, grid=grid, medium=medium, resolution=resolution)
            y = np.asarray(y, dtype=np.float64)
            if y.ndim not in (1, 2) or len(y) != len(batch):
                raise ValueError(
                    f"y must have shape ({len(batch)},) or ({len(batch)}, n_labels), got {y.shape}"
                )
            flux, ivar = batch.flux, batch.ivar
        names, values = label_columns(y, estimator.labels, known)
        self.flux, self.ivar, self.values = flux, ivar, values
        super().__init__(
            names=names,
            n_pixels=flux.shape[1],
            grid=grid,
            label_range=known_range(names, values),
            many_outputs=y.ndim == 2,
        )

    def scaling_labels(self, device):
        """Labels (n, n_labels) of all spectra."""
        return torch.tensor(self.values)

    def feed(self, estimator, regressor, seed):
        """The `Feed` for a network, on its device."""
        like, scaled = regressor.label_scale, regressor.encoding != "none"
        flux, ivar = order_one(self.flux, self.ivar) if scaled else (self.flux, self.ivar)
        tensors = [torch.tensor(x, dtype=like.dtype) for x in (flux, ivar, self.values)]
        n, size = len(flux), estimator.batch_size
        order = np.random.default_rng(seed).permutation(n)
        n_held_out = int(estimator.validation_fraction * n) if n >= FEWEST_TO_SPLIT else 0
        used, held_out = (torch.as_tensor(np.sort(x)) for x in (order[n_held_out:], order[:n_held_out]))
        train = ShuffledArrays(*(x[used] for x in tensors), batch_size=size, seed=seed)
        if not n_held_out:
            return Feed(train)
        pieces = zip(*(x[held_out].split(max(256, size)) for x in tensors), strict=True)
        validation = [tuple(x.to(like.device) for x in batch) for batch in pieces]
        return Feed(train, validation=validation, calibration=validation)


def label_columns(y, labels, known):
    """Names of the columns of `y` and `y` as (n, n_labels) float64.

    Parameters
    ----------
    y : ndarray, shape (n,) or (n, n_labels)
    labels : tuple of str or None
        Names asked for; None is ``("logg",)`` for one column and `known` for as many as these.
    known : tuple of str or None
        Labels of the network to be fine-tuned; others are filled with NaN.

    Raises
    ------
    ValueError
        If names and columns do not match, or a name is unknown to the network.
    """
    y = np.asarray(y, dtype=np.float64)
    columns = y[:, None] if y.ndim == 1 else y
    n = columns.shape[1]
    if labels is None:
        defaults = {1: ("logg",)} | ({len(known): known} if known else {})
        labels = defaults.get(n, tuple(f"y{k}" for k in range(n)))
    labels = (labels,) if isinstance(labels, str) else tuple(labels)
    if len(labels) != n:
        raise ValueError(f"labels must name the {n} columns of y, got {labels!r}")
    if not np.isfinite(columns).any(0).all():
        raise ValueError("y must hold a finite value for every label, got a column without any")
    if known is None:
        return labels, columns
    unknown = set(labels) - set(known)
    if unknown:
        raise ValueError(f"labels must be among those of the weights, {known!r}, got {sorted(unknown)}")
    filled = np.full((len(columns), len(known)), np.nan)
    filled[:, [known.index(name) for name in labels]] = columns
    return tuple(known), filled

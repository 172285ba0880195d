"""Spectra and arrays in memory, with the labels that the caller gives for them."""

from __future__ import annotations

import numpy as np
import torch

from specvit.network.feed import ShuffledArrays
from specvit.network.tensors import order_one
from specvit.predictors.learning.trainingsources import FEWEST_TO_SPLIT, Feed, Source
from specvit.predictors.trainingdata import known_range

__all__ = ["ArraySource"]


class ArraySource(Source):
    """Spectra in memory.

    Parameters
    ----------
    flux, ivar : ndarray of float64, shape (n, n_pixels)
        Spectra on the network's pixels, or plain features and 1 where they are known.
    names : tuple of str
        Labels that are learned.
    values : ndarray of float64, shape (n, len(names))
        These labels, NaN where unknown.
    *instrument : ndarray, shape (n, n_pixels)
        For the encoding ``instrument``: lsf and sampling, see `specvit.network.encode`.
    known : tuple of str or None
        Labels of the network to be fine-tuned; those not among `names` are unknown.
    grid : PixelGrid or None
        None for plain features.
    """

    def __init__(self, flux, ivar, names, values, *instrument, known, grid):
        label_range = known_range(names, values)
        if known is not None:
            filled = np.full((len(values), len(known)), np.nan)
            filled[:, [known.index(name) for name in names]] = values
            names, values = tuple(known), filled
        self.flux, self.ivar, self.values, self.instrument = flux, ivar, values, instrument
        super().__init__(names=names, n_pixels=flux.shape[1], grid=grid, label_range=label_range)

    def scaling_labels(self, device):
        """Labels (n, n_labels) of all spectra; `device` does not matter."""
        return torch.tensor(self.values)

    def feed(self, regressor, config):
        """The `Feed` for a network, the `regressor`, on its device, by a `FitConfig` `config`."""
        like, scaled = regressor.label_scale, regressor.encoding != "none"
        flux, ivar = order_one(self.flux, self.ivar) if scaled else (self.flux, self.ivar)
        tensors = [torch.tensor(x, dtype=like.dtype) for x in (flux, ivar, self.values, *self.instrument)]
        n, size = len(flux), config.batch_size
        order = np.random.default_rng(config.seed).permutation(n)
        n_held_out = int(config.validation_fraction * n) if n >= FEWEST_TO_SPLIT else 0
        used, held_out = (torch.as_tensor(np.sort(x)) for x in (order[n_held_out:], order[:n_held_out]))
        train = ShuffledArrays(*(x[used] for x in tensors), batch_size=size, seed=config.seed)
        if not n_held_out:
            return Feed(train)
        pieces = zip(*(x[held_out].split(max(256, size)) for x in tensors), strict=True)
        validation = [tuple(x.to(like.device) for x in batch) for batch in pieces]
        return Feed(train, validation=validation, calibration=validation)

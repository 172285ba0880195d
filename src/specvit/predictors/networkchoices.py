"""`NetworkChoices`: what a user asks of a network, and the check that given weights agree with it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from specvit.checks import check_choice
from specvit.network import LabelRegressor, ViTConfig
from specvit.network.losses import LOSSES

__all__ = ["NetworkChoices"]

_ENCODING, _LOSS = "weighted", "gaussian_nll"
_POINT_LOSS = "mse"  # of weights without σ whose record does not say what they were trained with


@dataclass(frozen=True)
class NetworkChoices:
    """Choices for a network; None leaves one to the weights, or to the bundled configuration.

    Attributes
    ----------
    encoding, tokenizer, patch_size, position, width, depth, heads, dropout, loss
        As for `~specvit.LoggEstimator`.
    """

    encoding: str | None = None
    tokenizer: str | None = None
    patch_size: int | None = None
    position: str | None = None
    width: int | None = None
    depth: int | None = None
    heads: int | None = None
    dropout: float | None = None
    loss: str | None = None

    def __post_init__(self):
        if self.loss is not None:
            check_choice("loss", self.loss, LOSSES)

    @property
    def plain(self):
        """Whether a new network takes plain features."""
        return self.encoding == "none"

    def check_against(self, weights, regressor, own_grid, grid):
        """Raise if a choice is not that of the weights.

        Parameters
        ----------
        weights : str or path-like
            Name of the weights, for messages.
        regressor : LabelRegressor
            The network of the weights.
        own_grid : PixelGrid or None
            Grid of the weights.
        grid : PixelGrid or None
            The grid that the user asks for, if any.

        Raises
        ------
        ValueError
            Names the argument, the weights' value and the way out.
        """
        theirs = vars(regressor.config) | {"encoding": regressor.encoding, "grid": own_grid}
        for name, value in (vars(self) | {"grid": grid}).items():
            if value is None:
                continue
            if name == "loss":
                agree = (value == _LOSS) == regressor.heteroscedastic
                their = _LOSS if regressor.heteroscedastic else "one without σ, as l1, mse or huber"
            else:
                agree, their = value == theirs[name], theirs[name]
            if not agree:
                raise ValueError(
                    f"{name}={value!r} contradicts weights={str(weights)!r}, whose {name} is {their!r}: "
                    "leave it out, or set weights=None to train another network"
                )

    def loss_for(self, regressor, record):
        """The loss to train with: the one chosen, else that of the weights, which their `record` may tell."""
        if self.loss is not None:
            return self.loss
        if regressor.heteroscedastic:
            return _LOSS
        return record.get("loss") or record.get("training", {}).get("loss") or _POINT_LOSS

    def build(self, names, n_pixels, grid, seed):
        """An untrained `LabelRegressor`.

        Parameters
        ----------
        names : tuple of str
            Names of its labels.
        n_pixels : int
            Pixels, or features.
        grid : PixelGrid or None
            None for plain features.
        seed : int
            Seed of its first weights.
        """
        shape = ("tokenizer", "patch_size", "position", "width", "depth", "heads", "dropout")
        chosen = {name: getattr(self, name) for name in shape if getattr(self, name) is not None}
        if self.width is not None:
            chosen["mlp"] = 4 * self.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return LabelRegressor.build(
                ViTConfig(n_pixels=n_pixels, **chosen),
                names,
                encoding=self.encoding or _ENCODING,
                heteroscedastic=self.loss in (None, _LOSS),
                wavelength=None if grid is None else grid.wave,
            )

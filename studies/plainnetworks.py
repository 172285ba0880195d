"""Networks without attention, for comparison: a plain perceptron and a plain convolutional network."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["PLAIN_NETWORKS", "PlainCNN", "PlainMLP"]


class _Plain(nn.Module):
    @property
    def n_parameters(self):
        """Number of trainable values."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _read_out(self, x):
        with torch.autocast(device_type=x.device.type, enabled=False):  # as SpectrumViT does
            return self.head(x.to(self.head.weight.dtype))


class PlainMLP(_Plain):
    """Fully connected layers on all pixels: (n, channels, n_pixels) -> (n, n_outputs).

    Parameters
    ----------
    config : ViTConfig
        Of which pixels, channels and outputs are used.
    widths : sequence of int
        Widths of the hidden layers.
    """

    def __init__(self, config, widths=(1024, 512, 256)):
        super().__init__()
        sizes = (config.in_channels * config.n_pixels, *widths)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.head = nn.Linear(sizes[-1], config.n_outputs)

    def forward(self, x):
        """Outputs of encoded spectra `x`."""
        x = x.flatten(1)
        for layer in self.layers:
            x = F.gelu(layer(x))
        return self._read_out(x)


class PlainCNN(_Plain):
    """Strided convolutions, then a fully connected layer: (n, channels, n_pixels) -> (n, n_outputs).

    Each layer halves the number of pixels (the first quarters it); a layer norm over channels and positions
    follows it. The last one is flattened, so that the network knows where a line is.

    Parameters
    ----------
    config : ViTConfig
        Of which pixels, channels and outputs are used.
    channels : sequence of int
        Channels of the layers.
    """

    def __init__(self, config, channels=(32, 64, 64, 128, 128, 128)):
        super().__init__()
        sizes, self.layers, self.norms = (config.in_channels, *channels), nn.ModuleList(), nn.ModuleList()
        n = config.n_pixels
        for k, (a, b) in enumerate(pairwise(sizes)):
            stride = 2 if k else 4
            self.layers.append(nn.Conv1d(a, b, 9, stride=stride, padding=4))
            self.norms.append(nn.GroupNorm(1, b))
            n = (n - 1) // stride + 1
        self.hidden = nn.Linear(channels[-1] * n, 256)
        self.head = nn.Linear(256, config.n_outputs)

    def forward(self, x):
        """Outputs of encoded spectra `x`."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.gelu(norm(layer(x)))
        return self._read_out(F.gelu(self.hidden(x.flatten(1))))


#: Plain networks by name.
PLAIN_NETWORKS = {"mlp": PlainMLP, "cnn": PlainCNN}

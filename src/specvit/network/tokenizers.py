"""Spectrum to tokens: windows of neighbouring pixels, each mapped linearly to a vector.

Two tokenizers compute the same map. `Conv1dTokenizer` is the reference's strided convolution;
`SlidingWindowTokenizer` cuts the windows and multiplies by one matrix. Built from the same seed they
hold the same numbers (see `SpectrumViT`) and agree to rounding, for any stride up to the patch size.
`LocalTokenizer` gives every window a matrix of its own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

__all__ = [
    "TOKENIZERS",
    "Conv1dTokenizer",
    "LocalTokenizer",
    "SlidingWindowTokenizer",
    "normalise_chunks",
    "token_count",
]


def token_count(n_pixels, patch_size, stride):
    """Windows needed to see every pixel; the last may hang over the end and is padded with zeros."""
    return 1 + max(0, -(-(n_pixels - patch_size) // stride))


def normalise_chunks(windows, eps=1e-5):
    """Each window to zero mean and unit variance, so that a token sees lines and not the continuum.

    Advantage: insensitive to flux calibration. Disadvantage: the depth of the deepest feature of a
    window is lost, and pure noise is stretched to the size of a signal.

    Parameters
    ----------
    windows : Tensor, shape (..., patch_size)

    Returns
    -------
    Tensor, shape (..., patch_size)
    """
    variance, mean = torch.var_mean(windows, dim=-1, keepdim=True, correction=0)
    return (windows - mean) * torch.rsqrt(variance + eps)


class _Tokenizer(nn.Module):
    """What the tokenizers share: padding to whole windows, cutting, optional chunk normalisation."""

    def __init__(self, config):
        super().__init__()
        self.patch_size, self.stride = config.patch_size, config.step
        self.chunk_norm = config.chunk_norm
        self.padding = (config.n_tokens - 1) * self.stride + self.patch_size - config.n_pixels

    def windows(self, x):
        """(n, channels, n_pixels) -> (n, channels, tokens, patch): a view where nothing is padded."""
        windows = F.pad(x, (0, self.padding)).unfold(-1, self.patch_size, self.stride)
        return normalise_chunks(windows) if self.chunk_norm else windows


class Conv1dTokenizer(_Tokenizer):
    """A strided convolution: (n, channels, n_pixels) -> (n, tokens, width)."""

    def __init__(self, config):
        super().__init__(config)
        self.linear = nn.Conv1d(config.in_channels, config.width, config.patch_size, stride=config.step)

    def forward(self, x):
        if not self.chunk_norm:
            return self.linear(F.pad(x, (0, self.padding))).transpose(
                1, 2
            )  # (n, width, tokens) -> (n, tokens, width)
        # Overlapping windows are normalised one by one, so they are laid end to end before the convolution.
        x = self.windows(x).flatten(2)  # (n, channels, tokens, patch) -> (n, channels, tokens·patch)
        x = F.conv1d(x, self.linear.weight, self.linear.bias, stride=self.patch_size)
        return x.transpose(1, 2)  # (n, width, tokens) -> (n, tokens, width)


class SlidingWindowTokenizer(_Tokenizer):
    """Unfold, then one matrix product: (n, channels, n_pixels) -> (n, tokens, width)."""

    def __init__(self, config):
        super().__init__(config)
        self.linear = nn.Linear(config.in_channels * config.patch_size, config.width)

    def forward(self, x):
        x = self.windows(x).transpose(1, 2)  # (n, channels, tokens, patch) -> (n, tokens, channels, patch)
        return self.linear(x.flatten(2))  # (n, tokens, channels·patch) -> (n, tokens, width)


class LocalTokenizer(_Tokenizer):
    """A matrix of its own for every window: (n, channels, n_pixels) -> (n, tokens, width).

    Images look alike everywhere, spectra do not: each window holds its own lines. With its own matrix
    a token projects the spectrum on templates for these lines at once, which a shared matrix must
    leave to the encoder. Advantage: learns far faster. Disadvantages: tokens times more parameters, and
    nothing learned in one window helps in another, so spectra must come on one fixed grid, in the
    rest frame to about a pixel.
    """

    def __init__(self, config):
        super().__init__(config)
        self.weight = nn.Parameter(
            torch.zeros(config.n_tokens, config.in_channels * config.patch_size, config.width)
        )
        self.bias = nn.Parameter(torch.zeros(config.n_tokens, 1, config.width))

    def forward(self, x):
        x = (
            self.windows(x).permute(2, 0, 1, 3).flatten(2)
        )  # (n, channels, tokens, patch) -> (tokens, n, channels·patch)
        return torch.baddbmm(self.bias.to(x.dtype), x, self.weight.to(x.dtype)).transpose(
            0, 1
        )  # (n, tokens, width)


#: Tokenizers by name.
TOKENIZERS = {"conv1d": Conv1dTokenizer, "sliding_window": SlidingWindowTokenizer, "local": LocalTokenizer}

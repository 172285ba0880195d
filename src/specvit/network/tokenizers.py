"""Spectrum to tokens: windows of neighbouring pixels, each mapped linearly to a vector.

Two tokenizers compute the same map. `Conv1dTokenizer` is the reference's strided convolution;
`SlidingWindowTokenizer` cuts the windows and multiplies by one matrix. Built from the same seed they
hold the same numbers (see `SpectrumViT`) and agree to rounding, for any stride up to the patch size.
`LocalTokenizer` has a matrix for every window.

One shared matrix has few parameters, which is better for few training spectra, and what it learns in one
window holds in all, so that spectra may move over the pixels. A matrix for every window learns far faster
from many spectra on one grid.
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
    """Windows of `patch_size` pixels, one every `stride`, that cover `n_pixels`; the last is zero-padded.

    Examples
    --------
    >>> token_count(4096, 64, 64), token_count(4096, 100, 50)
    (64, 81)
    """
    return 1 + max(0, -(-(n_pixels - patch_size) // stride))


def normalise_chunks(windows, eps=1e-5):
    """Normalise each window to zero mean and unit variance, so that a token holds lines and no continuum.

    Advantage: insensitive to flux calibration. Disadvantage: the depth of the deepest feature of a
    window is lost, and pure noise is stretched to the size of a signal.

    Parameters
    ----------
    windows : Tensor, shape (..., patch_size)
        Pixels of each window.

    Returns
    -------
    Tensor, shape (..., patch_size)

    Examples
    --------
    >>> import torch
    >>> normalise_chunks(torch.tensor([[1.0, 2.0, 3.0]])).round(decimals=2).tolist()
    [[-1.2200000286102295, 0.0, 1.2200000286102295]]
    """
    variance, mean = torch.var_mean(windows, dim=-1, keepdim=True, correction=0)
    return (windows - mean) * torch.rsqrt(variance + eps)


class _Tokenizer(nn.Module):
    """Base of the tokenizers: padding to whole windows, cutting, optional normalisation of windows."""

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
    """A strided convolution: (n, channels, n_pixels) -> (n, tokens, width).

    Advantages: few parameters; the form of the reference. Disadvantage: the encoder must learn what each
    window holds, which takes far more steps than with `LocalTokenizer`.

    Examples
    --------
    >>> import torch
    >>> from specvit.network import ViTConfig
    >>> config = ViTConfig(n_pixels=64, patch_size=16, width=8, heads=2)
    >>> tuple(Conv1dTokenizer(config)(torch.zeros(3, 2, 64)).shape)
    (3, 4, 8)
    """

    def __init__(self, config):
        super().__init__(config)
        self.linear = nn.Conv1d(config.in_channels, config.width, config.patch_size, stride=config.step)

    def forward(self, x):
        """Tokens, (n, n_tokens, width), of encoded spectra `x`, (n, channels, n_pixels)."""
        if not self.chunk_norm:
            return self.linear(F.pad(x, (0, self.padding))).transpose(
                1, 2
            )  # (n, width, tokens) -> (n, tokens, width)
        # Overlapping windows are normalised one by one, so they are laid end to end before the convolution.
        x = self.windows(x).flatten(2)  # (n, channels, tokens, patch) -> (n, channels, tokens·patch)
        x = F.conv1d(x, self.linear.weight, self.linear.bias, stride=self.patch_size)
        return x.transpose(1, 2)  # (n, width, tokens) -> (n, tokens, width)


class SlidingWindowTokenizer(_Tokenizer):
    """Unfold, then one matrix product: (n, channels, n_pixels) -> (n, tokens, width).

    Advantages and disadvantages are those of `Conv1dTokenizer`, of which it is another way of computing; here
    the windows exist as an array, which is easier to read and to change.

    Examples
    --------
    >>> import torch
    >>> from specvit.network import ViTConfig
    >>> config = ViTConfig(n_pixels=64, patch_size=16, width=8, heads=2)
    >>> tuple(SlidingWindowTokenizer(config)(torch.zeros(3, 2, 64)).shape)
    (3, 4, 8)
    """

    def __init__(self, config):
        super().__init__(config)
        self.linear = nn.Linear(config.in_channels * config.patch_size, config.width)

    def forward(self, x):
        """Tokens, (n, n_tokens, width), of encoded spectra `x`, (n, channels, n_pixels)."""
        x = self.windows(x).transpose(1, 2)  # (n, channels, tokens, patch) -> (n, tokens, channels, patch)
        return self.linear(x.flatten(2))  # (n, tokens, channels·patch) -> (n, tokens, width)


class LocalTokenizer(_Tokenizer):
    """A matrix for every window: (n, channels, n_pixels) -> (n, tokens, width).

    All parts of an image look alike; the windows of a spectrum do not, for each holds other lines. With a
    matrix for each window, tokens are projections of the spectrum on templates for these lines. With a
    shared matrix the encoder has to find the lines. Advantage: it learns far faster. Disadvantages: as many
    times more parameters as there are tokens; what is learned in one window does not help in another, so
    spectra must come on one fixed grid, in the rest frame to about a pixel.

    Examples
    --------
    >>> import torch
    >>> from specvit.network import ViTConfig
    >>> config = ViTConfig(n_pixels=64, patch_size=16, width=8, heads=2)
    >>> tuple(LocalTokenizer(config)(torch.zeros(3, 2, 64)).shape)
    (3, 4, 8)
    """

    def __init__(self, config):
        super().__init__(config)
        self.weight = nn.Parameter(
            torch.zeros(config.n_tokens, config.in_channels * config.patch_size, config.width)
        )
        self.bias = nn.Parameter(torch.zeros(config.n_tokens, 1, config.width))

    def forward(self, x):
        """Tokens, (n, n_tokens, width), of encoded spectra `x`, (n, channels, n_pixels)."""
        x = (
            self.windows(x).permute(2, 0, 1, 3).flatten(2)
        )  # (n, channels, tokens, patch) -> (tokens, n, channels·patch)
        return torch.baddbmm(self.bias.to(x.dtype), x, self.weight.to(x.dtype)).transpose(
            0, 1
        )  # (n, tokens, width)


#: Tokenizers by name.
TOKENIZERS = {"conv1d": Conv1dTokenizer, "sliding_window": SlidingWindowTokenizer, "local": LocalTokenizer}

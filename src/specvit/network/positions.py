"""Position encodings, which tell the network where a token is, by index or by wavelength.

Each encoding is a module with two methods: `forward` adds a position vector to the tokens, and
`rotation` gives the angles by which attention turns queries and keys (rotary encoding only).
A class token, where there is one, is token 0.
"""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = [
    "POSITIONS",
    "LearnedPosition",
    "NoPosition",
    "RotaryPosition",
    "SinusoidalPosition",
    "WavelengthPosition",
    "rotate",
    "token_wavelengths",
]


class NoPosition(nn.Module):
    """No position: the order of the windows is unknown to the network.

    Advantage: shows in comparison how much positions help. Disadvantage: the network can tell windows apart
    by their content only, unless a `LocalTokenizer` treats each of them differently.

    Examples
    --------
    >>> from specvit.network import ViTConfig
    >>> config = ViTConfig(n_pixels=64, patch_size=16, width=8, heads=2)
    >>> tokens = torch.zeros(3, config.sequence_length, 8)
    >>> NoPosition(config)(tokens).shape
    torch.Size([3, 4, 8])
    """

    def __init__(self, config, wavelength=None):
        super().__init__()

    def forward(self, tokens):
        """Tokens with their position added, shape (n, tokens, width)."""
        return tokens

    def rotation(self):
        """(cos, sin), each of shape (tokens, head width / 2), or None where nothing is rotated."""
        return None


class LearnedPosition(NoPosition):
    """One free vector for each token, the class token included: the reference's choice.

    Advantage: any relation between windows can be learned. Disadvantages: its parameters need many spectra,
    and the vectors belong to one grid and patch size.

    Examples
    --------
    >>> from specvit.network import ViTConfig
    >>> config = ViTConfig(n_pixels=64, patch_size=16, width=8, heads=2)
    >>> tokens = torch.zeros(3, config.sequence_length, 8)
    >>> LearnedPosition(config)(tokens).shape
    torch.Size([3, 4, 8])
    """

    def __init__(self, config, wavelength=None):
        super().__init__(config)
        self.table = nn.Parameter(torch.zeros(config.sequence_length, config.width))

    def forward(self, tokens):
        return tokens + self.table


class SinusoidalPosition(NoPosition):
    """Fixed sines and cosines of the index (Vaswani et al. 2017, arXiv:1706.03762).

    Advantage: no parameters, so that it suits few training spectra. Disadvantage: it states the order of
    tokens, not their wavelengths, and belongs to one grid and patch size.

    Examples
    --------
    >>> from specvit.network import ViTConfig
    >>> config = ViTConfig(n_pixels=64, patch_size=16, width=8, heads=2)
    >>> tokens = torch.zeros(3, config.sequence_length, 8)
    >>> SinusoidalPosition(config)(tokens).shape
    torch.Size([3, 4, 8])
    """

    def __init__(self, config, wavelength=None):
        super().__init__(config)
        index = torch.arange(config.sequence_length, dtype=torch.float64)
        frequency = 10_000.0 ** (-torch.arange(0, config.width, 2, dtype=torch.float64) / config.width)
        angle = index[:, None] * frequency  # (tokens, ceil(width / 2))
        # (tokens, ceil(width / 2), 2) -> (tokens, width), sines and cosines alternating
        table = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, : config.width]
        self.register_buffer("table", table.to(torch.get_default_dtype()), persistent=False)

    def forward(self, tokens):
        return tokens + self.table


def rotate(x, rotation):
    """Turn pairs of components of `x` by each token's angles.

    Parameters
    ----------
    x : Tensor, shape (n, heads, tokens, head width)
        Queries or keys.
    rotation : (Tensor, Tensor)
        Cosines and sines, shape (tokens, head width / 2).

    Returns
    -------
    Tensor, shape (n, heads, tokens, head width)
        In the precision of `x`; the angles are applied in theirs.
    """
    cos, sin = rotation
    a, b = x.chunk(2, dim=-1)  # (n, heads, tokens, head width / 2) each
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1).to(x.dtype)


class RotaryPosition(NoPosition):
    """Rotary encoding (Su et al. 2021, arXiv:2104.09864): attention depends on index differences only.

    Advantages: no parameters; two lines at a given distance are related alike everywhere. Disadvantages: a
    little slower, as every layer turns its vectors; the absolute wavelength of a token is not stated.

    The class token has no place in the spectrum and is not turned.

    Examples
    --------
    >>> from specvit.network import ViTConfig
    >>> config = ViTConfig(n_pixels=64, patch_size=16, width=8, heads=2)
    >>> tokens = torch.zeros(3, config.sequence_length, 8)  # which attention turns, not this
    >>> bool((RotaryPosition(config)(tokens) == tokens).all())
    True
    """

    def __init__(self, config, wavelength=None):
        super().__init__(config)
        half = config.width // config.heads // 2
        frequency = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.arange(config.n_tokens, dtype=torch.float64)[:, None] * frequency  # (n_tokens, half)
        if config.pooling == "cls":
            angle = torch.cat([torch.zeros(1, half, dtype=angle.dtype), angle])  # (1 + n_tokens, half)
        self.register_buffer("cos", angle.cos().to(torch.get_default_dtype()), persistent=False)
        self.register_buffer("sin", angle.sin().to(torch.get_default_dtype()), persistent=False)

    def rotation(self):
        return self.cos, self.sin


def token_wavelengths(wavelength, config):
    """Mean `wavelength` of the pixels of each token, without padding, shape (n_tokens,), for a `config`.

    Examples
    --------
    >>> from specvit.network import ViTConfig
    >>> token_wavelengths(torch.arange(8000.0, 8008.0), ViTConfig(n_pixels=8, patch_size=4)).tolist()
    [8001.5, 8005.5]
    """
    wavelength = torch.as_tensor(wavelength, dtype=torch.float64)
    if wavelength.shape != (config.n_pixels,):
        raise ValueError(f"wavelength must have shape ({config.n_pixels},), got {tuple(wavelength.shape)}")
    if not (wavelength.isfinite().all() and (wavelength > 0).all()):
        raise ValueError("wavelength must be finite and positive")
    starts = [token * config.step for token in range(config.n_tokens)]
    return torch.stack([wavelength[start : start + config.patch_size].mean() for start in starts])


class WavelengthPosition(NoPosition):
    """Physics-informed position: a learned linear map of Fourier features of ln λ.

    The features are sin and cos of 2π k ln(λ / 5000 Å) for k from 1 to 512 in geometric steps. The class
    token gets no position.

    Advantages: a line has the same position on any grid and with any patch size; a Doppler shift moves all
    tokens alike; few parameters. Disadvantages: the network must be given the wavelengths of its pixels; the
    map is less free than `LearnedPosition`.

    Parameters
    ----------
    config : ViTConfig
        Shape of the network.
    wavelength : array-like of float, shape (n_pixels,)
        Wavelengths of the pixels, in Å.

    Examples
    --------
    >>> from specvit.network import ViTConfig
    >>> config = ViTConfig(n_pixels=64, patch_size=16, width=8, heads=2)
    >>> position = WavelengthPosition(config, torch.linspace(7100, 8850, 64))
    >>> position(torch.zeros(3, config.sequence_length, 8)).shape
    torch.Size([3, 4, 8])
    """

    n_frequencies = 32

    def __init__(self, config, wavelength=None):
        super().__init__(config)
        if wavelength is None:
            raise ValueError("position='pipe' needs the wavelengths of the pixels: pass wavelength=")
        wavelength = token_wavelengths(wavelength, config)
        frequency = torch.logspace(0, 9, self.n_frequencies, base=2, dtype=torch.float64)
        angle = 2 * math.pi * torch.log(wavelength / 5000.0)[:, None] * frequency  # (n_tokens, n_frequencies)
        features = torch.cat([angle.sin(), angle.cos()], dim=1)  # (n_tokens, 2 n_frequencies)
        self.register_buffer("features", features.to(torch.get_default_dtype()))
        self.linear = nn.Linear(2 * self.n_frequencies, config.width)
        self.prefix = config.sequence_length - config.n_tokens

    def forward(self, tokens):
        position = self.linear(self.features)  # (n_tokens, width)
        return torch.cat([tokens[:, : self.prefix], tokens[:, self.prefix :] + position], dim=1)


#: Position encodings by name.
POSITIONS = {
    "learned": LearnedPosition,
    "none": NoPosition,
    "pipe": WavelengthPosition,
    "rope": RotaryPosition,
    "sinusoidal": SinusoidalPosition,
}

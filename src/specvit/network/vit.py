"""The Vision Transformer for spectra.

Windows of pixels become tokens (`tokenizers`), tokens learn where they are (`positions`), pre-norm
encoder layers mix them, and one vector (the class token, or the mean) is mapped to the outputs.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from specvit.checks import check_choice, check_integer, check_number, from_known_fields
from specvit.network.dropout import Dropout
from specvit.network.fastlayers import fast_attention, fast_mlp, fits_attention, fits_mlp
from specvit.network.positions import POSITIONS, rotate
from specvit.network.tokenizers import TOKENIZERS, token_count

__all__ = ["SpectrumViT", "ViTConfig", "without_drawing"]

#: Spectra that are in the layers at once on a processor, where no gradients are kept: what a layer makes of
#: a few stays in the cache. The tokenizer, whose matrices are large, takes all that there are.
_ENCODED_AT_ONCE = 8


@dataclass(frozen=True)
class ViTConfig:
    """Shape of a `SpectrumViT`; by default that of the bundled weights ``any``.

    The bundled weights take flux and information and give five labels with σ. They have no dropout, because
    simulated spectra and noise never repeat, and the mean of the tokens and wide heads, because these are
    faster and no less accurate. Their tokenizer is local: after 800 steps of 1024 `paper` spectra it had R²
    0.852 in log g, against 0.721 for a shared matrix at patch 16 (local at patch 16: 0.845). A shared matrix
    has fewer parameters, which is better where training spectra are few. Windows of 64 pixels are no less
    accurate than those of 32, which ``paper`` has, at half the work (docs, *Studies*, tokens).

    Parameters
    ----------
    n_pixels, in_channels, n_outputs : int
        Pixels and channels of the input, and number of outputs.
    patch_size : int
        Pixels per token.
    stride : int or None
        Pixels between the starts of neighbouring tokens, at most `patch_size`; None means `patch_size`.
    tokenizer : {"conv1d", "sliding_window", "local"}
        "conv1d" and "sliding_window" apply one linear map to all windows, as a convolution or as one matrix
        product; "local" has a map for each window. See `specvit.network.tokenizers`.
    chunk_norm : bool
        Whether each window is first normalised to zero mean and unit variance, see
        `specvit.network.tokenizers.normalise_chunks`.
    position : {"learned", "sinusoidal", "rope", "pipe", "none"}
        Position encoding, see `specvit.network.positions`; "pipe" needs the wavelengths of the pixels.
    width, depth, heads, mlp : int
        Token width, encoder layers, attention heads, width of the feed-forward layer.
    dropout, attention_dropout : float
        Probability of dropping hidden values, and attention weights.
    pooling : {"cls", "mean"}
        The vector that the outputs are read from: a class token, or the mean of the tokens. A class token can
        weigh the tokens, as in the reference; the mean is faster at 256 tokens, because 257 is an
        unfavourable length for GPUs.

    Raises
    ------
    ValueError
        If a value breaks its rule.

    See Also
    --------
    LabelRegressor.build : Sets channels and outputs to fit encoding and labels.

    Examples
    --------
    >>> ViTConfig(depth=2).n_tokens
    64
    >>> ViTConfig.reference().sequence_length
    257
    """

    n_pixels: int = 4096
    in_channels: int = 2
    n_outputs: int = 10
    patch_size: int = 64
    stride: int | None = None
    tokenizer: str = "local"
    chunk_norm: bool = False
    position: str = "learned"
    width: int = 256
    depth: int = 6
    heads: int = 4
    mlp: int = 1024
    dropout: float = 0.0
    attention_dropout: float = 0.0
    pooling: str = "mean"

    def __post_init__(self):
        for name in ("n_pixels", "in_channels", "n_outputs", "patch_size", "width", "depth", "heads", "mlp"):
            check_integer(name, getattr(self, name), 1)
        if self.stride is not None:
            check_integer("stride", self.stride, 1)
            if self.stride > self.patch_size:
                raise ValueError(
                    f"stride must be at most patch_size={self.patch_size}, or pixels are skipped; "
                    f"got {self.stride}"
                )
        check_choice("tokenizer", self.tokenizer, TOKENIZERS)
        check_choice("position", self.position, POSITIONS)
        check_choice("pooling", self.pooling, ("cls", "mean"))
        check_number("dropout", self.dropout, 0, 1, open_maximum=True)
        check_number("attention_dropout", self.attention_dropout, 0, 1, open_maximum=True)
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads={self.heads}, got {self.width}")
        if self.position == "rope" and self.width // self.heads % 2:
            raise ValueError(
                f"position='rope' needs an even width per head, got {self.width}/{self.heads} = "
                f"{self.width // self.heads}"
            )

    @classmethod
    def reference(cls, **changes):
        """The reference's configuration, of 4,809,729 parameters, with `changes`.

        One channel and one output, windows of 16 pixels that share one matrix, a class token, eight heads,
        and dropout of 0.1. The often-quoted 4,875,521 counts a 256 → 256 pooler (65,792 more) that is built
        and never used.
        """
        chosen = cls(
            in_channels=1,
            n_outputs=1,
            patch_size=16,
            tokenizer="conv1d",
            heads=8,
            dropout=0.1,
            attention_dropout=0.1,
            pooling="cls",
        )
        return replace(chosen, **changes)

    @property
    def step(self):
        """Pixels between neighbouring tokens, with None resolved."""
        return self.patch_size if self.stride is None else self.stride

    @property
    def n_tokens(self):
        """Tokens of the spectrum, without the class token."""
        return token_count(self.n_pixels, self.patch_size, self.step)

    @property
    def sequence_length(self):
        """Tokens that the encoder sees."""
        return self.n_tokens + (self.pooling == "cls")

    def to_dict(self):
        """Plain-Python description from which `from_dict` rebuilds an equal configuration."""
        return asdict(self)

    @classmethod
    def from_dict(cls, description):
        """The configuration of a `description`; an unknown key raises, and the nearest known one is named."""
        return from_known_fields(cls, description)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one fused projection: (n, tokens, width) -> the same."""

    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.dropout = config.attention_dropout
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, x, rotation=None):
        n, t, w = x.shape
        dropout = self.dropout if self.training else 0.0
        if rotation is None and fits_attention(x, self.heads, w):
            return self.out(fast_attention(x, self.qkv, self.heads, dropout))
        qkv = self.qkv(x).view(n, t, 3, self.heads, w // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (n, heads, tokens, head width)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        return self.out(y.transpose(1, 2).reshape(n, t, w))  # (n, heads, tokens, d) -> (n, tokens, width)


class EncoderLayer(nn.Module):
    """Pre-norm encoder layer: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.attention = SelfAttention(config)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp_in = nn.Linear(config.width, config.mlp)
        self.mlp_out = nn.Linear(config.mlp, config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x, rotation=None):
        x = x + self.dropout(self.attention(self.norm1(x), rotation))
        return x + self.dropout(self._mlp(self.norm2(x)))

    def _mlp(self, x):
        if fits_mlp(x, self.mlp_in.out_features):
            return fast_mlp(x, self.mlp_in, self.mlp_out)
        return self.mlp_out(F.gelu(self.mlp_in(x)))


_DRAWN = ContextVar("drawn", default=True)


@contextmanager
def without_drawing():
    """Networks made within have no random weights, which take longer than reading those they get next.

    Torch's generator is afterwards what it was.
    """
    token, state = _DRAWN.set(False), torch.get_rng_state()
    try:
        yield
    finally:
        _DRAWN.reset(token)
        torch.set_rng_state(state)


class SpectrumViT(nn.Module):
    """Vision Transformer for spectra: (n, channels, n_pixels) -> (n, n_outputs).

    Parameters
    ----------
    config : ViTConfig
        Shape of the network.
    wavelength : array-like of float, shape (n_pixels,), optional
        Wavelengths of the pixels in Å; needed by ``position="pipe"`` and otherwise unused.

    See Also
    --------
    LabelRegressor : Such a network with encoding, label scaling and calibration.

    Notes
    -----
    Weights are drawn from a normal distribution of σ = 0.02 cut at 2σ, from torch's global generator
    and in one fixed order, so that networks which differ only in their tokenizer start identical.
    The class token and learned positions are drawn alike; biases start at zero.

    Examples
    --------
    >>> network = SpectrumViT(ViTConfig(n_pixels=64, patch_size=16, width=16, depth=1, mlp=16))
    >>> tuple(network(torch.zeros(2, 2, 64)).shape)
    (2, 10)
    """

    def __init__(self, config, wavelength=None):
        super().__init__()
        self.config = config
        self.tokenizer = TOKENIZERS[config.tokenizer](config)
        self.cls = nn.Parameter(torch.zeros(config.width)) if config.pooling == "cls" else None
        self.position = POSITIONS[config.position](config, wavelength)
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.n_outputs)
        if _DRAWN.get():
            self._initialise()

    @torch.no_grad()
    def _initialise(self):
        for name, parameter in self.named_parameters():
            if "norm" in name:
                continue  # LayerNorm is born as the identity
            if name.endswith("bias"):
                parameter.zero_()
            else:
                nn.init.trunc_normal_(parameter, std=0.02, a=-0.04, b=0.04)

    @property
    def n_parameters(self):
        """Number of trainable values."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, x):
        """Outputs of shape (n, n_outputs), in the precision of the weights even under autocast.

        Parameters
        ----------
        x : Tensor, shape (n, in_channels, n_pixels)
            Encoded spectra, see `specvit.network.encode`.
        """
        expected = (self.config.in_channels, self.config.n_pixels)
        if x.ndim != 3 or x.shape[1:] != expected:
            raise ValueError(f"x must have shape (n, {expected[0]}, {expected[1]}), got {tuple(x.shape)}")
        x = self.tokenizer(x)  # (n, n_tokens, width)
        if self.cls is not None:
            cls = self.cls.expand(len(x), 1, -1).to(x.dtype)  # (width,) -> (n, 1, width)
            x = torch.cat([cls, x], dim=1)  # (n, 1 + n_tokens, width)
        x, rotation = self.dropout(self.position(x)), self.position.rotation()
        few = x.device.type == "cpu" and not torch.is_grad_enabled()
        if few and not torch.compiler.is_compiling():  # or the layers were compiled once for each part
            x = torch.cat([self._encoded(some, rotation) for some in x.split(_ENCODED_AT_ONCE)])
        else:
            x = self._encoded(x, rotation)
        # Half precision would round the outputs to 1 part in 256: the last product is done in full.
        with torch.autocast(device_type=x.device.type, enabled=False):
            return self.head(x.to(self.head.weight.dtype))

    def _encoded(self, x, rotation):
        """Tokens (n, sequence_length, width) through the layers and pooled, (n, width)."""
        for layer in self.layers:
            x = layer(x, rotation)
        x = self.norm(x)
        return x[:, 0] if self.cls is not None else x.mean(dim=1)

"""Prediction in reduced precision: the same network, its matrix products in half, all sums in float32."""

from __future__ import annotations

import copy
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import nn

from specvit.network.fastlayers import fits_attention, fits_mlp
from specvit.network.positions import rotate

__all__ = ["ReducedViT", "half_of", "reduced"]

#: Token width from which half precision is faster than the conversions that it takes.
_NARROWEST = 128
#: First layers that stay in float32 where others are in bfloat16. Of the change of log g by rounding, at most
#: 0.0062 dex for 128 stars of ``paper``, the first of six layers makes most: 0.0020 dex is left without it.
_EXACT_LAYERS = 1
_MADE = WeakKeyDictionary()  # regressor -> {type: (state, copy)}


def half_of(device):
    """The half precision that a device multiplies faster than float32, or None.

    Float16 on a GPU: as fast as bfloat16 there, and its rounding is an eighth. Bfloat16 on a processor with
    AMX or AVX512-BF16 instructions; others have no fast half precision.

    Parameters
    ----------
    device : torch.device or str
        Where the network predicts.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.float16
    fast = kind == "cpu" and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return torch.bfloat16 if fast else None


def reduced(regressor, dtype):
    """A regressor that predicts with half-precision products, kept for as long as the given one lives.

    Parameters
    ----------
    regressor : LabelRegressor
        In float32. If it is in another precision, narrow, or takes features of any scale (encoding ``none``),
        it is returned itself.
    dtype : torch.dtype or None
        From `half_of`; None returns the regressor itself.

    Returns
    -------
    LabelRegressor
        Its `network` a `ReducedViT`; made anew when a weight of the given one has changed.
    """
    config = regressor.config
    if dtype is None or config.width < _NARROWEST or regressor.encoding == "none":
        return regressor
    if regressor.label_scale.dtype != torch.float32:
        return regressor
    tensors = (*regressor.parameters(), *regressor.buffers())
    state = tuple((x.data_ptr(), x._version) for x in tensors if not x.is_inference())
    kept = _MADE.setdefault(regressor, {})
    if kept.get(dtype, (None,))[0] != state:
        made = copy.copy(regressor)
        made._modules = dict(regressor._modules) | {"network": ReducedViT(regressor.network, dtype)}
        kept[dtype] = state, made.eval()
    return kept[dtype][1]


class ReducedViT(nn.Module):
    """`SpectrumViT` for prediction: weights and products of the encoder layers in half precision.

    Tokens, the sums of the residual stream and the head stay in float32, which a product of bfloat16 with its
    8 bits would blur: by measurement (256 draws of ``Survey("any")``, bundled weights) that halves the
    largest change of a label. So does, of bfloat16, the first layer, which halves it again.

    Advantage: three times as fast as float32 on a processor with AMX. Disadvantage: labels move by a
    hundredth of their σ, and depend in this digit on which other spectra are predicted with one.

    Parameters
    ----------
    network : SpectrumViT
        The network, which is not changed; tokenizer, position and head are shared with it.
    dtype : torch.dtype
        ``torch.bfloat16`` or ``torch.float16``; float64 or float32 give the network's own results.

    See Also
    --------
    reduced : A regressor with such a network.

    Examples
    --------
    >>> from specvit.network import SpectrumViT, ViTConfig
    >>> network = SpectrumViT(ViTConfig(n_pixels=64, patch_size=16, width=16, depth=1, mlp=16)).eval()
    >>> x = torch.zeros(2, 2, 64)
    >>> bool(torch.allclose(ReducedViT(network, torch.bfloat16)(x), network(x), atol=0.01))
    True
    """

    def __init__(self, network, dtype):
        super().__init__()
        self.config, self.dtype, self.heads = network.config, dtype, network.config.heads
        self.tokenizer, self.position = network.tokenizer, network.position
        self.cls, self.norm, self.head = network.cls, network.norm, network.head
        self.layers = []
        for number, layer in enumerate(network.layers):
            norms, linears = (layer.norm1, layer.norm2), self._linears(layer)
            kind = torch.float32 if dtype == torch.bfloat16 and number < _EXACT_LAYERS else dtype
            self.layers.append(
                [
                    *((x.weight.detach(), x.bias.detach(), x.eps) for x in norms),
                    *((x.weight.detach().to(kind), x.bias.detach().to(kind)) for x in linears),
                ]
            )

    @staticmethod
    def _linears(layer):
        return layer.attention.qkv, layer.attention.out, layer.mlp_in, layer.mlp_out

    @torch.no_grad()
    def forward(self, x):
        """Outputs (n, n_outputs) of encoded spectra `x`, (n, in_channels, n_pixels)."""
        x = self.tokenizer(x)
        if self.cls is not None:
            x = torch.cat([self.cls.expand(len(x), 1, -1), x], dim=1)
        x, rotation = self.position(x), self.position.rotation()
        x = x.contiguous()
        n, t, width = x.shape
        if rotation is None and self._fast(x):
            return self._head(self._through(x))
        for norm1, norm2, qkv, out, mlp_in, mlp_out in self.layers:
            kind = qkv[0].dtype
            y = F.linear(self._normed(x, norm1, kind), *qkv).view(n, t, 3, self.heads, width // self.heads)
            q, k, v = y.permute(2, 0, 3, 1, 4).unbind(0)  # each (n, heads, tokens, head width)
            if rotation is not None:
                q, k = rotate(q, rotation), rotate(k, rotation)
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, width)
            x = x + F.linear(y, *out)
            x = x + F.linear(F.gelu(F.linear(self._normed(x, norm2, kind), *mlp_in)), *mlp_out)
        return self._head(x)

    def _head(self, x):
        x = self.norm(x)
        return self.head(x[:, 0] if self.cls is not None else x.mean(dim=1))

    def _fast(self, x):
        """Whether the kernels for GPUs can be used."""
        half, width, hidden = (
            x.new_empty(0, *x.shape[1:], dtype=self.dtype),
            self.config.width,
            self.config.mlp,
        )
        fits = fits_attention(half, self.heads, width) and fits_mlp(half, hidden)
        fits &= self.dtype != torch.bfloat16  # of which the first layer is in float32
        return fits and x.dtype == torch.float32 and width & (width - 1) == 0

    def _through(self, x):
        """The encoder layers, by kernels that read and write less."""
        from specvit.network.attentionkernels import attention_forward
        from specvit.network.mlpkernels import linear_gelu
        from specvit.network.normkernels import add_norm

        y, unread = None, torch.zeros(1, dtype=torch.int32, device=x.device)  # there is no dropout
        for norm1, norm2, qkv, out, mlp_in, mlp_out in self.layers:
            y = F.linear(add_norm(x, y, *norm1, self.dtype), *qkv)
            y = F.linear(attention_forward(y, unread, self.heads, 0.0)[0], *out)
            y = linear_gelu(add_norm(x, y, *norm2, self.dtype).flatten(0, 1), *mlp_in, keep=False)[0]
            y = F.linear(y, *mlp_out).view(x.shape)
        return x + y

    @staticmethod
    def _normed(x, norm, kind):
        weight, bias, eps = norm
        return F.layer_norm(x, weight.shape, weight, bias, eps).to(kind)

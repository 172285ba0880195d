"""Where attention and feed-forward layers on a GPU go the fast way: the conditions, in one place.

On a processor, in full precision, or where the number of tokens does not fit, `specvit.network.vit` and
`specvit.network.reduced` compute them by a few lines of torch.
"""

from __future__ import annotations

import torch

from specvit.network.dropout import odd_factors

__all__ = ["can_compile", "fast_attention", "fast_mlp", "fits_attention", "fits_mlp"]

#: Tokens times width of a head that one program of a GPU can hold, with their gradients.
_LARGEST = 8192
_HALF = (torch.float16, torch.bfloat16)
#: Whether the kernels may be used at all; benchmarks compare.
ENABLED = True


def _kind(x):
    """The precision that products of `x` have, which autocast may lower."""
    return torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype


def _fits(x):
    return ENABLED and x.is_cuda and _kind(x) in _HALF and can_compile(x.device)


def can_compile(device):
    """Whether `torch.compile` works on a device, and gains: on a GPU with what it needs, bool."""
    if device.type != "cuda":
        return False
    from specvit.network.fastops import ready

    return ready(device.index)


def fits_attention(x, heads, width):
    """Whether `fast_attention` can be used for tokens `x` (n, tokens, …).

    It needs a GPU, half precision, and a number of tokens that is a power of two, or one more.
    """
    n_keys, d = x.shape[1] - x.shape[1] % 2, width // heads
    powers = all(size >= 16 and size & (size - 1) == 0 for size in (n_keys, d))
    return _fits(x) and powers and n_keys * d <= _LARGEST


def fits_mlp(x, hidden):
    """Whether `fast_mlp` can be used for tokens `x` (n, tokens, width) and so many hidden values."""
    return _fits(x) and x.shape[2] % 64 == 0 and hidden % 128 == 0


def fast_attention(x, projection, heads, dropout=0.0):
    """Multi-head attention, softmax(q kᵀ/√d) v, of tokens before their projection.

    Parameters
    ----------
    x : Tensor, shape (n, tokens, width)
        Tokens.
    projection : nn.Linear
        To queries, keys and values, each of all heads in turn.
    heads : int
        Number of heads.
    dropout : float
        Probability of dropping a weight.

    Returns
    -------
    Tensor, shape (n, tokens, width)
    """
    from specvit.network.fastops import attention

    kind, (n, t, _) = _kind(x), x.shape
    factors = torch.zeros(1, dtype=torch.int32, device=x.device)
    if dropout:
        factors = odd_factors((t + n * heads * t,), x.device)
    x, weight, bias = (one.to(kind) for one in (x, projection.weight, projection.bias))
    return attention(x.contiguous(), weight, bias, factors, heads, float(dropout))[0]


def fast_mlp(x, first, second):
    """Linear layer, GELU, linear layer.

    Parameters
    ----------
    x : Tensor, shape (n, tokens, width)
        Tokens.
    first, second : nn.Linear
        The layers.

    Returns
    -------
    Tensor, shape (n, tokens, width)
    """
    from specvit.network.fastops import mlp

    kind = _kind(x)
    given = (one.to(kind) for one in (x, first.weight, first.bias, second.weight, second.bias))
    x, *rest = given
    return mlp(x.contiguous(), *rest)[0]

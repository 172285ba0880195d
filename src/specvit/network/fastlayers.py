"""Attention and feed-forward layers on a GPU, as operations that autograd and torch.compile know.

They compute what `specvit.network.vit` states in a few lines of torch, with the kernels of
`specvit.network.attentionkernels` and `specvit.network.mlpkernels`, which read and write less. Everything
else, in particular anything on a processor, goes the plain way.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
import torch.nn.functional as F

__all__ = ["fast_attention", "fast_mlp", "fits_attention", "fits_mlp"]

#: Tokens times width of a head that one program of a GPU can hold, with their gradients.
_LARGEST = 8192
_HALF = (torch.float16, torch.bfloat16)
#: Whether the kernels may be used at all; benchmarks compare.
ENABLED = True


@torch.compiler.assume_constant_result
def _ready(index):
    """Whether the GPU of a number multiplies half precision, and there is a compiler of kernels."""
    return find_spec("triton") is not None and torch.cuda.get_device_capability(index) >= (8, 0)


def _kind(x):
    """The precision that products of `x` have, which autocast may lower."""
    return torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype


def _fits(x):
    return ENABLED and x.is_cuda and _kind(x) in _HALF and _ready(x.device.index)


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
    kind, seed = _kind(x), torch.zeros(2, dtype=torch.int64, device=x.device)
    if dropout:
        seed = torch.randint(2**31, (2,), device=x.device)
    x, weight, bias = (one.to(kind) for one in (x, projection.weight, projection.bias))
    return _attention(x.contiguous(), weight, bias, seed, heads, float(dropout))[0]


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
    kind = _kind(x)
    given = (one.to(kind) for one in (x, first.weight, first.bias, second.weight, second.bias))
    x, *rest = given
    return _mlp(x.contiguous(), *rest)[0]


# -- attention ---------------------------------------------------------------------------------------------


@torch.library.custom_op("specvit::attention", mutates_args=())
def _attention(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, seed: torch.Tensor, heads: int, dropout: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    from specvit.network.attentionkernels import attention_forward

    qkv = F.linear(x, weight, bias)
    return *attention_forward(qkv, seed, heads, dropout), qkv


@_attention.register_fake
def _(x, weight, bias, seed, heads, dropout):
    n, t, width = x.shape
    norm = x.new_empty(n, heads, t, dtype=torch.float32)
    return torch.empty_like(x), norm, x.new_empty(n, t, 3 * width)


@torch.library.custom_op("specvit::attention_backward", mutates_args=())
def _attention_backward(
    x: torch.Tensor,
    weight: torch.Tensor,
    seed: torch.Tensor,
    out: torch.Tensor,
    norm: torch.Tensor,
    qkv: torch.Tensor,
    grad: torch.Tensor,
    heads: int,
    dropout: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    from specvit.network.attentionkernels import attention_backward

    slope, sums = attention_backward(qkv, out, norm, grad.contiguous(), seed, heads, dropout)
    return slope @ weight, slope.flatten(0, 1).T @ x.flatten(0, 1), sums.sum(0).to(x.dtype)


@_attention_backward.register_fake
def _(x, weight, seed, out, norm, qkv, grad, heads, dropout):
    return torch.empty_like(x), torch.empty_like(weight), weight.new_empty(len(weight))


def _keep_attention(ctx, inputs, output):
    x, weight, _, seed, ctx.heads, ctx.dropout = inputs
    ctx.save_for_backward(x, weight, seed, *output)


def _attention_gradients(ctx, grad, *_):
    found = _attention_backward(*ctx.saved_tensors, grad, ctx.heads, ctx.dropout)
    return *found, None, None, None


_attention.register_autograd(_attention_gradients, setup_context=_keep_attention)

# -- feed-forward layer ----------------------------------------------------------------------------------


@torch.library.custom_op("specvit::mlp", mutates_args=())
def _mlp(
    x: torch.Tensor, w1: torch.Tensor, b1: torch.Tensor, w2: torch.Tensor, b2: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    from specvit.network.mlpkernels import linear_gelu

    after, before = linear_gelu(x.flatten(0, 1), w1, b1)
    return F.linear(after, w2, b2).view(x.shape), before, after


@_mlp.register_fake
def _(x, w1, b1, w2, b2):
    hidden = x.new_empty(x.shape[0] * x.shape[1], len(w1))
    return torch.empty_like(x), hidden, torch.empty_like(hidden)


@torch.library.custom_op("specvit::mlp_backward", mutates_args=())
def _mlp_backward(
    x: torch.Tensor,
    w1: torch.Tensor,
    w2: torch.Tensor,
    before: torch.Tensor,
    after: torch.Tensor,
    grad: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    from specvit.network.mlpkernels import gelu_gradient

    grad = grad.contiguous().flatten(0, 1)
    slope, total = gelu_gradient(grad, w2, before)
    of_x, of_w1 = (slope @ w1).view(x.shape), slope.T @ x.flatten(0, 1)
    of_b2 = grad.sum(0, dtype=torch.float32).to(x.dtype)
    return of_x, of_w1, total.to(x.dtype), grad.T @ after, of_b2


@_mlp_backward.register_fake
def _(x, w1, w2, before, after, grad):
    of_b = (w1.new_empty(len(w1)), w2.new_empty(len(w2)))
    return torch.empty_like(x), torch.empty_like(w1), of_b[0], torch.empty_like(w2), of_b[1]


def _keep_mlp(ctx, inputs, output):
    x, w1, _, w2, _ = inputs
    ctx.save_for_backward(x, w1, w2, *output[1:])


def _mlp_gradients(ctx, grad, *_):
    return _mlp_backward(*ctx.saved_tensors, grad)


_mlp.register_autograd(_mlp_gradients, setup_context=_keep_mlp)

"""Attention and feed-forward layers on a GPU as operations that autograd and torch.compile know.

They compute what `specvit.network.vit` states in a few lines of torch, with the kernels of
`specvit.network.attentionkernels` and `specvit.network.mlpkernels`, which read and write less.
`specvit.network.fastlayers` says when; it imports this, which takes seconds, where it is needed only.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from shutil import which

import torch
import torch.nn.functional as F

__all__ = ["attention", "mlp", "ready"]


@torch.compiler.assume_constant_result
def ready(index):
    """Whether the GPU of a number multiplies half precision, and there is what compiles its kernels.

    That is Triton, and a compiler of C, with which it builds what starts them.
    """
    return _has_compilers() and torch.cuda.get_device_capability(index) >= (8, 0)


@cache
def _has_compilers():
    compiler = os.environ.get("CC") or which("gcc") or which("clang") or which("cc")
    return bool(find_spec("triton") is not None and compiler)


# -- attention ---------------------------------------------------------------------------------------------


@torch.library.custom_op("specvit::attention", mutates_args=())
def attention(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    factors: torch.Tensor,
    heads: int,
    dropout: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Attention of tokens by the projection `weight`, `bias`; logarithms of sums; and projections."""
    from specvit.network.attentionkernels import attention_forward

    qkv = F.linear(x, weight, bias)
    return *attention_forward(qkv, factors, heads, dropout), qkv


@attention.register_fake
def _(x, weight, bias, factors, heads, dropout):
    n, t, width = x.shape
    norm = x.new_empty(n, heads, t, dtype=torch.float32)
    return torch.empty_like(x), norm, x.new_empty(n, t, 3 * width)


@torch.library.custom_op("specvit::attention_backward", mutates_args=())
def _attention_backward(
    x: torch.Tensor,
    weight: torch.Tensor,
    factors: torch.Tensor,
    out: torch.Tensor,
    norm: torch.Tensor,
    qkv: torch.Tensor,
    grad: torch.Tensor,
    heads: int,
    dropout: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    from specvit.network.attentionkernels import attention_backward

    slope, sums = attention_backward(qkv, out, norm, grad.contiguous(), factors, heads, dropout)
    return slope @ weight, slope.flatten(0, 1).T @ x.flatten(0, 1), sums.sum(0).to(x.dtype)


@_attention_backward.register_fake
def _(x, weight, factors, out, norm, qkv, grad, heads, dropout):
    return torch.empty_like(x), torch.empty_like(weight), weight.new_empty(len(weight))


def _keep_attention(ctx, inputs, output):
    x, weight, _, factors, ctx.heads, ctx.dropout = inputs
    ctx.save_for_backward(x, weight, factors, *output)


def _attention_gradients(ctx, grad, *_):
    found = _attention_backward(*ctx.saved_tensors, grad, ctx.heads, ctx.dropout)
    return *found, None, None, None


attention.register_autograd(_attention_gradients, setup_context=_keep_attention)

# -- feed-forward layer ----------------------------------------------------------------------------------


@torch.library.custom_op("specvit::mlp", mutates_args=())
def mlp(
    x: torch.Tensor, w1: torch.Tensor, b1: torch.Tensor, w2: torch.Tensor, b2: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Linear layer, GELU, linear layer; what went into GELU, and what came out of it."""
    from specvit.network.mlpkernels import linear_gelu

    after, before = linear_gelu(x.flatten(0, 1), w1, b1)
    return F.linear(after, w2, b2).view(x.shape), before, after


@mlp.register_fake
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


mlp.register_autograd(_mlp_gradients, setup_context=_keep_mlp)

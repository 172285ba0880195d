"""Self-attention of packed projections: by kernels for short sequences where these fit, else by torch."""

from __future__ import annotations

from importlib.util import find_spec

import torch
import torch.nn.functional as F

__all__ = ["attend", "fits", "kernel_attention"]

#: Tokens times width of a head that one program of a GPU can hold, with their gradients.
_LARGEST = 8192


@torch.compiler.assume_constant_result
def _ready(index):
    """Whether the GPU of a number multiplies half precision, and there is a compiler of kernels."""
    return find_spec("triton") is not None and torch.cuda.get_device_capability(index) >= (8, 0)


def fits(qkv, heads):
    """Whether the kernels of `specvit.network.attentionkernels` can be used.

    They need a GPU that multiplies half precision, projections in that, and a number of tokens that is a
    power of two, or one more.

    Parameters
    ----------
    qkv : Tensor, shape (n, tokens, 3 · width)
        Projections.
    heads : int
        Number of heads.
    """
    if not (qkv.is_cuda and qkv.dtype in (torch.float16, torch.bfloat16)):
        return False
    n_keys, d = qkv.shape[1] - qkv.shape[1] % 2, qkv.shape[2] // 3 // heads
    powers = all(x >= 16 and x & (x - 1) == 0 for x in (n_keys, d))
    return powers and n_keys * d <= _LARGEST and _ready(qkv.device.index)


def attend(qkv, heads, dropout=0.0):
    """Multi-head attention, softmax(q kᵀ/√d) v.

    Parameters
    ----------
    qkv : Tensor, shape (n, tokens, 3 · width)
        Queries, keys and values, each of all heads in turn.
    heads : int
        Number of heads.
    dropout : float
        Probability of dropping a weight.

    Returns
    -------
    Tensor, shape (n, tokens, width)
    """
    if fits(qkv, heads):
        seed = torch.zeros(2, dtype=torch.int64, device=qkv.device)
        if dropout:
            seed = torch.randint(2**31, (2,), device=qkv.device)
        return kernel_attention(qkv.contiguous(), seed, heads, float(dropout))[0]
    n, t, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    q, k, v = qkv.view(n, t, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)  # (n, heads, tokens, head width)
    return y.transpose(1, 2).reshape(n, t, width)


# -- the kernels as operations that autograd and torch.compile know ----------------------------------------


@torch.library.custom_op("specvit::attention", mutates_args=())
def kernel_attention(
    qkv: torch.Tensor, seed: torch.Tensor, heads: int, dropout: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """`specvit.network.attentionkernels.attention_forward`, with a gradient."""
    from specvit.network.attentionkernels import attention_forward

    return attention_forward(qkv, seed, heads, dropout)


@torch.library.custom_op("specvit::attention_backward", mutates_args=())
def _kernel_gradient(
    qkv: torch.Tensor,
    out: torch.Tensor,
    norm: torch.Tensor,
    grad: torch.Tensor,
    seed: torch.Tensor,
    heads: int,
    dropout: float,
) -> torch.Tensor:
    from specvit.network.attentionkernels import attention_backward

    return attention_backward(qkv, out, norm, grad.contiguous(), seed, heads, dropout)


@kernel_attention.register_fake
def _(qkv, seed, heads, dropout):
    n, t, width = qkv.shape
    return qkv.new_empty(n, t, width // 3), qkv.new_empty(n, heads, t, dtype=torch.float32)


@_kernel_gradient.register_fake
def _(qkv, out, norm, grad, seed, heads, dropout):
    return torch.empty_like(qkv)


def _keep(ctx, inputs, output):
    qkv, seed, ctx.heads, ctx.dropout = inputs
    ctx.save_for_backward(qkv, seed, *output)


def _differentiate(ctx, grad, _):
    qkv, seed, out, norm = ctx.saved_tensors
    return _kernel_gradient(qkv, out, norm, grad, seed, ctx.heads, ctx.dropout), None, None, None


kernel_attention.register_autograd(_differentiate, setup_context=_keep)

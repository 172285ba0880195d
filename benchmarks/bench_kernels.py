"""Our kernels of attention and feed-forward layers one by one, beside torch's, with several sizes of blocks.

usage: python benchmarks/bench_kernels.py [--batch-size 1024] [--steps 10] [--configurations bundled]

First each must agree with float32. Needs a GPU and Triton.
"""

import sys

import torch
import torch.nn.functional as F
from timing import HALF, Bench, configuration, options

parser = options(__doc__)
parser.set_defaults(steps=10)
arguments = parser.parse_args()
device = torch.device(arguments.device)
if device.type != "cuda":
    sys.exit(f"--device must be a GPU, got {arguments.device}")
n = arguments.batch_size
bench = Bench(device, n, arguments.steps)
say, report, seconds = bench.say, bench.report, bench.seconds


def differ(what, found, expected):
    off = ((found.float() - expected.float()).norm() / expected.float().norm()).item()
    bench.judge(f"{what}, beside float32,", off, 2e-2)


def each(name, call, choices):
    """Time a call with several sizes of blocks."""
    for choice in choices:
        try:
            report(f"{name} {choice}", seconds(lambda choice=choice: call(choice)))
        except Exception as error:
            say(f"{name} {choice}: {type(error).__name__} {str(error)[:80]}")


def attention(name, config):
    from specvit.network import attentionkernels as kernels
    from specvit.network.dropout import odd_factors

    t, heads, w, p = config.sequence_length, config.heads, config.width, config.attention_dropout
    qkv = torch.randn(n, t, 3 * w, device=device, dtype=HALF)
    grad, factors = torch.randn(n, t, w, device=device, dtype=HALF), odd_factors((t + n * heads * t,), device)

    def plain(x, p=0.0):
        q, k, v = x.view(len(x), t, 3, heads, w // heads).permute(2, 0, 3, 1, 4).unbind(0)
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p).transpose(1, 2).reshape(len(x), t, w)

    x = qkv[:64].clone().requires_grad_()
    out, expected = kernels.attention_forward(x.detach(), factors, heads, 0.0), plain(x.float())
    differ(f"attention, {name}: output", out[0], expected)
    (slope,) = torch.autograd.grad(expected, x, grad[:64].float())
    found = kernels.attention_backward(x.detach(), *out, grad[:64], factors, heads, 0.0)[0]
    differ(f"attention, {name}: gradient", found, slope)
    whole = qkv.clone().requires_grad_()
    report(f"attention, {name}, dropout {p}, torch", seconds(lambda: plain(whole, p).backward(grad)))
    out = kernels.attention_forward(qkv, factors, heads, p)
    each(
        f"attention, {name}, dropout {p}, forward",
        lambda size: kernels.attention_forward(qkv, factors, heads, p, size),
        [(64, 4), (64, 8), (128, 4), (128, 8), (256, 8)],
    )
    each(
        f"attention, {name}, dropout {p}, backward",
        lambda size: kernels.attention_backward(qkv, *out, grad, factors, heads, p, size),
        [(64, 8, 3), (64, 8, 2), (64, 8, 1), (64, 4, 1), (128, 8, 1), (128, 16, 1), (32, 8, 1)],
    )


def feed_forward(name, config):
    from specvit.network import mlpkernels as kernels

    m, w, hidden = n * config.sequence_length, config.width, config.mlp
    like = {"device": device, "dtype": HALF}
    x, grad = torch.randn(m, w, **like), torch.randn(m, w, **like)
    w1, b1, w2 = (torch.randn(*s, **like) / 16 for s in ((hidden, w), (hidden,), (w, hidden)))
    after, before = kernels.linear_gelu(x, w1, b1)
    few = slice(0, 1000)
    expected = F.linear(x[few].float(), w1.float(), b1.float())
    differ(f"feed-forward, {name}: hidden", before[few], expected)
    differ(f"feed-forward, {name}: GELU", after[few], F.gelu(expected))
    z = before[few].float().requires_grad_()
    (slope,) = torch.autograd.grad(F.gelu(z), z, grad[few].float() @ w2.float())
    found, total = kernels.gelu_gradient(grad, w2, before)
    differ(f"feed-forward, {name}: gradient", found[few], slope)
    differ(f"feed-forward, {name}: sum of gradients", total, found.float().sum(0))
    report(f"feed-forward, {name}: linear, then GELU", seconds(lambda: F.gelu(F.linear(x, w1, b1))))
    report(
        f"feed-forward, {name}: product, then gradient of GELU",
        seconds(lambda: torch.ops.aten.gelu_backward(grad @ w2, before)),
    )
    tiles = [(128, 128, 64, 8, 3), (128, 64, 64, 4, 3), (128, 64, 64, 8, 3), (64, 64, 64, 4, 3)]
    tiles += [(128, 128, 32, 8, stages) for stages in (2, 3, 4, 5)]
    tiles += [(128, 64, 32, 4, 3), (128, 64, 32, 4, 4), (64, 128, 32, 4, 3), (64, 128, 32, 4, 4)]
    tiles += [(128, 128, 32, 4, 4), (128, 256, 32, 8, 3), (256, 128, 32, 8, 3)]
    each(f"feed-forward, {name}: fused", lambda t: kernels.linear_gelu(x, w1, b1, tiles=t), tiles)
    each(
        f"feed-forward, {name}: fused, prediction",
        lambda t: kernels.linear_gelu(x, w1, b1, keep=False, tiles=t),
        tiles,
    )
    each(
        f"feed-forward, {name}: fused gradient",
        lambda t: kernels.gelu_gradient(grad, w2, before, tiles=t),
        tiles,
    )


for name in arguments.configurations:
    attention(name, configuration(name, arguments.small))
    feed_forward(name, configuration(name, arguments.small))
    torch.cuda.empty_cache()
bench.finish()

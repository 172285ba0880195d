"""How fast networks are trained: the public `train` with its simulation, beside plain loops and Hugging Face.

usage: python benchmarks/bench_train.py [--device cuda] [--devices N] [--batch-size 1024] [--steps 20]
                                        [--only NAME ...] [--surveys paper any] [--profile]

First the gradient of a compiled step must agree with that of the readable network in float64. Then each entry
is timed in the same run: steps after those in which things are compiled, wall seconds on a GPU, spectra per
second. With --profile the kernels of some steps are listed, with the bytes and FLOPs that a step must move at
least. With --devices N (a script of `torchrun --standalone --nproc-per-node=N`) only `train` is timed, on N
GPUs. What is not installed is left out.
"""

import argparse
import contextlib
import copy
import math
import sys
import time
import warnings

import numpy as np
import torch
import torch.nn.functional as F

from specvit.labels import LABELS
from specvit.network import LabelRegressor, TrainingConfig, ViTConfig, fastlayers, train
from specvit.network.lightningmodule import parameter_groups
from specvit.network.processes import leave, own_device, process_rank
from specvit.survey import Survey
from specvit.survey.mixture import BlockStream, MixedStream

PARTS = ("check", "simulation", "kernels", "networks", "peers", "train")
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
parser.add_argument("--devices", type=int, default=1)
parser.add_argument("--batch-size", type=int, default=1024)
parser.add_argument("--steps", type=int, default=20, help="that are timed")
parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
parser.add_argument("--surveys", nargs="+", default=["paper", "any"])
parser.add_argument("--configurations", nargs="+", default=["bundled", "reference"])
parser.add_argument("--at-once", type=int, default=8, help="batches of any that are simulated together")
parser.add_argument("--modes", nargs="+", default=["default"], help="of torch.compile, or eager, torch")
parser.add_argument("--profile", action="store_true")
parser.add_argument("--rows", type=int, default=25, help="of a profile")
parser.add_argument("--small", action="store_true", help="tiny networks, to try this script")
arguments = parser.parse_args()
rank = process_rank(arguments.devices)
device = own_device(arguments.device)
gpu, n, steps = device.type == "cuda", arguments.batch_size, arguments.steps
warnings.simplefilter("ignore")
half = torch.bfloat16
began = time.perf_counter()


def say(*words):
    if not rank:
        print(*words, flush=True)


def synchronise():
    if gpu:
        torch.cuda.synchronize(device)


def seconds(call, repeats=steps, warm=3):
    """Mean wall seconds of a call."""
    for _ in range(warm):
        call()
    synchronise()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    synchronise()
    return (time.perf_counter() - start) / repeats


def report(name, value, spectra=n):
    say(f"{name:58} {spectra / value:10,.0f} /s {value * 1e3:9.3f} ms  [{time.perf_counter() - began:.0f} s]")


@contextlib.contextmanager
def profiled(name, count=1):
    """List the kernels that run within, per step of `count`."""
    if not arguments.profile or rank:
        yield
        return
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if gpu else []
    with torch.profiler.profile(activities=activities) as profile:
        yield
        synchronise()
    events = profile.key_averages()
    if not gpu:
        say(events.table(sort_by="self_cpu_time_total", row_limit=10, max_name_column_width=50))
        return
    kernels = [e for e in events if e.device_type == torch.autograd.DeviceType.CUDA]
    kernels = sorted(kernels, key=lambda e: -e.self_device_time_total)
    total = sum(e.self_device_time_total for e in kernels) / count
    say(f"-- {name}: {total / 1e3:.3f} ms of kernels a step, {sum(e.count for e in kernels) / count:.0f}")
    for e in kernels[: arguments.rows]:
        say(f"   {e.self_device_time_total / count / 1e3:8.3f} ms {e.count / count:6.1f} x  {e.key[:110]}")
    host = sorted(events, key=lambda e: -e.self_cpu_time_total)[:8]
    say("   host: " + "; ".join(f"{e.key[:30]} {e.self_cpu_time_total / count / 1e3:.2f} ms" for e in host))


def configuration(name, channels=2):
    config = ViTConfig.reference() if name == "reference" else ViTConfig()
    small = {"width": 32, "depth": 1, "mlp": 32, "heads": 2} if arguments.small else {}
    return ViTConfig.from_dict(config.to_dict() | {"in_channels": channels} | small)


def least(config):
    """Arithmetic (FLOP) and traffic (bytes) of a step for one spectrum, forward and backward.

    Traffic is that of kernels of one operation each: products, attention, and what lies between in one pass.
    """
    t, w, m, d = config.sequence_length, config.width, config.mlp, config.depth
    products = 2 * (4 * w * w + 2 * w * m) + 4 * t * w
    forward = 2 * w * 2 + 8 * w * 2 + 4 * w * 4 + 2 * w * 2 + 3 * (m + w) * 2 + 2 * m
    return 3 * d * t * products, 3 * d * t * forward


def regressor_of(name, survey="paper"):
    """A network as it is trained for a survey."""
    torch.manual_seed(0)
    told = {"encoding": "instrument", "covariance": True} if survey == "any" else {}
    regressor = LabelRegressor.build(configuration(name), LABELS, **told)
    regressor.set_label_scaling([4800, 3.0, -0.5, 0.1, 0.0], [600, 1.1, 0.3, 0.1, 0.1])
    return regressor.to(device)


def stream_of(survey, size=n):
    """Batches as ``scripts/train_weights.py`` takes them: of `any` a fifth is of `pfs-mr`."""
    if survey != "any":
        return Survey(survey, seed=1).stream(size, device=device)
    block = size * arguments.at_once
    few = block // 5
    parts = (Survey("any", seed=1), block - few), (Survey("pfs-mr", seed=1), few)
    mixed = MixedStream(*(one.stream(count, device=device) for one, count in parts))
    return BlockStream(mixed, arguments.at_once)


class Timed:
    """Batches, with the clock started and stopped before two of them."""

    def __init__(self, batches, first, last, name):
        self.batches, self.first, self.last, self.name = batches, first, last, name
        self.elapsed, self._profile = math.nan, None

    def part(self, rank, world_size):
        return Timed(self.batches.part(rank, world_size), self.first, self.last, self.name)

    def set_step(self, step):
        self.batches.set_step(step)

    def __iter__(self):
        for k, batch in enumerate(self.batches):
            if k == self.first:
                synchronise()
                self.start = time.perf_counter()
            if k == self.last:
                synchronise()
                Timed.elapsed = time.perf_counter() - self.start
                self._profile = profiled(self.name, 5)
                self._profile.__enter__()
            if k == self.last + 5:
                self._profile.__exit__(None, None, None)
            yield batch


wrong = []


def judge(what, off, most):
    """Say by how much a result is off; what is off by too much is remembered, and the rest still runs."""
    good = off < most  # False for NaN
    say(f"{what} is off by {off:.1e}" + ("" if good else f": WRONG, more than {most:g}"))
    if not good:
        wrong.append(what)


def differ(what, found, expected):
    off = ((found.float() - expected.float()).norm() / expected.float().norm()).item()
    judge(f"{what}, beside float32,", off, 2e-2)


# -- is it right? ------------------------------------------------------------------------------------------
if "check" in arguments.only and not rank:
    for name in arguments.configurations:
        config = ViTConfig.from_dict(
            configuration(name).to_dict() | {"depth": 1, "dropout": 0, "attention_dropout": 0}
        )
        torch.manual_seed(0)
        network = LabelRegressor.build(config, LABELS).network.to(device)
        x, exact = torch.randn(8, 2, 4096, device=device), copy.deepcopy(network).double()
        exact(x.double()).square().sum().backward()
        for precision in (torch.float32, half):
            network.zero_grad()
            with torch.autocast(device.type, half, enabled=precision == half):
                network(x).square().sum().backward()
            pairs = zip(network.parameters(), exact.parameters(), strict=True)
            off = max(((a.grad - b.grad).norm() / b.grad.norm()).item() for a, b in pairs)
            most = 2e-3 if precision == torch.float32 else 0.1
            judge(f"{name}: gradient in {precision}, beside float64,", off, most)

# -- simulation ----------------------------------------------------------------------------------------
if "simulation" in arguments.only:
    for survey in [*arguments.surveys, *(["pfs-mr"] if "any" in arguments.surveys else [])]:
        stars = Survey(survey, seed=1)
        batches = iter(stars.stream(n, device=device))
        report(f"simulation, {survey}", seconds(lambda batches=batches: next(batches)))
        with profiled(f"simulation, {survey}", 3):
            for _ in range(3):
                next(batches)


# -- our kernels, beside torch's -----------------------------------------------------------------------
def each(name, call, choices):
    """Time a call with several sizes of blocks."""
    for choice in choices:
        try:
            report(f"{name} {choice}", seconds(lambda choice=choice: call(choice), 10))
        except Exception as error:
            say(f"{name} {choice}: {type(error).__name__} {str(error)[:80]}")


def attention(name, config):
    from specvit.network import attentionkernels as kernels

    t, heads, w, p = config.sequence_length, config.heads, config.width, config.attention_dropout
    qkv = torch.randn(n, t, 3 * w, device=device, dtype=half)
    grad, seed = torch.randn(n, t, w, device=device, dtype=half), torch.randint(2**31, (2,), device=device)

    def plain(x, p=0.0):
        q, k, v = x.view(len(x), t, 3, heads, w // heads).permute(2, 0, 3, 1, 4).unbind(0)
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p).transpose(1, 2).reshape(len(x), t, w)

    x = qkv[:64].clone().requires_grad_()
    out, expected = kernels.attention_forward(x.detach(), seed, heads, 0.0), plain(x.float())
    differ(f"attention, {name}: output", out[0], expected)
    (slope,) = torch.autograd.grad(expected, x, grad[:64].float())
    found = kernels.attention_backward(x.detach(), *out, grad[:64], seed, heads, 0.0)[0]
    differ(f"attention, {name}: gradient", found, slope)
    whole = qkv.clone().requires_grad_()
    report(f"attention, {name}, dropout {p}, torch", seconds(lambda: plain(whole, p).backward(grad), 10))
    out = kernels.attention_forward(qkv, seed, heads, p)
    each(
        f"attention, {name}, dropout {p}, forward",
        lambda size: kernels.attention_forward(qkv, seed, heads, p, size),
        [(64, 4), (128, 8)],
    )
    each(
        f"attention, {name}, dropout {p}, backward",
        lambda size: kernels.attention_backward(qkv, *out, grad, seed, heads, p, size),
        [(64, 8, 2), (64, 8, 1), (32, 8, 2), (32, 8, 1), (64, 16, 1), (32, 4, 2), (32, 16, 1)],
    )


def feed_forward(name, config):
    from specvit.network import mlpkernels as kernels

    m, w, hidden = n * config.sequence_length, config.width, config.mlp
    like = {"device": device, "dtype": half}
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
    report(f"feed-forward, {name}: linear, then GELU", seconds(lambda: F.gelu(F.linear(x, w1, b1)), 10))
    report(
        f"feed-forward, {name}: product, then gradient of GELU",
        seconds(lambda: torch.ops.aten.gelu_backward(grad @ w2, before), 10),
    )
    tiles = [(128, 128, 64, 8, 3), (128, 128, 64, 8, 4), (64, 128, 64, 4, 3), (128, 64, 64, 4, 3)]
    tiles += [(128, 128, 32, 8, 4), (64, 256, 64, 8, 3)]
    each(f"feed-forward, {name}: fused", lambda t: kernels.linear_gelu(x, w1, b1, tiles=t), tiles)
    each(
        f"feed-forward, {name}: fused gradient",
        lambda t: kernels.gelu_gradient(grad, w2, before, tiles=t),
        tiles,
    )


if "kernels" in arguments.only and gpu:
    for name in arguments.configurations:
        attention(name, configuration(name))
        feed_forward(name, configuration(name))
        torch.cuda.empty_cache()


# -- networks alone ----------------------------------------------------------------------------------------
def stepping(network, x):
    """A plain training step: autocast, mean square, clipped gradient, fused AdamW."""
    groups = parameter_groups(network, 0.01)
    optimizer = torch.optim.AdamW(groups, lr=1e-4, fused=gpu)

    def step():
        with torch.autocast(device.type, half, enabled=gpu):
            out = network(x)
        loss = (out[0] if isinstance(out, tuple) else out).float().square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


if "networks" in arguments.only:
    for name in arguments.configurations:
        config = configuration(name)
        flops, moved = least(config)
        say(
            f"{name}: a step takes {flops / 1e9:.2f} GFLOP and moves {moved / 1e6:.0f} MB a spectrum at least"
        )
        x = torch.randn(n, 2, 4096, device=device)
        for mode in arguments.modes:
            network = LabelRegressor.build(config, LABELS).network.to(device)
            fastlayers.ENABLED = mode != "torch"
            if mode != "eager":
                network.compile(mode=None if mode in ("default", "torch") else mode)
            step = stepping(network, x)
            report(f"network alone, {name}, {mode}", seconds(step))
            with profiled(f"network alone, {name}, {mode}", 3):
                for _ in range(3):
                    step()
            del network, step
            fastlayers.ENABLED = True

# -- peers -------------------------------------------------------------------------------------------------
if "peers" in arguments.only:
    try:
        from transformers import ViTConfig as HuggingFaceConfig
        from transformers import ViTModel

        few = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32, "num_attention_heads": 2}
        full = {
            "hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 1024, "num_attention_heads": 8
        }  # fmt: skip
        peer = HuggingFaceConfig(
            **(few if arguments.small else full),
            image_size=(1, 4096),
            patch_size=(1, 16),
            num_channels=1,
            hidden_dropout_prob=0.1,
            attention_probs_dropout_prob=0.1,
        )

        class Peer(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.vit = ViTModel(peer, add_pooling_layer=False)
                self.head = torch.nn.Linear(peer.hidden_size, 1)

            def forward(self, x):
                return self.head(self.vit(x).last_hidden_state[:, 0])

        step = stepping(Peer().to(device).train(), torch.randn(n, 1, 1, 4096, device=device))
        report("Hugging Face ViT, reference shape, eager, no simulation", seconds(step, max(3, steps // 2)))
        del step
    except ImportError:
        say("transformers is not installed")
    network = LabelRegressor.build(configuration("reference"), LABELS).network.to(device)
    step = stepping(network, torch.randn(n, 2, 4096, device=device))
    report("plain eager reference network, no simulation", seconds(step, max(3, steps // 2)))
    del network, step

# -- the public function -----------------------------------------------------------------------------------
if "train" in arguments.only:
    for survey in arguments.surveys:
        for name in ["bundled"] if survey == "any" else arguments.configurations:
            warm = 8
            config = TrainingConfig(
                max_steps=warm + steps + 6,
                warmup_steps=2,
                ema_decay=0.999,
                gradient_clip=0.5,
                compile=arguments.modes != ["eager"],
                log_every_steps=50,
            )
            label = f"train, {name}, {survey}, simulation included"
            timed = Timed(stream_of(survey), warm, warm + steps, label)
            train(regressor_of(name, survey), timed, config, devices=arguments.devices, progress=False)
            report(label, Timed.elapsed, steps * n * arguments.devices)
    leave()
if gpu:
    free = torch.cuda.max_memory_allocated(device) / 2**30
    say(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, at most {free:.1f} GiB")
else:
    say(f"{torch.get_num_threads()} threads, torch {torch.__version__}, NumPy {np.__version__}")
if wrong:
    sys.exit("WRONG: " + "; ".join(wrong))

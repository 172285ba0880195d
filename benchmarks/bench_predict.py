"""How fast labels are predicted: the public `predict`, beside plain networks and LightGBM.

usage: python benchmarks/bench_predict.py [--device cuda] [--spectra 1024] [--threads 2] [--repeats 3]
                                          [--devices 2] [--profile] [--fast-only]

First labels and σ in reduced precision must agree with those of the same weights in float32. Then each is
timed on the same spectra, one after the other in every round, so that all see the same machine; CPU seconds
of all threads on a processor, wall seconds on a GPU. What is not installed is left out. With --profile the
kernels and the Python functions of one prediction are listed; --fast-only leaves out what is slow.
"""

import argparse
import cProfile
import pstats
import time
import warnings

import numpy as np
import torch

from specvit.network import SpectrumViT, ViTConfig
from specvit.predictors import LoggEstimator
from specvit.survey import Survey

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
parser.add_argument("--spectra", type=int, help="by default 200,000 on a GPU and 512 on a processor")
parser.add_argument("--threads", type=int, help="of torch; by default its own choice")
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--devices", type=int, default=1, help="GPUs that share the spectra, beside one alone")
parser.add_argument("--profile", action="store_true")
parser.add_argument("--fast-only", action="store_true", help="no peers, nothing in full float32")
parser.add_argument("--magnitude", type=float, default=20.5)
arguments = parser.parse_args()
if arguments.threads:
    torch.set_num_threads(arguments.threads)
gpu = torch.device(arguments.device).type == "cuda"
n, size = arguments.spectra or (200_000 if gpu else 512), 4096 if gpu else 64
warnings.simplefilter("ignore")

survey, parts = Survey("paper", seed=0), []
for stream, start in enumerate(range(0, n, 4096)):
    batch = survey.draw(
        min(4096, n - start), stream=stream, magnitude=arguments.magnitude, device=arguments.device
    )
    parts.append([x.cpu().numpy() for x in (batch.flux, batch.ivar)])
flux, ivar = (np.concatenate(column) for column in zip(*parts, strict=True))
fast = LoggEstimator(device=arguments.device, precision="auto" if gpu else "bf16-mixed")
exact = LoggEstimator(device=arguments.device, precision="32-true")

# -- do they agree? ------------------------------------------------------------------------------------
few = slice(0, min(n, 2048))
half, full = (one.predict_labels(flux[few], ivar=ivar[few]) for one in (fast, exact))
for k, name in enumerate(full.names):
    off = np.abs(half.mean[:, k] - full.mean[:, k])
    ratio = np.abs(half.sigma[:, k] / full.sigma[:, k] - 1)
    median, most, largest = np.quantile(off, [0.5, 0.95, 1])
    share = (off / full.sigma[:, k]).max()
    print(f"{name:8} off by {median:.4f}, 95 % by {most:.4f}, all by {largest:.4f}, {share:.3f} σ", end="; ")
    print(f"σ by {ratio.max():.2%}")
    assert share < 0.1 and ratio.max() < 0.02, name
print(f"alarms that differ: {int((half.batch.flags != full.batch.flags).sum())} of {len(full)}")
everything = LoggEstimator(device=arguments.device, precision=fast.precision, devices=arguments.devices)
logg = everything.predict(flux, ivar=ivar)
k = half.names.index("logg")
off = np.abs(logg[few] - half.mean[:, k])
print(f"log g of all {n}, in pieces on {arguments.devices} devices, off by {off.max():.1e}\n")
assert (off < 0.1 * full.sigma[:, k]).all() and np.isfinite(logg).all()


# -- how long do they take? ------------------------------------------------------------------------------
def seconds(call):
    """CPU seconds on a processor, wall seconds on a GPU."""
    if not gpu:
        start = time.process_time()
        call()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def through(network, channels):
    """All spectra through a bare network, from tensors on the device."""
    x = torch.randn(size, channels, flux.shape[1], device=arguments.device)
    x = x.to(next(network.parameters()).dtype)

    def run():
        with torch.inference_mode():
            for _ in range(0, n, size):
                network(x)

    return run


def profile():
    """Kernels and Python functions of one prediction."""
    some, weight = flux[: max(1, n // 16)], ivar[: max(1, n // 16)]
    fast.predict(some, ivar=weight)
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if gpu else []
    with torch.profiler.profile(activities=activities) as record:
        fast.predict(some, ivar=weight)
    events, of_gpu = record.key_averages(), torch.autograd.DeviceType.CUDA
    kernels = sorted(
        (e for e in events if e.device_type == of_gpu), key=lambda e: -e.self_device_time_total
    ) or sorted(events, key=lambda e: -e.self_cpu_time_total)
    for e in kernels[:40]:
        took = e.self_device_time_total if gpu else e.self_cpu_time_total
        print(f"   {took / len(some):8.3f} us a spectrum {e.count:6} x  {e.key[:110]}")
    took = sum(e.self_device_time_total for e in kernels) / len(some)
    print(f"   {took:8.3f} us a spectrum of all kernels")
    clock = cProfile.Profile()
    clock.runcall(fast.predict, some, ivar=weight)
    pstats.Stats(clock).sort_stats("tottime").print_stats(25)


if arguments.profile:
    profile()
plain = SpectrumViT(ViTConfig.reference()).to(arguments.device).eval()
entries = {
    "plain reference network, float32 eager": through(plain, 1),
    "predict, arrays": lambda: fast.predict(flux, ivar=ivar),
    "predict, arrays, 32-true": lambda: exact.predict(flux, ivar=ivar),
}
try:
    import astropy  # noqa: F401

    entries["predict_table, arrays"] = lambda: fast.predict_table(flux, ivar=ivar)
except ImportError:
    entries["predict_labels, arrays"] = lambda: fast.predict_labels(flux, ivar=ivar)
if arguments.devices > 1:
    entries[f"predict, arrays, {arguments.devices} GPUs"] = lambda: everything.predict(flux, ivar=ivar)
if gpu:
    entries["plain reference network, bfloat16"] = through(plain.bfloat16(), 1)
    del entries["plain reference network, float32 eager"]
if arguments.fast_only:
    entries.pop("predict, arrays, 32-true", None)
    entries.pop("plain reference network, bfloat16", None)
try:
    if arguments.fast_only:
        raise ImportError
    from transformers import ViTConfig as HuggingFaceConfig
    from transformers import ViTModel

    shape = {"image_size": (1, 4096), "patch_size": (1, 16), "num_channels": 1}
    peer = HuggingFaceConfig(
        hidden_size=256, num_hidden_layers=6, num_attention_heads=8, intermediate_size=1024, **shape
    )
    network = ViTModel(peer).to(arguments.device).eval()
    images = torch.randn(size, 1, 1, 4096, device=arguments.device)

    def hugging_face():
        with torch.inference_mode(), torch.autocast(arguments.device, torch.bfloat16, enabled=gpu):
            for _ in range(0, n, size):
                network(images)

    entries["Hugging Face ViT"] = hugging_face
except ImportError:
    print("transformers is not installed or not wanted")
try:
    if arguments.fast_only:
        raise ImportError
    from lightgbm import LGBMRegressor

    rng = np.random.default_rng(0)
    trees = LGBMRegressor(n_estimators=100, num_leaves=15, max_bin=63, verbose=-1, n_jobs=1)
    trees.fit(flux[:256], rng.standard_normal(len(flux[:256])))
    entries["LightGBM, 100 trees"] = lambda: trees.predict(flux)
except ImportError:
    print("lightgbm is not installed or not wanted")

fast.predict(flux[:size], ivar=ivar[:size])  # once beforehand: caches, kernels
device = torch.cuda.get_device_name() if gpu else f"{torch.get_num_threads()} threads"
took = {name: [] for name in entries}
for k in range(arguments.repeats):
    print(f"{n} spectra, {device}, best and mean of {k + 1}")
    for name, call in entries.items():
        took[name].append(seconds(call))
        value = min(took[name])
        ratio = min(took[next(iter(took))]) / value
        rates = f"{n / value:10,.0f} {n / np.mean(took[name]):10,.0f} /s"
        print(f"{name:42} {rates} {value / n * 1e3:9.3f} ms {ratio:7.2f} x", flush=True)

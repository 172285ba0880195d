"""What benchmarks of the network share: options, clock, profile of kernels, and judgement of results."""

import argparse
import contextlib
import sys
import time

import numpy as np
import torch

from specvit.network import ViTConfig

#: In which networks are trained.
HALF = torch.bfloat16


def options(description):
    """A parser that has the options of all these benchmarks."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=20, help="that are timed")
    parser.add_argument("--configurations", nargs="+", default=["bundled", "reference"])
    parser.add_argument("--small", action="store_true", help="tiny networks, to try this script")
    return parser


def configuration(name, small=False, channels=2):
    """The network of the bundled weights or the reference's, or a tiny one of its kind."""
    config = ViTConfig.reference() if name == "reference" else ViTConfig()
    tiny = {"width": 32, "depth": 1, "mlp": 32, "heads": 2} if small else {}
    return ViTConfig.from_dict(config.to_dict() | {"in_channels": channels} | tiny)


class Bench:
    """A run of a benchmark on a device: what it measures and says, and what it finds wrong.

    Parameters
    ----------
    device : torch.device
        Where things run.
    batch_size : int
        Spectra of a call, unless `report` is told otherwise.
    steps : int
        Calls that are timed, unless `seconds` is told otherwise.
    rank : int
        Which of several processes this is: only the first speaks.
    rows : int
        Kernels listed by `profiled`; 0 for no profiles.
    """

    def __init__(self, device, batch_size, steps, rank=0, rows=0):
        self.device, self.batch_size, self.steps = device, batch_size, steps
        self.rank, self.rows, self.gpu = rank, rows, device.type == "cuda"
        self.began, self.wrong = time.perf_counter(), []

    def say(self, *words):
        if not self.rank:
            print(*words, flush=True)

    def synchronise(self):
        if self.gpu:
            torch.cuda.synchronize(self.device)

    def seconds(self, call, repeats=None, warm=3):
        """Mean wall seconds of a call."""
        repeats = self.steps if repeats is None else repeats
        for _ in range(warm):
            call()
        self.synchronise()
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        self.synchronise()
        return (time.perf_counter() - start) / repeats

    def report(self, name, value, spectra=None):
        """Say how long something took, and how many spectra a second that is."""
        rate = (self.batch_size if spectra is None else spectra) / value
        spent = time.perf_counter() - self.began
        self.say(f"{name:58} {rate:10,.0f} /s {value * 1e3:9.3f} ms  [{spent:.0f} s]")

    @contextlib.contextmanager
    def profiled(self, name, count=1):
        """List the kernels that run within, per step of `count`."""
        if not self.rows or self.rank:
            yield
            return
        activities = [torch.profiler.ProfilerActivity.CPU]
        activities += [torch.profiler.ProfilerActivity.CUDA] if self.gpu else []
        with torch.profiler.profile(activities=activities) as profile:
            yield
            self.synchronise()
        events, say = profile.key_averages(), self.say
        if not self.gpu:
            say(events.table(sort_by="self_cpu_time_total", row_limit=10, max_name_column_width=50))
            return
        kernels = [e for e in events if e.device_type == torch.autograd.DeviceType.CUDA]
        kernels = sorted(kernels, key=lambda e: -e.self_device_time_total)
        total = sum(e.self_device_time_total for e in kernels) / count
        say(f"-- {name}: {total / 1e3:.3f} ms of kernels a step, {sum(e.count for e in kernels) / count:.0f}")
        for e in kernels[: self.rows]:
            say(
                f"   {e.self_device_time_total / count / 1e3:8.3f} ms {e.count / count:6.1f} x  {e.key[:110]}"
            )
        host = sorted(events, key=lambda e: -e.self_cpu_time_total)[:8]
        say(
            "   host: "
            + "; ".join(f"{e.key[:30]} {e.self_cpu_time_total / count / 1e3:.2f} ms" for e in host)
        )

    def judge(self, what, off, most):
        """Say by how much a result is off; what is off by too much is remembered, and the rest still runs."""
        good = off < most  # False for NaN
        self.say(f"{what} is off by {off:.1e}" + ("" if good else f": WRONG, more than {most:g}"))
        if not good:
            self.wrong.append(what)

    def finish(self):
        """Say where all this ran, and exit with an error if anything was wrong."""
        if self.gpu:
            most = torch.cuda.max_memory_allocated(self.device) / 2**30
            name = torch.cuda.get_device_name(self.device)
            self.say(f"{name}, torch {torch.__version__}, at most {most:.1f} GiB")
        else:
            threads = torch.get_num_threads()
            self.say(f"{threads} threads, torch {torch.__version__}, NumPy {np.__version__}")
        if self.wrong:
            sys.exit("WRONG: " + "; ".join(self.wrong))

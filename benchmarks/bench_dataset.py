"""How fast data sets are written and read, against plain h5py, after checking that they are right.

usage: python benchmarks/bench_dataset.py [--n 20000] [--folder FOLDER] [--threads 2]

Validation: what is read back is what was simulated, and an epoch of the stream holds every spectrum once.
The peer of writing is h5py writing arrays of the same size that are in memory already, each file
synchronised to disk; the peer of reading is h5py reading the same arrays from beginning to end, into one
block again and again (which stays in the processor's cache) or, as batches that are kept must be, into
new arrays. Both read from the page cache unless the set is larger than the memory.
"""

import argparse
import itertools
import os
import resource
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch

from specvit.simulate import SpectrumDataset, Survey, write_dataset

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--n", type=int, default=20_000)
parser.add_argument("--folder", default=tempfile.gettempdir())
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--batch-size", type=int, default=256)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
n, shard = arguments.n, min(5000, arguments.n)
survey = Survey("paper", seed=1)
n_pixels = len(survey.grid)
ARRAYS = [f"dataset/arrays/{name}/value" for name in ("flux", "error", "error_noiseless")]


def timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_plain(folder):
    block = np.random.default_rng(0).random((256, n_pixels), np.float32)
    for first in range(0, n, shard):
        rows = min(shard, n - first)
        with h5py.File(folder / f"plain-{first}.h5", "w") as file:
            arrays = [file.create_dataset(key, (rows, n_pixels), np.float32) for key in ARRAYS]
            for start in range(0, rows, 256):
                stop = min(start + 256, rows)
                for array in arrays:
                    array.write_direct(block, np.s_[: stop - start], np.s_[start:stop])
        with open(folder / f"plain-{first}.h5", "rb") as file:
            os.fsync(file.fileno())


def read_plain(paths):
    block = np.empty((arguments.batch_size, n_pixels), np.float32)
    for path in paths:
        with h5py.File(path) as file:
            arrays = [file[key] for key in ARRAYS]
            for start in range(0, len(arrays[0]), len(block)):
                stop = min(start + len(block), len(arrays[0]))
                for array in arrays:
                    array.read_direct(block, np.s_[start:stop], np.s_[: stop - start])


def read_new(paths):
    for path in paths:
        with h5py.File(path) as file:
            arrays = [file[key] for key in ARRAYS]
            for start in range(0, len(arrays[0]), arguments.batch_size):
                [torch.from_numpy(array[start : start + arguments.batch_size]) for array in arrays]


def simulate():
    for k in range(-(-n // 256)):
        survey.draw(256, stream=k)


with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
    folder = Path(name)
    write_dataset(survey, folder / "small", 600, shard_size=500)
    small = SpectrumDataset(folder / "small")
    batch = survey.draw(256)
    scale = 0.5 / np.median(batch.noiseless.numpy(), axis=1, keepdims=True)
    difference = np.abs(small[:256].flux / (batch.noiseless.numpy() * scale) - 1).max()
    stream = small.stream(64)
    labels = torch.cat([b[2][:, 0] for b in itertools.islice(stream, len(stream))]).numpy()
    assert difference < 1e-6 and np.array_equal(np.sort(labels), np.sort(small[:].labels[:, 0]))
    print(f"validation: flux differs by {difference:.1e}, an epoch holds every spectrum once")

    ours, plain, simulation = [], [], timed(simulate)
    before = peak()
    for repeat in range(2):  # in turn, because other work on the machine comes and goes
        ours.append(timed(lambda r=repeat: write_dataset(survey, folder / f"set{r}", n, shard_size=shard)))
        (folder / f"plain{repeat}").mkdir()
        plain.append(timed(lambda r=repeat: write_plain(folder / f"plain{r}")))
    size = sum(path.stat().st_size for path in (folder / "set0").iterdir()) / 1e9
    rates = [n / min(seconds) for seconds in (ours, plain)]
    print(f"{n:,} spectra of {n_pixels} pixels, {size:.2f} GB, {arguments.threads} threads")
    print(f"simulation alone:          {n / simulation:8,.0f} spectra/s")
    print(
        f"simulated and written:     {rates[0]:8,.0f} spectra/s (peak memory {before:.0f} -> {peak():.0f} MB)"
    )
    print(f"written by plain h5py:     {rates[1]:8,.0f} spectra/s: ratio {rates[1] / rates[0]:.2f}")
    more = min(ours) / (simulation + min(plain))
    print(f"simulation, then plain:    {n / (simulation + min(plain)):8,.0f} spectra/s: ratio {more:.2f}")

    paths = sorted((folder / "set0").iterdir())
    dataset = SpectrumDataset(folder / "set0")
    streams = {"shuffled, no noise": 0.0, "shuffled, noise on CPU": 1.0}
    running, steps = {}, len(dataset.stream(arguments.batch_size))
    times = {name: [] for name in ("one block", "new arrays", *streams)}
    for name, level in streams.items():  # an epoch to begin with: values are checked
        running[name] = iter(dataset.stream(arguments.batch_size, noise_level=level))
        timed(lambda r=running[name]: [None for _ in itertools.islice(r, steps)])
    for _ in range(5):
        times["one block"].append(timed(lambda: read_plain(paths)))
        times["new arrays"].append(timed(lambda: read_new(paths)))
        for name, stream in running.items():
            times[name].append(timed(lambda r=stream: [None for _ in itertools.islice(r, steps)]))
    best = {name: min(values) for name, values in times.items()}
    print(f"h5py in order, one block:  {n / best['one block']:8,.0f} spectra/s")
    print(f"h5py in order, new arrays: {n / best['new arrays']:8,.0f} spectra/s")
    for name in streams:
        ratios = [best[name] / best[peer] for peer in ("one block", "new arrays")]
        print(f"{name + ':':26s} {n / best[name]:8,.0f} spectra/s: ratios {ratios[0]:.2f}, {ratios[1]:.2f}")

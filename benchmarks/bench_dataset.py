"""How fast data sets are written and read, against plain h5py, after checking that they are right.

usage: python benchmarks/bench_dataset.py [--n 20000] [--repeats 5] [--folder FOLDER]
       python benchmarks/bench_dataset.py --memory

Validation: what is read back is what was simulated, and an epoch of the stream holds every spectrum once.

Writing is compared with h5py writing arrays of the same size that are in memory already, each file
synchronised to disk. "From memory" is `write_dataset` of spectra that are in memory already too: all but the
simulation, checksums and the table included.

Reading is compared with h5py reading the same arrays and the labels from beginning to end: into one block
again and again (which stays in the processor's cache), or into new arrays as batches that are kept must be.
Batches without noise are made of ``flux`` and ``error``, those with noise of ``error_noiseless`` too; the
peer of the latter draws the same noise. Both read from the page cache, or both from the disk: then the
system is told before each pass to forget the files.

Everything is repeated in turn, because other work on the machine comes and goes: medians are given, and the
median of the ratios of each turn, of time and of processor time (that of all threads, which other work
disturbs less).

On two processors run it with OMP_NUM_THREADS=1 too: torch's second thread, waiting for work, takes a
processor from the thread that reads, and batches without noise then come at two thirds of their rate.

With ``--memory``, the peak memory of processes that write, and that read an epoch of, 20,000 and 200,000
spectra (10 GB of disk). What the system's allocator keeps of memory that was freed varies by tens of MB from
run to run, so each is measured twice: as it is, and with freed memory returned at once.
"""

import argparse
import itertools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np
import torch

from specvit.dataset import SpectrumDataset, write_dataset
from specvit.survey import Survey

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--n", type=int, default=20_000)
parser.add_argument("--repeats", type=int, default=5)
parser.add_argument("--folder", default=tempfile.gettempdir())
parser.add_argument("--batch-size", type=int, default=256)
parser.add_argument("--memory", action="store_true")
parser.add_argument("--peak-of", choices=("start", "write", "read"), help=argparse.SUPPRESS)
NAMES = ("flux", "error", "error_noiseless")


def key(name):
    return f"dataset/arrays/{name}/value"


class Kept:
    """A survey whose spectra are in memory already."""

    def __init__(self, survey):
        self.grid, self.label_names, self.noise = survey.grid, survey.label_names, survey.noise
        self.batch = survey.draw(256)

    def draw(self, n, *, stream=0, device="cpu"):
        return type(self.batch)(*(values[:n] for values in vars(self.batch).values()))

    def __repr__(self):
        return "Kept()"


def write_plain(folder, n, shard, n_pixels):
    folder.mkdir()
    block = np.random.default_rng(0).random((256, n_pixels), np.float32)
    for first in range(0, n, shard):
        rows = min(shard, n - first)
        with h5py.File(folder / f"plain-{first}.h5", "w") as file:
            arrays = [file.create_dataset(key(name), (rows, n_pixels), np.float32) for name in NAMES]
            for start in range(0, rows, 256):
                stop = min(start + 256, rows)
                for array in arrays:
                    array.write_direct(block, np.s_[: stop - start], np.s_[start:stop])
        with open(folder / f"plain-{first}.h5", "rb") as file:
            os.fsync(file.fileno())


def read_plain(paths, names, size, *, new=False, noise=False):
    block = dict.fromkeys(names)
    for path in paths:
        with h5py.File(path) as file:
            arrays = {name: file[key(name)] for name in names}
            file["dataset/params/table"][:]
            for start in range(0, len(arrays["flux"]), size):
                stop = min(start + size, len(arrays["flux"]))
                for name, array in arrays.items():
                    if new or block[name] is None:
                        block[name] = array[start:stop]
                    else:
                        array.read_direct(block[name], np.s_[start:stop], np.s_[: stop - start])
                if noise:
                    tensors = {name: torch.from_numpy(values) for name, values in block.items()}
                    tensors["flux"] + tensors["error_noiseless"] * torch.randn(tensors["flux"].shape)


def forget(paths):
    for path in paths:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def exhaust(batches, steps):
    for _ in itertools.islice(batches, steps):
        pass


def in_turn(functions, repeats, before=lambda: None):
    """Seconds that each function takes, and those of processors: dict of name to list of both."""
    seconds = defaultdict(list)
    for _ in range(repeats):
        for name, function in functions.items():
            before()
            start = time.perf_counter(), time.process_time()
            function()
            seconds[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return seconds


def show(seconds, n, name, *peers):
    wall, busy = np.median(seconds[name], axis=0)
    text = f"  {name + ':':31s}{n / wall:8,.0f} spectra/s, {1e6 * busy / n:5.1f} µs of processor each"
    for peer in peers:
        ratios = np.median(np.divide(seconds[name], seconds[peer]), axis=0)
        text += f"; {ratios[0]:.2f} × {peer} ({ratios[1]:.2f} × its processor time)"
    print(text)


def validate(survey, folder):
    write_dataset(survey, folder, 600, shard_size=500)
    small, batch = SpectrumDataset(folder), survey.draw(256)
    scale = 0.5 / np.median(batch.noiseless.numpy(), axis=1, keepdims=True)
    stored = small[:256]
    pairs = ((stored.flux, batch.noiseless), (stored.noiseless_sigma, batch.noiseless_sigma))
    difference = max(np.abs(ours / (theirs.numpy() * scale) - 1).max() for ours, theirs in pairs)
    stream = small.stream(64)
    labels = torch.cat([b[2][:, 0] for b in itertools.islice(stream, len(stream))]).numpy()
    assert difference < 1e-6 and np.array_equal(np.sort(labels), np.sort(small[:].labels[:, 0]))
    print(f"validation: flux and σ differ by {difference:.1e}, an epoch holds every spectrum once")


def time_writing(survey, folder, n, shard, repeats):
    kept = Kept(survey)

    def empty(name, write):
        shutil.rmtree(folder / name, ignore_errors=True)
        write(folder / name)

    functions = {
        "simulated and written": lambda: empty(
            "set", lambda f: write_dataset(survey, f, n, shard_size=shard)
        ),
        "written from memory": lambda: empty("kept", lambda f: write_dataset(kept, f, n, shard_size=shard)),
        "plain h5py": lambda: empty("plain", lambda f: write_plain(f, n, shard, len(survey.grid))),
        "simulation alone": lambda: [survey.draw(256, stream=k) for k in range(-(-n // 256))],
    }
    seconds = in_turn(functions, repeats)
    seconds["simulation, then plain"] = np.add(seconds["simulation alone"], seconds["plain h5py"])
    size = sum(path.stat().st_size for path in (folder / "set").iterdir()) / 1e9
    print(f"writing {n:,} spectra of {len(survey.grid)} pixels, {size:.2f} GB")
    show(seconds, n, "plain h5py")
    show(seconds, n, "simulation alone")
    show(seconds, n, "simulated and written", "plain h5py", "simulation, then plain")
    show(seconds, n, "written from memory", "plain h5py")


def time_reading(folder, n, size, repeats):
    paths, dataset = sorted(folder.iterdir()), SpectrumDataset(folder)
    streams = {level: dataset.stream(size, noise_level=level) for level in (0.0, 1.0)}
    batches = {level: iter(stream) for level, stream in streams.items()}
    steps = len(streams[0.0])
    functions = {
        "h5py": lambda: read_plain(paths, NAMES[:2], size),
        "h5py, new arrays": lambda: read_plain(paths, NAMES[:2], size, new=True),
        "shuffled batches": lambda: exhaust(batches[0.0], steps),
        "h5py with noise": lambda: read_plain(paths, NAMES, size, noise=True),
        "shuffled batches with noise": lambda: exhaust(batches[1.0], steps),
    }
    for title, before in (("page cache", lambda: None), ("disk", lambda: forget(paths))):
        if title == "page cache":
            first = in_turn(functions, 1)["shuffled batches"]  # when values are checked
        seconds = in_turn(functions, repeats, before)
        print(f"reading from the {title}")
        show(seconds, n, "h5py")
        show(seconds, n, "h5py, new arrays")
        show(seconds, n, "shuffled batches", "h5py", "h5py, new arrays")
        if title == "page cache":
            seconds["shuffled batches, first epoch"] = first * repeats
            show(seconds, n, "shuffled batches, first epoch", "h5py", "h5py, new arrays")
        show(seconds, n, "h5py with noise")
        show(seconds, n, "shuffled batches with noise", "h5py with noise")


def print_peak(what, folder, n, size):
    """What a process of its own does; it prints its peak memory in MB."""
    survey = Survey("paper", seed=1)
    survey.draw(256)
    if what == "write":
        write_dataset(survey, folder, n)
    elif what == "read":
        stream = SpectrumDataset(folder).stream(size)
        exhaust(stream, len(stream))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def measure_memory(folder):
    def peak(what, n, **environment):
        options = {"--peak-of": what, "--n": n, "--folder": folder / str(n)}
        command = [sys.executable, __file__, *(str(text) for option in options.items() for text in option)]
        result = subprocess.run(command, check=True, stdout=-1, text=True, env=os.environ | environment)
        return int(result.stdout)

    returned = {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    print("peak memory, MB, as it is and with freed memory returned at once")
    print(f"  once a survey has been used: {peak('start', 1)}, {peak('start', 1, **returned)}")
    for n in (20_000, 200_000):
        writing = [peak("write", n)]
        reading = [peak("read", n), peak("read", n, **returned)]
        shutil.rmtree(folder / str(n))
        writing.append(peak("write", n, **returned))
        shutil.rmtree(folder / str(n))
        print(f"  {n:7,} spectra: writing {writing}, an epoch of reading {reading}", flush=True)


if __name__ == "__main__":
    arguments = parser.parse_args()
    n = arguments.n
    if arguments.peak_of:
        print_peak(arguments.peak_of, arguments.folder, n, arguments.batch_size)
        sys.exit()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        if arguments.memory:
            measure_memory(folder)
        else:
            survey = Survey("paper", seed=1)
            validate(survey, folder / "small")
            print(f"{len(os.sched_getaffinity(0))} processors, {torch.get_num_threads()} threads of torch")
            time_writing(survey, folder, n, min(5000, n), arguments.repeats)
            time_reading(folder / "set", n, arguments.batch_size, arguments.repeats)

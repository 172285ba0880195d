"""Spectra per second of `Survey("any")` on a device.

usage: python benchmarks/bench_instruments.py [--device cuda] [--batch-size 1024] [--batches 50]
"""

import argparse
import time

import torch

from specvit.survey import Survey

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
parser.add_argument("--batch-size", type=int, default=1024)
parser.add_argument("--batches", type=int, default=50)
arguments = parser.parse_args()


def run(first, count):
    """Seconds for so many batches."""
    begin = time.perf_counter()
    for stream in range(first, first + count):
        survey.draw(arguments.batch_size, stream=stream, device=arguments.device)
    if arguments.device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - begin


survey = Survey("any")
run(0, 3)
seconds = run(3, arguments.batches)
print(f"{arguments.batches * arguments.batch_size / seconds:.0f} spectra/s")

"""How fast surveys are simulated, after checking that they are simulated right.

usage: python benchmarks/bench_survey.py [--device cuda] [--survey paper]

Validation: noiseless spectra against float64 evaluation of the emulator, noise against its stated
variance. The peer is a plain numpy loop over stars with the same emulator and noise model.
"""

import argparse
import copy
import time

import numpy as np
import torch

from specvit.survey import Survey
from specvit.survey.noise import fnu_shape

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
parser.add_argument("--survey", default="paper")
parser.add_argument("--batch-size", type=int)
arguments = parser.parse_args()
device = torch.device(arguments.device)
size = arguments.batch_size or (4096 if device.type == "cuda" else 256)
survey = Survey(arguments.survey)
wave, noise = survey.grid.wave, survey.noise
exact = copy.deepcopy(survey.emulator).double()


def one_by_one(labels, magnitude, rng):
    """The same observation of one star in float64 numpy."""
    with torch.no_grad():
        flux = exact(torch.as_tensor(labels)[None].double())[0].numpy()
    counts = noise.counts(magnitude, flux * fnu_shape(wave))
    noisy = counts + np.sqrt(noise.count_variance(counts)) * rng.standard_normal(wave.size)
    return counts / (noise.counts_per_unit * fnu_shape(wave)), noisy


def synchronise():
    if device.type == "cuda":
        torch.cuda.synchronize()


if arguments.survey == "paper":
    batch = survey.draw(512, device=device)
    labels, magnitude = batch.labels.cpu().numpy(), batch.magnitude.cpu().numpy()
    rng = np.random.default_rng(0)
    reference = np.array(
        [one_by_one(*star, rng)[0] for star in zip(labels[:64], magnitude[:64], strict=True)]
    )
    error = np.abs(batch.noiseless[:64].cpu().numpy() / reference - 1).max()
    scatter = ((batch.flux - batch.noiseless) / batch.noiseless_sigma).double()
    print(f"validation: flux differs by {error:.1e} from float64")
    print(f"validation: noise mean {scatter.mean():+.1e}, variance {scatter.var():.5f}")
    assert error < 3e-5 and abs(scatter.mean()) < 5e-3 and abs(scatter.var() - 1) < 5e-3
    start = time.perf_counter()
    for star in zip(labels, magnitude, strict=True):
        one_by_one(*star, rng)
    peer = len(labels) / (time.perf_counter() - start)
    print(f"one by one in numpy: {peer:,.0f} spectra/s")

survey.draw(size, device=device)
synchronise()
rates = []
for repeat in range(5):
    start = time.perf_counter()
    for i in range(8):
        survey.draw(size, stream=8 * repeat + i, device=device)
    synchronise()
    rates.append(8 * size / (time.perf_counter() - start))
name = (
    torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
)
print(f"Survey({arguments.survey!r}) on {name}, batches of {size}:")
print(f"{np.median(rates):,.0f} spectra/s (slowest of 5: {min(rates):,.0f})")

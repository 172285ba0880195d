"""Fit the emulator that ships with specvit.

usage: python scripts/fit_emulator.py LIBRARY_FOLDER [--out src/specvit/data/emulator_pfs_mr.safetensors]

One point in nine of the useful library is held out (numpy seed 0); the record in the file's header
names them, so that anyone with the library can repeat the validation.
"""

import argparse
import json
import time

import numpy as np
import torch

from specvit.grid import PFS_MR
from specvit.simulate.fitting import fit_emulator, held_out_rms
from specvit.simulate.library import carbon_star, read_library
from specvit.simulate.priors import PRIORS

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("library")
parser.add_argument("--out", default="src/specvit/data/emulator_pfs_mr.safetensors")
parser.add_argument("--steps", type=int, default=8_000)
parser.add_argument("--components", type=int, default=120)
parser.add_argument("--width", type=int, default=192)
parser.add_argument("--members", type=int, default=4)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
arguments = parser.parse_args()

library = read_library(arguments.library)
useful = np.flatnonzero(~carbon_star(library.labels))
held_out = np.sort(np.random.default_rng(0).choice(useful, useful.size // 9, replace=False))
fitted = np.setdiff1d(useful, held_out)

start = time.perf_counter()
emulator = fit_emulator(
    library[fitted],
    PFS_MR,
    n_components=arguments.components,
    width=arguments.width,
    members=arguments.members,
    steps=arguments.steps,
    seed=arguments.seed,
    device=arguments.device,
    progress=lambda step, loss: print(
        f"step {step:6d}  loss {loss:.6f}  {time.perf_counter() - start:.0f} s", flush=True
    ),
)
rms = held_out_rms(emulator, library[held_out])
inside = PRIORS["paper"].contains(library.labels[held_out])
figures = {
    domain: {
        "n": int(chosen.sum()),
        "median": float(np.median(rms[chosen])),
        "p90": float(np.quantile(rms[chosen], 0.9)),
    }
    for domain, chosen in (("useful", np.ones_like(inside)), ("paper", inside))
}
emulator.record |= {"held_out": held_out.tolist(), "held_out_rms": figures, "torch": torch.__version__}
emulator.save(arguments.out)
print(json.dumps(figures, indent=1))

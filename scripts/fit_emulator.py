"""Fit the emulator that ships with specvit.

usage: python scripts/fit_emulator.py LIBRARY_FOLDER [--out src/specvit/data/emulator_pfs_mr.safetensors]

One point in nine of the useful library is held out; the record in the file's header names them, so
that anyone with the library can repeat the validation.
"""

import argparse
import json
import time

import numpy as np
import torch

from specvit.grid import PFS_MR
from specvit.simulate import Emulator, read_library
from specvit.simulate.priors import PRIORS
from specvit.simulate.validation import held_out_rms

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("library")
parser.add_argument("--out", default="src/specvit/data/emulator_pfs_mr.safetensors")
parser.add_argument("--steps", type=int, default=8_000)
parser.add_argument("--components", type=int, default=120)
parser.add_argument("--width", type=int, default=192)
parser.add_argument("--members", type=int, default=4)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
parser.add_argument("--measure-only", action="store_true", help="renew the figures in the record of --out")
arguments = parser.parse_args()

library = read_library(arguments.library)
start = time.perf_counter()
if arguments.measure_only:
    from specvit.simulate.validation import validation_report

    emulator = Emulator.load(arguments.out)
    emulator.record["validation"] = validation_report(
        emulator, library[np.array(emulator.record["held_out"])]
    )
else:
    emulator = Emulator.fit(
        library,
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
held_out = library[np.array(emulator.record["held_out"])]
rms = held_out_rms(emulator, held_out)
domains = {"useful": np.ones(len(rms), bool), "paper": PRIORS["paper"].contains(held_out.labels)}
emulator.record["held_out_rms"] = {
    name: {
        "n": int(chosen.sum()),
        "median": float(np.median(rms[chosen])),
        "p90": float(np.quantile(rms[chosen], 0.9)),
    }
    for name, chosen in domains.items()
}
emulator.save(arguments.out)
print(json.dumps({k: emulator.record[k] for k in ("held_out_rms", "validation")}, indent=1))

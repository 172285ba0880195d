"""Fit the emulator that ships with specvit.

usage: python scripts/fit_emulator.py LIBRARY [--out FILE] [--measure-only] [options of specvit emulator fit]

The command ``specvit emulator fit`` does the work. Its record of held-out points, one in nine of the useful
library, lets anyone with the library repeat the validation; added here are the errors in the domains of the
two surveys, which the documentation quotes. --measure-only renews these and the report of the file there is.
"""

import argparse
import json

import numpy as np

from specvit.cli import main
from specvit.stars import Emulator, read_library
from specvit.stars.emulatorcheck import held_out_rms, validation_report
from specvit.survey.priors import PRIORS

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("library")
parser.add_argument("--out", default="src/specvit/data/emulator_pfs_mr.safetensors")
parser.add_argument("--measure-only", action="store_true")
arguments, options = parser.parse_known_args()

if not arguments.measure_only:
    command = ["emulator", "fit", arguments.library, "--out", arguments.out, "--overwrite", *options]
    if main(command):
        raise SystemExit(2)
emulator = Emulator.load(arguments.out)
held_out = read_library(arguments.library)[np.array(emulator.record["held_out"])]
if arguments.measure_only:
    emulator.record["validation"] = validation_report(emulator, held_out)
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
print(json.dumps(emulator.record["held_out_rms"], indent=1))

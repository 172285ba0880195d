"""Score weights for any instrument on the frozen test: R² of log g, MAE, bias, share within 1 σ in 24 cells.

usage: python scripts/score_any.py WEIGHTS [--n N] [--device cuda] [--calibrated] [--json OUT]
"""

import argparse
import json

import torch

from specvit.assess.instrumentcells import score_cells
from specvit.stars import Emulator
from specvit.weights import load_weights

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("weights")
parser.add_argument("--n", type=int, default=4000, help="stars in a cell")
parser.add_argument("--label", default="logg")
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
parser.add_argument("--calibrated", action="store_true", help="the library calibrated on real stars")
parser.add_argument("--json", help="write all figures here")
arguments = parser.parse_args()

regressor, _, _ = load_weights(arguments.weights)
library = {"emulator": Emulator.load(calibrated=True)} if arguments.calibrated else {}
rows = score_cells(regressor.to(arguments.device), n=arguments.n, device=arguments.device, **library)
print(f"{arguments.label}: R, window, S/N per native pixel: R2, MAE, bias, within 1 sigma")
for row in rows:
    figures = row[arguments.label]
    print(
        f"{row['resolving_power']:6.0f}  {row['low']:.0f}-{row['high']:.0f}  {row['snr']:4.0f}  "
        f"{figures['r2']:.3f}  {figures['mae']:.3f}  {figures['bias']:+.3f}  {figures['coverage']:.3f}"
    )
if arguments.json:
    with open(arguments.json, "w") as file:
        json.dump(rows, file)

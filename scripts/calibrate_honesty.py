"""Limits of the honesty tests, at a false-alarm rate of 0.5 % each, from draws of Survey("any").

    python scripts/calibrate_honesty.py [--draws 10240] [--seed 77]

Writes src/specvit/data/honesty_limits.json. The spectra have all imperfections of the survey; their
labels are predicted by the weights of that name. Limits are quantiles in bins of S/N. That of lines
comes from spectra without any: noise about a continuum of 1.
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path

import numpy as np

from specvit import LoggEstimator, Survey
from specvit.predictors.findings import Findings
from specvit.predictors.honesty import LIMITED

EDGES = np.array([1.0, 2.5, 4.5, 8.0, 14.0, 25.0, 45.0, 80.0, 400.0])
RATE = 0.005
PATH = Path(__file__).parents[1] / "src/specvit/data/honesty_limits.json"


def findings(estimator, flux, ivar):
    """S/N and `Findings` of spectra, dict of ndarrays."""
    found = estimator.predict_labels(flux, ivar=ivar, on_error="nan")
    return {"snr": found.batch.snr} | {f.name: getattr(found.findings, f.name) for f in fields(Findings)}


def joined(parts):
    """Dicts of arrays end to end, without spectra that have no findings."""
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    good = np.isfinite(whole["labels_test"])
    return {name: values[good] for name, values in whole.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=10240)
    parser.add_argument("--seed", type=int, default=77)
    args = parser.parse_args()
    estimator = LoggEstimator(device="cpu")
    survey, parts = Survey("pfs-mr", seed=args.seed), []
    for stream in range(args.draws // 256):
        batch = survey.draw(256, stream=stream)
        parts.append(findings(estimator, batch.flux.double().numpy(), batch.ivar.double().numpy()))
        print(stream, end=" ", flush=True)
    draws = joined(parts)
    rng = np.random.default_rng(args.seed)
    snr = np.exp(rng.uniform(np.log(3), np.log(200), (1024, 1)))
    flux = 1 + rng.standard_normal((1024, len(survey.grid))) / snr
    smooth = joined([findings(estimator, flux, np.broadcast_to(snr**2, flux.shape))])
    place = np.digitize(draws["snr"], EDGES) - 1
    bins = range(len(EDGES) - 1)
    limits = {
        name: [round(float(np.quantile(draws[name][place == k], 1 - RATE)), 3) for k in bins]
        for name in LIMITED
    }
    values = {
        "snr": [round(float(np.exp(np.log(draws["snr"][place == k]).mean())), 2) for k in bins],
        "limits": limits,
        "lines": round(float(np.quantile(smooth["lines_test"], 1 - RATE)), 2),
        "record": {
            "survey": "pfs-mr",
            "weights": "pfs-mr",
            "draws": len(draws["snr"]),
            "false_alarm_rate": RATE,
            "seed": args.seed,
            "without_lines": len(smooth["snr"]),
            "draws_in_bins": [int((place == k).sum()) for k in bins],
        },
    }
    PATH.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    print()
    print(json.dumps(values, indent=1))


if __name__ == "__main__":
    main()

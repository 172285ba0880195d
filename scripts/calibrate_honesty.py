"""Limits of the honesty tests, at a false-alarm rate of 0.5 % each, from draws of Survey("any").

    python scripts/calibrate_honesty.py [--draws 10240] [--seed 77] [--device cpu] [--out FILE]

Writes src/specvit/data/honesty_limits.json, or FILE. The spectra have all imperfections of the survey, seen
by random instruments, with the errors of the library calibrated on the Sun, and two fifths of them have the
pattern that real instruments leave in the flux (`AnyInstrument`); their labels are predicted by the weights
of that name. Limits are quantiles in bins of S/N. That of lines comes from spectra without any: noise about a
continuum of 1.
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from specvit import Survey
from specvit.honesty.alarmlimits import LIMITED, HonestyLimits
from specvit.honesty.examination import examine
from specvit.honesty.findings import Findings
from specvit.honesty.screening import line_model
from specvit.predictors.networkarrays import predict_arrays
from specvit.stars import Emulator
from specvit.survey import AnyInstrument
from specvit.weights import load_weights

EDGES = np.array([1.0, 2.5, 4.5, 8.0, 14.0, 25.0, 45.0, 80.0, 150.0, 600.0])
RATE = 0.005
BATCH = 512
#: Share of spectra with a pattern, and the scale of its half-normal rms: what STELIB and LAMOST show.
PATTERN = (0.4, 0.012)
PATH = Path(__file__).parents[1] / "src/specvit/data/honesty_limits.json"


def findings(regressor, flux, ivar, lsf, sampling):
    """S/N, share of the grid, and `Findings` of spectra: dict of ndarrays."""
    mean, sigma = predict_arrays(regressor, flux, ivar, lsf, sampling)
    model = line_model(str(next(regressor.parameters()).device))
    found = examine(model, flux, ivar, mean, sigma, lsf, sampling)
    ratio = np.where(ivar > 0, flux * np.sqrt(ivar), np.nan)
    values = {"snr": np.nanmedian(ratio, 1), "coverage": (ivar > 0).mean(1), "lsf_ratio": np.median(lsf, 1)}
    return values | {f.name: getattr(found, f.name) for f in fields(Findings)}


def joined(parts):
    """Dicts of arrays end to end, without spectra that have no findings."""
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    good = np.isfinite(whole["labels_test"])
    return {name: values[good] for name, values in whole.items()}


def drawn(survey, stream, device):
    """Flux, inverse variance, lsf and sampling of a batch, ndarrays."""
    batch = survey.draw(BATCH, stream=stream, device=device)
    return tuple(
        x.cpu().numpy().astype(np.float64) for x in (batch.flux, batch.ivar, batch.lsf, batch.sampling)
    )


def without_lines(survey, stream, device):
    """The same of noise about 1 of S/N 3 to 200, seen by the instruments of the survey."""
    _, ivar, lsf, sampling = drawn(survey, 2**20 + stream, device)
    rng = np.random.default_rng([survey.seed, stream])
    snr = np.exp(rng.uniform(np.log(3), np.log(200), (BATCH, 1)))
    flux = 1 + rng.standard_normal(ivar.shape) / snr
    seen = ivar > 0
    return np.where(seen, flux, 0), np.where(seen, snr**2, 0), lsf, np.zeros_like(sampling)


def limits_of(draws, smooth, record):
    """What `HonestyLimits` reads."""
    place = np.digitize(draws["snr"], EDGES) - 1
    bins = range(len(EDGES) - 1)
    limits = {
        name: [round(float(np.quantile(draws[name][place == k], 1 - RATE)), 3) for k in bins]
        for name in LIMITED
    }
    return {
        "snr": [round(float(np.exp(np.log(draws["snr"][place == k]).mean())), 2) for k in bins],
        "limits": limits,
        "lines": round(float(np.quantile(smooth["lines_test"], 1 - RATE)), 2),
        "record": record
        | {
            "draws": len(draws["snr"]),
            "false_alarm_rate": RATE,
            "without_lines": len(smooth["snr"]),
            "draws_in_bins": [int((place == k).sum()) for k in bins],
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=10240)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=PATH)
    parser.add_argument("--keep", type=Path, help="also write what was found of all draws, .npz")
    args = parser.parse_args()
    regressor = load_weights("any")[0].to(args.device)
    observed = AnyInstrument(pattern_size=PATTERN)
    survey = Survey("any", seed=args.seed, emulator=Emulator.load(calibrated=True), observed=observed)
    counts = -(-args.draws // BATCH), -(-args.draws // 10 // BATCH)
    draws, smooth = (
        joined([findings(regressor, *source(survey, k, args.device)) for k in range(count)])
        for source, count in zip((drawn, without_lines), counts, strict=True)
    )
    record = {"survey": "any", "pattern": PATTERN, "weights": "any", "seed": args.seed}
    record |= {"device": torch.device(args.device).type}
    values = limits_of(draws, smooth, record)
    values["sha256"] = HonestyLimits.digest(values)
    args.out.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    if args.keep:
        kinds = {"": draws, "without_lines_": smooth}
        kept = {kind + name: x.astype(np.float32) for kind, part in kinds.items() for name, x in part.items()}
        np.savez_compressed(args.keep, **kept)
    print(json.dumps(values, indent=1))


if __name__ == "__main__":
    main()

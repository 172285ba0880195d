"""How fast the Bayes limit of the paper survey is found, after checking that it comes out right.

usage: python benchmarks/bench_bayes.py [--device cuda] [--stars 1000] [--magnitudes 22.5]

Validation: R² of log g against the posteriors of 96 other stars by plain importance sampling in float64
(scripts/reference_posteriors.py; their scatter is printed), and the coverage of the 68 % intervals.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from specvit.limits import bayes_limit
from specvit.survey import Survey

POSTERIORS = Path(__file__).parents[1] / "tests" / "data" / "posteriors_paper.npz"
with np.load(POSTERIORS) as archive:
    VARIANCES = dict(zip(archive["magnitudes"].tolist(), archive["sigma"][:, :, 1] ** 2, strict=True))

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
parser.add_argument("--stars", type=int, default=1000)
parser.add_argument("--magnitudes", type=float, nargs="+", default=list(VARIANCES))
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
device = torch.device(arguments.device)
name = (
    torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
)
print(f"{arguments.stars} stars a magnitude on {name}; figures of log g")
print(
    f"{'mag':>5} {'expected':>9} {'±':>7} {'R2':>7} {'±':>7} {'achieved':>9} {'MAE':>7} {'RMSE':>7} ", end=""
)
print(f"{'cover':>6} {'all':>6} {'ESS':>6} {'least':>6} {'flagged':>8} {'s':>6}")
survey = Survey("paper", seed=arguments.seed)
prior = survey.prior.sample(400_000, np.random.default_rng(3))[:, 1].var()
for magnitude in arguments.magnitudes:
    start = time.perf_counter()
    limit = bayes_limit(survey, magnitude, arguments.stars, device=device)
    seconds = time.perf_counter() - start
    k, post = limit.label_names.index("logg"), limit.posterior
    variance = VARIANCES.get(magnitude, np.full(2, np.nan)) / prior
    expected, spread = 1 - variance.mean(), variance.std() / len(variance) ** 0.5
    print(f"{magnitude:5.1f} {expected:9.4f} {spread:7.4f} ", end="")
    print(f"{limit.r2[k]:7.4f} ", end="")
    print(f"{limit.r2_err[k]:7.4f} {limit.r2_achieved[k]:9.4f} {limit.mae[k]:7.4f} ", end="")
    print(f"{limit.rmse[k]:7.4f} {limit.coverage[k]:6.3f} {limit.coverage.mean():6.3f} ", end="")
    print(
        f"{np.median(post.ess):6.0f} {post.ess.min():6.0f} {post.flagged.mean():8.3f} {seconds:6.1f}",
        flush=True,
    )

"""How fast templates are fitted: a batch at once, against SciPy's least squares one star at a time.

usage: python benchmarks/bench_template.py [--device cuda] [--stars 512] [--scipy-stars 10] [--magnitude 20]

First the two must agree on labels, errors and χ²; then each is timed, on the same spectra and threads. SciPy
begins at the true labels, a start that nobody has, and is given the same analytic derivatives.
"""

import argparse
import time

import numpy as np
import torch
from scipy.optimize import least_squares

from specvit.limits import jacobian
from specvit.predictors import TemplateFit
from specvit.survey import Survey
from specvit.survey.streams import EVALUATION

SCALE = np.array([1000.0, 1, 1, 1, 1])

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
parser.add_argument("--stars", type=int, default=512)
parser.add_argument("--scipy-stars", type=int, default=10, help="the first of them, fitted by both")
parser.add_argument("--magnitude", type=float, default=20.0)
parser.add_argument("--starts", type=int, default=2, help="fits of each star by specvit")
parser.add_argument("--batch-size", type=int, default=128)
parser.add_argument("--threads", type=int, help="of torch; by default its own choice")
arguments = parser.parse_args()
if arguments.threads:
    torch.set_num_threads(arguments.threads)

survey = Survey("paper", seed=0)
batch = survey.draw(arguments.stars, stream=EVALUATION, magnitude=arguments.magnitude)
truth = batch.labels.double().numpy()
flux, ivar = batch.flux.double().numpy(), batch.ivar.double().numpy()
emulator = survey.emulator.double()


def scipy_fit(i):
    """Labels, σ and χ² of star i; the amplitude is a sixth parameter."""
    root = np.sqrt(ivar[i])
    level = np.median(emulator(torch.as_tensor(truth[i : i + 1])).numpy())
    kept = {}

    def model(p):
        if kept.get("at") != p[:5].tobytes():  # value and derivatives are asked for one after the other
            spectrum, slope = jacobian(emulator, (p[:5] * SCALE)[None])
            kept.update(at=p[:5].tobytes(), pair=(spectrum[0].numpy() / level, slope[0].numpy() / level))
        return kept["pair"]

    def residual(p):
        return (p[5] * model(p)[0] - flux[i]) * root

    def slope(p):
        value, derivative = model(p)
        return np.column_stack([p[5] * derivative * SCALE, value]) * root[:, None]

    low, high = np.array(survey.prior.ranges).T / SCALE
    start = np.append(np.clip(truth[i] / SCALE, low + 1e-6, high - 1e-6), np.median(flux[i]))
    bounds = np.append(low, 0), np.append(high, np.inf)
    fit = least_squares(residual, start, jac=slope, bounds=bounds, x_scale="jac", ftol=1e-10, xtol=1e-10)
    return fit.x[:5] * SCALE, np.sqrt(np.diag(np.linalg.inv(fit.jac.T @ fit.jac)))[:5] * SCALE, 2 * fit.cost


estimator = TemplateFit(n_starts=arguments.starts, device=arguments.device, batch_size=arguments.batch_size)
estimator.fit(survey)
estimator.solve(flux[:4], ivar=ivar[:4])  # warm
start = time.perf_counter()
result = estimator.solve(flux, ivar=ivar)
seconds = time.perf_counter() - start

n = min(arguments.scipy_stars, arguments.stars)
scipy_fit(0)
start = time.perf_counter()
peers = [scipy_fit(i) for i in range(n)]
peer_seconds = time.perf_counter() - start

inside = ~result.at_bound.any(1) & result.converged  # at bounds the two have different supports
difference = np.array([np.abs(result.labels[i] - peers[i][0]) / peers[i][1] for i in range(n) if inside[i]])
excess = np.array([result.chi2[i] - peers[i][2] for i in range(n) if inside[i]])
if len(difference):
    print(f"{len(difference)} stars fitted by both, away from bounds: labels differ by at most ", end="")
    print(f"{np.median(difference):.1e} σ (median), {difference.max():.1e} σ (largest)")
    print(f"χ² of specvit less that of SciPy: {excess.min():.1e} to {excess.max():.1e}")
    if excess.max() > 0.01:
        raise SystemExit("specvit's χ² is larger than SciPy's: the times mean nothing")
print(f"converged: {result.converged.mean():.4f}; at a bound: {result.at_bound.any(1).mean():.3f}")
rate, peer_rate = arguments.stars / seconds, n / peer_seconds
print(f"specvit, {arguments.starts} starts of each, {arguments.device}: {rate:8.1f} stars/s")
print(
    f"SciPy, 1 start at the truth, CPU:      {peer_rate:8.1f} stars/s ({rate / peer_rate:.1f} times slower)"
)

"""Posteriors of stars of the paper survey in float64, by the simplest means: to test `specvit.limits` on.

usage: python scripts/reference_posteriors.py [--stars 96] [--least 400]

Nothing of `specvit.limits` is used. Model spectra are the emulator's in float64, all pixels, not compressed.
The posterior of labels and amplitude is found by plain importance sampling. The proposal is a Student t
distribution around the *true* labels, as wide as the Fisher information from finite differences says. (Where
a proposal is centred changes the efficiency of importance sampling, not its answer.) Draws are added until
they are worth LEAST independent ones. The amplitude is sampled as a sixth parameter of flat prior, not
marginalised by a formula. Labels are functions of z = Φ⁻¹(u), with u the unit cube that the survey's prior
maps to labels: in z the prior is a standard normal.

The output, tests/data/posteriors_paper.npz, holds the true labels (n, 5), one set of stars for all
magnitudes, and for each magnitude mean, σ (m, n, 5) and effective sample size (m, n) of the posteriors. The
spectra of the k-th magnitude are ``Survey("paper", seed=4).observe(labels, magnitude, stream=k)``.
"""

import argparse
import copy
import time

import numpy as np
import torch
from scipy.special import ndtr
from scipy.stats import multivariate_t

from specvit.survey import Survey
from specvit.survey.noise import fnu_shape

MAGNITUDES = (20.0, 20.5, 21.0, 21.5, 22.0, 22.5)
STEP = 1e-3  # of z, in finite differences


class Model:
    """Noiseless spectra of a survey as functions of z and amplitude, in float64."""

    def __init__(self, survey):
        self.prior = survey.prior
        self.emulator = copy.deepcopy(survey.emulator).double()
        self.fnu = fnu_shape(survey.grid.wave)

    def __call__(self, z):
        """Spectra (n, n_pixels) of unit mean f_ν for z (n, 5)."""
        with torch.no_grad():
            flux = self.emulator(torch.as_tensor(self.prior.from_unit(ndtr(z)))).numpy()
        return flux / (flux * self.fnu).mean(1, keepdims=True)


def star_posterior(model, z, brightness, flux, sigma, least, rng):
    """Posterior of one spectrum, of the star at `z`: mean and σ of the labels, effective sample size."""
    steps = STEP * np.eye(5)
    derivative = (model(z + steps) - model(z - steps)) / (2 * STEP)
    jacobian = (
        brightness * np.concatenate([derivative, model(z[None])]) / sigma
    )  # the last is the amplitude's
    precision = jacobian @ jacobian.T + np.diag([1.0, 1, 1, 1, 1, 0])
    proposal = multivariate_t(np.r_[z, 1.0], 1.5 * np.linalg.inv(precision), df=5, seed=rng)
    labels, log_weights, ess = [], [], 0
    while len(labels) < 12 or (ess < least and len(labels) < 160):
        drawn = proposal.rvs(500)
        clean = brightness * drawn[:, 5:] * model(drawn[:, :5])
        chi2 = np.square((flux - clean) / sigma).sum(1) + np.square(drawn[:, :5]).sum(1)
        log_weights.append(-0.5 * chi2 - proposal.logpdf(drawn))
        labels.append(model.prior.from_unit(ndtr(drawn[:, :5])))
        weight = np.exp(np.concatenate(log_weights) - np.max(log_weights))
        weight /= weight.sum()
        ess = 1 / np.square(weight).sum()
    values = np.concatenate(labels)
    mean = weight @ values
    return mean, np.sqrt(weight @ (values - mean) ** 2), ess


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stars", type=int, default=96)
    parser.add_argument("--least", type=float, default=400)
    parser.add_argument("--out", default="tests/data/posteriors_paper.npz")
    arguments = parser.parse_args()
    survey, rng = Survey("paper", seed=4), np.random.default_rng(11)
    model = Model(survey)
    z = rng.standard_normal((arguments.stars, 5))
    labels = model.prior.from_unit(ndtr(z))
    variance = model.prior.from_unit(rng.random((400_000, 5))).var(0)
    found = []
    for k, magnitude in enumerate(MAGNITUDES):
        start = time.perf_counter()
        batch = survey.observe(labels, magnitude, stream=k)
        brightness = 10 ** (-0.4 * (magnitude - 22.5))
        flux, sigma = batch.flux.double().numpy(), batch.noiseless_sigma.double().numpy()
        stars = [
            star_posterior(model, *star, arguments.least, rng)
            for star in zip(z, np.full(len(z), brightness), flux, sigma, strict=True)
        ]
        mean, width, ess = (np.array(column) for column in zip(*stars, strict=True))
        found.append((mean, width, ess))
        part = width[:, 1] ** 2 / variance[1]
        pull = np.square((labels - mean) / width).mean()
        print(
            f"{magnitude}: R2 of log g {1 - part.mean():.4f} ± {part.std(ddof=1) / len(part) ** 0.5:.4f}, "
            f"⟨pull²⟩ {pull:.3f}, effective sample size {np.median(ess):.0f}, least {ess.min():.0f}, "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )
    mean, width, ess = (np.array(column) for column in zip(*found, strict=True))
    np.savez_compressed(
        arguments.out,
        magnitudes=np.array(MAGNITUDES),
        labels=labels,
        mean=mean,
        sigma=width,
        ess=ess.astype(np.float32),
    )


if __name__ == "__main__":
    main()

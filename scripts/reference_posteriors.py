"""Posteriors of stars of the paper survey in float64, by the simplest means: to test `specvit.limits` on.

usage: python scripts/reference_posteriors.py [--stars 96] [--least 400]

Nothing of `specvit.limits` is used. Model spectra are the emulator's in float64, all pixels, not compressed.
The posterior of labels and amplitude is found by importance sampling from one Student t distribution. Where
it lies and how wide it is comes from the *true* labels and the Fisher information by finite differences,
refined in pilot rounds whose draws are thrown away. (A proposal changes the efficiency of importance
sampling, not its answer.) Draws are added until they are worth LEAST independent ones. The amplitude is
sampled as a sixth parameter of flat prior, not marginalised by a formula. Labels are functions of z = Φ⁻¹(u),
with u the unit cube that the survey's prior maps to labels: in z the prior is a standard normal.

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
PILOTS = 4  # rounds that only say where to draw


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


class Star:
    """One spectrum, and draws of z and amplitude for it."""

    def __init__(self, model, flux, sigma, brightness, rng):
        self.model, self.flux, self.sigma, self.brightness, self.rng = model, flux, sigma, brightness, rng

    def start(self, z):
        """Centre and covariance of a first proposal: the truth, and what Fisher information and prior say."""
        steps = STEP * np.eye(5)
        derivative = (self.model(z + steps) - self.model(z - steps)) / (2 * STEP)
        jacobian = self.brightness * np.concatenate([derivative, self.model(z[None])]) / self.sigma
        return np.r_[z, 1.0], np.linalg.inv(jacobian @ jacobian.T + np.diag([1.0, 1, 1, 1, 1, 0]))

    def draw(self, centre, covariance, n):
        """Draws (n, 6) of a t distribution, and the logarithms of their weights in the posterior."""
        proposal = multivariate_t(centre, 1.5 * covariance, df=5, seed=self.rng)
        drawn = proposal.rvs(n)
        clean = self.brightness * drawn[:, 5:] * self.model(drawn[:, :5])
        chi2 = np.square((self.flux - clean) / self.sigma).sum(1) + np.square(drawn[:, :5]).sum(1)
        return drawn, -0.5 * chi2 - proposal.logpdf(drawn)

    def posterior(self, z, least):
        """Mean and σ of the labels, (5,) both, and the effective sample size."""
        centre, covariance = self.start(z)
        for _ in range(PILOTS):
            drawn, log_weight = self.draw(centre, covariance, 500)
            weight, ess = normalised(log_weight)
            centre = weight @ drawn
            found = (weight * (drawn - centre).T) @ (drawn - centre)
            covariance = (ess * found + 10 * covariance) / (ess + 10)  # of few draws, not trusted
        parts = [self.draw(centre, covariance, 500) for _ in range(4)]
        while True:
            drawn, log_weight = (np.concatenate(column) for column in zip(*parts, strict=True))
            weight, ess = normalised(log_weight)
            if ess >= least or len(parts) == 80:
                break
            parts.append(self.draw(centre, covariance, 500))
        labels = self.model.prior.from_unit(ndtr(drawn[:, :5]))
        mean = weight @ labels
        return mean, np.sqrt(weight @ (labels - mean) ** 2), ess


def normalised(log_weight):
    """Weights of sum 1, and how many independent draws they are worth."""
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    return weight, 1 / np.square(weight).sum()


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
            Star(model, f, s, brightness, rng).posterior(place, arguments.least)
            for f, s, place in zip(flux, sigma, z, strict=True)
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

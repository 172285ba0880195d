"""The posterior of the labels given a spectrum, and the accuracy that no estimator can exceed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtr

from specvit.limits.compressed import CompressedSpectra
from specvit.limits.importance import refine
from specvit.survey.streams import LIMITS

__all__ = ["BayesLimit", "Posterior", "bayes_limit", "posterior", "variance_of_prior"]


@dataclass(frozen=True)
class Posterior:
    """Summaries of the posteriors of n spectra; ndarrays of float64 in the labels' units.

    Attributes
    ----------
    label_names : tuple of str
    mean, sigma : ndarray, shape (n, n_labels)
        Posterior mean and standard deviation.
    median, low, high : ndarray, shape (n, n_labels)
        Quantiles 0.5, 0.1587 and 0.8413: the last two bound the central 68.27 %.
    deviation : ndarray, shape (n, n_labels)
        Posterior mean of |label − median|, the least expected absolute error.
    ess : ndarray, shape (n,)
        Effective sample size (Σw)²/Σw² of the weighted draws.
    flagged : ndarray of bool, shape (n,)
        True where `ess` is below the size asked for: these summaries are not to be trusted.
    """

    label_names: tuple
    mean: np.ndarray
    sigma: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    deviation: np.ndarray
    ess: np.ndarray
    flagged: np.ndarray

    def __len__(self):
        return len(self.mean)


@dataclass(frozen=True)
class BayesLimit:
    """What no estimator can beat on a survey; ndarrays of shape (n_labels,) unless said otherwise.

    Attributes
    ----------
    magnitude : float or None
    label_names : tuple of str
    r2, r2_error : ndarray
        1 − E[Var(label | spectrum)]/Var(label), and its Monte-Carlo standard error over the stars.
    mae, mae_error : ndarray
        Expected absolute error of the posterior median, in the label's unit.
    rmse, rmse_error : ndarray
        Root of E[Var(label | spectrum)].
    coverage : ndarray
        Fraction of stars whose true label lies in the central 68.27 % interval: near 0.683 if prior,
        likelihood and sampling are right.
    r2_achieved : ndarray
        R² of the posterior means against the true labels of these stars: agrees with `r2` within the
        scatter of the sample.
    posterior : Posterior
    truth : ndarray, shape (n_stars, n_labels)
    """

    magnitude: float | None
    label_names: tuple
    r2: np.ndarray
    r2_error: np.ndarray
    mae: np.ndarray
    mae_error: np.ndarray
    rmse: np.ndarray
    rmse_error: np.ndarray
    coverage: np.ndarray
    r2_achieved: np.ndarray
    posterior: Posterior
    truth: np.ndarray

    def rows(self):
        """One dict of plain numbers for each label, for a table."""
        names = ("r2", "r2_error", "mae", "mae_error", "rmse", "rmse_error", "coverage", "r2_achieved")
        common = {
            "magnitude": self.magnitude,
            "n_stars": len(self.truth),
            "ess_median": float(np.median(self.posterior.ess)),
            "flagged": float(self.posterior.flagged.mean()),
        }
        return [
            {"label": label} | {name: float(getattr(self, name)[k]) for name in names} | common
            for k, label in enumerate(self.label_names)
        ]


def posterior(
    flux,
    variance,
    spectra,
    *,
    amplitude=None,
    n_prior=8192,
    n_draws=800,
    n_rounds=15,
    target_ess=1000,
    min_ess=100,
    batch_size=64,
    seed=0,
):
    """Posterior of the labels for spectra of known noise, by adaptive importance sampling.

    Parameters
    ----------
    flux, variance : tensor or ndarray, shape (n, n_pixels)
        Spectra and the variance of their independent Gaussian noise; an infinite variance masks.
    spectra : CompressedSpectra or similar
        The model: ``coefficients(labels)``, a float64 tensor (m, k); ``basis``, a float64 tensor
        (k, n_pixels); ``prior.from_unit``, which maps the unit cube (m, d), ndarray, to labels;
        ``label_names``; ``device``, where the work is done.
    amplitude : float, optional
        Known factor between model and flux. By default it is free with a flat prior and marginalised,
        as for an estimator that sees scaled spectra.
    n_prior : int
        Draws from the prior, shared by all spectra, that the search starts from.
    n_draws, n_rounds : int
        Draws per spectrum in each round of refinement, and the most rounds; 0: the prior's draws only.
    target_ess : float
        Effective sample size at which a spectrum needs no further round.
    min_ess : float
        Posteriors of a smaller effective sample size are flagged.
    batch_size : int
        Spectra worked on at once.
    seed : int

    Returns
    -------
    Posterior

    Raises
    ------
    ValueError
        If the shapes of flux and variance differ from (n, n_pixels), flux is not finite on a valid
        pixel, or a variance is not positive.

    Notes
    -----
    With model m(ℓ) and weights w = 1/σ², the likelihood marginalised over the amplitude is

    .. math:: \\ln L = \\frac{(\\sum w f m)^2}{2 \\sum w m^2} - \\tfrac12 \\ln \\sum w m^2 .

    Labels are functions of z through u = Φ(z) and ``prior.from_unit(u)``: in z the prior of any survey
    is a standard normal. Proposals are Student-t distributions in z fitted to the weighted draws so far,
    the likelihood tempered where they are too few; weights are φ(z)L over the mixture of everything
    drawn from, prior included (adaptive multiple importance sampling: Cornuet et al. 2012, Scand. J.
    Stat. 39, 798), so they are bounded wherever the likelihood is.
    """
    device = spectra.device
    flux, variance = torch.as_tensor(flux, device=device), torch.as_tensor(variance, device=device)
    n_pixels = spectra.basis.shape[1]
    if flux.ndim != 2 or flux.shape[1] != n_pixels or variance.shape != flux.shape:
        raise ValueError(
            f"flux and variance must have shape (n, {n_pixels}), got {tuple(flux.shape)} and "
            f"{tuple(variance.shape)}"
        )
    if not (variance > 0).all():
        raise ValueError("variance must be positive, infinite where a pixel is masked")
    if not (torch.isfinite(flux) | torch.isinf(variance)).all():
        raise ValueError("flux must be finite where the variance is")
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n_prior, len(spectra.label_names)))
    labels = spectra.prior.from_unit(ndtr(z))
    start = (torch.as_tensor(z, device=device), torch.as_tensor(labels, device=device))
    start = (*start, spectra.coefficients(labels))
    parts = []
    for f, v in zip(flux.split(batch_size), variance.split(batch_size), strict=True):
        weight = 1 / v.double()
        weighted = torch.where(weight > 0, f.double() * weight, 0)
        # A star's whole likelihood: k numbers linear and k × k quadratic in the coefficients.
        linear = weighted @ spectra.basis.T
        quadratic = torch.stack([(spectra.basis * row) @ spectra.basis.T for row in weight])
        parts.append(refine(spectra, start, linear, quadratic, amplitude, n_draws, n_rounds, target_ess, rng))
    columns = [torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)]
    ess = columns[-1]
    return Posterior(tuple(spectra.label_names), *columns, ess < min_ess)


def bayes_limit(survey, magnitude=None, n_stars=1000, *, spectra=None, stream=LIMITS, batch=None, **options):
    """The Bayes limit of a survey: R², MAE and RMSE that no estimator can beat, with their errors.

    Of all functions of the spectrum the posterior mean has the least squared error, hence

    .. math:: R^2 \\le R^2_{\\rm Bayes} =
              1 - \\frac{E[{\\rm Var}(\\ell \\mid {\\rm spectrum})]}{{\\rm Var}(\\ell)} .

    Unlike the Cramér–Rao bound (`~specvit.limits.survey_fisher`) it holds for biased estimators and averages
    over the prior, as R² does. The observer here knows the prior and the noise variance exactly, and
    nothing of the brightness beyond the spectrum. The variance is used as a weight only: what the
    object's own photon noise would tell of the labels, were it known without error, is left out.

    Parameters
    ----------
    survey : Survey
        Without imperfections. Anything with ``draw(n, stream=, device=, magnitude=)`` will do if
        `spectra` is given.
    magnitude : float, optional
        One magnitude for all; by default the survey's distribution.
    n_stars : int
    spectra : optional
        Model of the spectra (see `posterior`); by default the survey's own, compressed.
    stream : int
        Stream of the survey that the stars come from.
    batch : SurveyBatch, optional
        Spectra of the survey instead of `n_stars` drawn here: anything with ``flux``, ``ivar``,
        ``noiseless_sigma`` and ``labels``.
    **options
        Those of `posterior`; and `device`, for the default model.

    Returns
    -------
    BayesLimit

    Raises
    ------
    ValueError
        If the survey has imperfections, which the likelihood would have to describe, or `n_stars` is
        below 2.
    """
    n_stars = n_stars if batch is None else len(batch.flux)
    if n_stars < 2:
        raise ValueError(f"n_stars must be at least 2, got {n_stars!r}")
    device = options.pop("device", "cpu")
    if spectra is None:
        brightest = survey.magnitude[0] if magnitude is None else magnitude
        spectra = CompressedSpectra(survey, brightest, device=device)
    if batch is None:
        batch = survey.draw(n_stars, stream=stream, device=spectra.device, magnitude=magnitude)
    variance = torch.where(batch.ivar > 0, batch.noiseless_sigma**2, torch.inf)
    result = posterior(batch.flux, variance, spectra, **options)
    truth = batch.labels.double().cpu().numpy()
    prior_variance = variance_of_prior(spectra.prior, truth.shape[1])
    variance, root_n = result.sigma**2, np.sqrt(n_stars)
    rmse = np.sqrt(variance.mean(0))
    spread = variance.std(0, ddof=1) / root_n
    error = np.square(truth - result.mean).sum(0) / np.square(truth - truth.mean(0)).sum(0)
    return BayesLimit(
        magnitude=None if magnitude is None else float(magnitude),
        label_names=result.label_names,
        r2=1 - variance.mean(0) / prior_variance,
        r2_error=spread / prior_variance,
        mae=result.deviation.mean(0),
        mae_error=result.deviation.std(0, ddof=1) / root_n,
        rmse=rmse,
        rmse_error=spread / (2 * rmse),
        coverage=((truth >= result.low) & (truth <= result.high)).mean(0),
        r2_achieved=1 - error,
        posterior=result,
        truth=truth,
    )


def variance_of_prior(prior, n_labels):
    """Variance of each label under a prior, ndarray (n_labels,), to about 0.2 %."""
    return prior.from_unit(np.random.default_rng(1).random((400_000, n_labels))).var(0)

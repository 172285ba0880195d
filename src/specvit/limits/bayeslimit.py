"""The accuracy that no estimator can exceed: the mean variance of the posteriors of a survey's stars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from specvit.limits.compressed import CompressedSpectra
from specvit.limits.posterior import Posterior, posterior
from specvit.limits.scope import require_plain
from specvit.survey.priors import LabelPrior
from specvit.survey.streams import LIMITS

__all__ = ["BayesLimit", "bayes_limit", "variance_of_prior"]


@dataclass(frozen=True)
class BayesLimit:
    """The accuracy that no estimator can exceed on a survey; ndarrays are of shape (n_labels,) by default.

    Attributes
    ----------
    magnitude, snr : float or None
        The brightness that all stars have; None where they have the distribution of the survey.
    label_names : tuple of str
        Names of the labels, in the order of the columns.
    r2, r2_err : ndarray
        1 − E[Var(label | spectrum)]/Var(label), and its Monte-Carlo standard error over the stars; the errors
        here and below are infinite for a single star, of which no scatter is known.
    mae, mae_err : ndarray
        Expected absolute error of the posterior median, in the label's unit.
    rmse, rmse_err : ndarray
        Root of E[Var(label | spectrum)].
    coverage : ndarray
        Fraction of stars whose true label lies in the central 68.27 % interval: near 0.683 if prior,
        likelihood and sampling are right.
    r2_achieved : ndarray
        R² of the posterior means against the true labels of these stars: agrees with `r2` within the
        scatter of the sample; −∞ for a single star.
    posterior : Posterior
        Posteriors of the single stars.
    truth : ndarray, shape (n_stars, n_labels)
        True labels of the stars.

    See Also
    --------
    bayes_limit : Computes it, and has an example.
    """

    magnitude: float | None
    snr: float | None
    label_names: tuple
    r2: np.ndarray
    r2_err: np.ndarray
    mae: np.ndarray
    mae_err: np.ndarray
    rmse: np.ndarray
    rmse_err: np.ndarray
    coverage: np.ndarray
    r2_achieved: np.ndarray
    posterior: Posterior
    truth: np.ndarray

    def rows(self):
        """One dict of plain numbers for each label, for a table."""
        names = ("r2", "r2_err", "mae", "mae_err", "rmse", "rmse_err", "coverage", "r2_achieved")
        common = {
            "magnitude": self.magnitude,
            "snr": self.snr,
            "n_stars": len(self.truth),
            "ess_median": float(np.median(self.posterior.ess)),
            "flagged": float(self.posterior.flagged.mean()),
        }
        return [
            {"label": label} | {name: float(getattr(self, name)[k]) for name in names} | common
            for k, label in enumerate(self.label_names)
        ]


def bayes_limit(
    survey: Any,
    magnitude: float | None = None,
    n_stars: int = 1000,
    *,
    snr: float | None = None,
    spectra: Any = None,
    stream: int = LIMITS,
    batch: Any = None,
    device: Any = "cpu",
    amplitude: float | None = None,
    n_prior: int = 8192,
    n_draws: int = 800,
    n_rounds: int = 15,
    target_ess: float = 1000,
    min_ess: float = 100,
    batch_size: int = 64,
    seed: int = 0,
    progress: Callable[[int, int], Any] | None = None,
) -> BayesLimit:
    """The Bayes limit of a survey: R², MAE and RMSE that no estimator can exceed, with their errors.

    Of all functions of the spectrum the posterior mean has the least squared error. Therefore

    .. math:: R^2 \\le R^2_{\\rm Bayes} =
              1 - \\frac{E[{\\rm Var}(\\ell \\mid {\\rm spectrum})]}{{\\rm Var}(\\ell)} .

    The observer here knows the prior and the variance of the noise exactly, and nothing of the brightness but
    the spectrum. The variance depends on the labels, through the star's own photon noise or, where the S/N is
    stated, through the level of its spectrum. This information is left out: the variance is used as a weight
    only.

    Parameters
    ----------
    survey : Survey
        A survey without imperfections and radial velocities, whose prior has ``from_unit``; its noise may be
        of any kind. If `spectra` is given, anything with ``draw(n, stream=, device=, magnitude=)`` will do.
    magnitude, snr : float, optional
        One brightness for all stars: the magnitude, or the S/N for noise of a stated S/N. By default the
        distribution of the survey.
    n_stars : int
        Stars that the expectations are taken over.
    spectra : optional
        Model of the spectra (see `posterior`); by default the survey's own, compressed.
    stream : int
        Stream of the survey that the stars come from.
    batch : SurveyBatch, optional
        Spectra of the survey instead of `n_stars` drawn here: anything with ``flux``, ``ivar``,
        ``noiseless_sigma`` and ``labels``.
    device : str or torch.device
        Where the work is done, if `spectra` does not say.
    amplitude : float, optional
        Known factor between model and flux; by default it is free and marginalised, see the notes.
    n_prior, n_draws, n_rounds : int
        Effort of the sampling, as for `posterior`: draws from the prior, draws per spectrum and round, and
        the most rounds.
    target_ess, min_ess : float
        Effective sample sizes at which a posterior is done, and below which it is flagged.
    batch_size : int
        Spectra worked on at once.
    seed : int
        Of the sampling; the stars follow from `stream`.
    progress : callable, optional
        As for `posterior`.

    Returns
    -------
    BayesLimit

    Raises
    ------
    ValueError
        If the survey has imperfections or velocities, which the likelihood would have to describe, no noise,
        or a prior that cannot be searched; if the brightness is not the one that the noise asks for; or
        `n_stars` is below 1.

    Notes
    -----
    Advantages: it holds for all estimators, biased or not, and averages over the prior as R² does; it is the
    value that the best estimator reaches. Disadvantages: it is the slowest, and needs a prior with
    ``from_unit``. `van_trees_survey` holds for biased estimators too and is much faster, but it is looser.
    `survey_fisher` gives the Cramér–Rao bound, which is fast and for single stars, but only for unbiased
    estimators.

    The amplitude is free by default, as it is for estimators that scale each spectrum. Simulated spectra of
    unit mean f_ν (`SNRNoise`) have the known amplitude 1, which an estimator that does not scale may learn;
    its limit is that with ``amplitude=1.0``.

    Examples
    --------
    >>> from specvit.limits import bayes_limit
    >>> from specvit.survey import SNRNoise, Survey
    >>> survey = Survey("own", prior=Survey("paper").prior, noise=SNRNoise((10, 40)))
    >>> limit = bayes_limit(survey, snr=20, n_stars=8, n_prior=2048, target_ess=200)
    >>> bool(0.9 < limit.r2[limit.label_names.index("logg")] < 1)
    True
    """
    n_stars = n_stars if batch is None else len(batch.flux)
    if n_stars < 1:
        raise ValueError(f"n_stars must be at least 1, got {n_stars!r}")
    given = {name: x for name, x in (("magnitude", magnitude), ("snr", snr)) if x is not None}
    if spectra is None:
        require_plain(survey)
        spectra = CompressedSpectra(survey, device=device, **(given or _brightest(survey)))
    if batch is None:
        batch = survey.draw(n_stars, stream=stream, device=spectra.device, **given)
    variance = torch.where(batch.ivar > 0, batch.noiseless_sigma**2, torch.inf)
    result = posterior(
        batch.flux,
        variance,
        spectra,
        amplitude=amplitude,
        n_prior=n_prior,
        n_draws=n_draws,
        n_rounds=n_rounds,
        target_ess=target_ess,
        min_ess=min_ess,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
    )
    truth = batch.labels.double().cpu().numpy()
    prior_variance = variance_of_prior(spectra.prior, truth.shape[1])
    variance, root_n = result.sigma**2, np.sqrt(n_stars)
    rmse = np.sqrt(variance.mean(0))
    spread = _scatter(variance) / root_n
    scatter = np.square(truth - truth.mean(0)).sum(0)
    error = np.square(truth - result.mean).sum(0) / np.where(scatter > 0, scatter, np.nan)
    return BayesLimit(
        magnitude=None if magnitude is None else float(magnitude),
        snr=None if snr is None else float(snr),
        label_names=result.label_names,
        r2=1 - variance.mean(0) / prior_variance,
        r2_err=spread / prior_variance,
        mae=result.deviation.mean(0),
        mae_err=_scatter(result.deviation) / root_n,
        rmse=rmse,
        rmse_err=spread / (2 * rmse),
        coverage=((truth >= result.low) & (truth <= result.high)).mean(0),
        r2_achieved=np.where(np.isnan(error), -np.inf, 1 - error),
        posterior=result,
        truth=truth,
    )


def _brightest(survey):
    """The brightness of the best spectra, as keywords of `Survey.observe`."""
    kind, (low, high) = survey.noise.brightness, survey.brightness_limits
    return {kind: low if kind == "magnitude" else high}


def _scatter(values):
    """Standard deviation over the stars; of one star it is not known, and infinite."""
    return values.std(0, ddof=1) if len(values) > 1 else np.full(values.shape[1:], np.inf)


def variance_of_prior(prior, n_labels):
    """Variance of each label under a prior, ndarray (n_labels,), to about 0.2 %."""
    return (_variance_kept if isinstance(prior, LabelPrior) else _variance)(prior, n_labels)


def _variance(prior, n_labels):
    return prior.from_unit(np.random.default_rng(1).random((400_000, n_labels))).var(0)


#: A `LabelPrior` is told by its numbers and never changes.
_variance_kept = lru_cache(maxsize=16)(_variance)

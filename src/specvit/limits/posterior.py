"""The posterior of the labels given a spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtr

from specvit.limits.importance import refine

__all__ = ["Posterior", "posterior"]


@dataclass(frozen=True, repr=False)
class Posterior:
    """Summaries of the posteriors of n spectra; ndarrays of float64 in the labels' units.

    Attributes
    ----------
    label_names : tuple of str
        Names of the labels, in the order of the columns.
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

    See Also
    --------
    posterior : Computes it from spectra.

    Examples
    --------
    Two pixels whose flux is log g times (1, 2), with a prior that is uniform from 0 to 5:

    >>> from types import SimpleNamespace
    >>> line = {"coefficients": torch.as_tensor, "basis": torch.tensor([[1.0, 2.0]]).double()}
    >>> prior = SimpleNamespace(from_unit=lambda u: 5 * u)
    >>> line = SimpleNamespace(**line, prior=prior, label_names=("logg",), device="cpu")
    >>> found = posterior(torch.tensor([[2.0, 4.0]]), torch.full((1, 2), 0.05), line, amplitude=1.0)
    >>> print(f"{found.mean[0, 0]:.2f} ± {found.sigma[0, 0]:.2f}")
    2.00 ± 0.10
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

    def __repr__(self):
        n = len(self.mean)
        values = ", ".join(
            f"{name} {mean:.4g} ± {sigma:.2g}"
            for name, mean, sigma in zip(
                self.label_names, np.median(self.mean, 0), np.median(self.sigma, 0), strict=True
            )
        )
        many = f"{n} spectr{'um' if n == 1 else 'a, median'}"
        return f"Posterior({many}: {values}; {int(self.flagged.sum())} flagged)"

    def __len__(self):
        return len(self.mean)


def posterior(
    flux,
    variance,
    spectra,
    *,
    amplitude=None,
    given=None,
    n_prior=8192,
    n_draws=800,
    n_rounds=15,
    target_ess=1000,
    min_ess=100,
    batch_size=64,
    seed=0,
    progress=None,
):
    """Posterior of the labels for spectra of known noise, by adaptive importance sampling.

    Parameters
    ----------
    flux, variance : tensor or ndarray, shape (n, n_pixels), or (n_pixels,) for one spectrum
        Spectra and the variance of their independent Gaussian noise; an infinite variance masks.
    spectra : CompressedSpectra or similar
        The model: ``coefficients(labels)``, a float64 tensor (m, k); ``basis``, a float64 tensor
        (k, n_pixels); ``prior.from_unit``, which maps the unit cube (m, d), ndarray, to labels;
        ``label_names``; ``device``, where the work is done.
    amplitude : float, optional
        Known factor between model and flux. By default it is free with a flat prior and marginalised,
        as for an estimator that sees scaled spectra.
    given : dict of str to (value, σ), optional
        Measurements of labels that are independent of the spectra, in the labels' units: a photometric
        temperature, ``{"teff": (4750, 50)}``. Value and σ are numbers or arrays (n,).
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
        Seed of the draws.
    progress : callable, optional
        Called with the number of spectra done and that of all, after each batch.

    Returns
    -------
    Posterior

    Raises
    ------
    ValueError
        If the shapes of flux and variance differ from (n, n_pixels), flux is not finite on a valid
        pixel, a variance is not positive, or `given` names no label or has a σ that is not positive.

    Notes
    -----
    With model m(ℓ) and weights w = 1/σ², the likelihood marginalised over the amplitude is

    .. math:: \\ln L = \\frac{(\\sum w f m)^2}{2 \\sum w m^2} - \\tfrac12 \\ln \\sum w m^2 .

    Labels are functions of z through u = Φ(z) and ``prior.from_unit(u)``: in z the prior of any survey
    is a standard normal. Proposals are Student-t distributions in z fitted to the weighted draws so far,
    the likelihood tempered where they are too few; weights are φ(z)L over the mixture of everything
    drawn from, prior included (adaptive multiple importance sampling: Cornuet et al. 2012, Scand. J.
    Stat. 39, 798), so they are bounded wherever the likelihood is.

    Examples
    --------
    >>> from specvit import Survey
    >>> from specvit.limits.compressed import CompressedSpectra
    >>> survey = Survey("paper", seed=1)
    >>> star = survey.observe([4700, 2.2, -0.4, 0.15, -0.05], 20.0)
    >>> found = posterior(star.flux, 1 / star.ivar, CompressedSpectra(survey, 20.0, n=300))
    >>> found.label_names[1], bool(abs(found.mean[0, 1] - 2.2) < 4 * found.sigma[0, 1])
    ('logg', True)
    """
    device = spectra.device
    flux, variance = (torch.atleast_2d(torch.as_tensor(x, device=device)) for x in (flux, variance))
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
    measured = None if given is None else _measurements(given, spectra.label_names, len(flux), device)
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n_prior, len(spectra.label_names)))
    labels = spectra.prior.from_unit(ndtr(z))
    start = (torch.as_tensor(z, device=device), torch.as_tensor(labels, device=device))
    start = (*start, spectra.coefficients(labels))
    parts = []
    for rows in torch.arange(len(flux), device=device).split(batch_size):
        f, v, known = flux[rows], variance[rows], measured and [x[rows] for x in measured]
        weight = 1 / v.double()
        weighted = torch.where(weight > 0, f.double() * weight, 0)
        # A star's whole likelihood: k numbers linear and k × k quadratic in the coefficients.
        linear = weighted @ spectra.basis.T
        quadratic = torch.stack([(spectra.basis * row) @ spectra.basis.T for row in weight])
        effort = (n_draws, n_rounds, target_ess)
        parts.append(refine(spectra, start, linear, quadratic, amplitude, *effort, rng, known))
        if progress is not None:
            progress(int(rows[-1]) + 1, len(flux))
    columns = [torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)]
    ess = columns[-1]
    return Posterior(tuple(spectra.label_names), *columns, ess < min_ess)


def _measurements(given, names, n, device):
    """Values and σ of `given`, two tensors (n, n_labels), σ infinite where nothing is known."""
    value, sigma = np.zeros((n, len(names))), np.full((n, len(names)), np.inf)
    for name, (centre, spread) in given.items():
        if name not in names:
            raise ValueError(f"given must name labels among {tuple(names)}, got {name!r}")
        if not (np.isfinite(centre).all() and np.greater(spread, 0).all()):
            raise ValueError(
                f"given[{name!r}] must be (value, σ), finite and positive, got {(centre, spread)!r}"
            )
        value[:, names.index(name)], sigma[:, names.index(name)] = centre, spread
    return [torch.as_tensor(x, device=device) for x in (value, sigma)]

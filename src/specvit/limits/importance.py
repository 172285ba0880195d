"""Adaptive importance sampling of posteriors, in coordinates where the prior is a standard normal.

Shapes: b spectra, s draws, d labels, k coefficients of the model.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import ndtr, ndtri

__all__ = ["refine"]

_DEGREES = 5.0  # of freedom of the Student-t proposals: tails heavier than the posterior's
_PROPOSAL_ESS = 60.0  # the likelihood is tempered until this many draws carry a proposal's moments


def refine(spectra, start, linear, quadratic, amplitude, n_draws, n_rounds, target_ess, rng, measured=None):
    """Draw until the posteriors are well sampled, and summarise them.

    Parameters
    ----------
    spectra
        The model (see `specvit.limits.posterior.posterior`).
    start : tuple of tensor
        The prior's draws: z (s, d), labels (s, d) and coefficients (s, k).
    linear, quadratic : tensors, shapes (b, k) and (b, k, k)
        Σ w f m and Σ w m² as functions of the coefficients, for each spectrum.
    amplitude : float or None
        None: free, and marginalised.
    n_draws, n_rounds : int
        Draws for each spectrum in a round, and largest number of rounds.
    target_ess : float
        A spectrum takes part in further rounds until it has this effective sample size.
    rng : numpy.random.Generator
        Source of the random numbers.
    measured : tuple of tensor, optional
        What is known of the labels besides the spectra: values and σ, both (b, d), σ infinite where nothing.

    Returns
    -------
    list of tensor
        Mean, σ, median, low, high, mean |label − median|, all (b, d), and ESS (b,).
    """
    z, labels, p = start
    b, (n_prior, d) = len(linear), z.shape
    norm = torch.stack([((p @ q) * p).sum(1) for q in quadratic])  # (b, n_prior)
    log_l = _log_likelihood(linear @ p.T, norm, amplitude)
    z, labels = z.expand(b, -1, -1), labels.expand(b, -1, -1)
    log_l = log_l if measured is None else log_l + _log_measured(labels, *measured)
    log_prior = _log_normal(z)
    log_mixture = log_prior + np.log(n_prior)
    active, proposals, results = torch.arange(b, device=z.device), [], {}
    for round_ in range(n_rounds + 1):
        log_weight = torch.log_softmax(log_prior - log_mixture + log_l, 1)
        done = (_ess(log_weight) >= target_ess) | (round_ == n_rounds)
        if done.any():
            rows = zip(*_summarise(labels[done], log_weight[done]), strict=True)
            results |= dict(zip(active[done].tolist(), rows, strict=True))
            keep = ~done
            active = active[keep]
            z, labels, log_l, log_prior, log_mixture = (
                x[keep] for x in (z, labels, log_l, log_prior, log_mixture)
            )
            proposals = [(mean[keep], factor[keep]) for mean, factor in proposals]
        if not len(active):
            break
        proposal = _fit(z, log_prior - log_mixture, log_l)
        proposals.append(proposal)
        new_z = _draw(proposal, n_draws, rng)
        uniform = ndtr(new_z.cpu().numpy()).reshape(-1, d)
        new = torch.as_tensor(spectra.prior.from_unit(uniform), device=z.device)
        p = spectra.coefficients(new).unflatten(0, (-1, n_draws))  # (b, n_draws, k)
        norm = (torch.bmm(p, quadratic[active]) * p).sum(2)
        cross = torch.bmm(p, linear[active, :, None])[:, :, 0]
        new_prior = _log_normal(new_z)
        new_mixture = new_prior + np.log(n_prior)
        for other in proposals:
            new_mixture = torch.logaddexp(new_mixture, _log_student(other, new_z) + np.log(n_draws))
        log_mixture = torch.logaddexp(log_mixture, _log_student(proposal, z) + np.log(n_draws))
        new = new.unflatten(0, (-1, n_draws))
        new_l = _log_likelihood(cross, norm, amplitude)
        if measured is not None:
            new_l = new_l + _log_measured(new, *(x[active] for x in measured))
        z = torch.cat([z, new_z], 1)
        labels = torch.cat([labels, new], 1)
        log_l = torch.cat([log_l, new_l], 1)
        log_prior = torch.cat([log_prior, new_prior], 1)
        log_mixture = torch.cat([log_mixture, new_mixture], 1)
    return [torch.stack(column) for column in zip(*(results[i] for i in range(b)), strict=True)]


def _log_likelihood(cross, norm, amplitude):
    """ln L from Σ w f m and Σ w m², up to a constant."""
    if amplitude is None:
        # A spectrum that is masked throughout, Σ w m² = 0, tells nothing.
        return torch.where(norm > 0, cross**2 / (2 * norm) - norm.log() / 2, 0.0)
    return amplitude * cross - amplitude**2 * norm / 2


def _log_measured(labels, value, sigma):
    """ln of the likelihood of measurements of the labels (b, s, d), up to a constant: (b, s)."""
    return -0.5 * ((labels - value[:, None]) / sigma[:, None]).square().sum(2)


def _log_normal(z):
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * np.log(2 * np.pi)


def _fit(z, log_base, log_l):
    """Mean (b, d) and Cholesky factor (b, d, d) of a Student-t, from draws weighted by base × L^β."""
    low, high = torch.zeros_like(log_l[:, :1]), torch.ones_like(log_l[:, :1])
    for step in range(24):  # the largest β with enough effective draws; 1 where they suffice
        beta = high if step == 0 else (low * high).sqrt().where(low > 0, high / 8)
        enough = _ess(torch.log_softmax(log_base + beta * log_l, 1))[:, None] >= _PROPOSAL_ESS
        low, high = torch.where(enough, beta, low), torch.where(enough, high, beta)
    weight = torch.softmax(log_base + low * log_l, 1)
    mean = torch.einsum("bs,bsd->bd", weight, z)
    centred = z - mean[:, None]
    covariance = torch.einsum("bs,bsd,bse->bde", weight, centred, centred)
    ridge = 1e-6 * torch.eye(z.shape[2], dtype=z.dtype, device=z.device)
    return mean, torch.linalg.cholesky(covariance + ridge)


def _draw(proposal, n, rng):
    mean, factor = proposal
    normal = rng.standard_normal((*mean.shape[:1], n, mean.shape[1]))
    normal *= np.sqrt(_DEGREES / rng.chisquare(_DEGREES, normal.shape[:2]))[:, :, None]
    steps = torch.as_tensor(normal, device=mean.device)
    limit = ndtri(1 - 1e-15)  # beyond it u = Φ(z) is 1; the density there is nothing
    return (mean[:, None] + steps @ factor.mT).clamp(-limit, limit)


def _log_student(proposal, z):
    """Log density of the Student-t proposals at z, (b, s)."""
    mean, factor = proposal
    d = z.shape[2]
    scaled = torch.linalg.solve_triangular(factor, (z - mean[:, None]).mT, upper=False)
    constant = (
        torch.lgamma(torch.tensor((_DEGREES + d) / 2))
        - torch.lgamma(torch.tensor(_DEGREES / 2))
        - 0.5 * d * np.log(_DEGREES * np.pi)
    ).item()
    log_determinant = factor.diagonal(dim1=1, dim2=2).log().sum(1)[:, None]
    return constant - log_determinant - (_DEGREES + d) / 2 * torch.log1p(scaled.square().sum(1) / _DEGREES)


def _ess(log_weight):
    return torch.exp(-torch.logsumexp(2 * log_weight, 1))


def _summarise(labels, log_weight):
    weight = log_weight.exp()
    mean = torch.einsum("bs,bsd->bd", weight, labels)
    sigma = torch.einsum("bs,bsd->bd", weight, (labels - mean[:, None]).square()).sqrt()
    ordered, index = labels.mT.contiguous().sort(2)  # (b, d, s)
    share = weight[:, None].expand_as(ordered).gather(2, index)
    middle = share.cumsum(2) - share / 2
    levels = torch.as_tensor(ndtr([0.0, -1.0, 1.0]), device=labels.device).expand(*middle.shape[:2], 3)
    above = torch.searchsorted(middle, levels.contiguous()).clamp(1, middle.shape[2] - 1)
    x0, x1 = ordered.gather(2, above - 1), ordered.gather(2, above)
    y0, y1 = middle.gather(2, above - 1), middle.gather(2, above)
    fraction = ((levels - y0) / (y1 - y0).clamp_min(1e-300)).clamp(0, 1)
    median, low, high = (x0 + fraction * (x1 - x0)).unbind(2)
    deviation = torch.einsum("bs,bsd->bd", weight, (labels - median[:, None]).abs())
    return mean, sigma, median, low, high, deviation, _ess(log_weight)

"""Batched, bounded Levenberg–Marquardt fits: from the best templates of a library to the least χ²."""

from __future__ import annotations

import torch

from specvit.predictors.templatemodel import solve_scaled

__all__ = ["minimise", "starts"]

_SHORTEST = 1e-6  # step in the unit cube that ends a fit
_APART = 0.4  # distance in the unit cube of the places that a star's fits begin from


def minimise(model, x, flux, root_weight, *, tol, max_iter):
    """Levenberg–Marquardt steps within the unit cube until every star has converged or `max_iter` is reached.

    Parameters
    ----------
    model : TemplateModel
        Model of the spectra.
    x : tensor, shape (b, q)
        Where to begin.
    flux, root_weight : tensors, shape (b, n_pixels)
        Observed flux and 1/σ.
    tol : float
        A star has converged when the Gauss–Newton step of the parameters that are not at a bound is shorter
        than this in units of σ: :math:`(g^T H^{-1} g)^{1/2} <` `tol`; or when its damped steps have shrunk to
        1e-6 of the parameters' ranges without getting lower, as in a corner of the prior's support.
    max_iter : int
        Largest number of steps.

    Returns
    -------
    state : State
    n_iter : tensor of int, shape (b,)
    converged : tensor of bool, shape (b,)
        False also where the amplitude of the best fit is negative: a spectrum upside down fits no star.

    Notes
    -----
    Marquardt (1963, J. SIAM 11, 431), damped as Nielsen (1999, IMM-REP-1999-05) does, with the bounds of
    Bertsekas (1982, SIAM J. Control Optim. 20, 221): parameters at a bound whose gradient points outwards are
    held there, and so are those that a step takes to it. The continuum is eliminated at each point (Golub &
    Pereyra 1973, SIAM Journal on Numerical Analysis 10, 413; Kaufman's derivative).
    """
    state = model.evaluate(x.clone(), flux, root_weight)
    b = len(x)
    damping = torch.full((b,), 1e-2, dtype=x.dtype, device=x.device)
    growth = torch.full_like(damping, 2.0)
    n_iter = torch.zeros(b, dtype=torch.long, device=x.device)
    converged, active = torch.zeros(b, dtype=torch.bool, device=x.device), torch.arange(b, device=x.device)
    for iteration in range(max_iter + 1):
        now = state[active]
        outwards = ((now.x <= 0) & (now.descent < 0)) | ((now.x >= 1) & (now.descent > 0))
        newton = _held_step(now.hessian, now.descent, outwards, torch.zeros_like(now.x))
        done = (now.descent * newton).sum(1) < tol**2
        converged[active[done]] = True
        keep = ~done
        active = active[keep]
        if not len(active) or iteration == max_iter:
            break
        now, outwards = now[keep], outwards[keep]
        damped = now.hessian.clone()
        damped.diagonal(dim1=1, dim2=2).mul_(1 + damping[active, None])
        step = _bounded_step(damped, now.descent, now.x, outwards)
        trial = (now.x + step).clamp(0, 1)  # rounding
        curvature = (now.hessian @ step[:, :, None])[:, :, 0]
        predicted = (step * (2 * now.descent - curvature)).sum(1)
        other = model.evaluate(trial, flux[active], root_weight[active])
        gain = now.objective - other.objective
        better = gain > 0  # False for NaN too
        state.update(active, other, better)
        n_iter[active] += 1
        ratio = (gain / predicted).clamp(-1, 2)
        damping[active] *= torch.where(better, (1 - (2 * ratio - 1) ** 3).clamp_min(0.1), growth[active])
        damping[active] = damping[active].clamp_min(1e-9)
        growth[active] = torch.where(better, 2.0, 2 * growth[active])
        converged[active[(trial - now.x).abs().amax(1) < _SHORTEST]] = True
        active = active[~converged[active]]
        if not len(active):
            break
    return state, n_iter, converged & (state.continuum[:, 0] > 0)


def _held_step(hessian, descent, held, step):
    """Minimum of the quadratic model over the parameters not `held`; those are moved by `step`."""
    free = (~held).to(step.dtype)
    step = step * (1 - free)
    matrix = hessian * free[:, :, None] * free[:, None]
    matrix.diagonal(dim1=1, dim2=2).add_(1 - free)
    return step + solve_scaled(matrix, free * (descent - (hessian @ step[:, :, None])[:, :, 0]))


def _bounded_step(hessian, descent, x, held):
    """Step to the minimum of the quadratic model within the cube: what leaves it is held at its bound."""
    bound = torch.zeros_like(x)
    for _ in range(x.shape[1]):
        step = _held_step(hessian, descent, held, bound)
        beyond = ~held & ((x + step < 0) | (x + step > 1))
        if not beyond.any():
            break
        bound = torch.where(beyond, (step > 0).to(x.dtype) - x, bound)
        held = held | beyond
    return _held_step(hessian, descent, held, bound)


def starts(model, library, flux, root_weight, n_starts):
    """Where to begin: the templates of least χ² at their best amplitude, each far from those before.

    Parameters
    ----------
    model : TemplateModel
        Model of the spectra.
    library : tuple of tensor
        Templates of `TemplateModel.library`.
    flux, root_weight : tensors, shape (b, n_pixels)
        Observed flux and 1/σ.
    n_starts : int
        Number of templates to begin from.

    Returns
    -------
    tensor, shape (n_starts, b, q)
    """
    x, spectra = library
    weight = root_weight.square().float()
    cross, norm = (flux.float() * weight) @ spectra.T, weight @ spectra.square().T  # (b, n)
    offset = model.cube.labels(x[:, : len(model.prior_mean)]) - model.prior_mean
    loss = -cross * cross.clamp_min(0) / norm.clamp_min(torch.finfo(norm.dtype).tiny)
    loss = loss + (offset.square() * model.prior_weight).sum(1).float()
    chosen = []
    for _ in range(n_starts):
        chosen.append(x[loss.argmin(1)])
        near = torch.cdist(chosen[-1], x) < _APART
        loss = loss.masked_fill(near, torch.inf)
    return torch.stack(chosen)

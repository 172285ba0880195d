"""χ² fits of many spectra, batch after batch, and `TemplateResult`, which holds their results."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from specvit.labels import LABELS
from specvit.limits import Fisher
from specvit.predictors.levenberg import minimise, starts

__all__ = ["TemplateResult", "fit_spectra"]


@dataclass(frozen=True)
class TemplateResult:
    """Results of the fits of n spectra, as ndarrays.

    For a spectrum that could not be used, numbers are NaN and `converged` is False.

    Attributes
    ----------
    labels : ndarray, shape (n, 5)
        Best labels found, converged or not: Teff [K], log g, [M/H], [alpha/M], [C/M].
    sigma : ndarray, shape (n, 5)
        Roots of the diagonal of `covariance`; infinite for a label that the spectrum does not determine.
    covariance : ndarray, shape (n, 5, 5)
        Inverse of half the Gauss–Newton Hessian of χ² (and of the Gaussian prior), continuum and velocity
        marginalised. Bounds are not in it. NaN where the Hessian is singular.
    chi2 : ndarray, shape (n,)
        Σ (f − m)²/σ² at the best labels, without the term of the prior.
    dof : ndarray, shape (n,)
        Number of pixels less that of parameters.
    continuum : ndarray, shape (n, continuum + 1)
        Chebyshev coefficients of the polynomial that multiplies the flux at the stellar surface; the first is
        (R/d)² for spectra in erg/s/cm²/Å.
    velocity, velocity_sigma : ndarray, shape (n,)
        Radial velocity in km/s; NaN if it was not fitted.
    n_iter : ndarray of int, shape (n,)
        Steps of the best fit.
    converged : ndarray of bool, shape (n,)
        True where the last step was below the tolerance.
    at_bound : ndarray of bool, shape (n, 5)
        True where a label ended at the end of its range, so that `sigma` says little of its error.

    See Also
    --------
    TemplateFit : Makes the fits; its ``predict_labels`` returns them as ``details``.

    Examples
    --------
    >>> from specvit import Survey
    >>> from specvit.predictors import TemplateFit
    >>> survey = Survey("paper", seed=1)
    >>> bright = survey.observe([4800, 2.5, -0.5, 0.1, 0.0], magnitude=17)
    >>> fit = TemplateFit(n_templates=256, n_starts=1).fit(survey)
    >>> result = fit.predict_labels(bright.flux.numpy(), ivar=bright.ivar.numpy()).details
    >>> bool(result.converged[0]), bool(0.9 < result.chi2[0] / result.dof[0] < 1.1)
    (True, True)
    """

    labels: np.ndarray
    sigma: np.ndarray
    covariance: np.ndarray
    chi2: np.ndarray
    dof: np.ndarray
    continuum: np.ndarray
    velocity: np.ndarray
    velocity_sigma: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray
    at_bound: np.ndarray

    def __len__(self):
        return len(self.labels)

    @classmethod
    def joined(cls, parts):
        """Those of several `parts`, one after the other."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


def fit_spectra(model, library, batch, *, n_starts, tol, max_iter, batch_size):
    """Fit the usable spectra of a `SpectrumBatch` with a `TemplateModel`; returns a `TemplateResult`.

    Other parameters are as for `TemplateFit`.
    """
    n, p = len(batch), len(LABELS)
    columns = {
        "labels": (p,),
        "sigma": (p,),
        "covariance": (p, p),
        "chi2": (),
        "dof": (),
        "continuum": (len(model.polynomials),),
        "velocity": (),
        "velocity_sigma": (),
    }
    out = {name: np.full((n, *shape), np.nan) for name, shape in columns.items()}
    out |= {
        "n_iter": np.zeros(n, int),
        "converged": np.zeros(n, bool),
        "at_bound": np.zeros((n, p), bool),
    }
    n_parameters = model.n_nonlinear + len(model.polynomials)
    used = np.flatnonzero(batch.usable & ((batch.ivar > 0).sum(1) > n_parameters))
    for start in range(0, len(used), batch_size):
        rows = used[start : start + batch_size]
        flux, ivar = batch.flux[rows], batch.ivar[rows]
        scale = np.array([np.median(f[w > 0]) for f, w in zip(flux, ivar, strict=True)])[:, None]
        f, w = (torch.as_tensor(a, device=model.device) for a in (flux / scale, np.sqrt(ivar) * scale))
        found = _best(model, library, f, w, n_starts, tol, max_iter)
        found["continuum"] = found["continuum"] * scale * np.exp(-float(model.level))
        found["dof"] = (ivar > 0).sum(1) - n_parameters
        for name, values in found.items():
            out[name][rows] = values
    return TemplateResult(**{field.name: out[field.name] for field in fields(TemplateResult)})


def _best(model, library, flux, root_weight, n_starts, tol, max_iter):
    """The best of the fits from several starts, as a dict of ndarrays."""
    b, q, p = len(flux), model.n_nonlinear, len(LABELS)
    x = starts(model, library, flux, root_weight, n_starts).flatten(0, 1)
    flux, root_weight = (a.repeat(n_starts, 1) for a in (flux, root_weight))
    state, n_iter, converged = minimise(model, x, flux, root_weight, tol=tol, max_iter=max_iter)
    best = state.objective.unflatten(0, (n_starts, b)).argmin(0) * b + torch.arange(b, device=x.device)
    state, n_iter, converged = state[best], n_iter[best], converged[best]
    names = (*LABELS, "velocity")[:q] + tuple(f"continuum{k}" for k in range(state.continuum.shape[1]))
    fisher = Fisher(state.information.cpu().numpy(), names)
    variance = fisher.crlb()
    covariance = np.full((b, p, p), np.nan)
    regular = np.isfinite(variance).all(1)
    covariance[regular] = Fisher(fisher.matrix[regular], names).covariance[:, :p, :p]
    edge = (state.x[:, :p] <= 0) | (state.x[:, :p] >= 1)
    shifted = q > p
    return {
        "labels": state.labels.cpu().numpy(),
        "sigma": np.sqrt(variance[:, :p]),
        "covariance": covariance,
        "chi2": state.chi2.cpu().numpy(),
        "continuum": state.continuum.cpu().numpy(),
        "velocity": model.velocity(state.x).cpu().numpy() if shifted else np.full(b, np.nan),
        "velocity_sigma": np.sqrt(variance[:, p]) if shifted else np.full(b, np.nan),
        "n_iter": n_iter.cpu().numpy(),
        "converged": converged.cpu().numpy(),
        "at_bound": edge.cpu().numpy(),
    }

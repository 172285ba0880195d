"""Emulated spectra as a least-squares model of observed ones, and where labels may be.

Shapes: b stars, 5 labels, q nonlinear parameters (labels, velocity), c linear ones (the continuum),
p = q + c.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import qmc

from specvit.stars.starlight import Starlight

__all__ = ["LabelCube", "State", "TemplateModel", "solve_scaled"]

_D = 5
_STEP = 1e-5  # of central differences in the unit cube


class LabelCube:
    """Labels as functions of the unit cube: the support of a prior, or the range of an emulator.

    In these coordinates the support is a cube, whatever bounds depend on other labels.

    Parameters
    ----------
    label_range : ndarray, shape (2, 5)
        Lowest and highest labels, of the emulator.
    prior : optional
        With ``ranges``; and, where bounds depend on other labels, ``bounds(u)``, the lowest and highest
        labels at scaled labels u (`~specvit.survey.LabelPrior`). Without it the support is taken for a box.

    Raises
    ------
    ValueError
        If the prior goes beyond `label_range`.
    """

    def __init__(self, label_range, prior=None):
        self.low, self.high = np.asarray(label_range, np.float64)
        self._bounds = getattr(prior, "bounds", None)
        if prior is not None:
            low, high = np.array(prior.ranges, np.float64).T
            # The extremes of a random library fall a little short of the domain that it was drawn from.
            margin = 2e-3 * (self.high - self.low)
            if (low < self.low - margin).any() or (high > self.high + margin).any():
                raise ValueError(
                    f"prior must lie within the range of the emulator, {self.low.tolist()} to "
                    f"{self.high.tolist()}, got {low.tolist()} to {high.tolist()}"
                )
            self.low, self.high = low, high

    def labels(self, u):
        """Labels, tensor (n, 5), at points of the unit cube."""
        points = u.detach().cpu().numpy()
        low, high = (self.low, self.high) if self._bounds is None else self._bounds(points)
        return torch.as_tensor(low + (high - low) * points, device=u.device)

    def slope(self, u):
        """Derivatives ∂label_i/∂u_j, tensor (n, 5, 5); one-sided where a step would leave the cube."""
        columns = []
        for j in range(_D):
            up, down = u.clone(), u.clone()
            up[:, j] = (u[:, j] + _STEP).clamp_max(1)
            down[:, j] = (u[:, j] - _STEP).clamp_min(0)
            columns.append((self.labels(up) - self.labels(down)) / (up[:, j] - down[:, j])[:, None])
        return torch.stack(columns, 2)


@dataclass
class State:
    """A fit of b stars at one point: the objective, its derivatives, and what it was found with.

    ``information`` (b, p, p) is JᵀWJ, plus that of the Gaussian prior, in labels, velocity and continuum
    coefficients; ``hessian`` (b, q, q) and ``descent`` (b, q) are half the Gauss–Newton second and minus half
    the first derivative of the objective in the unit coordinates, the continuum eliminated.
    """

    x: torch.Tensor
    labels: torch.Tensor
    chi2: torch.Tensor
    objective: torch.Tensor
    continuum: torch.Tensor
    information: torch.Tensor
    hessian: torch.Tensor
    descent: torch.Tensor

    def __getitem__(self, rows):
        return State(**{name: value[rows] for name, value in vars(self).items()})

    def update(self, rows, other, chosen):
        """Put the `chosen` rows of `other`, which belong to `rows`, in place."""
        for name, value in vars(self).items():
            value[rows[chosen]] = getattr(other, name)[chosen]


class TemplateModel:
    r"""Emulated spectra times a polynomial continuum, at rest or shifted, and their derivatives.

    .. math:: m(\ell, v, a) = n(\ell, v)\, e^{q(\ell)} \sum_j a_j T_j

    with T_j Chebyshev polynomials over the pixels. Flux and derivatives are those of
    `~specvit.stars.starlight.Starlight`.

    Parameters
    ----------
    emulator : Emulator
        Emulator of the spectra.
    cube : LabelCube
        Where labels may be.
    continuum : int
        Order of the polynomial.
    max_velocity : float or None
        Largest |v| in km/s; None: at rest.
    gaussian : tuple of ndarray, optional
        Mean (5,) and σ (5,), infinite where unknown, of a Gaussian prior on the labels.
    device : str or torch.device
        Where fits are made.
    """

    def __init__(self, emulator, cube, continuum=0, max_velocity=None, gaussian=None, device="cpu"):
        self.cube, self.device, self.max_velocity = cube, torch.device(device), max_velocity
        # The flux's level keeps the polynomial's coefficients of order one for a flux of order one.
        centre = cube.labels(torch.full((1, _D), 0.5, dtype=torch.float64))[0]
        self.starlight = Starlight(emulator, max_velocity=max_velocity, centre=centre, device=self.device)
        self.emulator = self.starlight.emulator
        n_pixels = len(emulator.grid)
        polynomials = np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, n_pixels), continuum).T
        self.polynomials = torch.as_tensor(np.ascontiguousarray(polynomials), device=self.device)
        mean, sigma = (np.zeros(_D), np.full(_D, np.inf)) if gaussian is None else gaussian
        self.prior_mean = torch.as_tensor(mean, device=self.device)
        self.prior_weight = torch.as_tensor(1 / np.square(sigma), device=self.device)

    @property
    def level(self):
        """ln of the unit of the model's flux in erg/s/cm²/Å at the stellar surface."""
        return self.starlight.level

    @property
    def n_nonlinear(self):
        """Number q of labels and velocity."""
        return _D + (self.max_velocity is not None)

    def velocity(self, x):
        """Radial velocity in km/s, (b,), of points in unit coordinates; None for a model at rest."""
        if self.max_velocity is None:
            return None
        return self.max_velocity * (2 * x[:, _D] - 1)

    def library(self, n, seed):
        """`n` points spread evenly over the unit cube, (n, q), and their spectra, float32 (n, n_pixels)."""
        sobol = qmc.Sobol(self.n_nonlinear, seed=seed).random_base2(int(np.ceil(np.log2(n))))[:n]
        x = torch.as_tensor(sobol, device=self.device)
        spectra = [
            self.starlight.flux(self.cube.labels(part[:, :_D]), self.velocity(part)).float()
            for part in x.split(256)
        ]
        return x, torch.cat(spectra)

    def evaluate(self, x, flux, root_weight):
        """`State` at the points x (b, q): the continuum is fitted, everything else follows.

        Parameters
        ----------
        x : tensor, shape (b, q)
            Labels in the unit cube, then the velocity if it is fitted.
        flux, root_weight : tensors, shape (b, n_pixels)
            Observed flux and 1/σ.
        """
        u = x[:, :_D]
        labels, slope = self.cube.labels(u), self.cube.slope(u)
        model, derivative = self.starlight.derivatives(labels, self.velocity(x))
        columns = (model * root_weight)[:, None] * self.polynomials  # (b, c, n_pixels)
        target = flux * root_weight
        gram = columns @ columns.mT
        continuum = solve_scaled(gram, (columns @ target[:, :, None])[:, :, 0])
        residual = target - (continuum[:, None] @ columns)[:, 0]
        derivative *= (root_weight * (continuum @ self.polynomials))[:, None]
        rows = torch.cat([derivative, columns], 1)  # (b, p, n_pixels)
        information = rows @ rows.mT
        gradient = (derivative @ residual[:, :, None])[:, :, 0]
        chi2 = residual.square().sum(1)
        offset = self.prior_mean - labels
        information.diagonal(dim1=1, dim2=2)[:, :_D] += self.prior_weight
        gradient[:, :_D] += offset * self.prior_weight
        q = self.n_nonlinear
        cross = information[:, q:, :q]
        reduced = information[:, :q, :q] - cross.mT @ solve_scaled(information[:, q:, q:], cross)
        change = torch.zeros(len(x), q, q, dtype=x.dtype, device=x.device)
        change[:, :_D, :_D] = slope
        if q > _D:
            change[:, _D, _D] = 2 * self.max_velocity
        return State(
            x=x,
            labels=labels,
            chi2=chi2,
            objective=chi2 + (offset.square() * self.prior_weight).sum(1),
            continuum=continuum,
            information=information,
            hessian=change.mT @ reduced @ change,
            descent=(change.mT @ gradient[:, :, None])[:, :, 0],
        )


def solve_scaled(matrix, right):
    """Solve small positive semi-definite systems; a direction without information stays at zero.

    Rows and columns are scaled to unit diagonal first, so that units do not decide what is small.
    """
    vector = right.ndim == 2
    right = right[:, :, None] if vector else right
    scale = matrix.diagonal(dim1=1, dim2=2).sqrt()
    scale = torch.where(scale > 0, 1 / scale, 0.0)[:, :, None]
    scaled = matrix * scale * scale.mT
    scaled.diagonal(dim1=1, dim2=2).add_(1e-13)
    out = scale * torch.linalg.solve(scaled, scale * right)
    return out[:, :, 0] if vector else out

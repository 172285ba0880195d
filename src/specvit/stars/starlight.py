"""Emulated spectra and their exact derivatives, which fits and limits use."""

from __future__ import annotations

import copy

import numpy as np
import torch

from specvit.labels import LABELS
from specvit.stars.lsfbank import LsfBank

__all__ = ["Starlight", "jacobian"]

_VELOCITY_STEP = 1e-3  # km/s, of central differences in a polynomial of degree 8 over tens of km/s


def jacobian(model, labels):
    """Values of a model and their derivatives with respect to the labels, by automatic differentiation.

    Parameters
    ----------
    model : callable
        Takes labels, a float64 tensor (n, d), to values, a tensor (n, m), each row by itself. A module, such
        as an `Emulator`, is copied and evaluated in float64.
    labels : tensor or ndarray, shape (n, d)
        Labels at which the derivatives are taken.

    Returns
    -------
    value : tensor of float64, shape (n, m)
    derivative : tensor of float64, shape (n, m, d)

    Notes
    -----
    Forward derivatives from two reverse ones: with g(v) = vᵀ ∂f/∂ℓ, linear in v, the derivative of
    g_i with respect to v is column i.

    Examples
    --------
    >>> labels = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    >>> value, derivative = jacobian(lambda x: x.prod(1, keepdim=True), labels)
    >>> value.tolist(), derivative.tolist()
    ([[6.0]], [[[3.0, 2.0]]])
    """
    if isinstance(model, torch.nn.Module):
        model = copy.deepcopy(model).double()
        parameter = next(model.parameters(), None)
        device = None if parameter is None else parameter.device
    else:
        device = None
    labels = torch.as_tensor(labels, dtype=torch.float64, device=device).detach().clone().requires_grad_()
    with torch.enable_grad():
        value = model(labels)
        probe = torch.zeros_like(value, requires_grad=True)
        (back,) = torch.autograd.grad(value, labels, probe, create_graph=True)
        columns = [
            torch.autograd.grad(back[:, i].sum(), probe, retain_graph=True)[0] for i in range(labels.shape[1])
        ]
    return value.detach(), torch.stack(columns, -1)


class Starlight:
    r"""The flux of an emulator's stars and its derivatives by the labels and the radial velocity, in float64.

    .. math:: m(\ell, v) = n(\ell, v)\, e^{q(\ell) - q_0}, \qquad
              \frac{\partial m}{\partial \ell} =
              \Big[\frac{\partial n}{\partial \ell} + n \frac{\partial q}{\partial \ell}\Big] e^{q - q_0}.

    Lines n and ln(continuum) q are linear in a hundred coefficients. Only these are differentiated
    automatically; their derivatives become those of the flux by matrix products. q_0 is the mean of
    ln(continuum) at given labels, so that the flux is of order one.

    Parameters
    ----------
    emulator : Emulator
        Emulator of the stars, which is copied.
    max_velocity : float, optional
        Largest |v| in km/s; by default stars are at rest. Lines shift; the smooth continuum stays.
    centre : tensor, shape (5,), optional
        Labels of q_0; by default the middle of the emulator's range.
    device : str or torch.device
        Where fluxes are computed.

    Raises
    ------
    ValueError
        If the emulator is calibrated (`Emulator.calibrated`): corrected lines are not linear.

    Attributes
    ----------
    emulator : Emulator
        A copy of the emulator, in float64 on the device.
    level : tensor, shape ()
        q_0: ``flux`` times e^level is F_λ at the stellar surface in erg/s/cm²/Å.

    See Also
    --------
    jacobian : Derivatives of any model, which needs no structure of it.

    Notes
    -----
    Advantages over `jacobian` of the emulator: several times faster, and it has the derivative by the
    velocity. Disadvantage: it is not for calibrated emulators.
    """

    def __init__(self, emulator, *, max_velocity=None, centre=None, device="cpu"):
        if emulator.correction is not None:
            raise ValueError(
                "emulator must not be calibrated: derivatives here are of lines linear in components"
            )
        self.device, self.max_velocity = torch.device(device), max_velocity
        self._bank = None
        if max_velocity is not None:
            nodes = 9 + int(np.ceil(max(0.0, max_velocity - 20) / 5))  # 9 are exact to 1e-5 for 20 km/s
            bank = LsfBank(emulator, max_velocity, (1.0, 1.0), (nodes, 1))
            self._bank = bank.double().to(self.device)
        self.emulator = copy.deepcopy(emulator).double().to(self.device).requires_grad_(False)
        centre = self.emulator.label_range.mean(0) if centre is None else centre
        _, continuum = self.emulator.coefficients(centre.to(self.device, torch.float64)[None])
        self.level = self.emulator.log_continuum(continuum).mean()

    def flux(self, labels, velocity=None):
        """Flux over e^`level`, tensor (n, n_pixels), for labels (n, 5) and velocities (n,) in km/s."""
        lines, continuum = self.emulator.coefficients(labels)
        return self._lines(lines, velocity) * torch.exp(self.emulator.log_continuum(continuum) - self.level)

    def derivatives(self, labels, velocity=None):
        """The flux and its derivatives.

        Parameters
        ----------
        labels : tensor, shape (n, 5)
            Labels in the order of `LABELS`.
        velocity : tensor, shape (n,), optional
            Radial velocities in km/s; needed if `max_velocity` was given.

        Returns
        -------
        flux : tensor, shape (n, n_pixels)
            Over e^`level`.
        derivative : tensor, shape (n, 5 or 6, n_pixels)
            Derivatives by the labels and, if given, the velocity.
        """
        d, m = len(LABELS), self.emulator.n_components
        both, slope = jacobian(lambda x: torch.cat(self.emulator.coefficients(x), 1), labels)
        slope = slope.mT  # (n, 5, coefficients)
        c, q = both[:, :m], both[:, m:]
        # Lines and ln(continuum) are linear in their coefficients but for a constant, which comes off.
        rows = torch.cat([c[:, None], slope[:, :, :m]], 1).flatten(0, 1)
        repeated = None if velocity is None else velocity.repeat_interleave(1 + d)
        lines = self._lines(rows, repeated).unflatten(0, (-1, 1 + d))
        constant = self._lines(torch.zeros_like(c[:1] if velocity is None else c), velocity)
        lines, change = lines[:, 0], lines[:, 1:] - constant[:, None]
        curve = self.emulator.log_continuum(q)
        bend = self.emulator.log_continuum(slope[:, :, m:].flatten(0, 1)).unflatten(0, (-1, d))
        bend = bend - self.emulator.log_continuum(torch.zeros_like(q[:1]))
        continuum = torch.exp(curve - self.level)
        derivative = (change + lines[:, None] * bend) * continuum[:, None]
        if velocity is not None:
            high, low = (self._lines(c, velocity + s * _VELOCITY_STEP) for s in (1, -1))
            shift = (high - low) / (2 * _VELOCITY_STEP) * continuum
            derivative = torch.cat([derivative, shift[:, None]], 1)
        return lines * continuum, derivative

    def _lines(self, coefficients, velocity):
        if self._bank is None:
            return self.emulator.lines(coefficients)
        return self._bank.normalised(coefficients, velocity, torch.ones_like(velocity))

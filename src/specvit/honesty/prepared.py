"""Spectra made ready to be held against stars: continuum taken off, weighed, their velocity looked for."""

from __future__ import annotations

import numpy as np
import torch

from specvit.constants import FWHM_PER_SIGMA, SIGMA_PER_MAD, SPEED_OF_LIGHT
from specvit.honesty.fitsums import (
    bin_sums,
    continuum_basis,
    least_squares,
    line_scatter,
    masked_median,
    paired,
    smoothed,
)
from specvit.honesty.linemodel import CONTINUUM_TERMS

__all__ = ["LABEL_SPREAD", "LARGEST_VELOCITY", "WIDTH", "PreparedSpectra"]

#: Velocities are searched up to this, in km/s.
LARGEST_VELOCITY = 600.0
#: Relative error of line depths that library, network and instrument have, pixel by pixel.
_DEPTH_ERR = 0.20
#: Relative error of the flux, by what polynomials leave of its calibration and the pattern that instruments
#: have: 0.8 to 1 % in STELIB, 1.7 % in early spectra of LAMOST.
_FLUX_ERR = 0.010
#: Error of the flux within telluric bands that were corrected for, as in training.
_TELLURIC_ERR = 0.04
#: Polynomials that the search for a velocity takes off.
_SEARCH_TERMS = 4
#: Largest |v| in km/s that networks have learned to live with, and by how much more of the FWHM by which
#: a line spread function exceeds the grid's (`~specvit.survey.AnyInstrument`: `max_velocity`, `zero_point`).
_LEARNED_VELOCITY, _LEARNED_ZERO_POINT = 20.0, 0.45
_WORTH_A_JUMP = 12.0  # Δχ²: of a hundred independent velocities one is ahead so far in 1 of 10 noise spectra
_APART = 3.0  # σ of a line, at which two velocities are different ones
#: Of labels: the least that the network's errors are taken for, and their spread where nothing is known.
_LABEL_FLOOR = (40.0, 0.08, 0.05, 0.05, 0.05)
LABEL_SPREAD = (800.0, 1.5, 0.8, 0.25, 0.25)
#: Place of the width among the parameters of a fit.
WIDTH = 1


class PreparedSpectra:
    """Spectra of b stars with the lines that their predicted labels let expect; all tensors (b, …).

    Parameters
    ----------
    model : LineModel
        Spectra of given labels.
    flux, ivar, labels, sigma, lsf, sampling : Tensor or None
        As for `specvit.honesty.examination.examine`, without rows that cannot be fitted.
    """

    def __init__(self, model, flux, ivar, labels, sigma, lsf, sampling):
        self.model, self.good = model, ivar > 0
        lsf = None if lsf is None else lsf.float()
        self.shared = (
            ivar.new_ones(1, 1).float() if sampling is None else 2.0 ** sampling.float().clamp_min(0)
        )
        scale = masked_median(flux, self.good)[:, None]
        self.flux = torch.where(self.good, flux / scale, 0.0).float()
        self.ivar = (ivar * scale * scale).float()
        if model.coarse > 1:
            self.flux, self.ivar = paired(self.flux, self.ivar, model.coarse)
            self.good = self.ivar > 0
            lsf = None if lsf is None else lsf[:, :: model.coarse]
            self.shared = self.shared[:, :: model.coarse]
            self.shared = (self.shared / model.coarse).clamp_min(1)
        self.blur = model.blur(lsf)
        self.ivar = self.ivar / self.shared
        self.polynomials = continuum_basis(self.good, CONTINUUM_TERMS)
        self.labels = model.clamp(labels.float())
        spread, floor = model.tensor(LABEL_SPREAD), model.tensor(_LABEL_FLOOR)
        self.sigma = torch.maximum(torch.where(sigma.isnan(), spread, sigma.float()), floor)
        #: σ in ln λ of each line spread function in the middle of the grid, over the grid's own, squared.
        self.wider = self.flux.new_ones(len(flux)) if lsf is None else 4.0 ** lsf.median(1).values
        units = model.tensor([1 / SPEED_OF_LIGHT, model.unit, 1.0, *model.label_steps.tolist()])
        self.units = units.repeat(len(self.flux), 1)
        self.units[:, WIDTH] *= self.wider
        excess = FWHM_PER_SIGMA * SPEED_OF_LIGHT * (model.unit * (self.wider - 1)).sqrt()
        self.learned = _LEARNED_VELOCITY + _LEARNED_ZERO_POINT * excess  # (b,), km/s
        self._flatten()
        self._weigh()
        shift, self.ahead, self.lead = self._search()
        self.shift = (shift / self.units[:, 0])[:, None]
        self.known_shift = torch.clamp(self.shift, -self.learned[:, None], self.learned[:, None])

    # -- preparation ---------------------------------------------------------------------------------

    def _flatten(self):
        """Divide by the continuum that fits with the predicted lines; the inverse variance follows."""
        continuum = self.model.continuum(self.labels)
        self.flux, self.ivar = self.flux / continuum, self.ivar * continuum.square()
        self.transform = self.model.depths(self.labels)
        zero = self.flux.new_zeros(len(self.flux))
        lines = 1 + self.model.observe(self.transform, zero, zero, self.blur, derivatives=False)
        weight = self.ivar.sqrt()
        # Outliers, cosmics among them, would bend it.
        for _ in range(2):
            columns = (lines * weight)[:, None] * self.polynomials
            coefficients = least_squares(columns, self.flux * weight)
            curve = (coefficients[:, None] @ self.polynomials)[:, 0]
            residual = (self.flux - curve * lines) * weight
            limit = 5 * SIGMA_PER_MAD * masked_median(residual.abs(), self.good)[:, None]
            weight = torch.where(residual.abs() > limit, 0.0, self.ivar.sqrt())
        curve = torch.where(curve > 0.1, curve, 0.1)
        self.flux, self.ivar = self.flux / curve, self.ivar * curve**2

    def _weigh(self):
        """Weights: noise scaled to the scatter of the spectrum itself, and the error of line depths."""
        residual = torch.where(self.good, (self.flux - 1) * self.ivar.sqrt(), 0.0)
        self.noise = self._scatter(residual)
        depth = (1 - smoothed(self.flux, self.good)).clamp(0, 1) * _DEPTH_ERR
        variance = (
            self.noise[:, None] ** 2 / self.ivar.clamp_min(1e-30)
            + depth.square()
            + self.model.telluric * _TELLURIC_ERR**2
            + _FLUX_ERR**2
        )
        self.root = torch.where(self.good, variance.rsqrt(), 0.0)

    def _scatter(self, residual):
        """Scale of the noise per pixel as it acts on lines, over the σ given, (b,)."""
        shared = self.shared.median(1).values
        reach = int(np.ceil(float(shared.max())))
        n = self.model.bin
        pixels = line_scatter(residual, self.good, max(n - 1, reach)) * shared.sqrt()
        binned = line_scatter(*bin_sums(residual, self.good, n), -(-reach // n))
        return torch.maximum(pixels, binned * (shared / shared.clamp_max(n)).sqrt())

    # -- velocity ------------------------------------------------------------------------------------

    def _search(self):
        """Velocity of greatest likelihood of the predicted lines, of any strength.

        Returns
        -------
        shift : tensor, shape (b,)
            ln(1 + v/c); of a velocity beyond those learned only where that is clearly better.
        ahead : tensor, shape (b,)
            Δχ² by which the best velocity is better than the best of those learned.
        lead : tensor, shape (b,)
            Δχ² by which the velocity is better than any that is `_APART` line widths away.
        """
        m, polynomials = self.model, self.polynomials[:, :_SEARCH_TERMS]
        weight = self.root.square()
        rows = torch.cat(
            [
                (weight * (self.flux - 1))[:, None],
                weight[:, None],
                weight[:, None] * polynomials,
            ],
            1,
        )
        spread = rows.new_zeros(*rows.shape[:2], m.n_fft)
        for k in range(4):
            spread.index_add_(2, m.index[k], rows * m.weights[k])
        data = torch.fft.rfft(spread)
        base = (m.to_grid + m.own * (self.wider[:, None] - 1)).mean(1, keepdim=True)
        kernel = torch.exp(-0.5 * base * m.frequency**2)
        template = self.transform * kernel
        square = torch.fft.rfft(torch.fft.irfft(template, m.n_fft).square())
        both = torch.stack([data[:, 0] * template.conj(), data[:, 1] * square.conj()], 1)
        both = torch.cat([both, data[:, 2:] * template.conj()[:, None]], 1)
        step = m.step / m.coarse
        reach = int(LARGEST_VELOCITY / SPEED_OF_LIGHT / step)
        curves = torch.fft.irfft(both, m.n_fft * m.coarse) * m.coarse  # between samples, too
        curves = torch.cat([curves[..., -reach:], curves[..., : reach + 1]], -1)  # (b, 2 + terms, n_shifts)
        gram = ((weight[:, None] * polynomials) @ polynomials.mT).double()
        gram.diagonal(dim1=1, dim2=2).mul_(1 + 1e-7).add_(1e-9)
        target = (polynomials @ rows[:, 0, :, None])[..., 0]
        solved = torch.linalg.solve(gram, torch.cat([curves[:, 2:], target[..., None]], 2).double())
        cross = curves[:, 2:].double()
        top = curves[:, 0] - (cross * solved[..., -1:]).sum(1)
        below = (curves[:, 1] - (cross * solved[..., :-1]).sum(1)).clamp_min(1e-9)
        gain = torch.where(top > 0, top.square() / below, 0.0)
        rest = (self.learned / SPEED_OF_LIGHT / step).ceil()
        steps = torch.arange(-reach, reach + 1, device=gain.device)
        inner = steps.abs() <= rest[:, None]
        far, near = gain, torch.where(inner, gain, -1.0)
        ahead = far.max(1).values - near.max(1).values
        gain = torch.where((ahead > _WORTH_A_JUMP)[:, None], far, near)
        best = gain.argmax(1).clamp(1, gain.shape[1] - 2)
        apart = (_APART * (m.unit * self.wider).sqrt() / step)[:, None]
        elsewhere = (steps - (best - reach)[:, None]).abs() > apart
        lead = gain.gather(1, best[:, None])[:, 0] - torch.where(elsewhere, far, 0.0).max(1).values
        left, middle, right = (far.gather(1, (best + k)[:, None])[:, 0] for k in (-1, 0, 1))
        bend = left - 2 * middle + right
        offset = torch.where(bend < 0, 0.5 * (left - right) / bend, 0.0).clamp(-1, 1)
        return ((best - reach + offset) * step).float(), ahead, lead

    # -- least squares -------------------------------------------------------------------------------

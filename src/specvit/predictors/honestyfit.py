"""What a spectrum says of the labels that were predicted of it: velocity, width, dilution, misfit."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import torch

from specvit.constants import FWHM_PER_SIGMA, SIGMA_PER_MAD, SPEED_OF_LIGHT
from specvit.labels import LABELS
from specvit.predictors.findings import Findings
from specvit.predictors.honestymodel import CONTINUUM_TERMS, LineModel
from specvit.predictors.honestypixels import (
    BIN,
    bin_sums,
    continuum_basis,
    least_squares,
    line_scatter,
    masked_median,
    smoothed,
)

__all__ = ["LARGEST_VELOCITY", "examine"]

#: Velocities are searched up to this, in km/s.
LARGEST_VELOCITY = 600.0
#: Relative error of line depths that library, network and instrument have, pixel by pixel.
_DEPTH_ERR = 0.20
#: Relative error of the flux, by what polynomials leave of its calibration.
_FLUX_ERR = 0.005
#: Error of the flux within telluric bands that were corrected for, as in training.
_TELLURIC_ERR = 0.04
#: Polynomials that the search for a velocity takes off.
_SEARCH_TERMS = 4
#: Largest |v| in km/s that networks have learned to live with, and by how much more of the FWHM by which
#: a line spread function exceeds the grid's (`~specvit.survey.AnyInstrument`: `max_velocity`, `zero_point`).
_LEARNED_VELOCITY, _LEARNED_ZERO_POINT = 20.0, 0.45
#: Standard deviations of the variance of lines, over that of the line spread function, and of the strength of
#: all lines that they have learned: its error of 10 %, slow rotation and macroturbulence.
_KNOWN_WIDTH, _KNOWN_STRENGTH = 0.25, 0.03
_WORTH_A_JUMP = 12.0  # Δχ²: of a hundred independent velocities one is ahead so far in 1 of 10 noise spectra
#: The same of what trouble may do.
_UNKNOWN = (300.0, 6.0, 0.5)
#: Of labels: the least that the network's errors are taken for, and their spread where nothing is known.
_LABEL_FLOOR = (40.0, 0.08, 0.05, 0.05, 0.05)
_LABEL_SPREAD = (800.0, 1.5, 0.8, 0.25, 0.25)
_SHIFT, _WIDTH, _DEPTH = range(3)
_N = 3 + len(LABELS)


@torch.no_grad()
def examine(model: LineModel, flux, ivar, labels, sigma, lsf=None, sampling=None, batch_size=64):
    """Fit spectra with the model of their predicted labels, and with that of any star in trouble.

    Parameters
    ----------
    model : LineModel
        Spectra of given labels.
    flux, ivar : ndarray, shape (n, n_pixels)
        On the model's pixels; 0 in `ivar` masks.
    labels, sigma : ndarray, shape (n, 5)
        Predicted, in the order of `~specvit.labels.LABELS`; rows with NaN labels are left out.
    lsf : ndarray, shape (n, n_pixels), optional
        log2 of the line spread function's σ over the grid's.
    sampling : ndarray, shape (n, n_pixels), optional
        log2 of the width of native pixels over the grid's. Pixels of the grid that share a native one share
        its noise: the weight of each is divided by their number.
    batch_size : int
        Spectra at once.

    Returns
    -------
    Findings
    """
    found = Findings.nothing(len(flux))
    rows = np.flatnonzero(np.isfinite(labels).all(1) & ((ivar > 0).sum(1) > 8 * CONTINUUM_TERMS))
    for some in np.array_split(rows, max(1, -(-len(rows) // batch_size))):
        if len(some):
            told = (None if x is None else x[some] for x in (lsf, sampling))
            found.put(some, _Fit(model, flux[some], ivar[some], labels[some], sigma[some], *told).findings())
    return found


class _Fit:
    """Fits of b spectra; all tensors (b, …)."""

    def __init__(self, model, flux, ivar, labels, sigma, lsf, sampling):
        self.model, good = model, ivar > 0
        self.lsf = model.tensor(np.zeros_like(flux) if lsf is None else lsf)
        self.floor = _FLUX_ERR**2 + model.telluric * _TELLURIC_ERR**2
        self.shared = model.tensor(np.ones_like(flux) if sampling is None else 2.0 ** np.maximum(sampling, 0))
        scale = np.array([np.median(f[g]) for f, g in zip(flux, good, strict=True)])[:, None]
        self.good = model.tensor(good) > 0
        self.polynomials = continuum_basis(self.good, CONTINUUM_TERMS)
        self.flux = model.tensor(np.where(good, flux / scale, 0))
        self.ivar = model.tensor(ivar * scale**2) / self.shared
        self.labels = model.clamp(model.tensor(labels))
        sigma = model.tensor(np.where(np.isnan(sigma), _LABEL_SPREAD, sigma))
        self.sigma = torch.maximum(sigma, model.tensor(_LABEL_FLOOR))
        #: σ in ln λ of each line spread function in the middle of the grid, over the grid's own, squared.
        self.wider = 4.0 ** self.lsf.median(1).values
        units = model.tensor([1 / SPEED_OF_LIGHT, model.unit, 1.0, *model.label_steps.tolist()])
        self.units = units.repeat(len(self.flux), 1)
        self.units[:, _WIDTH] *= self.wider
        excess = FWHM_PER_SIGMA * SPEED_OF_LIGHT * (model.unit * (self.wider - 1)).sqrt()
        self.learned = _LEARNED_VELOCITY + _LEARNED_ZERO_POINT * excess  # (b,), km/s
        self._flatten()
        self._weigh()

    # -- preparation ---------------------------------------------------------------------------------

    def _flatten(self):
        """Divide by the continuum that fits with the predicted lines; the inverse variance follows."""
        self.flux = self.flux / self.model.continuum(self.labels)
        self.ivar = self.ivar * self.model.continuum(self.labels) ** 2
        self.transform = self.model.depths(self.labels)
        zero = self.flux.new_zeros(len(self.flux))
        lines = 1 + self.model.observe(self.transform, zero, zero, self.lsf, derivatives=False)
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
        variance = self.noise[:, None] ** 2 / self.ivar.clamp_min(1e-30) + depth.square() + self.floor
        self.root = torch.where(self.good, variance.rsqrt(), 0.0)

    def _scatter(self, residual):
        """Scale of the noise per pixel as it acts on lines, over the σ given, (b,)."""
        shared = self.shared.median(1).values
        reach = int(np.ceil(float(shared.max())))
        pixels = line_scatter(residual, self.good, max(3, reach)) * shared.sqrt()
        binned = line_scatter(*bin_sums(residual, self.good), -(-reach // BIN))
        return torch.maximum(pixels, binned * (shared / shared.clamp_max(BIN)).sqrt())

    # -- velocity ------------------------------------------------------------------------------------

    def _search(self):
        """Velocity of greatest likelihood of the predicted lines, of any strength.

        Returns
        -------
        shift : tensor, shape (b,)
            ln(1 + v/c); of a velocity beyond those learned only where that is clearly better.
        ahead : tensor, shape (b,)
            Δχ² by which the best velocity is better than the best of those learned.
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
        reach = int(LARGEST_VELOCITY / SPEED_OF_LIGHT / m.step)
        curves = torch.fft.irfft(both, m.n_fft)
        curves = torch.cat([curves[..., -reach:], curves[..., : reach + 1]], -1)  # (b, 2 + terms, n_shifts)
        gram = ((weight[:, None] * polynomials) @ polynomials.mT).double()
        gram.diagonal(dim1=1, dim2=2).mul_(1 + 1e-7).add_(1e-9)
        target = (polynomials @ rows[:, 0, :, None])[..., 0]
        solved = torch.linalg.solve(gram, torch.cat([curves[:, 2:], target[..., None]], 2).double())
        cross = curves[:, 2:].double()
        top = curves[:, 0] - (cross * solved[..., -1:]).sum(1)
        below = (curves[:, 1] - (cross * solved[..., :-1]).sum(1)).clamp_min(1e-9)
        gain = torch.where(top > 0, top.square() / below, 0.0)
        rest = (self.learned / SPEED_OF_LIGHT / m.step).ceil()
        steps = torch.arange(-reach, reach + 1, device=gain.device)
        inner = steps.abs() <= rest[:, None]
        far, near = gain, torch.where(inner, gain, -1.0)
        ahead = far.max(1).values - near.max(1).values
        gain = torch.where((ahead > _WORTH_A_JUMP)[:, None], far, near)
        best = gain.argmax(1).clamp(1, gain.shape[1] - 2)
        left, middle, right = (far.gather(1, (best + k)[:, None])[:, 0] for k in (-1, 0, 1))
        bend = left - 2 * middle + right
        offset = torch.where(bend < 0, 0.5 * (left - right) / bend, 0.0).clamp(-1, 1)
        return ((best - reach + offset) * m.step).float(), ahead

    # -- least squares -------------------------------------------------------------------------------

    def _fit(self, start, prior, iterations):
        """Gauss–Newton steps from `start` (b, 8) towards the least χ² under Gaussian priors."""
        x = start
        best = None
        for i in range(iterations + 1):
            if i % 2 == 0 and i < iterations:  # derivatives by labels change slowly
                slopes = self._label_slopes(x)
            chi2, step, covariance, residual = self._system(x, prior, slopes)
            if best is None:
                best = [chi2, x, covariance, residual]
            else:
                better = chi2 < best[0]
                best = [
                    torch.where(better.reshape(-1, *[1] * (old.ndim - 1)), new, old)
                    for new, old in zip((chi2, x, covariance, residual), best, strict=True)
                ]
            x = self._bounded(best[1] + torch.where(chi2 <= best[0], 1.0, 0.3)[:, None] * step)
        return best

    def _bounded(self, x):
        shift = x[:, :1].clamp(-1.1 * LARGEST_VELOCITY, 1.1 * LARGEST_VELOCITY)
        labels = self.model.clamp(x[:, 3:] * self.units[:, 3:]) / self.units[:, 3:]
        return torch.cat([shift, x[:, 1:2].clamp(-0.27, 60), x[:, 2:3].clamp(0.02, 3), labels], 1)

    def _label_slopes(self, x):
        """Derivatives of the depths by the scaled labels, (b, 5, n_pixels)."""
        transforms = self.model.depth_slopes(x[:, 3:] * self.units[:, 3:]) * self.units[:, 3:, None]
        shift, width = x[:, 0] * self.units[:, 0], x[:, 1] * self.units[:, 1]
        return self.model.observe_many(transforms, shift, width, self.lsf)

    def _system(self, x, prior, slopes):
        """χ² with priors, the step to its minimum, covariance and whitened residuals at x."""
        m = self.model
        transform = m.depths(x[:, 3:] * self.units[:, 3:])
        shift, width, strength = x[:, 0] * self.units[:, 0], x[:, 1] * self.units[:, 1], x[:, 2:3]
        depth, by_shift, by_width = m.observe(transform, shift, width, self.lsf)
        lines = 1 + strength * depth
        columns = (lines * self.root)[:, None] * self.polynomials
        coefficients = least_squares(columns, self.flux * self.root)
        curve = (coefficients[:, None] @ self.polynomials)[:, 0]
        own = (
            torch.cat(
                [
                    (strength * by_shift * self.units[:, :1])[:, None],
                    (strength * by_width * self.units[:, 1:2])[:, None],
                    depth[:, None],
                    strength[:, None] * slopes,
                ],
                1,
            )
            * (curve * self.root)[:, None]
        )
        residual = (self.flux - curve * lines) * self.root
        rows = torch.cat([own, columns], 1)
        gram = (rows @ rows.mT).double()
        precision = prior.double() ** -2
        offset = (self.null - x).double()
        gram.diagonal(dim1=1, dim2=2)[:, :_N] += precision
        gradient = gram.new_zeros(gram.shape[:2])
        gradient[:, :_N] = (own @ residual[..., None])[..., 0].double() + precision * offset
        size = gram.diagonal(dim1=1, dim2=2).clamp_min(1e-20).rsqrt()
        scaled = gram * size[:, :, None] * size[:, None]
        scaled.diagonal(dim1=1, dim2=2).add_(1e-7)
        inverse = torch.linalg.inv(scaled) * size[:, :, None] * size[:, None]
        step = (inverse @ gradient[..., None])[:, :_N, 0]
        chi2 = residual.square().sum(1).double() + (precision * offset.square()).sum(1)
        return chi2, step.float(), inverse[:, :_N, :_N].float(), residual

    # -- the findings ----------------------------------------------------------------------------------

    def findings(self):
        """`Findings` of these spectra."""
        b = len(self.flux)
        zero, one = self.flux.new_zeros(b, 2), self.flux.new_ones(b, 1)
        units = self.units[:, 3:]
        self.null = torch.cat([zero, one, self.labels / units], 1)
        uniform = 3**-0.5 * self.learned[:, None]
        known = uniform, _KNOWN_WIDTH * one, _KNOWN_STRENGTH * one, self.sigma / units
        tight = torch.cat(known, 1)
        spread = self.model.tensor(_LABEL_SPREAD) / units
        loose = torch.cat([self.model.tensor(_UNKNOWN).expand(b, 3), spread], 1)
        shift, ahead = self._search()
        shift = (shift / self.units[:, 0])[:, None]
        known = torch.clamp(shift, -self.learned[:, None], self.learned[:, None])
        near = self._fit(torch.cat([known, self.null[:, 1:]], 1), tight, 2)
        start = torch.where(shift == known, near[1], torch.cat([shift, self.null[:, 1:]], 1))
        far = self._fit(start, loose, 3)
        value, covariance = far[1], far[2]
        error = covariance.diagonal(dim1=1, dim2=2).sqrt()
        test = (value - self.null).square() / (error.square() + tight.square())
        smooth = least_squares(self.root[:, None] * self.polynomials, self.flux * self.root)
        smooth = (self.flux - (smooth[:, None] @ self.polynomials)[:, 0]) * self.root
        plain = near[3] / self.root.clamp_min(1e-30)
        depth = (1 - smoothed(self.flux, self.good)).clamp(0, 1) * 0.02
        plain = plain.square() / (1 / self.ivar.clamp_min(1e-30) + depth.square() + 4e-4)
        count = self.good.sum(1)
        binned, whole = bin_sums(far[3], self.good)
        shift = value[:, _SHIFT] * self.units[:, 0]
        result = Findings(
            velocity=SPEED_OF_LIGHT * torch.expm1(shift),
            velocity_err=error[:, _SHIFT],
            learned_velocity=self.learned,
            lsf=SPEED_OF_LIGHT * (self.model.unit * self.wider).sqrt(),
            broadening=value[:, _WIDTH],
            broadening_err=error[:, _WIDTH],
            dilution=1 - value[:, _DEPTH],
            dilution_err=error[:, _DEPTH],
            chi2=(plain * self.good).sum(1) / (count - CONTINUUM_TERMS),
            velocity_test=ahead,
            broadening_test=test[:, _WIDTH],
            dilution_test=test[:, _DEPTH],
            labels_test=near[0] - far[0],
            lines_test=smooth.square().sum(1) - far[3].square().sum(1),
            misfit=(binned.square() * whole).sum(1) / whole.sum(1).clamp_min(1),
        )
        return Findings(*(getattr(result, f.name).double().cpu().numpy() for f in fields(result)))

"""What a spectrum says of the labels that were predicted of it: velocity, width, dilution, misfit."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import torch

from specvit.constants import SPEED_OF_LIGHT
from specvit.honesty.equations import N_PARAMETERS, Equations, Linearised
from specvit.honesty.findings import Findings
from specvit.honesty.fitsums import RIDGE, bin_sums, paired
from specvit.honesty.linemodel import CONTINUUM_TERMS, LARGEST_VELOCITY, LineModel
from specvit.honesty.prepared import LABEL_SPREAD, WIDTH, PreparedSpectra
from specvit.network.tensors import spectra_at_once, tensor_of

__all__ = ["MODEL_ERR", "examine", "screen"]

#: Relative error of the model that ``chi2`` knows beside the noise, of pairs of pixels.
MODEL_ERR = 0.02
#: Standard deviations of the variance of lines, over that of the line spread function, and of the strength of
#: all lines that they have learned: its error of 10 %, slow rotation and macroturbulence.
_KNOWN_WIDTH, _KNOWN_STRENGTH = 0.25, 0.03
#: The same of what trouble may do.
_UNKNOWN = (300.0, 6.0, 0.5)
#: Bytes that a fit takes on the pixels of the grid, and spectra beyond which there is no gain.
_BYTES, _ENOUGH = 2e6, 8192
#: Places of parameters.
_SHIFT, _DEPTH = 0, 2


@torch.no_grad()
def examine(model: LineModel, flux, ivar, labels, sigma, lsf=None, sampling=None, batch_size=None):
    """Fit spectra with the model of their predicted labels, and with that of any star in trouble.

    Parameters
    ----------
    model : LineModel
        Spectra of given labels.
    flux, ivar : ndarray or Tensor, shape (n, n_pixels)
        On the model's pixels; 0 in `ivar` masks.
    labels, sigma : ndarray or Tensor, shape (n, 5)
        Predicted, in the order of `~specvit.labels.LABELS`; rows with NaN labels are left out.
    lsf : ndarray or Tensor, shape (n, n_pixels), optional
        log2 of the line spread function's σ over the grid's.
    sampling : ndarray or Tensor, shape (n, n_pixels), optional
        log2 of the width of native pixels over the grid's. Pixels of the grid that share a native one share
        its noise: the weight of each is divided by their number.
    batch_size : int, optional
        Spectra at once; by default 16 on a processor, on a GPU what a quarter of its memory holds.

    Returns
    -------
    Findings

    Examples
    --------
    A giant at rest whose labels are known:

    >>> from specvit import Emulator, Survey
    >>> from specvit.honesty.linemodel import LineModel
    >>> survey = Survey("paper", seed=1)
    >>> giant = [[4700, 2.2, -0.4, 0.15, -0.05]]
    >>> star = survey.observe(giant, 18.5)
    >>> model = LineModel(Emulator.load())
    >>> found = examine(model, star.flux, star.ivar, np.array(giant), np.array([[40, 0.1, 0.05, 0.05, 0.05]]))
    >>> bool(abs(found.velocity[0]) < 5)
    True
    """
    found = Findings.nothing(len(flux))
    for rows, fit in _fits(model, (flux, ivar, labels, sigma, lsf, sampling), batch_size):
        found.put(rows, fit.findings())
    return found


@torch.no_grad()
def screen(model: LineModel, flux, ivar, labels, sigma, lsf=None, sampling=None, batch_size=None):
    """One linear step from the predicted labels instead of all fits: enough for spectra that are in order.

    Parameters
    ----------
    model, flux, ivar, labels, sigma, lsf, sampling, batch_size
        As for `examine`; the model may be a coarse one.

    Returns
    -------
    found : Findings
        As if χ² were quadratic around the predicted labels at the velocity of the cross-correlation, or at
        the nearest of the velocities learned.
    jumped : ndarray of bool, shape (n,)
        Whether the cross-correlation is best beyond these.

    Notes
    -----
    Advantage: a quarter of the work of `examine`, with a coarse model. Disadvantage: far from the predicted
    labels, where spectra are in trouble, tests are wrong by factors; these spectra are to be examined.
    """
    found, jumped = Findings.nothing(len(flux)), np.zeros(len(flux), bool)
    for rows, fit in _fits(model, (flux, ivar, labels, sigma, lsf, sampling), batch_size):
        first, jumped[rows] = fit.screened()
        found.put(rows, first)
    return found, jumped


def _fits(model, arrays, batch_size):
    """Numbers of the rows that can be fitted and their `_Fit`, batch by batch."""
    device = model.mean.device
    batch_size = batch_size or _at_once(model)
    for start in range(0, len(arrays[0]), batch_size):
        given = [None if x is None else tensor_of(x[start : start + batch_size]).to(device) for x in arrays]
        usable = given[2].isfinite().all(1) & ((given[1] > 0).sum(1) > 8 * CONTINUUM_TERMS)
        rows = start + usable.nonzero()[:, 0].cpu().numpy()
        if len(rows) < len(usable):
            given = [None if x is None else x[usable] for x in given]
        if len(rows):
            yield rows, _Fit(model, *given)


def _at_once(model):
    device = model.mean.device
    most = spectra_at_once(device)
    if device.type != "cuda":
        return most
    quarter = torch.cuda.get_device_properties(device).total_memory / 4
    pixels = model.coarse**2  # a coarse model has fewer pixels, and is not fitted step by step
    return max(64, min(most, _ENOUGH * pixels, int(quarter / _BYTES * pixels)))


class _Fit(PreparedSpectra):
    """Fits of b spectra."""

    def __init__(self, model, *arrays):
        """What fits start from, and what is known beforehand: of stars in order, and of any in trouble."""
        super().__init__(model, *arrays)
        b = len(self.flux)
        zero, one = self.flux.new_zeros(b, 2), self.flux.new_ones(b, 1)
        units = self.units[:, 3:]
        self.null = torch.cat([zero, one, self.labels / units], 1)
        uniform = 3**-0.5 * self.learned[:, None]
        known = uniform, _KNOWN_WIDTH * one, _KNOWN_STRENGTH * one, self.sigma / units
        self.tight = torch.cat(known, 1)
        spread = self.model.tensor(LABEL_SPREAD) / units
        self.loose = torch.cat([self.model.tensor(_UNKNOWN).expand(b, 3), spread], 1)

    def _moved(self, shift):
        """Parameters of the predicted labels at a shift, (b, 8)."""
        return torch.cat([shift, self.null[:, 1:]], 1)

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
        return self.model.observe_many(transforms, shift, width, self.blur)

    def _system(self, x, prior, slopes):
        """χ² with priors, the step to its minimum, covariance and whitened residuals at x."""
        equations = self._equations(x, slopes)
        step, covariance = self._solved(x, prior, equations)
        pull = ((x - self.null) / prior).double().square().sum(1)
        chi2 = equations.residual.square().sum(1).double() + pull
        return chi2, step[:, :N_PARAMETERS], covariance, equations.residual

    def _equations(self, x, slopes, transform=None):
        """`Equations` at parameters x (b, 8), with the polynomials that fit best there."""
        m = self.model
        transform = m.depths(x[:, 3:] * self.units[:, 3:]) if transform is None else transform
        shift, width, strength = x[:, 0] * self.units[:, 0], x[:, 1] * self.units[:, 1], x[:, 2:3]
        depth, by_shift, by_width = m.observe(transform, shift, width, self.blur)
        lines = torch.addcmul(self.root, strength * self.root, depth)
        coefficients = self.continuum.fitted(lines, self.whitened)
        factors = torch.cat([strength, self.units[:, :2]], 1)
        pixels = self.whitened, self.root, depth, by_shift, by_width, slopes
        return Equations(Linearised(*pixels, factors, self.continuum.polynomials, coefficients))

    def _solved(self, x, prior, equations):
        """The step of parameters and polynomials to the least χ² with priors, covariance of the former."""
        gram, precision = equations.gram.double(), prior.double() ** -2
        offset = (self.null - x).double()
        gram.diagonal(dim1=1, dim2=2)[:, :N_PARAMETERS] += precision
        gradient = gram.new_zeros(gram.shape[:2])
        gradient[:, :N_PARAMETERS] = equations.gradient[:, :N_PARAMETERS].double() + precision * offset
        size = gram.diagonal(dim1=1, dim2=2).clamp_min(1e-20).rsqrt()
        scaled = gram * size[:, :, None] * size[:, None]
        scaled.diagonal(dim1=1, dim2=2).add_(RIDGE)
        inverse = torch.linalg.inv_ex(scaled)[0] * size[:, :, None] * size[:, None]
        step = (inverse @ gradient[..., None])[..., 0]
        return step.float(), inverse[:, :N_PARAMETERS, :N_PARAMETERS].float()

    # -- the findings ----------------------------------------------------------------------------------

    def screened(self):
        """`Findings` of one linear step, and which spectra have a velocity beyond those learned, ndarray."""
        x = self._moved(self.known_shift)
        equations = self._equations(x, self._label_slopes(x), self.transform)
        priors = self.tight, self.loose
        steps, covariances = zip(*(self._solved(x, prior, equations) for prior in priors), strict=True)
        left = equations.residuals_after(torch.stack(steps, 1))
        fits = []
        for k, prior in enumerate(priors):
            value = x + steps[k][:, :N_PARAMETERS]
            pull = ((value - self.null) / prior).square().sum(1)
            chi2 = left[:, k].square().sum(1) + pull
            fits.append([chi2, self._bounded(value), covariances[k], left[:, k]])
        return self._judged(*fits), (self.shift != self.known_shift)[:, 0].cpu().numpy()

    def findings(self):
        """`Findings` of these spectra."""
        near = self._fit(self._moved(self.known_shift), self.tight, 2)
        start = torch.where(self.shift == self.known_shift, near[1], self._moved(self.shift))
        return self._judged(near, self._fit(start, self.loose, 3))

    def _judged(self, near, far):
        """`Findings` of two fits, of a star in order and of any: χ², value, covariance, residual."""
        value, covariance = far[1], far[2]
        error = covariance.diagonal(dim1=1, dim2=2).sqrt()
        test = (value - self.null).square() / (error.square() + self.tight.square())
        smooth = self.continuum.curve(self.continuum.fitted(self.root, self.whitened))
        smooth = torch.addcmul(self.whitened, smooth, self.root, value=-1)
        n = 2 // self.model.coarse  # χ² is that of pairs of pixels
        known = self.ivar * self.good
        plain, weight = paired(near[3] / self.root.clamp_min(1e-30), known, n)
        depth = paired(self.depth, known, n)[0]
        of_model = (depth * 0.02).square_().add_(MODEL_ERR**2)
        plain = plain.square().mul_(weight).div_(of_model.mul_(weight).add_(1))
        binned, whole = bin_sums(far[3], self.good, self.model.bin)
        shift = value[:, _SHIFT] * self.units[:, 0]
        result = Findings(
            velocity=SPEED_OF_LIGHT * torch.expm1(shift),
            velocity_err=error[:, _SHIFT],
            learned_velocity=self.learned,
            lsf=SPEED_OF_LIGHT * (self.model.unit * self.wider).sqrt(),
            broadening=value[:, WIDTH],
            broadening_err=error[:, WIDTH],
            dilution=1 - value[:, _DEPTH],
            dilution_err=error[:, _DEPTH],
            chi2=plain.sum(1) / ((weight > 0).sum(1) - CONTINUUM_TERMS).clamp_min(1),
            velocity_test=self.ahead,
            velocity_lead=self.lead,
            broadening_test=test[:, WIDTH],
            dilution_test=test[:, _DEPTH],
            labels_test=near[0] - far[0],
            lines_test=smooth.square().sum(1) - far[3].square().sum(1),
            misfit=(binned.square() * whole).sum(1) / whole.sum(1).clamp_min(1),
        )
        columns = torch.stack([getattr(result, f.name).double() for f in fields(result)])
        return Findings(*columns.cpu().numpy())  # one transfer

"""Spectra made ready to be held against stars: continuum taken off, weighed, their velocity looked for."""

from __future__ import annotations

import numpy as np
import torch

from specvit.constants import FWHM_PER_SIGMA, SIGMA_PER_MAD, SPEED_OF_LIGHT
from specvit.honesty.continuum import Continuum
from specvit.honesty.fitsums import bin_sums, line_scatter, masked_median, paired, smoothed
from specvit.honesty.linemodel import CONTINUUM_TERMS, LABEL_UNITS
from specvit.honesty.velocitysearch import search

__all__ = ["LABEL_SPREAD", "WIDTH", "PreparedSpectra"]

#: Relative error of line depths that library, network and instrument have, pixel by pixel.
_DEPTH_ERR = 0.20
#: Relative error of the flux, by what polynomials leave of its calibration and the pattern that instruments
#: have: 0.8 to 1 % in STELIB, 1.7 % in early spectra of LAMOST.
_FLUX_ERR = 0.010
#: Error of the flux within telluric bands that were corrected for, as in training.
_TELLURIC_ERR = 0.04
#: Largest |v| in km/s that networks have learned to live with, and by how much more of the FWHM by which
#: a line spread function exceeds the grid's (`~specvit.survey.AnyInstrument`: `max_velocity`, `zero_point`).
_LEARNED_VELOCITY, _LEARNED_ZERO_POINT = 20.0, 0.45
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
        self.continuum = Continuum(self.good, CONTINUUM_TERMS)
        self.labels = model.clamp(labels.float())
        spread, floor = model.tensor(LABEL_SPREAD), model.tensor(_LABEL_FLOOR)
        self.sigma = torch.maximum(torch.where(sigma.isnan(), spread, sigma.float()), floor)
        #: σ in ln λ of each line spread function in the middle of the grid, over the grid's own, squared.
        self.wider = self.flux.new_ones(len(flux)) if lsf is None else 4.0 ** lsf.median(1).values
        units = model.tensor([1 / SPEED_OF_LIGHT, model.unit, 1.0, *LABEL_UNITS])
        self.units = units.repeat(len(self.flux), 1)
        self.units[:, WIDTH] *= self.wider
        excess = FWHM_PER_SIGMA * SPEED_OF_LIGHT * (model.unit * (self.wider - 1)).sqrt()
        self.learned = _LEARNED_VELOCITY + _LEARNED_ZERO_POINT * excess  # (b,), km/s
        self._flatten()
        self._weigh()
        shift, self.ahead, self.lead = search(self)
        self.shift = (shift / self.units[:, 0])[:, None]
        self.known_shift = torch.clamp(self.shift, -self.learned[:, None], self.learned[:, None])

    # -- preparation ---------------------------------------------------------------------------------

    def _flatten(self):
        """Divide by the continuum that fits with the predicted lines; the inverse variance follows."""
        self.transform, continuum = self.model.star(self.labels)
        self.flux, self.ivar = self.flux / continuum, self.ivar * continuum.square()
        zero = self.flux.new_zeros(len(self.flux))
        lines = 1 + self.model.observe(self.transform, zero, zero, self.blur, derivatives=False)
        root = weight = self.ivar.sqrt()
        # Outliers, cosmics among them, would bend it.
        for _ in range(2):
            whitened, seen = self.flux * weight, lines * weight
            curve = self.continuum.curve(self.continuum.fitted(seen, whitened))
            residual = whitened.addcmul_(curve, seen, value=-1).abs_()
            limit = 5 * SIGMA_PER_MAD * masked_median(residual, self.good)[:, None]
            weight = torch.where(residual > limit, 0.0, root)
        curve = torch.where(curve > 0.1, curve, 0.1)
        self.flux, self.ivar = self.flux / curve, self.ivar * curve**2

    def _weigh(self):
        """Weights: noise scaled to the scatter of the spectrum itself, and the error of line depths."""
        residual = torch.where(self.good, (self.flux - 1) * self.ivar.sqrt(), 0.0)
        self.noise = self._scatter(residual)
        #: Depth of what is seen, (b, n_pixels).
        self.depth = (1 - smoothed(self.flux, self.good)).clamp(0, 1)
        variance = (
            self.noise[:, None] ** 2 / self.ivar.clamp_min(1e-30)
            + (self.depth * _DEPTH_ERR).square()
            + (self.model.telluric * _TELLURIC_ERR**2 + _FLUX_ERR**2)
        )
        self.root = torch.where(self.good, variance.rsqrt(), 0.0)
        #: The flux over its error.
        self.whitened = self.flux * self.root

    def _scatter(self, residual):
        """Scale of the noise per pixel as it acts on lines, over the σ given, (b,)."""
        shared = self.shared.median(1).values
        reach = int(np.ceil(float(shared.max())))
        n = self.model.bin
        pixels = line_scatter(residual, self.good, max(n - 1, reach)) * shared.sqrt()
        binned = line_scatter(*bin_sums(residual, self.good, n), -(-reach // n))
        return torch.maximum(pixels, binned * (shared / shared.clamp_max(n)).sqrt())

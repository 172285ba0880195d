"""Linear equations of fits: derivatives by parameters and polynomials, their sums, what a step leaves."""

from __future__ import annotations

from typing import NamedTuple

import torch

from specvit.labels import LABELS
from specvit.network.fastlayers import can_compile

__all__ = ["N_PARAMETERS", "Equations", "Linearised"]

#: Shift, width and strength of the lines, and five labels.
N_PARAMETERS = 3 + len(LABELS)


class Linearised(NamedTuple):
    """Observed spectra and their model where it is linearised; float32 tensors of b fits.

    The model of a spectrum over its errors is ``polynomials @ coefficients * root * (1 + strength * depth)``,
    and it moves the depth by ``by_shift`` and ``by_width`` for each unit, and by ``slopes`` for each label.
    """

    whitened: torch.Tensor  # spectra over their errors, (b, n_pixels)
    root: torch.Tensor  # 1 over the errors, (b, n_pixels)
    depth: torch.Tensor  # (b, n_pixels)
    by_shift: torch.Tensor  # (b, n_pixels)
    by_width: torch.Tensor  # (b, n_pixels)
    slopes: torch.Tensor  # (b, 5, n_pixels)
    factors: torch.Tensor  # strength, unit of the shift, unit of the width, (b, 3)
    polynomials: torch.Tensor  # (b or 1, k, n_pixels)
    coefficients: torch.Tensor  # (b, k)


class Equations:
    """Equations of b fits.

    Parameters
    ----------
    model : Linearised
        What is linearised.

    Attributes
    ----------
    residual : Tensor, shape (b, n_pixels)
        Spectrum less model, over the errors.
    gradient : Tensor, shape (b, 8 + k)
        Of −χ²/2 by parameters and coefficients.
    gram : Tensor, shape (b, 8 + k, 8 + k)
        Normal matrix.

    Notes
    -----
    On a GPU the derivatives are never written: two kernels make them where they are summed.
    """

    def __init__(self, model):
        self._model, self._derivatives = model, None
        if can_compile(model.depth.device):
            from specvit.honesty.equationkernel import normal_equations

            self.residual, self.gradient, self.gram = normal_equations(*model)
            return
        lines, curve, self._derivatives = _derivatives(model)
        self.residual = torch.addcmul(model.whitened, curve, lines, value=-1)
        self.gram = self._derivatives @ self._derivatives.mT
        self.gradient = (self._derivatives @ self.residual[..., None])[..., 0]

    def residuals_after(self, steps):
        """Residuals after linear steps (b, m, 8 + k) of parameters and coefficients, (b, m, n_pixels)."""
        if self._derivatives is None:
            from specvit.honesty.equationkernel import residuals_after

            return residuals_after(*self._model, self.residual, steps)
        return self.residual[:, None] - steps @ self._derivatives


def _derivatives(m):
    """What the polynomials are multiplied by, their sum, (b, n_pixels), and derivatives, (b, 8 + k, …)."""
    strength, shift, width = m.factors.unsqueeze(-1).unbind(1)
    lines = torch.addcmul(m.root, strength * m.root, m.depth)
    curve = (m.coefficients[:, None] @ m.polynomials)[:, 0]
    scale = curve * m.root
    strong = scale * strength
    k = m.polynomials.shape[1]
    rows = m.depth.new_empty(len(m.depth), N_PARAMETERS + k, m.depth.shape[1])
    torch.mul(strong * shift, m.by_shift, out=rows[:, 0])
    torch.mul(strong * width, m.by_width, out=rows[:, 1])
    torch.mul(scale, m.depth, out=rows[:, 2])
    torch.mul(strong[:, None], m.slopes, out=rows[:, 3:N_PARAMETERS])
    torch.mul(lines[:, None], m.polynomials, out=rows[:, N_PARAMETERS:])
    return lines, curve, rows

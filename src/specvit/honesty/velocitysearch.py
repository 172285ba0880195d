"""Where the predicted lines fit best: the likelihood of all velocities at once, by cross-correlation."""

from __future__ import annotations

import torch

from specvit.constants import SPEED_OF_LIGHT

__all__ = ["search"]

#: Polynomials that the search takes off.
_TERMS = 4
_WORTH_A_JUMP = 12.0  # Δχ²: of a hundred independent velocities one is ahead so far in 1 of 10 noise spectra
_APART = 3.0  # σ of a line, at which two velocities are different ones


def search(spectra):
    """Velocity of greatest likelihood of the predicted lines, of any strength.

    Parameters
    ----------
    spectra : PreparedSpectra
        Flattened and weighed.

    Returns
    -------
    shift : Tensor, shape (b,)
        ln(1 + v/c); of a velocity beyond those learned only where that is clearly better.
    ahead : Tensor, shape (b,)
        Δχ² by which the best velocity is better than the best of those learned.
    lead : Tensor, shape (b,)
        Δχ² by which the velocity is better than any that is `_APART` line widths away.
    """
    m, gain = spectra.model, _gain(spectra)
    rest = (spectra.learned / SPEED_OF_LIGHT / m.lag).ceil()
    steps = torch.arange(-m.n_lags, m.n_lags + 1, device=gain.device)
    inner = steps.abs() <= rest[:, None]
    far, near = gain, torch.where(inner, gain, -1.0)
    ahead = far.max(1).values - near.max(1).values
    gain = torch.where((ahead > _WORTH_A_JUMP)[:, None], far, near)
    best = gain.argmax(1).clamp(1, gain.shape[1] - 2)
    apart = (_APART * (m.unit * spectra.wider).sqrt() / m.lag)[:, None]
    elsewhere = (steps - (best - m.n_lags)[:, None]).abs() > apart
    lead = gain.gather(1, best[:, None])[:, 0] - torch.where(elsewhere, far, 0.0).max(1).values
    left, middle, right = (far.gather(1, (best + k)[:, None])[:, 0] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    offset = torch.where(bend < 0, 0.5 * (left - right) / bend, 0.0).clamp(-1, 1)
    return ((best - m.n_lags + offset) * m.lag).float(), ahead, lead


def _gain(spectra):
    """By how much χ² falls for lines at each lag, of the strength that fits there, (b, 2 n_lags + 1).

    With weights w, depths d of the lines, what is left of the flux r and polynomials p, it is
    (Σ w r d)²/Σ w d² of r and d freed of polynomials. Sums over pixels of w and w r times something smooth
    are made on the samples of the Fourier grid, where a shift is a product.
    """
    m, continuum = spectra.model, spectra.continuum
    weight = spectra.root.square()
    rows = torch.stack([weight * (spectra.flux - 1), weight], 1)
    on_samples = m.spread(rows)
    smooth = on_samples[:, 1:] * continuum.at(m.pixel, _TERMS)[:, 1:]  # the first polynomial is 1
    data = torch.fft.rfft(torch.cat([on_samples, smooth], 1))
    base = m.to_grid.mean() + m.own.mean() * (spectra.wider[:, None] - 1)
    template = spectra.transform * torch.exp(-0.5 * base * m.frequency**2)
    square = torch.fft.rfft(torch.fft.irfft(template, m.n_fft).square())
    both = data.new_empty(len(data), 2 + _TERMS, data.shape[2])
    torch.mul(data, template.conj()[:, None], out=both[:, :-1])
    torch.mul(data[:, 1], square.conj(), out=both[:, -1])
    curves = m.correlation(both).double()  # (b, 2 + terms, n_lags): r d, w d with each polynomial, w d²
    gram = continuum.gram(weight)[:, :_TERMS, :_TERMS].double()
    gram.diagonal(dim1=1, dim2=2).mul_(1 + 1e-7).add_(1e-9)
    target, cross = continuum.sums(rows[:, 0])[:, :_TERMS, None].double(), curves[:, 1:-1]
    solved = torch.linalg.solve_ex(gram, torch.cat([cross, target], 2))[0]
    top = curves[:, 0] - (cross * solved[..., -1:]).sum(1)
    below = (curves[:, -1] - (cross * solved[..., :-1]).sum(1)).clamp_min(1e-9)
    return torch.where(top > 0, top.square() / below, 0.0)

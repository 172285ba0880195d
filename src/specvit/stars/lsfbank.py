"""Spectra of any radial velocity and line width in a range, computed as fast as those at rest."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from specvit.stars.emulator import Emulator

__all__ = ["LsfBank"]


class LsfBank(nn.Module):
    """The emulator's components for any radial velocity and LSF width within a range.

    Shifting and smoothing are linear in the spectrum and smooth in velocity v and width factor w, so
    the components are computed exactly on a Chebyshev tensor grid in (v, w) and interpolated between
    by the Lagrange polynomials :math:`L_{ij}(v, w)`:

    .. math:: n(v, w) = \\sum_{ij} L_{ij}(v, w) \\Big[\\bar n_{ij} + \\sum_k c_k\\, n_{k,ij}\\Big],

    one matrix product for a batch in which every star has its own v and w. The interpolation is
    exact to 1e-5 of the continuum over the default range.

    Parameters
    ----------
    emulator : Emulator
        Emulator whose components are shifted and smoothed.
    max_velocity : float
        Largest |v| in km/s.
    lsf_range : tuple of float
        Smallest and largest LSF width relative to the grid's.
    nodes : tuple of int
        Number of Chebyshev nodes in velocity and width.
    """

    def __init__(self, emulator: Emulator, max_velocity=20.0, lsf_range=(0.9, 1.1), nodes=(9, 4)):
        super().__init__()
        self.max_velocity, self.lsf_range = float(max_velocity), tuple(map(float, lsf_range))
        velocity_nodes = _chebyshev_nodes(-self.max_velocity, self.max_velocity, nodes[0])
        lsf_nodes = _chebyshev_nodes(*self.lsf_range, nodes[1])
        spectra = np.concatenate([emulator.mean[None], emulator.components])
        bank = [[emulator.to_grid(spectra, v, w) for w in lsf_nodes] for v in velocity_nodes]
        bank = np.asarray(bank, np.float32).reshape(-1, len(emulator.grid))
        self.register_buffer("_bank", torch.as_tensor(bank), persistent=False)  # (nv nw (1+k), n_pixels)
        self.register_buffer("_velocity_nodes", torch.as_tensor(velocity_nodes, dtype=torch.float32))
        self.register_buffer("_lsf_nodes", torch.as_tensor(lsf_nodes, dtype=torch.float32))

    def normalised(self, coefficients, velocity, lsf_scale):
        """Normalised flux, tensor (n, n_pixels).

        Parameters
        ----------
        coefficients : tensor, shape (n, k)
            Coefficients of the lines, from `Emulator.coefficients`.
        velocity, lsf_scale : tensors, shape (n,)
            Radial velocity in km/s, LSF width relative to the grid's.
        """
        c = torch.cat([torch.ones_like(coefficients[:, :1]), coefficients], 1)  # (n, 1 + k)
        lv = _lagrange(velocity, self._velocity_nodes)  # (n, nv)
        lw = _lagrange(lsf_scale, self._lsf_nodes)  # (n, nw)
        weights = torch.einsum("ni,nj,nk->nijk", lv, lw, c)
        return weights.flatten(1) @ self._bank


def _chebyshev_nodes(low, high, n):
    n = n if high > low else 1  # a range of one value needs no interpolation
    return (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(n) + 0.5) / n)


def _lagrange(x, nodes):
    """Lagrange basis polynomials of `nodes` at `x`: (n,) and (m,) → (n, m)."""
    gaps = nodes[:, None] - nodes[None, :]
    gaps = gaps + torch.eye(len(nodes), dtype=gaps.dtype, device=gaps.device)
    terms = (x[:, None, None] - nodes[None, None, :]) / gaps[None]  # [n, i, j] = (x − x_j) / (x_i − x_j)
    off = ~torch.eye(len(nodes), dtype=torch.bool, device=x.device)
    return torch.where(off, terms, torch.ones_like(terms)).prod(-1)

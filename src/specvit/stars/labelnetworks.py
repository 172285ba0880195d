"""Networks that give the coefficients of spectra for labels: the smooth part of an emulator."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import nn

from specvit.labels import LABELS

__all__ = ["LabelNetworks"]


class LabelNetworks(nn.Module):
    """Labels → coefficients of the components of the line spectrum and of ln(continuum).

    Small SiLU networks of the labels (5040 K/Teff and the rest), as in The Payne (Ting et al. 2019,
    ApJ 879, 69). `Emulator` adds the components.

    Parameters
    ----------
    n_components, n_continuum : int
        Coefficients of the line spectrum, k, and of ln(continuum), m.
    label_range : array-like, shape (2, 5)
        Lowest and highest value of each label in the library the networks are fitted on.
    width : int
        Width of the line networks' three hidden layers; the continuum's two have a third of it.
    members : int
        Line networks, trained from different seeds, whose mean is taken.

    Attributes
    ----------
    networks : ModuleList
        The line networks; they give coefficients in units of their standard deviations in the library.
    continuum_network : Module
        The same for ln(continuum).
    label_range : tensor, shape (2, 5)
        As given.

    Examples
    --------
    >>> label_range = [[4000, 1, -1, 0, 0], [6000, 5, 0, 0.4, 0.3]]
    >>> networks = LabelNetworks(10, 3, label_range, width=16, members=2)
    >>> lines, continuum = networks.coefficients(torch.tensor([[5000.0, 3.0, -0.5, 0.2, 0.1]]))
    >>> lines.shape, continuum.shape
    (torch.Size([1, 10]), torch.Size([1, 3]))
    """

    def __init__(self, n_components, n_continuum, label_range, width=192, members=4):
        super().__init__()
        self.n_components, self.n_continuum = n_components, n_continuum
        self.networks = nn.ModuleList(
            _silu_network(len(LABELS), width, width, width, n_components) for _ in range(members)
        )
        # A network of its own: sharing one costs the line spectrum half of its accuracy.
        self.continuum_network = _silu_network(len(LABELS), width // 3, width // 3, n_continuum)
        label_range = torch.as_tensor(np.asarray(label_range), dtype=torch.float64)
        self.register_buffer("label_range", label_range.float())
        ends = _abscissa(label_range)
        self.register_buffer("_centre", ends.mean(0).float())
        self.register_buffer("_half_range", ((ends[1] - ends[0]).abs() / 2).float())
        self.register_buffer("_scale", torch.ones(n_components))
        self.register_buffer("_continuum_scale", torch.ones(n_continuum))

    def coefficients(self, labels):
        """Coefficients of the components, tensors of shapes (n, k) and (n, m), for `labels` (n, 5)."""
        x = self.scaled(labels)
        *hidden, last = self._layers()
        value = x.expand(len(self.networks), *x.shape)
        for weight, bias in hidden:
            value = nn.functional.silu(torch.baddbmm(bias, value, weight))
        mean = torch.baddbmm(last[1], value, last[0]).mean(0)
        return mean * self._scale, self.continuum_network(x) * self._continuum_scale

    def coefficient_slopes(self, labels):
        """Derivatives of the components' coefficients by the labels (n, 5), tensor (n, 5, k)."""
        inner = torch.ones_like(labels)
        inner[:, 0] = -5040.0 / labels[:, 0] ** 2  # of the abscissa
        slope = (inner / self._half_range).diag_embed().flatten(0, 1).expand(len(self.networks), -1, -1)
        value = self.scaled(labels).expand(len(self.networks), *labels.shape)
        *hidden, last = self._layers()
        for weight, bias in hidden:  # forward, the tangents beside the values
            value = torch.baddbmm(bias, value, weight)
            gate = torch.sigmoid(value)
            bend = torch.addcmul(gate, value * gate, 1 - gate)
            slope = (slope @ weight).unflatten(1, labels.shape).mul_(bend[:, :, None]).flatten(1, 2)
            value = value * gate
        return (slope @ last[0]).mean(0).unflatten(0, labels.shape) * self._scale

    def _layers(self):
        """Weights (members, inputs, outputs) and biases (members, 1, outputs) of each layer."""
        for layers in zip(*self.networks, strict=True):
            if isinstance(layers[0], nn.Linear):
                weight = torch.stack([layer.weight for layer in layers]).mT
                yield weight, torch.stack([layer.bias for layer in layers])[:, None]

    def scaled(self, labels):
        """The networks' input: `labels` mapped to [−1, 1] over the library's range, tensor (n, 5)."""
        return (_abscissa(labels) - self._centre) / self._half_range

    def set_scales(self, lines, continuum):
        """Set the units of outputs, deviations of coefficients: `lines` (k,), `continuum` (m,)."""
        self._scale.copy_(torch.as_tensor(lines))
        self._continuum_scale.copy_(torch.as_tensor(continuum))

    def check_labels(self, labels):
        """Raise ValueError naming the first of `labels` outside the range of the library."""
        values = torch.as_tensor(labels)
        if values.ndim != 2 or values.shape[1] != len(LABELS):
            raise ValueError(f"labels must have shape (n, {len(LABELS)}), got {tuple(values.shape)}")
        for name, column, (low, high) in zip(LABELS, values.T, self.label_range.T.tolist(), strict=True):
            bad = ~((column >= low) & (column <= high))
            if bad.any():
                raise ValueError(
                    f"labels: {name} must lie in [{low:.4g}, {high:.4g}], got {column[bad][0].item():.4g}"
                )


def _abscissa(labels):
    """Labels with Teff replaced by 5040 K/Teff, in which line strengths are closest to linear."""
    return torch.cat([5040.0 / labels[:, :1], labels[:, 1:]], 1)


def _silu_network(*widths):
    layers = [nn.Linear(*pair) for pair in pairwise(widths)]
    return nn.Sequential(*(x for layer in layers[:-1] for x in (layer, nn.SiLU())), layers[-1])

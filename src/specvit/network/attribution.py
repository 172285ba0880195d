"""What a network's answer rests on: gradients, integrated gradients, and where attention goes."""

from __future__ import annotations

import copy

import numpy as np
import torch

from specvit.network.inputs import encode, masked_median, usable
from specvit.network.positions import rotate

__all__ = [
    "attention_rollout",
    "attention_weights",
    "gradients",
    "integrated_gradients",
    "median_response",
    "noise_gradients",
]


def gradients(regressor, flux, ivar, column, lsf=None, sampling=None):
    """A label and its derivative by the flux of each pixel, in physical units.

    Parameters
    ----------
    regressor : LabelRegressor
        The network.
    flux, ivar : Tensor, shape (n, n_pixels)
        Spectra of order one; the flux must be finite where the inverse variance is 0, too.
    column : int
        Which of its labels.
    lsf, sampling : Tensor, shape (n, n_pixels), optional
        As for `specvit.network.encode`.

    Returns
    -------
    label : Tensor, shape (n,)
    gradient : Tensor, shape (n, n_pixels)
        Per unit of flux; 0 where a pixel is masked.

    Examples
    --------
    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> network = LabelRegressor.build(config, ("logg", "teff"))
    >>> flux, ivar = torch.ones(2, 64), torch.full((2, 64), 100.0)
    >>> ivar[0, 5] = 0
    >>> label, gradient = gradients(network, flux, ivar, 0)
    >>> label.shape, gradient[0, 5].item()
    (torch.Size([2]), 0.0)
    """
    label, (gradient,) = _derivatives(regressor, (flux, ivar, lsf, sampling), column)
    return label, gradient


def median_response(flux, ivar):
    r"""How far the median of a spectrum follows the flux of each pixel, where all have noise.

    .. math:: w_p = \frac{\varphi\big((m - f_p)/\sigma_p\big)/\sigma_p}
              {\sum_q \varphi\big((m - f_q)/\sigma_q\big)/\sigma_q},

    the derivative of the m at which half of the pixels are expected below it,
    :math:`\sum_p \Phi((m - f_p)/\sigma_p) = n/2`. Without noise only the one or two pixels in the middle move
    the median; with it, any pixel within some σ of the median may be these.

    Parameters
    ----------
    flux, ivar : Tensor, shape (n, n_pixels)
        Spectra of order one.

    Returns
    -------
    Tensor, shape (n, n_pixels)
        Adds up to one; 0 where a pixel is masked.

    Examples
    --------
    >>> flux = torch.tensor([[0.0, 0.99, 1.0, 1.01, 9.0]])
    >>> median_response(flux, torch.full_like(flux, 100.0)).round(decimals=2).tolist()
    [[0.0, 0.33, 0.33, 0.33, 0.0]]
    """
    mask = usable(flux, ivar)
    known = torch.where(mask, ivar, 1.0)
    z = torch.where(mask, flux - masked_median(flux, mask), 0.0) * known.sqrt()
    return (0.5 * (known.log() - z**2)).masked_fill(~mask, -torch.inf).softmax(dim=1)


def noise_gradients(regressor, flux, ivar, column, lsf=None, sampling=None):
    """The derivative of a label by the flux of each pixel, as noise of the size of σ has it.

    As `gradients`, but the level to which the network scales a spectrum, its median, follows the pixels as
    `median_response` says. By `gradients` all of it falls on the two pixels that happen to be in the middle:
    10 to 80 % of the squared effect of noise on a label.

    Parameters
    ----------
    regressor, flux, ivar, column, lsf, sampling
        As for `gradients`, of a network whose encoding scales the flux.

    Returns
    -------
    Tensor, shape (n, n_pixels)
        Per unit of flux; 0 where a pixel is masked.

    Examples
    --------
    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> network = LabelRegressor.build(config, ("logg", "teff"))
    >>> flux = 1 + 0.1 * torch.rand(2, 64)
    >>> noise_gradients(network, flux, torch.full((2, 64), 100.0), 0).shape
    torch.Size([2, 64])
    """
    level = masked_median(flux, usable(flux, ivar))
    _, (fixed, of_level) = _derivatives(regressor, (flux, ivar, lsf, sampling), column, level)
    return fixed + of_level * median_response(flux, ivar)


def _derivatives(regressor, spectra, column, level=None):
    """A label in physical units, and its derivatives by the flux and, if one is given, by the level."""
    flux, ivar, lsf, sampling = spectra
    training = regressor.training
    regressor.eval()
    try:
        with torch.enable_grad():
            by = [x.detach().clone().requires_grad_() for x in (flux, level) if x is not None]
            if level is None:
                standard = regressor(by[0], ivar, lsf, sampling)[0][:, column]
            else:
                x, _ = encode(by[0], ivar, regressor.encoding, lsf, sampling, by[1])
                standard = regressor.heads(x)[0][:, column]
            slopes = torch.autograd.grad(standard.nansum(), by)
    finally:
        regressor.train(training)
    scale = regressor.label_scale[column]
    label = (regressor.label_centre[column] + scale * standard).detach()
    return label, [slope * scale for slope in slopes]


def integrated_gradients(regressor, flux, ivar, baseline, column, lsf=None, sampling=None, *, n_steps=64):
    r"""Share of each pixel in the difference of a label between a spectrum and a baseline.

    .. math:: A_p = (f_p - b_p) \int_0^1 \frac{\partial \ell}{\partial f_p}\big(b + \alpha (f - b)\big)\,
              d\alpha, \qquad \sum_p A_p = \ell(f) - \ell(b),

    by Gauss–Legendre quadrature (Sundararajan, Taly & Yan 2017, ICML; their axiom of completeness). The
    inverse variance stays that of the spectrum.

    Parameters
    ----------
    regressor, flux, ivar, column, lsf, sampling
        As for `gradients`.
    baseline : Tensor, shape (n, n_pixels)
        Spectra without the features that are asked about.
    n_steps : int
        Points of the quadrature.

    Returns
    -------
    attribution : Tensor of float64, shape (n, n_pixels)
        In the unit of the label.
    difference : Tensor of float64, shape (n,)
        Label of the spectrum less that of the baseline, to which the attributions should add up.

    Examples
    --------
    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> network = LabelRegressor.build(config, ("logg", "teff"))
    >>> flux, smooth = 1 + 0.1 * torch.rand(2, 64), torch.ones(2, 64)
    >>> shares, difference = integrated_gradients(network, flux, torch.full((2, 64), 100.0), smooth, 0)
    >>> bool(torch.allclose(shares.sum(1), difference, atol=1e-3))
    True
    """
    points, weights = np.polynomial.legendre.leggauss(n_steps)
    total = torch.zeros(flux.shape, dtype=torch.float64, device=flux.device)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        _, gradient = gradients(regressor, baseline + point * (flux - baseline), ivar, column, lsf, sampling)
        total += weight * gradient.double()
    ends = [gradients(regressor, x, ivar, column, lsf, sampling)[0].double() for x in (flux, baseline)]
    return total * (flux - baseline).double(), ends[0] - ends[1]


@torch.no_grad()
def attention_weights(network, x):
    """Attention of every layer and head.

    Parameters
    ----------
    network : SpectrumViT
        The network.
    x : Tensor, shape (n, channels, n_pixels)
        Encoded spectra.

    Returns
    -------
    Tensor, shape (n, depth, heads, tokens, tokens)
        Row i: how much token i takes from each token; rows add up to one.

    Examples
    --------
    >>> from specvit.network import SpectrumViT, ViTConfig
    >>> network = SpectrumViT(ViTConfig(n_pixels=64, patch_size=16, width=16, depth=2, heads=4, mlp=16))
    >>> tuple(attention_weights(network, torch.zeros(3, 2, 64)).shape)
    (3, 2, 4, 4, 4)
    """
    network = copy.deepcopy(network).eval()
    # On a processor few spectra are in the layers at once: each layer is called for one part after another.
    found = {layer.attention: [] for layer in network.layers}

    def record(module, arguments):
        tokens, rotation = arguments[0], arguments[1] if len(arguments) > 1 else None
        n, t, width = tokens.shape
        q, k, _ = module.qkv(tokens).view(n, t, 3, module.heads, width // module.heads).permute(2, 0, 3, 1, 4)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        found[module].append(torch.softmax(q @ k.mT / (width // module.heads) ** 0.5, -1))

    for attention in found:
        attention.register_forward_pre_hook(record)
    network(x)
    return torch.stack([torch.cat(parts) for parts in found.values()], 1)


def attention_rollout(weights, pooling="mean"):
    """How much of each token reaches the output through all layers, if only attention moved information.

    The product over the layers of (A + I)/2, A the mean over heads (Abnar & Zuidema 2020, ACL, 4190).
    Disadvantage: what the tokens are used for, and the feed-forward layers, do not show;
    `integrated_gradients` and `gradients` say what the answer depends on.

    Parameters
    ----------
    weights : Tensor, shape (n, depth, heads, tokens, tokens)
        From `attention_weights`.
    pooling : {"mean", "cls"}
        What the network reads its outputs from.

    Returns
    -------
    Tensor, shape (n, n_tokens)
        Without the class token; the spectrum's tokens add up to one.

    Examples
    --------
    >>> from specvit.network import SpectrumViT, ViTConfig
    >>> network = SpectrumViT(ViTConfig(n_pixels=64, patch_size=16, width=16, depth=2, heads=4, mlp=16))
    >>> share = attention_rollout(attention_weights(network, torch.rand(3, 2, 64)))
    >>> tuple(share.shape), share.sum(1).round(decimals=3).tolist()
    ((3, 4), [1.0, 1.0, 1.0])
    """
    mixed = (weights.mean(2) + torch.eye(weights.shape[-1]).to(weights)) / 2
    flow = mixed[:, 0]
    for layer in mixed.unbind(1)[1:]:
        flow = layer @ flow
    reached = flow[:, 0, 1:] if pooling == "cls" else flow.mean(1)
    return reached / reached.sum(1, keepdim=True)

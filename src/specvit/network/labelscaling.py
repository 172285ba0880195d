"""Zero and unit of the labels that a network is trained in."""

from __future__ import annotations

import torch

__all__ = ["LABEL_SCALINGS", "centre_and_scale"]

#: Rules of `centre_and_scale`.
LABEL_SCALINGS = ("minmax", "none", "standard")


def centre_and_scale(labels, n_labels, rule):
    """Centre and scale of training labels: label = centre + scale · z.

    Parameters
    ----------
    labels : array-like of float, shape (n, n_labels)
        In physical units. NaN labels are left out; a label that never varies is given scale 1.
    n_labels : int
        How many there must be.
    rule : {"standard", "minmax", "none"}
        Mean and standard deviation; or the lowest label and the range, which is mapped to [0, 1]; or 0 and 1.

    Returns
    -------
    centre, scale : Tensor, shape (n_labels,)
        Of float64, or of torch's default for ``none``.

    Raises
    ------
    ValueError
        If the shape of `labels` is another.
    """
    labels = torch.as_tensor(labels, dtype=torch.float64)
    if labels.ndim != 2 or labels.shape[1] != n_labels or len(labels) == 0:
        raise ValueError(f"labels must have shape (n, {n_labels}), got {tuple(labels.shape)}")
    known = labels.isfinite()
    if rule == "standard":
        centre = labels.nanmean(dim=0)
        scale = (labels - centre).square().nanmean(dim=0).sqrt()
    elif rule == "minmax":
        centre = labels.where(known, torch.inf).amin(dim=0)
        scale = labels.where(known, -torch.inf).amax(dim=0) - centre
    else:
        centre, scale = torch.zeros(n_labels), torch.ones(n_labels)
    # Constant up to rounding counts as constant.
    constant = ~(scale > 1e-12 * centre.abs())
    return centre, torch.where(constant, torch.ones_like(scale), scale)

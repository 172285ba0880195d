"""Where in the spectrum the information about a label sits."""

from __future__ import annotations

import numpy as np
import torch

from specvit.assess.plots.style import SMALL, axis_name, dress, name_axes, new_axes
from specvit.labels import label_of
from specvit.limits.compressed import require_plain
from specvit.limits.fisher import jacobian

__all__ = ["LINES", "pixel_information", "plot_information"]

#: Strong atomic lines of cool stars: vacuum wavelengths in Å (NIST Atomic Spectra Database, in air: K I
#: 7664.90, 7698.96; Na I 8183.26, 8194.82; Ca II 8498.02, 8542.09, 8662.14; Mg I 8806.76).
LINES = {
    "K I": (7667.01, 7701.08),
    "Na I": (8185.51, 8197.08),
    "Ca II": (8500.36, 8544.44, 8664.52),
    "Mg I": (8809.18,),
}


def pixel_information(survey, labels, magnitude, *, label="logg", known=()):
    r"""Fisher information about one label in each pixel of a star's spectrum, the rest unknown.

    With w = 1/σ², d the derivative of the flux and a the vector that makes
    :math:`\tilde d = d - \sum_k a_k d_k` orthogonal, in the metric w, to the derivatives :math:`d_k` by the
    other labels and to the flux itself (the unknown amplitude), pixel p has
    :math:`w_p \tilde d_p^2`. Summed over pixels this is the Schur complement, 1/CRLB of the label:
    the efficient score of Bickel et al. (1993) *Efficient and Adaptive Estimation* §2.4.

    Parameters
    ----------
    survey : Survey
        Without imperfections, with noise.
    labels : array-like, shape (5,)
        Of the star: Teff [K], log g, [M/H], [alpha/M], [C/M].
    magnitude : float
        Of the star, AB.
    label : str
        Name of the label that the information is about.
    known : sequence of str
        Labels that are known from elsewhere; the others are marginalised.

    Returns
    -------
    information : ndarray, shape (n_pixels,)
        Per unit of the label, squared; 0 where the survey masks.
    flux : ndarray, shape (n_pixels,)
        Noiseless, in the survey's unit.

    Raises
    ------
    ValueError
        If `label` is none of the survey's, or is known, or the survey has imperfections or no noise.
    """
    require_plain(survey)
    names = tuple(survey.label_names)
    unknown = [name for name in names if name not in known]
    if label not in unknown:
        raise ValueError(
            f"label must be one of {tuple(unknown)}, those of the survey not known, got {label!r}"
        )
    labels = np.asarray(labels, np.float64).reshape(1, -1)
    observed = survey.observe(labels, magnitude)
    flux = observed.noiseless[0].double().cpu().numpy()
    sigma = observed.noiseless_sigma[0].double().cpu().numpy()
    if not (sigma > 0).all():
        raise ValueError(f"survey must have noise, {survey!r} has none: its information is infinite")
    weight = np.where(survey.used_pixels, 1 / sigma**2, 0.0)
    model, derivative = (x[0].cpu().numpy() for x in jacobian(survey.emulator, torch.as_tensor(labels)))
    root = np.sqrt(weight) * (np.median(flux / model))  # the emulator's unit to that of the survey
    score = root * derivative[:, names.index(label)]
    others = [derivative[:, names.index(name)] for name in unknown if name != label]
    nuisance = root[:, None] * np.stack([*others, model], 1)
    nuisance = nuisance / np.linalg.norm(nuisance, axis=0)
    score = score - nuisance @ np.linalg.lstsq(nuisance, score, rcond=None)[0]
    return score**2, flux


def plot_information(survey, labels, magnitude, *, label="logg", known=(), lines=None, ax=None):
    """A spectrum, and below it the Fisher information about a label per Å, the other labels unknown.

    Parameters
    ----------
    survey : Survey
        Without imperfections, with noise.
    labels : array-like, shape (5,)
        Of the star.
    magnitude : float
        Of the star, AB.
    label : str
        Name of the label that the information is about.
    known : sequence of str
        As for `pixel_information`, where the definition is.
    lines : dict of str to sequence of float, optional
        Lines to mark: names and vacuum wavelengths in Å. By default strong ones of cool stars.
    ax : matplotlib Axes, optional
        By default those of a new figure, two columns wide.

    Returns
    -------
    matplotlib Axes
        The spectrum's, in units of its median; the information has the scale on the right, whose Axes
        is among ``ax.figure.axes``. Both are noiseless.
    """
    information, flux = pixel_information(survey, labels, magnitude, label=label, known=known)
    wave, edges = np.asarray(survey.grid.wave), np.asarray(survey.grid.edges)
    density = information / np.diff(edges)
    ax = new_axes(ax, (7.0, 2.8))
    below = dress(ax.twinx())
    # The spectrum has the upper part, the information the lower.
    flux = flux / np.median(flux)
    ax.plot(wave, flux, color="0.15", linewidth=0.5)
    lowest, highest = flux.min(), flux.max()
    ax.set_ylim(lowest - 0.75 * (highest - lowest), highest + 0.16 * (highest - lowest))
    below.stairs(density, edges, color="#0072B2", linewidth=0.7, fill=False)
    below.set_ylim(0, 2.65 * density.max())
    ax.set_xlim(edges[0], edges[-1])
    for name, places in (LINES if lines is None else lines).items():
        inside = [place for place in places if edges[0] < place < edges[-1]]
        for place in inside:
            ax.axvline(place, ymin=0.9, ymax=0.93, color="#D55E00", linewidth=0.8)
        if inside:
            ax.text(
                np.mean(inside),
                0.94,
                name,
                transform=ax.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=SMALL,
                color="#D55E00",
            )
    ax.tick_params(right=False)
    below.tick_params(left=False, top=False, colors="#0072B2")
    for axes, scale in ((ax, (lowest, highest)), (below, (0, density.max()))):
        ticks = [tick for tick in axes.get_yticks() if scale[0] - 1e-9 <= tick <= 1.05 * scale[1]]
        axes.set_yticks(ticks)
    name_axes(ax, r"vacuum wavelength [$\mathrm{\AA}$]", r"$F_\lambda$ / median")
    unit = label_of(label).error_unit
    below.set_ylabel(
        f"information on {axis_name(label).split(' [')[0]}\n" + rf"[{unit}$^{{-2}}\,\mathrm{{\AA}}^{{-1}}$]",
        fontsize=SMALL,
        color="#0072B2",
    )
    ax.yaxis.set_label_coords(-0.055, 0.68)
    below.yaxis.set_label_coords(1.04, 0.21)
    return ax

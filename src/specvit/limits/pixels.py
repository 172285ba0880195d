"""Where in the spectrum the information about a label sits."""

from __future__ import annotations

import numpy as np

from specvit.limits.scope import require_plain

__all__ = ["information_density", "pixel_information"]


def pixel_information(survey, labels, magnitude=None, *, snr=None, label="logg", known=(), given=None):
    r"""Fisher information about one label in each pixel of a star's spectrum, the rest unknown.

    With w = 1/σ², d the derivative of the flux and a the vector that makes
    :math:`\tilde d = d - \sum_k a_k d_k` orthogonal, in the metric w, to the derivatives :math:`d_k` by the
    other labels and to the flux itself (the unknown amplitude), pixel p has
    :math:`w_p \tilde d_p^2`. Summed over pixels this is the Schur complement, 1/CRLB of the label:
    the efficient score of Bickel et al. (1993) *Efficient and Adaptive Estimation* §2.4.

    Parameters
    ----------
    survey : Survey
        A survey without imperfections and radial velocities and with noise.
    labels : array-like, shape (5,) or (1, 5)
        Labels of the star.
    magnitude, snr : float, optional
        Brightness of the star, as for `Survey.observe`.
    label : str
        The label that the information is about.
    known : sequence of str
        Labels that are known exactly from elsewhere; the others are marginalised.
    given : dict of str to float, optional
        σ with which other labels are known from elsewhere, as a prior's: ``{"teff": 50}``.

    Returns
    -------
    information : ndarray, shape (n_pixels,)
        Per unit of the label, squared; 0 where the survey masks.
    flux : ndarray, shape (n_pixels,)
        Noiseless, in the survey's unit.

    Raises
    ------
    ValueError
        If `label` is none of the survey's, or is known; a σ of `given` is not positive; the brightness is not
        the one that the noise asks for; or the survey has imperfections, velocities or no noise.

    See Also
    --------
    survey_fisher : the information about all labels in the whole spectrum.
    specvit.assess.plots.plot_information : the figure.

    Notes
    -----
    With priors the vector a is :math:`(F_{bb} + P)^{-1} F_{ba}`, P the diagonal of their 1/σ². The pixels
    then sum to the Schur complement less :math:`a^T P a`, which the priors of the other labels contribute.

    Examples
    --------
    >>> from specvit import Survey
    >>> from specvit.limits import pixel_information
    >>> survey = Survey("paper")
    >>> information, flux = pixel_information(survey, [4800, 2.5, -0.5, 0.1, 0.0], 21.5)
    >>> most = survey.grid.wave[information.argmax()]
    >>> print(f"{information.sum() ** -0.5:.2f} dex at best, most of it at {most:.0f} Å, a line of Mg I")
    0.55 dex at best, most of it at 8809 Å, a line of Mg I
    """
    require_plain(survey)
    names = tuple(survey.label_names)
    unknown = [name for name in names if name not in known]
    if label not in unknown:
        raise ValueError(
            f"label must be one of {tuple(unknown)}, those of the survey not known, got {label!r}"
        )
    model = survey.forward()
    brightness = model.brightness(1, magnitude, snr)
    labels = model.check_labels(np.atleast_2d(np.asarray(labels, np.float64)))
    flux, derivative = model.derivatives(labels, brightness)
    root = model.variance(flux, brightness)[0].rsqrt().numpy()
    flux, derivative = flux[0].numpy(), derivative[0].numpy()
    told = {name: sigma for name, sigma in (given or {}).items() if name != label}
    columns = [names.index(name) for name in unknown]
    return information_density(derivative[:, columns], flux, root**2, unknown, label, told), flux


def information_density(derivative, flux, ivar, names, label, given=None):
    """Fisher information about one label in each pixel, the other labels and the amplitude unknown.

    Parameters
    ----------
    derivative : ndarray, shape (n_pixels, d)
        Derivatives of the flux by the d labels.
    flux, ivar : ndarray, shape (n_pixels,)
        Noiseless flux, and the inverse variance of its noise, 0 where masked.
    names : sequence of str
        Names of the labels.
    label : str
        The one that is asked about.
    given : dict of str to float, optional
        σ with which others are known from elsewhere.

    Returns
    -------
    ndarray, shape (n_pixels,)
        As `pixel_information` defines it.

    Raises
    ------
    ValueError
        If `given` names another label, or a σ is not positive.
    """
    names, root, given = list(names), np.sqrt(ivar), given or {}
    score = root * derivative[:, names.index(label)]
    others = [name for name in names if name != label]
    nuisance = np.stack([*(derivative[:, names.index(name)] for name in others), flux], 1) * root[:, None]
    # A prior of another label is one more datum, of derivative 1/σ by that label and 0 by all others.
    prior = np.zeros((len(given), nuisance.shape[1]))
    for row, (name, sigma) in enumerate(given.items()):
        if name not in others or not sigma > 0:
            raise ValueError(f"given must hold a positive σ of labels among {tuple(others)}, got {given!r}")
        prior[row, others.index(name)] = 1 / sigma
    nuisance, score = np.concatenate([nuisance, prior]), np.concatenate([score, np.zeros(len(given))])
    norm = np.linalg.norm(nuisance, axis=0)
    nuisance = nuisance / np.where(norm > 0, norm, 1.0)
    score = score - nuisance @ np.linalg.lstsq(nuisance, score, rcond=None)[0]
    return score[: len(flux)] ** 2

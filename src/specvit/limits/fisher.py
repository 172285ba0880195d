"""Fisher information of the labels, the Cramér–Rao bound, and the van Trees bound for a survey's prior."""

from __future__ import annotations

import numpy as np
import torch
from numpy.polynomial import chebyshev
from scipy.interpolate import CubicSpline
from scipy.special import beta

from specvit.constants import SPEED_OF_LIGHT
from specvit.limits.fishermatrix import Fisher, solve_banded
from specvit.limits.scope import require_plain
from specvit.survey.priors import LabelPrior

__all__ = ["Fisher", "fisher_information", "survey_fisher", "van_trees", "van_trees_survey"]


def fisher_information(
    derivative,
    variance,
    names,
    *,
    bands=None,
    floor=0.0,
    flux=None,
    continuum=None,
    velocity=False,
    wave=None,
):
    """Fisher information F = Jᵀ C⁻¹ J of labels and nuisance parameters from Gaussian noise.

    Parameters
    ----------
    derivative : tensor or ndarray, shape (n, n_pixels, d)
        ∂flux/∂label; from `~specvit.limits.jacobian`, resampled by the same matrix as the flux if `bands`
        are given.
    variance : tensor or ndarray, shape (n_pixels,) or (n, n_pixels)
        Variance of the noise; an infinite one masks a pixel.
    names : sequence of str
        Names of the d labels.
    bands : ndarray, shape (b, n_pixels) or (b, n, n_pixels), optional
        Covariance with the next 1 … b pixels, as `Resampled.covariance`: element j of row k − 1 is that
        of pixels j and j + k.
    floor : float
        Relative addition to the variance when `bands` are given. The covariance of a spectrum resampled
        from fewer pixels is singular by construction; 1e-9 makes it usable and changes the
        information by far less than a part in a hundred, given derivatives resampled alike.
    flux : tensor or ndarray, shape (n, n_pixels), optional
        Needed by the nuisance parameters.
    continuum : int, optional
        Order of a Chebyshev polynomial that multiplies the flux; 0 is the amplitude. Parameters
        ``continuum0``, ….
    velocity : bool
        Whether there is a radial velocity in km/s, parameter ``velocity``.
    wave : ndarray, shape (n_pixels,), optional
        Wavelengths in Å; needed by `velocity`.

    Returns
    -------
    Fisher
        Labels first, then the nuisance parameters: `Fisher.keep` marginalises.

    Raises
    ------
    ValueError
        If a shape does not match, a needed argument is missing, a variance is not positive, or the banded
        covariance is not positive definite.

    Notes
    -----
    The dependence of C on the labels is left out: the bound is that of weighted least squares.
    Cramér (1946) *Mathematical Methods of Statistics* §32; Rao (1945) Bull. Calcutta Math. Soc. 37, 81.

    Examples
    --------
    A straight line through three points of σ = 0.1: its offset and its slope.

    >>> import numpy as np
    >>> derivative = np.array([[[1.0, -1.0], [1.0, 0.0], [1.0, 1.0]]])
    >>> fisher_information(derivative, np.full(3, 0.01), ("offset", "slope")).sigma().round(4)
    array([[0.0577, 0.0707]])
    """
    derivative = torch.as_tensor(derivative, dtype=torch.float64)
    if derivative.ndim != 3 or derivative.shape[2] != len(names):
        raise ValueError(
            f"derivative must have shape (n, n_pixels, {len(names)}), got {tuple(derivative.shape)}"
        )
    n, n_pixels, _ = derivative.shape
    columns, names = [derivative], list(names)
    if continuum is not None or velocity:
        if flux is None:
            raise ValueError("flux is needed for the nuisance parameters")
        flux = torch.as_tensor(flux, dtype=torch.float64, device=derivative.device)
        if flux.shape != (n, n_pixels):
            raise ValueError(f"flux must have shape ({n}, {n_pixels}), got {tuple(flux.shape)}")
    if continuum is not None:
        polynomials = chebyshev.chebvander(np.linspace(-1, 1, n_pixels), continuum)
        columns.append(flux[:, :, None] * torch.as_tensor(polynomials, device=flux.device))
        names += [f"continuum{k}" for k in range(continuum + 1)]
    if velocity:
        if wave is None:
            raise ValueError("wave is needed for the velocity")
        slope = CubicSpline(wave, flux.cpu().numpy(), axis=1)(wave, 1)
        columns.append(
            torch.as_tensor(-np.asarray(wave) / SPEED_OF_LIGHT * slope, device=flux.device)[:, :, None]
        )
        names.append("velocity")
    rows = torch.cat(columns, 2)
    variance = torch.as_tensor(variance, dtype=torch.float64, device=rows.device)
    if variance.shape not in ((n_pixels,), (n, n_pixels)) or not (variance > 0).all():
        raise ValueError(
            f"variance must be positive and of shape ({n_pixels},) or ({n}, {n_pixels}), got "
            f"{tuple(variance.shape)}"
        )
    if bands is None:
        weighted = rows / variance.expand(n, n_pixels)[:, :, None]
    else:
        weighted = solve_banded(rows, variance.expand(n, n_pixels), np.asarray(bands, np.float64), floor)
    return Fisher((rows.mT @ weighted).cpu().numpy(), tuple(names))


def survey_fisher(
    survey, labels, magnitude=None, *, snr=None, continuum=0, velocity=False, device="cpu", batch_size=64
):
    """Fisher information of stars as a survey observes them, per label unit.

    Parameters
    ----------
    survey : Survey
        A survey without imperfections and radial velocities; its noise may be of any kind.
    labels : tensor or array-like, shape (5,) or (n, 5)
        Teff [K], log g, [M/H], [alpha/M], [C/M]; of one star, n = 1, or of several.
    magnitude, snr : float or ndarray, shape (n,), optional
        Brightness of the stars, as for `Survey.observe`: magnitudes, or S/N for noise of a stated S/N.
    continuum, velocity
        As for `fisher_information`. By default the amplitude is unknown, as it is for an estimator that
        scales each spectrum; with ``continuum=None`` it is known.
    device : str or torch.device
        Where the work is done.
    batch_size : int
        Stars worked on at once.

    Returns
    -------
    Fisher
        Of the labels and the nuisance parameters ``continuum0`` … and ``velocity``.

    Raises
    ------
    ValueError
        If a label is outside the emulator's range, the brightness is not the one that the noise asks for, or
        the survey has imperfections, velocities or no noise.

    See Also
    --------
    pixel_information : The information of single pixels, which tells the lines that matter.
    van_trees_survey : A bound that holds for biased estimators.
    bayes_limit : The accuracy that the best estimator reaches.

    Notes
    -----
    Advantages: `Fisher.sigma`, the Cramér–Rao bound, is computed in milliseconds for each star, needs no
    prior, and gives covariances. Disadvantages: it holds for unbiased estimators only. A network knows the
    prior, is biased towards it for faint stars, and has smaller squared errors there than this bound.

    Examples
    --------
    An instrument of which only a signal-to-noise ratio is known:

    >>> from specvit.limits import survey_fisher
    >>> from specvit.survey import SNRNoise, Survey
    >>> survey = Survey("own", prior=Survey("paper").prior, noise=SNRNoise((10, 100)))
    >>> giant = [4800, 2.5, -0.5, 0.1, 0.0]
    >>> sigma = [survey_fisher(survey, giant, snr=s).sigma("logg")[0] for s in (20, 40)]
    >>> print(f"{sigma[0]:.2f} dex, {sigma[0] / sigma[1]:.1f} times that at twice the S/N")
    0.19 dex, 2.0 times that at twice the S/N
    """
    require_plain(survey)
    model = survey.forward(device)
    labels = model.check_labels(labels if np.ndim(labels) > 1 else np.asarray(labels)[None])
    brightness = model.brightness(len(labels), magnitude, snr)
    matrices = []
    for part, bright in zip(labels.split(batch_size), brightness.split(batch_size), strict=True):
        flux, derivative = model.derivatives(part, bright)
        fisher = fisher_information(
            derivative,
            model.variance(flux, bright),
            survey.label_names,
            flux=flux,
            continuum=continuum,
            velocity=velocity,
            wave=survey.grid.wave,
        )
        matrices.append(fisher.matrix)
    return Fisher(np.concatenate(matrices), fisher.names)


def van_trees(fisher, information):
    r"""Bayesian Cramér–Rao bound: no estimator, biased or not, has a smaller mean squared error matrix.

    .. math:: E[(\hat ℓ - ℓ)(\hat ℓ - ℓ)^T] \ge (E[F] + I_{\rm prior})^{-1}

    (van Trees 1968, *Detection, Estimation, and Modulation Theory* I, §2.4.3), for a prior that
    vanishes at the ends of its support; see `van_trees_survey` for one that does not.

    Parameters
    ----------
    fisher : Fisher
        Information at labels drawn from the prior. It may include nuisance parameters without prior
        information.
    information : array-like, shape (p,) or (p, p)
        Fisher information of the prior; 1/σ² for a Gaussian.

    Returns
    -------
    ndarray, shape (p, p)

    Raises
    ------
    numpy.linalg.LinAlgError
        If the sum is singular.

    Examples
    --------
    A σ of 0.1 from the spectrum and one of 0.1 from the prior:

    >>> import numpy as np
    >>> van_trees(Fisher(np.array([[[100.0]]]), ("logg",)), [100.0]).round(4)
    array([[0.005]])
    """
    information = np.asarray(information, np.float64)
    if information.ndim == 1:
        information = np.diag(information)
    return Fisher(fisher.matrix.mean(0, keepdims=True) + information, fisher.names).covariance[0]


def van_trees_survey(
    survey, magnitude=None, n_stars=500, *, snr=None, seed=0, exponents=None, device="cpu", batch_size=64
):
    r"""Van Trees bound on the mean squared error of each label under a survey's Beta priors.

    The information of a Beta(a, a) density diverges for a ≤ 2 and the density itself at the ends for
    a < 1, so the bound of `van_trees` does not exist. Its weighted form does (Gill & Levit 1995,
    Bernoulli 1, 59): for scaled labels v in the unit cube and any h with h p → 0 at the ends,

    .. math:: {\rm MSE}(ℓ_i) \ge b_i^T G^{-1} b_i,\quad
              b_{ij} = E\Big[h_j \frac{∂ℓ_i}{∂v_j}\Big],\quad
              G_{jk} = E[h_j F_{jk} h_k] + δ_{jk} E\Big[\Big(\frac{(h_j p_j)'}{p_j}\Big)^2\Big],

    here with :math:`h = [v(1 - v)]^s`. It holds for every s > 1 − a/2; the largest over a
    few values is returned. The amplitude is a parameter of unit weight and no prior information.

    Parameters
    ----------
    survey : Survey
        A survey without imperfections and radial velocities, with a `LabelPrior`; its noise may be of any
        kind.
    magnitude, snr : float or ndarray, shape (n_stars,), optional
        Brightness of the stars, as for `Survey.observe`.
    n_stars : int
        Stars that the expectations are taken over.
    seed : int
        Seed of these stars.
    exponents : sequence of float, optional
        Values of s that are tried; by default six above the least.
    device, batch_size
        As for `survey_fisher`.

    Returns
    -------
    ndarray, shape (5,)
        Lower bounds on E[(estimate − label)²]; R² ≤ 1 − bound / Var(label).

    Raises
    ------
    ValueError
        If the prior is no `LabelPrior`, an exponent is too small, or `survey_fisher` refuses the survey.

    See Also
    --------
    bayes_limit : The accuracy that the best estimator reaches.

    Notes
    -----
    Advantages: it holds for all estimators, biased or not, and takes one Fisher matrix for each star.
    Disadvantages: it is looser than the Bayes limit where posteriors are cut by the ends of the prior or far
    from Gaussian, and only for a `LabelPrior`.

    Examples
    --------
    >>> from specvit import Survey
    >>> bound = van_trees_survey(Survey("paper"), 21.0, n_stars=20)
    >>> bool(0.01 < bound[1] < 0.03)
    True
    """
    prior = survey.prior
    if not isinstance(prior, LabelPrior):
        raise ValueError(f"survey must have a LabelPrior for its van Trees bound, got {type(prior).__name__}")
    a, least = prior.shape, 1 - prior.shape / 2
    exponents = least + np.array([0.05, 0.1, 0.2, 0.35, 0.6, 1.0]) if exponents is None else exponents
    if not min(exponents) > least:
        raise ValueError(f"exponents must be above {least:g} for a prior of shape {a:g}, got {exponents!r}")
    v = np.random.default_rng(seed).beta(a, a, (n_stars, 5))

    def labels(x):
        low, high = prior.bounds(x)
        return low + (high - low) * x

    step = 1e-5
    slope = np.stack(
        [(labels(v + d) - labels(v - d)) / (2 * step) for d in step * np.eye(5)], -1
    )  # (n, label, v)
    fisher = survey_fisher(survey, labels(v), magnitude, snr=snr, device=device, batch_size=batch_size)
    p = len(fisher.names)
    change = np.broadcast_to(np.eye(p), (n_stars, p, p)).copy()
    change[:, :5, :5] = slope
    information = change.swapaxes(1, 2) @ fisher.matrix @ change
    bounds = []
    for s in exponents:
        h = np.ones((n_stars, p))
        h[:, :5] = (v * (1 - v)) ** s
        k = 2 * s + a - 2
        own = (s + a - 1) ** 2 * (beta(k, k) - 4 * beta(k + 1, k + 1)) / beta(a, a)
        total = van_trees(
            Fisher(h[:, :, None] * information * h[:, None, :], fisher.names),
            np.where(np.arange(p) < 5, own, 0.0),
        )
        exact = beta(a + s, a + s) / beta(a, a)  # E[h]; a ratio estimate, free of noise for most labels
        b = (slope * h[:, None, :5]).mean(0) * exact / h[:, :5].mean(0)
        bounds.append(np.einsum("ij,jk,ik->i", b, total[:5, :5], b))
    return np.max(bounds, 0)

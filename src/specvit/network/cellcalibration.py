"""Calibration of the errors for any instrument, in cells of line spread function, coverage and S/N."""

from __future__ import annotations

import numpy as np
import torch

from specvit.constants import ONE_SIGMA
from specvit.network.heldout import predict_held_out
from specvit.network.quantileregression import quantile_regression
from specvit.network.shapefactor import shape_terms, shape_variables

__all__ = ["AXES", "calibrate_cells", "pulls", "refine_calibration", "shrink_correlations"]

#: Nodes of the calibration: log2 of the line spread function over the grid's, coverage, and S/N.
AXES = {
    "lsf": (0.0, 0.5, 1.0, 1.5, 2.0),
    "coverage": (0.06, 0.12, 0.25, 0.5, 1.0),
    "snr": (1.5, 4.0, 10.0, 25.0, 60.0, 150.0, 400.0),
}
#: Spectra that the factor of a cell rests on, at least: the window grows until it holds as many.
_LEAST = 1500.0
#: Quantiles of the variables of the second factor beyond which it is constant, and their least distance.
_LIMITS = (0.005, 0.995)
_NARROWEST = 1e-3
#: Penalty of its coefficients: that of a Gaussian prior of 5 % each.
_RIDGE = 200.0
#: Of errors over σ, for their logarithm.
_SMALLEST = 1e-3


def calibrate_cells(regressor, batches, *, rounds=2):
    """Set the factors on σ of an ``instrument`` regressor, from spectra it has not been trained on.

    At each node of line spread function × coverage × S/N the factor is the 68.27 % quantile of
    |truth − prediction|/σ over the spectra about it, weighted with a Gaussian of half the distance to the
    next node, wider where these are few: conformal prediction, localised (Guan 2023, Biometrika 110, 33).
    Between nodes factors are linear. A second round corrects for what smoothing has left. Then comes
    `refine_calibration`.

    Advantage over `~specvit.network.conformal.calibrate`: σ is right for each kind of instrument, not over
    all together. Disadvantage: needs 10⁵ spectra.

    Parameters
    ----------
    regressor : LabelRegressor
        A network with the encoding ``instrument``.
    batches : iterable of (flux, ivar, labels, lsf, sampling)
        Labels in physical units, NaN where unknown.
    rounds : int
        Number of rounds.

    Examples
    --------
    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> network = LabelRegressor.build(config, "logg", encoding="instrument")
    >>> ivar, labels = torch.full((500, 64), 100.0), 0.1 * torch.randn(500, 1)
    >>> zero = torch.zeros(500, 64)
    >>> calibrate_cells(network, [(torch.ones(500, 64), ivar, labels, zero, zero)])
    >>> sigma = network.predict(torch.ones(1, 64), ivar[:1], lsf=zero[:1], sampling=zero[:1])[1]
    >>> bool(0.05 < sigma < 2)
    True
    """
    axes = {name: np.asarray(nodes, np.float64) for name, nodes in AXES.items()}
    shape = tuple(len(nodes) for nodes in axes.values())
    n_labels = regressor.n_labels
    regressor.set_calibration([1.0], np.ones((1, n_labels)))
    held_out = predict_held_out(regressor, batches)
    if not len(held_out.error):
        return
    places = np.stack([held_out.lsf, held_out.coverage.log(), held_out.snr.log10()], 1)
    scaled = [axes["lsf"], np.log(axes["coverage"]), np.log10(axes["snr"])]
    places = np.clip(places, [axis[0] for axis in scaled], [axis[-1] for axis in scaled])
    table = np.ones((*shape, n_labels))
    for _ in range(rounds):
        regressor.set_calibration(axes["snr"], table, axes["lsf"], axes["coverage"])
        table = table * _local_quantiles(pulls(regressor, held_out).abs().numpy(), places, scaled)
    regressor.set_calibration(axes["snr"], table, axes["lsf"], axes["coverage"])
    refine_calibration(regressor, held_out)


def refine_calibration(regressor, held_out):
    """Set the second factor on σ and the shrinkage of the correlations, on top of the factors there are.

    What the cells leave is a function of the answer: where the posterior is not Gaussian its 68.27 % interval
    is no fixed multiple of the σ of the network. So ln(|truth − prediction|/σ) has its 68.27 % quantile
    regressed on the polynomial of `specvit.network.shapefactor`, with shrinkage towards the factors
    there are. The joint region of all labels follows: their σ change, and correlations are then shrunk as
    far as that region needs.

    Parameters
    ----------
    regressor : LabelRegressor
        A network with the encoding ``instrument``, calibrated in cells. Its second factor is replaced.
    held_out : HeldOut
        Its predictions for spectra that it was not trained on, of `predict_held_out`.

    Examples
    --------
    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> network = LabelRegressor.build(config, "logg", encoding="instrument")
    >>> one, zero = torch.ones(500, 64), torch.zeros(500, 64)
    >>> held_out = predict_held_out(network, [(one, 100 * one, 1.3 * torch.randn(500, 1), zero, zero)])
    >>> refine_calibration(network, held_out)
    >>> inside = (pulls(network, held_out).abs() < 1).double().mean()
    >>> bool(abs(inside - ONE_SIGMA) < 0.05)
    True
    """
    regressor.set_shape(regressor.shape_limits, regressor.shape_coefficients[:0])
    logarithm = np.log(np.maximum(pulls(regressor, held_out).abs().numpy(), _SMALLEST))
    variables = shape_variables(*_given(held_out))
    limits = torch.as_tensor(np.quantile(variables.numpy(), _LIMITS, axis=0))
    limits[1] = torch.maximum(limits[1], limits[0] + _NARROWEST)
    terms = shape_terms(variables, limits).numpy()[..., 1:]
    regressor.set_shape(
        limits,
        np.stack(
            [
                quantile_regression(terms[:, k], logarithm[:, k], ONE_SIGMA, ridge=_RIDGE)
                for k in range(regressor.n_labels)
            ],
            1,
        ),
    )
    if regressor.covariance:
        regressor.correlation_shrinkage.fill_(
            shrink_correlations(pulls(regressor, held_out).numpy(), held_out.correlation.numpy())
        )


@torch.no_grad()
def pulls(regressor, held_out):
    """(truth − prediction)/σ with the factors that the regressor has now, float64 on the CPU.

    Parameters
    ----------
    regressor : LabelRegressor
        A network with the encoding ``instrument``.
    held_out : HeldOut
        Its predictions.

    Returns
    -------
    Tensor, shape (n, n_labels)

    Examples
    --------
    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> network = LabelRegressor.build(config, "logg", encoding="instrument")
    >>> one, zero = torch.ones(500, 64), torch.zeros(500, 64)
    >>> held_out = predict_held_out(network, [(one, 100 * one, 0.1 * torch.randn(500, 1), zero, zero)])
    >>> network.set_calibration([10.0], [[2.0]])
    >>> torch.equal(2 * pulls(network, held_out), held_out.error)
    True
    """
    factor = regressor.error_factor(*(one.to(regressor.label_scale) for one in _given(held_out)))
    return held_out.error / factor.double().cpu()


def _given(held_out):
    """What factors on σ depend on."""
    return held_out.mean, held_out.log_sigma, held_out.snr, held_out.lsf, held_out.coverage


def shrink_correlations(error, correlation):
    """Share of the predicted correlations to take away for the joint 68.27 % region to hold as many.

    Parameters
    ----------
    error : ndarray, shape (n, k)
        Errors over their σ.
    correlation : ndarray, shape (n, k, k)
        Predicted correlations of the errors.

    Returns
    -------
    float
        0 to 1, by bisection; 0 where the region is wide enough as it is.

    Examples
    --------
    >>> error = np.random.default_rng(0).normal(size=(5000, 2))  # without correlation
    >>> wrong = np.tile([[1, 0.95], [0.95, 1]], (5000, 1, 1))
    >>> bool(shrink_correlations(error, wrong) > 0.5)
    True
    """
    k = error.shape[1]
    expected = _chi_square_quantile(k)

    def excess(share):
        shrunk = correlation * (1 - share) + np.eye(k) * share
        white = np.linalg.solve(shrunk, error[..., None])[..., 0]
        return np.quantile((error * white).sum(1), ONE_SIGMA) - expected

    if excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high


def _chi_square_quantile(k):
    """68.27 % quantile of χ² of k degrees of freedom, from the incomplete gamma function."""
    x = torch.linspace(0, 10 + 3 * k, 20001, dtype=torch.float64)
    probability = torch.special.gammainc(torch.tensor(k / 2, dtype=torch.float64), x / 2)
    return float(np.interp(ONE_SIGMA, probability.numpy(), x.numpy()))


def _local_quantiles(ratio, places, axes):
    """68.27 % quantiles of each column of `ratio` (n, m) about the nodes of `axes`: (..., m)."""
    order = np.argsort(ratio, axis=0)
    shape = tuple(len(axis) for axis in axes)
    result = np.empty((*shape, ratio.shape[1]))
    widths = [0.5 * np.gradient(axis) for axis in axes]
    for node in np.ndindex(shape):
        distance = sum(((places[:, d] - axes[d][i]) / widths[d][i]) ** 2 for d, i in enumerate(node))
        stretch = 1.0
        while (weight := np.exp(-0.5 * distance / stretch**2)).sum() < min(_LEAST, 0.5 * len(ratio)):
            stretch *= 1.25
        for column, rank in enumerate(order.T):
            cumulative = np.cumsum(weight[rank])
            at = np.searchsorted(cumulative, ONE_SIGMA * cumulative[-1])
            result[(*node, column)] = ratio[rank[min(at, len(rank) - 1)], column]
    return np.maximum(result, 1e-6)

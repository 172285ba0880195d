"""Calibration of the errors for any instrument, in cells of line spread function, coverage and S/N."""

from __future__ import annotations

import numpy as np
import torch

from specvit.constants import ONE_SIGMA

__all__ = ["AXES", "calibrate_cells", "shrink_correlations"]

#: Nodes of the calibration: log2 of the line spread function over the grid's, coverage, and S/N.
AXES = {
    "lsf": (0.0, 0.5, 1.0, 1.5, 2.0),
    "coverage": (0.06, 0.12, 0.25, 0.5, 1.0),
    "snr": (1.5, 4.0, 10.0, 25.0, 60.0, 150.0, 400.0),
}
#: Spectra that the factor of a cell rests on, at least: the window grows until it holds as many.
_LEAST = 1500.0


@torch.no_grad()
def calibrate_cells(regressor, batches, *, rounds=2):
    """Set the factors on σ of an ``instrument`` regressor, from spectra it has not been trained on.

    At each node of line spread function × coverage × S/N the factor is the 68.27 % quantile of
    |truth − prediction|/σ over the spectra about it, weighted with a Gaussian of half the distance to the
    next node, wider where these are few: conformal prediction, localised (Guan 2023, Biometrika 110, 33).
    Between nodes factors are linear. A second round corrects for what smoothing has left.

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
    device, rows = regressor.label_scale.device, []
    for flux, ivar, labels, *instrument in batches:
        flux, ivar, *instrument = (one.to(device) for one in (flux, ivar, *instrument))
        described = regressor.calibration_axes(flux, ivar, *instrument[:1])
        if regressor.covariance:
            mean, covariance = regressor.predict_covariance(flux, ivar, *instrument)
            sigma = covariance.diagonal(dim1=1, dim2=2).sqrt()
            correlation = covariance / (sigma[:, :, None] * sigma[:, None, :])
        else:
            (mean, sigma), correlation = regressor.predict(flux, ivar, *instrument), None
        error = (labels.to(mean) - mean) / sigma
        rows.append([error, *described] + ([] if correlation is None else [correlation]))
    error, snr, lsf, coverage, *correlation = (torch.cat(column) for column in zip(*rows, strict=True))
    known = error.isfinite().all(1) & (snr > 0)
    error, snr, lsf, coverage = (x[known].double().cpu() for x in (error, snr, lsf, coverage))
    if not len(error):
        return
    places = np.stack([lsf.numpy(), coverage.log().numpy(), snr.log10().numpy()], 1)
    scaled = [axes["lsf"], np.log(axes["coverage"]), np.log10(axes["snr"])]
    places = np.clip(places, [axis[0] for axis in scaled], [axis[-1] for axis in scaled])
    table = np.ones((*shape, n_labels))
    for _ in range(rounds):
        regressor.set_calibration(axes["snr"], table, axes["lsf"], axes["coverage"])
        factor = regressor.calibration(snr.to(device), lsf.to(device), coverage.to(device)).double().cpu()
        table = table * _local_quantiles((error / factor).abs().numpy(), places, scaled)
    regressor.set_calibration(axes["snr"], table, axes["lsf"], axes["coverage"])
    if correlation:
        factor = regressor.calibration(snr.to(device), lsf.to(device), coverage.to(device)).double().cpu()
        regressor.correlation_shrinkage.fill_(
            shrink_correlations((error / factor).numpy(), correlation[0][known].double().cpu().numpy())
        )


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

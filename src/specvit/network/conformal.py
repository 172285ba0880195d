"""Calibration of errors on held-out spectra, so that 68 % intervals hold 68 % of the truth at every S/N.

This is split conformal prediction (Papadopoulos et al. 2002; Lei et al. 2018). It assumes nothing of
the predictor or of the distribution of its errors, only that held-out and later spectra are drawn alike.
Coverage is right on average over stars of one S/N; for one kind of star among them it may be too high or low.
"""

from __future__ import annotations

import numpy as np
import torch

from specvit.constants import ONE_SIGMA
from specvit.network.inputs import median_snr

__all__ = ["binned_quantiles", "calibrate", "forget_errors", "one_sigma_quantile", "predict_batches"]


@torch.no_grad()
def predict_batches(regressor, batches):
    """Predictions for batches (flux, ivar, labels), lsf and sampling with them or not, on the CPU in float64.

    Returns
    -------
    mean, sigma, labels : ndarray, shape (n, n_labels)
    snr : ndarray, shape (n,)
        Median S/N of the observed spectra.

    Examples
    --------
    >>> import torch
    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> network = LabelRegressor.build(config, ("logg", "teff"))
    >>> batch = torch.ones(5, 64), torch.full((5, 64), 100.0), torch.zeros(5, 2)
    >>> mean, sigma, labels, snr = predict_batches(network, [batch])
    >>> mean.shape, snr.tolist()
    ((5, 2), [10.0, 10.0, 10.0, 10.0, 10.0])
    """
    device = regressor.label_scale.device
    rows = []
    for flux, ivar, labels, *instrument in batches:
        flux, ivar, *instrument = (one.to(device) for one in (flux, ivar, *instrument))
        rows.append((*regressor.predict(flux, ivar, *instrument), labels, median_snr(flux, ivar)))
    return tuple(torch.cat(column).double().cpu().numpy() for column in map(list, zip(*rows, strict=True)))


def calibrate(regressor, batches, *, min_count=400, max_points=12):
    """Set the regressor's factors on σ from spectra it has not been trained on.

    In bins of observed S/N holding equal numbers of stars, the factor is the 68.27 % quantile of
    |truth − prediction| / σ, so that prediction ± σ holds the truth as often as a Gaussian 1σ
    interval should (split conformal prediction: Papadopoulos et al. 2002; Lei et al. 2018).

    Parameters
    ----------
    regressor : LabelRegressor
        The trained network, which is changed.
    batches : iterable of (flux, ivar, labels)
        Labels in physical units, NaN where unknown.
    min_count : int
        Fewest stars in a bin; with fewer than twice that there is one bin.
    max_points : int
        Largest number of bins.

    Examples
    --------
    >>> import torch
    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> network = LabelRegressor.build(config, ("logg", "teff"))
    >>> ivar = torch.full((500, 64), 100.0)
    >>> labels = 0.1 * torch.randn(500, 2)
    >>> calibrate(network, [(torch.ones(500, 64), ivar, labels)])
    >>> sigma = network.predict(torch.ones(1, 64), ivar[:1])[1]  # now that of the labels given
    >>> bool(((sigma > 0.05) & (sigma < 2)).all())
    True
    """
    one = torch.ones(1)
    regressor.set_calibration(one, one.expand(1, regressor.n_labels))
    mean, sigma, labels, snr = predict_batches(regressor, batches)
    nodes, factors = binned_quantiles(
        np.abs(labels - mean) / sigma, snr, min_count=min_count, max_points=max_points
    )
    if len(nodes):
        # A label that nobody knows keeps its σ; one learned exactly still needs a positive σ.
        regressor.set_calibration(nodes, np.maximum(np.nan_to_num(factors, nan=1.0), 1e-6))


def forget_errors(regressor, keep):
    """Take away σ of the labels that are not to `keep`, which then is NaN.

    Parameters
    ----------
    regressor : LabelRegressor
        A network that was trained further for some of its labels, which is changed. The others moved with it.
    keep : collection of str
        Labels whose σ still holds. One of these that had no σ before, and predicts its own, has factor 1.

    Examples
    --------
    >>> import torch
    >>> from specvit.network import LabelRegressor, ViTConfig
    >>> config = ViTConfig(n_pixels=64, width=16, depth=1, mlp=16)
    >>> network = LabelRegressor.build(config, ("logg", "teff"))
    >>> forget_errors(network, ["logg"])
    >>> network.predict(torch.ones(1, 64), torch.full((1, 64), 100.0))[1].isnan().tolist()
    [[False, True]]
    """
    factor = regressor.calibration_factor.clone()
    for k, name in enumerate(regressor.label_names):
        if name not in keep:
            factor[..., k] = torch.nan
        elif regressor.heteroscedastic:
            factor[..., k] = factor[..., k].nan_to_num(nan=1.0)
    regressor.calibration_factor = factor
    if regressor.encoding == "instrument":  # a label that is learned later starts without it
        known = factor.new_tensor([name in keep for name in regressor.label_names])
        regressor.shape_coefficients = regressor.shape_coefficients * known


def binned_quantiles(size, snr, *, min_count, max_points):
    """68.27 % quantiles of `size` in bins of S/N of equal numbers: what conformal prediction takes for 1σ.

    Parameters
    ----------
    size : ndarray, shape (n, k)
        Absolute residuals, in any unit; NaN where unknown.
    snr : ndarray, shape (n,)
        Observed S/N. Where it is not positive and finite, or a whole row of `size` is unknown, the row is
        left out.
    min_count : int
        Fewest rows in a bin; with fewer than twice that there is one bin.
    max_points : int
        Largest number of bins.

    Returns
    -------
    snr : ndarray, shape (m,)
        Median of each bin, increasing: m is 0 if no row is known, and bins of one S/N, to float32, are one.
    quantile : ndarray, shape (m, k)
        NaN in a column of which nothing is known in the bin.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> snr = rng.uniform(10, 100, 4000)
    >>> size = np.abs(rng.normal(size=(4000, 1))) / snr[:, None]
    >>> centre, quantile = binned_quantiles(size, snr, min_count=1000, max_points=4)
    >>> np.round(centre * quantile[:, 0], 1).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    known = np.isfinite(snr) & (snr > 0) & np.isfinite(size).any(1)
    size, snr = size[known], snr[known]
    if not len(snr):
        return np.empty(0), np.empty((0, size.shape[1]))
    n_bins = int(np.clip(len(snr) // min_count, 1, max_points))
    merged = {}
    for rows in np.array_split(np.argsort(snr, kind="stable"), n_bins):
        merged.setdefault(float(np.float32(np.median(snr[rows]))), []).append(rows)
    quantiles = [one_sigma_quantile(size[np.concatenate(rows)]) for rows in merged.values()]
    return np.array(list(merged)), np.array(quantiles)


def one_sigma_quantile(size):
    """68.27 % quantile of the known values in each column of `size` (n, k); NaN where there are none.

    Examples
    --------
    >>> one_sigma_quantile(np.abs(np.random.default_rng(0).normal(size=(10_000, 1)))).round(1).tolist()
    [1.0]
    """
    return np.array(
        [
            np.quantile(column[known], ONE_SIGMA) if (known := np.isfinite(column)).any() else np.nan
            for column in size.T
        ]
    )

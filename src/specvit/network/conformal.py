"""Make predicted errors honest: scale σ until 68 % intervals hold 68 % of the truth, at every S/N."""

from __future__ import annotations

import numpy as np
import torch

from specvit.constants import ONE_SIGMA
from specvit.network.inputs import median_snr

__all__ = ["calibrate", "predict_batches"]


@torch.no_grad()
def predict_batches(regressor, batches):
    """Predictions for batches (flux, ivar, labels), lsf and sampling with them or not, on the CPU in float64.

    Returns
    -------
    mean, sigma, labels : ndarray, shape (n, n_labels)
    snr : ndarray, shape (n,)
        Median S/N of the observed spectra.
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
    batches : iterable of (flux, ivar, labels)
        Labels in physical units, NaN where unknown.
    min_count : int
        Fewest stars in a bin; with fewer than twice that there is one bin.
    max_points : int
        Most bins.
    """
    one = torch.ones(1)
    regressor.set_calibration(one, one.expand(1, regressor.n_labels))
    mean, sigma, labels, snr = predict_batches(regressor, batches)
    ratio = np.abs(labels - mean) / sigma
    known = np.isfinite(snr) & (snr > 0) & np.isfinite(ratio).any(1)
    ratio, snr = ratio[known], snr[known]
    if not len(snr):
        return
    n_bins = int(np.clip(len(snr) // min_count, 1, max_points))
    merged = {}  # by median S/N: bins of one S/N are one bin
    for rows in np.array_split(np.argsort(snr, kind="stable"), n_bins):
        merged.setdefault(float(np.float32(np.median(snr[rows]))), []).append(rows)
    factors = [_quantile(ratio[np.concatenate(rows)]) for rows in merged.values()]
    regressor.set_calibration(list(merged), np.array(factors))


def _quantile(ratio):
    """68.27 % quantile of each column; 1 where no value is known."""
    values = [
        np.quantile(column[known], ONE_SIGMA) if (known := np.isfinite(column)).any() else 1.0
        for column in ratio.T
    ]
    return np.maximum(values, 1e-6)  # a label learned exactly still needs a positive σ

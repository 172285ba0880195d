"""Why a network gives an answer: which pixels it rests on, beside the information that is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from specvit.grid import PixelGrid
from specvit.labels import LABELS, label_tuple
from specvit.limits.pixels import information_density
from specvit.network.attribution import (
    attention_rollout,
    attention_weights,
    integrated_gradients,
    noise_gradients,
)
from specvit.predictors.estimator import LoggEstimator
from specvit.predictors.networkarrays import to_device
from specvit.predictors.predictions import Predictions
from specvit.spectra.rules import raise_rejected
from specvit.stars import Emulator, regrid_emulator
from specvit.stars.starlight import jacobian

__all__ = ["Explanation", "explain"]

_BATCH = 32


@dataclass(frozen=True, repr=False)
class Explanation:
    """What n answers of a network about one label rest on, pixel by pixel.

    Attributes
    ----------
    label : str
        Name of the label.
    grid : PixelGrid
        The pixels.
    flux, ivar : ndarray, shape (n, n_pixels)
        The spectra as the network got them, in units of their median.
    baseline : ndarray, shape (n, n_pixels)
        What integrated gradients start from.
    predictions : Predictions
        Labels and σ of the spectra.
    attribution : ndarray, shape (n, n_pixels)
        Integrated gradients, in the unit of the label: they add up to `difference`.
    difference : ndarray, shape (n,)
        Predicted label of the spectrum less that of the baseline.
    sensitivity : ndarray, shape (n, n_pixels)
        Change of the label if the flux of one pixel rises by its σ; 0 where masked. The root of the sum of
        squares is the error of the label by independent noise, as the network propagates it. The network sees
        flux over median, and the median follows the pixels as it does where they have noise
        (`specvit.network.attribution.median_response`).
    attention : ndarray, shape (n, n_pixels)
        Share of the attention per pixel (`specvit.network.attribution.attention_rollout`); adds up to one.
    information : ndarray, shape (n, n_pixels)
        Fisher information of the pixels about the label at the predicted labels, the others and the amplitude
        unknown, with the spectra's errors; NaN where labels are beyond the emulator.

    See Also
    --------
    explain : Makes it.
    specvit.assess.plots.plot_explanation : Draws it, for one star or the mean of all.

    Examples
    --------
    >>> from specvit import LoggEstimator, example_spectrum
    >>> found = explain(LoggEstimator(), example_spectrum(), "logg", n_steps=16)
    >>> found.attribution.shape
    (1, 4096)
    """

    label: str
    grid: PixelGrid
    flux: np.ndarray
    ivar: np.ndarray
    baseline: np.ndarray
    predictions: Predictions
    attribution: np.ndarray
    difference: np.ndarray
    sensitivity: np.ndarray
    attention: np.ndarray
    information: np.ndarray

    def __len__(self) -> int:
        return len(self.flux)

    def __repr__(self) -> str:
        many = f"{len(self)} answer{'' if len(self) == 1 else 's'}"
        return f"Explanation({self.label} of {many}, {self.flux.shape[1]} pixels of {self.grid.name})"

    @property
    def completeness(self) -> np.ndarray:
        """Sum of the attributions less `difference`, (n,): 0 but for the error of the quadrature."""
        return self.attribution.sum(1) - self.difference

    @property
    def noise_error(self) -> np.ndarray:
        """Error of the label by independent noise of the pixels, (n,), as the network propagates it."""
        return np.sqrt(np.square(self.sensitivity).sum(1))


def explain(
    estimator: LoggEstimator,
    X: Any,
    label: str = "logg",
    *,
    baseline: npt.ArrayLike | None = None,
    n_steps: int = 64,
    on_error: Literal["raise", "nan"] = "raise",
    **stated: Any,
) -> Explanation:
    """What the network's answers about one label rest on.

    Parameters
    ----------
    estimator : LoggEstimator
        A network for spectra, with weights or fitted.
    X : Spectrum, list, SpectrumCollection, SpectrumBatch or array-like of shape (n, n_pixels)
        Spectra, as for `LoggEstimator.predict`: one star, or a population.
    label : str
        The label, in any spelling.
    baseline : ndarray, shape (n_pixels,) or (n, n_pixels), optional
        Spectrum, in units of the median flux, that integrated gradients start from; by default 1 in all
        pixels, a star without lines and colour. The mean spectrum of a population shows what tells its stars
        apart.
    n_steps : int
        Points of the integration: 64 leave an error below a tenth of σ (see
        `Explanation.completeness`), and cost as many evaluations and gradients.
    on_error : {"raise", "nan"}
        Whether a spectrum that cannot be used raises, or gives NaN.
    **stated : object
        ``ivar``, ``medium``, ``resolution``, ``instrument``, ``mask`` and further arguments of `predict`.

    Returns
    -------
    Explanation

    Raises
    ------
    ValueError
        If the label is none of the network's, it takes plain features, or the baseline has another shape.
    SpectrumError
        If a spectrum cannot be used.

    See Also
    --------
    specvit.limits.pixel_information : Information for stars of a survey.

    Notes
    -----
    `Explanation.sensitivity` is local: what noise does. `Explanation.attribution` is global: what made this
    star's answer another than that of the baseline. `Explanation.information` is what an unbiased estimator
    of least error would use; a network that leaves some of it out is cautious or has more to learn.

    Integrated gradients are computed with torch alone: Captum has the same method, and would add a dependency
    for thirty lines.

    Examples
    --------
    >>> from specvit import LoggEstimator, example_spectrum
    >>> found = explain(LoggEstimator(), example_spectrum(), n_steps=32)
    >>> bool(abs(found.completeness[0]) < 0.1 * found.predictions.sigma[0, 1])
    True
    """
    names = estimator.label_names
    column = names.index(label_tuple(label, among=names, what="label")[0])
    if estimator._own_grid() is None:
        raise ValueError("explain needs a network for spectra: this estimator takes plain features")
    predictions = estimator.predict_labels(X, on_error=on_error, **stated)
    batch, grid = predictions.batch, estimator._own_grid()
    if on_error == "raise":
        raise_rejected(batch)
    regressor = to_device(estimator._ready()[0], estimator.device)
    n, n_pixels = batch.flux.shape
    rows = np.flatnonzero(batch.usable)
    used = batch.ivar > 0
    median = np.full((n, 1), np.nan)
    for row in rows:
        median[row] = np.median(batch.flux[row, used[row]])
    flux = np.where(used, batch.flux / median, 1.0)
    ivar = np.where(used, batch.ivar * median**2, 0.0)
    start = np.ones(n_pixels) if baseline is None else np.asarray(baseline, np.float64)
    if start.shape not in ((n_pixels,), (n, n_pixels)):
        raise ValueError(f"baseline must have shape ({n_pixels},) or ({n}, {n_pixels}), got {start.shape}")
    start = np.where(used, start, 1.0)
    empty = {name: np.full((n, n_pixels), np.nan) for name in ("attribution", "sensitivity", "attention")}
    empty |= {"information": np.full((n, n_pixels), np.nan), "difference": np.full(n, np.nan)}
    arrays = (flux, ivar, start, batch.lsf, batch.sampling)
    for part in np.array_split(rows, -(-len(rows) // _BATCH)) if len(rows) else ():
        found = _network_part(regressor, [x[part] for x in arrays], column, n_steps)
        for name, value in found.items():
            empty[name][part] = value
    known = [row for row in rows if names == LABELS]
    emulator = Emulator.load() if known else None
    for row in known:
        lsf = grid.lsf_sigma * 2 ** batch.lsf[row]
        labels = predictions.mean[row]
        empty["information"][row] = _information(emulator, grid, lsf, labels, ivar[row], names[column])
    return Explanation(names[column], grid, flux, ivar, start, predictions, **empty)


def _network_part(regressor, arrays, column, n_steps):
    """Attribution, difference, sensitivity and attention of some spectra: dict of str to ndarray."""
    like = {"dtype": regressor.label_scale.dtype, "device": regressor.label_scale.device}
    flux, ivar, start, lsf, sampling = (torch.tensor(x, **like) for x in arrays)
    told = (lsf, sampling) if regressor.encoding == "instrument" else (None, None)
    slope = noise_gradients(regressor, flux, ivar, column, *told)
    attribution, difference = integrated_gradients(
        regressor, flux, ivar, start, column, *told, n_steps=n_steps
    )
    sigma = torch.where(ivar > 0, ivar, torch.inf).rsqrt()
    config = regressor.config
    weights = attention_weights(regressor.network, regressor.encode(flux, ivar, *told)[0])
    reached = attention_rollout(weights, config.pooling)
    pixels = torch.zeros_like(flux)
    for token in range(config.n_tokens):
        first = token * config.step
        covered = slice(first, min(first + config.patch_size, config.n_pixels))
        pixels[:, covered] += reached[:, token : token + 1] / (covered.stop - covered.start)
    found = {"attribution": attribution, "difference": difference, "sensitivity": slope * sigma}
    return {name: x.double().cpu().numpy() for name, x in (found | {"attention": pixels}).items()}


def _information(emulator, grid, lsf, labels, ivar, label):
    """Fisher information of each pixel about a label, ndarray (n_pixels,); NaN beyond the emulator."""
    information = np.full(len(grid), np.nan)
    low, high = emulator.label_range.double().numpy()
    if grid.medium != "vacuum" or not ((labels >= low) & (labels <= high)).all():
        return information
    own = np.interp(grid.wave, emulator.grid.wave, emulator.grid.lsf_sigma)
    lsf = np.maximum(lsf, own * (1 + 1e-6))
    reach = 3.01 * lsf.max()
    inside = (grid.wave - reach > emulator.wave[0]) & (grid.wave + reach < emulator.wave[-1])
    first, last = np.flatnonzero(inside)[[0, -1]]
    seen = slice(first, last + 1)
    cut = PixelGrid(grid.edges[first : last + 2], lsf[seen], grid.medium)
    flux, slope = jacobian(regrid_emulator(emulator, cut), labels[None])
    flux, slope = flux[0].numpy(), slope[0].numpy()
    median = np.median(flux)
    information[:] = 0.0
    information[seen] = information_density(slope / median, flux / median, ivar[seen], LABELS, label)
    return information

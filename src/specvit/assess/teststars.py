"""The spectra that predictors are measured on, drawn once for all, and how predictors are asked."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import numpy as np
import torch

from specvit.dataset.dataset import SpectrumDataset
from specvit.dataset.diskstream import FrozenBatches
from specvit.network import LabelRegressor
from specvit.network.conformal import predict_batches
from specvit.survey.streams import EVALUATION

__all__ = ["ObservedBatch", "ask", "label_names_of", "observed_batches"]

_STREAMS_PER_SEED = 2**24


@dataclass(frozen=True)
class ObservedBatch:
    """Spectra as a predictor sees them, and the truth about them.

    Attributes
    ----------
    star : ndarray of int, shape (n,)
        Number of each star, the same wherever it is seen again at another magnitude.
    flux, ivar : tensor, shape (n, n_pixels)
    labels : tensor, shape (n, n_labels)
    magnitude : ndarray, shape (n,)
        To 1e-4; NaN where a data set does not say.
    noiseless_sigma : tensor, shape (n, n_pixels), or None
        Standard deviation that the noise was drawn with: for limits and audits only.
    """

    star: np.ndarray
    flux: torch.Tensor
    ivar: torch.Tensor
    labels: torch.Tensor
    magnitude: np.ndarray
    noiseless_sigma: torch.Tensor | None

    def __len__(self):
        return len(self.flux)


def label_names_of(data):
    """Names of the labels that `data` knows the truth of."""
    return tuple((data.dataset if isinstance(data, FrozenBatches) else data).label_names)


def observed_batches(data, n, *, magnitude=None, seed=0, device="cpu", batch_size=1000, noiseless=False):
    """The first n spectra of a survey or data set, in batches; the same for the same arguments.

    Parameters
    ----------
    data : Survey, SpectrumDataset or FrozenBatches
        Anything with ``draw(n, stream=, device=, magnitude=)`` is a survey.
    n : int
        Of a data set, no more than it has.
    magnitude : float, optional
        One magnitude for all stars; for surveys only.
    seed : int
        Of a survey: other seeds, other stars. Of a data set: of the frozen noise.
    device : str or torch.device
    batch_size : int
        It changes which stars a survey draws.
    noiseless : bool
        Read `ObservedBatch.noiseless_sigma` of a data set too; a survey's is always there.

    Yields
    ------
    ObservedBatch
    """
    if isinstance(data, SpectrumDataset):
        data = data.frozen(batch_size, device=device, seed=seed)
    if isinstance(data, FrozenBatches):
        yield from _stored(data, n, noiseless)
        return
    for i, start in enumerate(range(0, n, batch_size)):
        size = min(batch_size, n - start)
        stream = EVALUATION + _STREAMS_PER_SEED * seed + i
        batch = data.draw(size, stream=stream, device=device, magnitude=magnitude)
        yield ObservedBatch(
            np.arange(start, start + size),
            batch.flux,
            batch.ivar,
            batch.labels,
            np.round(batch.magnitude.double().cpu().numpy(), 4),  # 20.1 again, which float32 is not
            batch.noiseless_sigma,
        )


def _stored(frozen, n, noiseless):
    dataset, start = frozen.dataset, 0
    magnitude, level = np.round(dataset.column("mag"), 4), frozen.noise_level
    for flux, ivar, labels in frozen:
        keep = slice(0, min(len(flux), n - start))
        rows = slice(start, start + keep.stop)
        sigma = None
        if noiseless:
            sigma = torch.from_numpy(dataset[rows].noiseless_sigma * np.float32(level)).to(flux.device)
        yield ObservedBatch(
            np.arange(len(dataset))[rows], flux[keep], ivar[keep], labels[keep], magnitude[rows], sigma
        )
        start = rows.stop
        if start >= n:
            return


def ask(name, predictor, batch):
    """Predictions of one predictor for a batch.

    Parameters
    ----------
    name : str
        For messages.
    predictor : LabelRegressor or object with ``predict``
        Networks get tensors. Others get copies of the arrays, as ``predict(flux)`` with those of the
        keywords ``ivar``, ``return_std=True`` and ``on_error="nan"`` that the method names.
    batch : ObservedBatch

    Returns
    -------
    names : tuple of str
        Labels predicted: the predictor's ``label_names``; log g where it gives one number a star and does
        not say what.
    mean, sigma : ndarray of float64, shape (n, n_labels)
        `sigma` is NaN where the predictor gives none.

    Raises
    ------
    TypeError
        If there is no ``predict``.
    ValueError
        If the prediction has another shape.
    """
    if isinstance(predictor, LabelRegressor):
        mean, sigma, _, _ = predict_batches(predictor, [(batch.flux, batch.ivar, batch.labels)])
        return tuple(predictor.label_names), mean, sigma
    if not callable(getattr(predictor, "predict", None)):
        raise TypeError(
            f"predictors[{name!r}] must have a method predict, {type(predictor).__name__} has none"
        )
    accepted = inspect.signature(predictor.predict).parameters
    options = {"ivar": batch.ivar, "return_std": True, "on_error": "nan"}
    options = {key: value for key, value in options.items() if key in accepted}
    if "ivar" in options:
        options["ivar"] = batch.ivar.cpu().numpy().copy()
    # Copies: no predictor can spoil the data of the next.
    result = predictor.predict(batch.flux.cpu().numpy().copy(), **options)
    mean, sigma = result if isinstance(result, tuple) else (result, None)
    mean = np.asarray(mean, float)
    sigma = np.full(mean.shape, np.nan) if sigma is None else np.asarray(sigma, float)
    names = tuple(getattr(predictor, "label_names", None) or ("logg",))
    if mean.ndim == 1:
        mean, sigma, names = mean[:, None], sigma[:, None], names if len(names) == 1 else ("logg",)
    if mean.shape != (len(batch), len(names)) or sigma.shape != mean.shape:
        raise ValueError(
            f"predictors[{name!r}] must predict shape ({len(batch)}, {len(names)}) for its labels {names}, "
            f"got {mean.shape}" + ("" if sigma.shape == mean.shape else f" and sigma {sigma.shape}")
        )
    return names, mean, sigma

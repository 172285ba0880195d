"""The spectra that predictors are measured on, drawn once for all, and how predictors are asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from specvit.dataset.dataset import SpectrumDataset
from specvit.dataset.diskstream import FrozenBatches
from specvit.predictors.labelpredictor import as_label_predictor
from specvit.survey import InstrumentSurvey
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
        Noisy flux and the inverse variance that is reported, 0 where masked.
    labels : tensor, shape (n, n_labels)
        True labels.
    magnitude : ndarray, shape (n,)
        Magnitudes, rounded to 1e-4; NaN where a data set does not say.
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
        Number of spectra; a data set must have as many.
    magnitude : float, optional
        One magnitude for all stars; for surveys only.
    seed : int
        Seed of the stars of a survey, or of the frozen noise of a data set.
    device : str or torch.device
        Where spectra are made.
    batch_size : int
        It changes which stars a survey draws.
    noiseless : bool
        Read `ObservedBatch.noiseless_sigma` of a data set too; a survey's is always there.

    Yields
    ------
    ObservedBatch

    Raises
    ------
    ValueError
        If each spectrum is of another instrument.
    """
    if isinstance(data, InstrumentSurvey):
        raise ValueError(
            f"data must be seen by one instrument, got {data!r}, which draws others for each spectrum: "
            "specvit.assess.instrumentcells measures those, cell by cell"
        )
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
        Name of the predictor, for messages.
    predictor : LabelPredictor, LabelRegressor or object with ``predict``
        Its method ``predict_labels(flux, ivar=ivar, on_error="nan")`` is called with copies of the arrays,
        so that no predictor can change the data of the next. Those without such a method are adapted by
        `~specvit.predictors.labelpredictor.as_label_predictor`.
    batch : ObservedBatch
        The spectra.

    Returns
    -------
    names : tuple of str
        Labels predicted.
    mean, sigma : ndarray of float64, shape (n, n_labels)
        `sigma` is NaN where the predictor gives none.

    Raises
    ------
    TypeError
        If there is neither ``predict_labels`` nor ``predict``.
    ValueError
        If the prediction has another shape.
    """
    asked = as_label_predictor(predictor, name)
    flux, ivar = (values.cpu().numpy().copy() for values in (batch.flux, batch.ivar))
    found = asked.predict_labels(flux, ivar=ivar, on_error="nan")
    names = tuple(found.names)
    mean, sigma = (np.asarray(values, float) for values in (found.mean, found.sigma))
    if mean.shape != (len(batch), len(names)) or sigma.shape != mean.shape:
        raise ValueError(
            f"{name} must predict shape ({len(batch)}, {len(names)}) for its labels {names}, "
            f"got {mean.shape} and sigma {sigma.shape}"
        )
    return names, mean, sigma

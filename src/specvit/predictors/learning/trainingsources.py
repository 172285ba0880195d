"""Where spectra and labels come from: surveys simulated as training goes, and data sets on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch

from specvit.dataset import SpectrumDataset
from specvit.grid import PixelGrid
from specvit.network.feed import share
from specvit.predictors.trainingdata import known_range, labels_to_learn
from specvit.survey import Survey
from specvit.survey.streams import CALIBRATION, SCALING, VALIDATION

__all__ = ["DatasetSource", "Feed", "Source", "SurveySource", "simulated_source"]

_SURVEY_EPOCH = 100_000  # spectra called an epoch of a survey without end
_SCALING = (500, 4)  # size and number of draws that a survey's labels are scaled by
_VALIDATION_STARS = (500, 2_000)  # of a survey: as many as it has, within these limits
_CALIBRATION_STARS = (1_000, 20_000)
_MOST_HELD_OUT = 20_000  # of a data set: enough for σ, and read again after every epoch
FEWEST_TO_SPLIT = 100  # below this every spectrum is trained on, and σ is not calibrated


@dataclass(frozen=True)
class Feed:
    """The batches (flux, ivar, labels) of one fit.

    Attributes
    ----------
    train : stream
        Batches for training, with `set_step` and `part`, see `specvit.network.feed`.
    epoch : int or None
        Spectra called an epoch of a stream without end; None if the stream knows its own.
    validation : re-iterable of batches, or None
        Not trained on, and the same each time.
    calibration : re-iterable of batches, or None
        Not trained on, for σ.
    """

    train: object
    epoch: int | None = None
    validation: object = None
    calibration: object = None

    def steps_per_epoch(self, batch_size, devices):
        """Steps that `devices` processes together need for an epoch."""
        steps = share(self.train, 0, devices).steps
        return -(-self.epoch // (batch_size * devices)) if steps is None else steps


@dataclass
class Source(ABC):
    """Base of the sources of spectra and labels for a fit.

    Attributes
    ----------
    names : tuple of str
        Labels of the network.
    n_pixels : int
        Pixels of the spectra, or number of features.
    grid : PixelGrid or None
        Pixels of the spectra; None for plain features.
    label_range : dict of str to (float, float)
        Lowest and highest value of each label that is learned.
    record : dict
        Facts about the source that are saved with the network.
    """

    names: tuple[str, ...]
    n_pixels: int
    grid: PixelGrid | None
    label_range: dict
    record: dict = field(default_factory=dict)

    @abstractmethod
    def scaling_labels(self, device):
        """Labels (n, n_labels) that the network's are scaled by; `device` is where it is."""

    @abstractmethod
    def feed(self, regressor, config):
        """The `Feed` for a network, the `regressor`, on its device, by a `FitConfig` `config`."""


class _Columns:
    """Batches with the network's labels only, in its order; NaN for one that is not there."""

    def __init__(self, batches, offered, names):
        self.batches, self.offered, self.names = batches, offered, names
        self.columns = [offered.index(name) if name in offered else len(offered) for name in names]

    def __iter__(self):
        for flux, ivar, labels, *instrument in self.batches:
            padded = torch.cat([labels, labels.new_full((len(labels), 1), torch.nan)], 1)
            yield flux, ivar, padded[:, self.columns], *instrument


class _Stream(_Columns):
    """The same of an endless stream for training."""

    @property
    def steps(self):
        return self.batches.steps

    def set_step(self, step):
        self.batches.set_step(step)

    def part(self, rank, world_size):
        return _Stream(self.batches.part(rank, world_size), self.offered, self.names)


class _Draws:
    """`n` spectra of a survey from stream `first` on, beyond those of training; the same each time."""

    def __init__(self, survey, device, first, n, size=500):
        self.survey, self.device, self.first, self.n, self.size = survey, device, first, n, size

    def __iter__(self):
        for k, start in enumerate(range(0, self.n, self.size)):
            size = min(self.size, self.n - start)
            batch = self.survey.draw(size, stream=self.first + k, device=self.device)
            yield batch.training


class SurveySource(Source):
    """A `~specvit.Survey`, which is simulated as training goes, so that every batch has new noise.

    Scaling, validation and σ have streams of their own, see `specvit.survey.streams`.

    Parameters
    ----------
    survey : Survey
        The survey that is simulated.
    labels : sequence of str or None
        Labels to learn; None is all.
    known : tuple of str or None
        Labels of the network to be fine-tuned; None for a new network.
    grid : PixelGrid or None
        Grid of the survey; None where its pixels are taken as plain features.
    """

    def __init__(self, survey, labels, known, *, grid):
        self.survey, self.offered = survey, tuple(survey.label_names)
        learned = labels_to_learn(labels, self.offered, known)
        super().__init__(
            names=learned if known is None else known,
            n_pixels=len(survey.grid),
            grid=grid,
            label_range={name: survey.label_range[name] for name in learned},
            record={"survey": repr(survey)},
        )
        self._used = tuple(name if name in learned else None for name in self.offered)

    def scaling_labels(self, device):
        """Labels (n, n_labels) of some stars of the survey, on `device`."""
        size, draws = _SCALING
        sample = _Draws(self.survey, device, first=SCALING, n=size * draws, size=size)
        return torch.cat([labels for _, _, labels, *_ in _Columns(sample, self._used, self.names)])

    def feed(self, regressor, config):
        """The `Feed` for a network, the `regressor`, on its device, by a `FitConfig` `config`."""
        survey, device = self.survey, regressor.label_scale.device
        return Feed(
            train=_Stream(survey.stream(config.batch_size, device=device), self._used, self.names),
            epoch=_SURVEY_EPOCH if survey.n is None else survey.n,
            validation=list(self._drawn(device, VALIDATION, *_VALIDATION_STARS)),  # simulated once
            calibration=self._drawn(device, CALIBRATION, *_CALIBRATION_STARS),
        )

    def _drawn(self, device, first, fewest, most):
        stars = most if self.survey.n is None else min(most, max(fewest, self.survey.n))
        return _Columns(_Draws(self.survey, device, first, stars), self._used, self.names)


class DatasetSource(Source):
    """A `~specvit.dataset.SpectrumDataset`: read in pieces and shuffled, with noise drawn on the device.

    Nothing but the stream's buffers and the labels (4 bytes each) is in memory, however large the set is.

    Parameters
    ----------
    dataset : SpectrumDataset
        The data set that is read.
    validation : SpectrumDataset or None
        Held-out spectra. None: the share `validation_fraction` is held out of `dataset`, at most 20,000
        spectra, in pieces of neighbours; nothing is held out of fewer than 100 spectra.
    labels, known, grid
        As for `SurveySource`.
    config : FitConfig
        Gives the share that is held out, and the seed of its choice.
    """

    def __init__(self, dataset, validation, labels, known, config, *, grid):
        self.offered = tuple(dataset.label_names)
        learned = labels_to_learn(labels, self.offered, known)
        if validation is None:
            self.train, self.held_out = self._split(dataset, config.validation_fraction, config.seed)
        else:
            self._check_alike(dataset, validation)
            self.train, self.held_out = dataset, validation
        self._used = tuple(name if name in learned else None for name in self.offered)
        self._labels = self.train.read_labels()
        ranges = known_range(self.offered, self._labels)
        missing = [name for name in learned if name not in ranges]
        if missing:
            raise ValueError(f"labels must have a finite value in X each, got none of {missing!r}")
        super().__init__(
            names=learned if known is None else known,
            n_pixels=dataset.n_pixels,
            grid=grid,
            label_range={name: ranges[name] for name in learned},
            record={"dataset": repr(dataset), "held_out": 0 if self.held_out is None else len(self.held_out)},
        )

    @staticmethod
    def _split(dataset, fraction, seed):
        n = min(int(fraction * len(dataset)), _MOST_HELD_OUT) if len(dataset) >= FEWEST_TO_SPLIT else 0
        return dataset.split(n, seed=seed) if n else (dataset, None)

    @staticmethod
    def _check_alike(dataset, validation):
        if tuple(validation.label_names) != tuple(dataset.label_names):
            raise ValueError(
                f"validation must have the labels of X, {dataset.label_names!r}, "
                f"got {validation.label_names!r}"
            )
        if validation.grid != dataset.grid or validation.n_pixels != dataset.n_pixels:
            raise ValueError(
                f"validation must be on the grid of X, {dataset.grid!r}, got {validation.grid!r}"
            )

    def scaling_labels(self, device):
        """Labels (n, n_labels) of all spectra that are trained on; `device` does not matter."""
        columns = [self.offered.index(name) for name in self.names]
        return torch.as_tensor(self._labels[:, columns])

    def feed(self, regressor, config):
        """The `Feed` for a network, the `regressor`, on its device, by a `FitConfig` `config`."""
        size, device = config.batch_size, regressor.label_scale.device
        held_out = None
        if self.held_out is not None:
            frozen = self.held_out.frozen(max(256, size), device=device)
            held_out = _Columns(frozen, self._used, self.names)
        stream = self.train.stream(size, device=device, seed=config.seed)
        return Feed(_Stream(stream, self._used, self.names), validation=held_out, calibration=held_out)


def simulated_source(X, validation, labels, known, config, *, grid):
    """The source of a survey or data set.

    Parameters
    ----------
    X : Survey or SpectrumDataset
        What is learned from.
    validation, labels, known, config, grid
        As for `DatasetSource`.

    Returns
    -------
    Source

    Raises
    ------
    TypeError
        If `validation` is not a data set.

    Examples
    --------
    >>> from specvit import Survey
    >>> from specvit.predictors.learning import FitConfig
    >>> survey = Survey("paper", n=1000)
    >>> source = simulated_source(survey, None, "logg", None, FitConfig(), grid=survey.grid)
    >>> source.names, source.n_pixels
    (('logg',), 4096)
    """
    if isinstance(X, Survey):
        return SurveySource(X, labels, known, grid=grid)
    if not isinstance(validation, SpectrumDataset | None):
        raise TypeError(f"validation must be a SpectrumDataset, got {type(validation).__name__}")
    return DatasetSource(X, validation, labels, known, config, grid=grid)

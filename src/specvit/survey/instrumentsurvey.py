"""`Survey("any")`: stars seen by instruments drawn at random."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import torch

from specvit.grid.instruments import find_instrument
from specvit.labels import label_rows
from specvit.stars.emulator import Emulator
from specvit.survey.anyinstrument import AnyInstrument
from specvit.survey.augmentation import Augmentation
from specvit.survey.galacticabundances import GalacticAbundances
from specvit.survey.instrumentview import InstrumentObservation
from specvit.survey.noise import Noise
from specvit.survey.precision import full_float32
from specvit.survey.priors import PRIORS
from specvit.survey.provenance import common_record, emulator_digest
from specvit.survey.survey import Survey
from specvit.survey.velocities import Velocities

__all__ = ["InstrumentSurvey", "NativeNoise"]

_PRIOR = GalacticAbundances(PRIORS["pfs-mr"])


class NativeNoise(Noise):
    """Stands for noise on native pixels, which the survey itself draws before spectra come to the grid."""

    def describe(self):
        return {}


class InstrumentSurvey(Survey, survey="any"):
    """Stars observed by instruments drawn at random; ``Survey("any")`` makes one.

    In contrast to other surveys, the resolution, the native pixels, the coverage and other properties of a
    spectrograph are drawn for every star. A batch has as `lsf` and `sampling` what an observer would know of
    them. Noise is drawn on native pixels and rebinned as real spectra are.

    Advantages: one network learns all spectrographs, and how much a spectrum of each is worth.
    Disadvantages: no magnitudes, and no limits on the accuracy, which need one known instrument.

    Parameters
    ----------
    name : str
        Name of the survey, for records; ``any`` where `Survey` makes it.
    n : int, optional
        Number of stars; by default there is no end to them.
    seed : int
        Seed of stars, instruments and noise.
    instruments : Instrument, str, or sequence of them, optional
        Only these instruments instead of random ones: names of presets, or `specvit.grid.Instrument`.
    observed : AnyInstrument, optional
        The distribution of instruments and the sizes of imperfections.
    prior : LabelPrior or similar, optional
        Distribution of the labels; by default that of ``pfs-mr``, with the abundances of the Galaxy for a
        third of the stars.
    emulator : Emulator, optional
        Emulator on a grid in vacuum; by default the one that ships. Its lines are corrected if it is
        `Emulator.calibrated`.

    Raises
    ------
    ValueError
        If an argument breaks its rule, or the grid is not in vacuum.

    See Also
    --------
    Survey : Surveys of one instrument.
    AnyInstrument : How instruments and imperfections are distributed.

    Notes
    -----
    All numbers per star are drawn on the CPU from (seed, stream), line errors by a counter-based generator
    keyed by it; noise and single lost pixels by the device's own generator.

    Examples
    --------
    >>> from specvit.survey import Survey
    >>> batch = Survey("any", instruments="SDSS").draw(3)
    >>> batch.flux.shape, batch.lsf.shape
    (torch.Size([3, 4096]), torch.Size([3, 4096]))
    """

    def __init__(
        self,
        name="any",
        n=None,
        *,
        seed=0,
        instruments=None,
        observed: AnyInstrument | None = None,
        prior=None,
        emulator: Emulator | None = None,
    ):
        if n is not None and n < 1:
            raise ValueError(f"n must be at least 1, got {n!r}")
        observed = AnyInstrument() if observed is None else observed
        if instruments is not None:
            single = isinstance(instruments, str) or hasattr(instruments, "windows")
            chosen = tuple(find_instrument(one) for one in ([instruments] if single else instruments))
            observed = dataclasses.replace(
                observed, presets=chosen, preset_share=1.0, own_share=0.0, sharper_share=0.0
            )
        self.name, self.n, self.seed, self.observed = name, n, seed, observed
        self.prior = _PRIOR if prior is None else prior
        # Attributes that other surveys have; here they are empty.
        self.magnitude, self.masked = None, ()
        self.noise, self.augmentation, self.velocity = NativeNoise(), Augmentation(), Velocities()
        self._on_device = {}
        self.own_emulator = emulator is not None
        self._emulator = self._checked(emulator) if self.own_emulator else None

    @property
    def grid(self):
        """Pixels of the spectra."""
        return self.emulator.grid

    def draw(self, n, *, stream=0, device="cpu", stars=None):
        """Simulate `n` spectra.

        Parameters
        ----------
        n : int
            Number of spectra.
        stream : int
            Same seed and stream, same spectra; another stream, other stars, instruments and noise.
        device : str or torch.device
            Where the spectra are made and stay.
        stars : int, optional
            Draw the stars and instruments of this stream instead, with the noise of `stream`.

        Returns
        -------
        SurveyBatch
            With `lsf` and `sampling`.
        """
        rng = np.random.default_rng([self.seed, stream if stars is None else stars])
        return self._observe(self.prior.sample(n, rng), rng, stream, device)

    def observe(self, labels, *, stream=0, device="cpu"):
        """Simulate spectra of given stars, by instruments at random.

        Parameters
        ----------
        labels : array-like, shape (5,) or (n, 5)
            Teff [K], log g, [M/H], [alpha/M], [C/M].
        stream, device
            As for `draw`.

        Returns
        -------
        SurveyBatch

        Raises
        ------
        ValueError
            If a label is outside the range of the emulator's library.
        """
        labels = np.atleast_2d(label_rows(labels))
        self.emulator.check_labels(labels)
        return self._observe(labels, np.random.default_rng([self.seed, stream]), stream, device)

    def to_dict(self):
        """Everything that determines the survey's spectra, as plain Python values for records."""
        record = common_record(self) | {"observed": dataclasses.asdict(self.observed)}
        return json.loads(json.dumps(record, default=float))

    def __repr__(self):
        arguments = [repr(self.name), f"n={self.n}", f"seed={self.seed}"]
        if self.observed != AnyInstrument():
            arguments.append(f"observed={self.observed!r}")
        if self.prior != _PRIOR:
            arguments.append(f"prior={self.prior!r}")
        if self.own_emulator:
            arguments.append(f"emulator={emulator_digest(self.emulator)!r}")
        return f"Survey({', '.join(arguments)})"

    def _checked(self, emulator):
        """The emulator, if it is for vacuum and the prior's labels."""
        if emulator.grid.medium != "vacuum":
            raise ValueError(f"emulator must be on a grid in vacuum, got {emulator.grid.medium}")
        return super()._checked(emulator)

    def _observation(self, device):
        if device not in self._on_device:
            self._on_device[device] = InstrumentObservation(self.emulator, self.observed, device)
        return self._on_device[device]

    def _observe(self, labels, rng, stream, device):
        device = torch.device(device)
        numbers = self.observed.draw(len(labels), rng, self.grid)
        with torch.no_grad(), full_float32():
            return self._observation(device).expose(labels, numbers, self._noise_generator(stream, device))

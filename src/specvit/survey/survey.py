"""A survey: stars drawn from a prior, emulated, and observed with noise, on any device of torch."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from specvit.checks import in_unit
from specvit.labels import LABELS, label_rows
from specvit.stars.emulator import Emulator
from specvit.survey.augmentation import Augmentation
from specvit.survey.batches import SurveyBatch, SurveyStream
from specvit.survey.forward import ForwardModel
from specvit.survey.namedsurveys import NAMED
from specvit.survey.noise import Noise
from specvit.survey.observation import Observation
from specvit.survey.pfsnoise import PFSNoise
from specvit.survey.precision import full_float32
from specvit.survey.provenance import differences, survey_record
from specvit.survey.shown import Shown
from specvit.survey.transfer import to_device
from specvit.survey.velocities import Velocities

__all__ = ["Survey"]

#: How far a prior may reach beyond the range of a label in the library, by rounding, as a share of the range.
_SLACK = 0.01


class Survey(Shown):
    """Simulated spectra: labels from a prior, spectra from an emulator, noise of a spectrograph.

    ``Survey("paper")`` and ``Survey("pfs-mr")`` have all they need. For one's own, give `prior` and
    `noise`, an `emulator` where the noise is not for the grid of the one that ships, and a `name`.

    Parameters
    ----------
    name : str, optional
        ``paper`` is the reference's survey: Teff 3750–6000 K, log g 1–5, [M/H] −1–0, Beta(0.7, 0.7)
        labels, magnitudes 20.5–22.5, rest frame, no imperfections. ``pfs-mr`` covers the library's
        useful domain (Teff 3600–6500 K, log g 0.3–5.3, [M/H] −2.6–0.45) and magnitudes 17–23, with
        the imperfections of `Augmentation` that real spectra have. Arguments given with one of these
        replace what the survey has. ``any`` makes an `InstrumentSurvey`, which has other arguments. Any
        other name is that of a survey of one's own. By default ``paper`` if neither prior nor noise is
        given, else ``unnamed``.
    n : int, optional
        Number of stars; by default there is no end to them.
    seed : int
        Seed of stars, imperfections and noise.
    magnitude : float or tuple of float, optional
        One magnitude for all, or the limits of a uniform distribution. For noise that depends on the
        magnitude only, and needed for it unless the survey's name says it.
    emulator : Emulator, optional
        By default the one that ships; `regrid_emulator` makes one for another spectrograph.
    noise : Noise, optional
        `PFSNoise`, `PhotonNoise` for any instrument that counts photons, `SNRNoise` or `NoNoise`.
    prior : LabelPrior, SamplePrior, TablePrior or similar, optional
        Anything with ``sample(n, rng)``, ``ranges`` and ``contains(labels)``, as `LabelPrior` has them.
    augmentation : Augmentation, optional
        Imperfections; none by default, except for ``pfs-mr``.
    velocity : float, tuple of float or Velocities, optional
        Radial velocities in km/s, which stay in the spectra: uniform in ± a number or between two limits,
        or a `Velocities`. All stars at rest by default.
    masked : sequence of (float, float)
        Wavelength windows in Å that are masked in every spectrum: each pixel that overlaps one has an
        inverse variance of zero.

    Raises
    ------
    ValueError
        If something needed is missing or out of order, a window holds no pixel, the noise and the
        emulator are for different grids, the prior reaches beyond the emulator's labels, or an
        imperfection is asked for that the noise model lacks. What needs the emulator that ships
        is checked when it is first used.

    See Also
    --------
    InstrumentSurvey : ``Survey("any")``, stars seen by instruments at random.
    specvit.dataset.write_dataset : Writes one to disk.
    specvit.limits.bayes_limit : The accuracy that no estimator can beat on it.

    Notes
    -----
    Labels, brightness, velocities and imperfections are drawn on the CPU from (seed, stream), and line
    errors by a counter-based generator that is keyed by it: they are the same on every device, as is, to
    float32 rounding, the noiseless spectrum. Noise and single bad pixels come from the device's own
    generator, seeded by (seed, stream): reproducible there, but different on a CPU and a GPU.

    Examples
    --------
    >>> survey = Survey("paper", n=1000, seed=1)
    >>> batch = survey.draw(4, stream=0)
    >>> tuple(batch.flux.shape), survey.label_range["logg"]
    ((4, 4096), (1, 5))
    """

    #: Surveys that are made in another way, by name: ``class Other(Survey, survey="other")`` adds itself.
    kinds: ClassVar[dict[str, type]] = {}

    def __init_subclass__(cls, survey=None, **kwargs):
        super().__init_subclass__(**kwargs)
        if survey is not None:
            Survey.kinds[survey] = cls

    def __new__(cls, name=None, *args, **kwargs):
        """``Survey("any")`` is one of the class that has this name."""
        return super().__new__(Survey.kinds.get(name, cls) if cls is Survey else cls)

    def __init__(
        self,
        name: str | None = None,
        n: int | None = None,
        *,
        seed: int = 0,
        magnitude=None,
        emulator: Emulator | None = None,
        noise: Noise | None = None,
        prior=None,
        augmentation: Augmentation | None = None,
        velocity=None,
        masked=(),
    ):
        if name is None:
            name = "paper" if prior is None and noise is None else "unnamed"
        named = NAMED.get(name)
        if named is None and (prior is None or noise is None):
            raise ValueError(
                f"name must be one of {sorted([*NAMED, *self.kinds])}, got {name!r}; one's own needs "
                "prior and noise"
            )
        if n is not None and n < 1:
            raise ValueError(f"n must be at least 1, got {n!r}")
        self.name, self.n, self.seed = name, n, seed
        self.prior = named.prior if prior is None else prior
        self.noise = PFSNoise() if noise is None else noise
        if augmentation is None:
            augmentation = Augmentation() if named is None else named.augmentation
        self.augmentation = augmentation
        self.magnitude = self._magnitudes(magnitude, None if named is None else named.magnitude)
        for size in self.noise.lacks:
            if getattr(augmentation, size):
                raise ValueError(
                    f"augmentation.{size} must be 0 for {type(self.noise).__name__}, which has no such "
                    f"imperfection, got {getattr(augmentation, size)!r}"
                )
        self.velocity = Velocities.of(velocity)
        self._on_device = {}
        self._emulator, self.own_emulator = None, emulator is not None
        if self.own_emulator:
            self._emulator = self._checked(emulator)
        self.masked = tuple(tuple(map(float, in_unit("masked", pair, "Angstrom"))) for pair in masked)
        if self.masked:
            self.used_pixels  # noqa: B018  (checks the windows)

    label_names = LABELS

    @property
    def emulator(self):
        """The emulator on the CPU; read when first used."""
        if self._emulator is None:
            self._emulator = self._checked(Emulator.load())
        return self._emulator

    @property
    def label_range(self):
        """Lowest and highest value of each label: dict of str to (float, float)."""
        return dict(zip(LABELS, self.prior.ranges, strict=True))

    @property
    def grid(self):
        """Pixels of the spectra."""
        return self.emulator.grid if self.noise.grid is None else self.noise.grid

    @property
    def used_pixels(self):
        """False where a pixel overlaps a window of `masked`, ndarray of bool and shape (n_pixels,)."""
        edges, used = self.grid.edges, np.ones(len(self.grid), bool)
        for low, high in self.masked:
            lost = (edges[1:] > low) & (edges[:-1] < high)
            if not (low < high and lost.any()):
                raise ValueError(
                    f"masked must hold windows (low, high) in Å that overlap the grid, {edges[0]:.1f} to "
                    f"{edges[-1]:.1f} Å, got {(low, high)!r}"
                )
            used &= ~lost
        if not used.any():
            raise ValueError("masked must leave a pixel of the grid")
        return used

    def draw(self, n: int, *, stream=0, device="cpu", magnitude=None, snr=None, stars=None) -> SurveyBatch:
        """Simulate `n` spectra.

        Parameters
        ----------
        n : int
            Number of spectra.
        stream : int
            Same seed and stream, same spectra; another stream, other stars and noise.
        device : str or torch.device
            Where the spectra are made and stay.
        magnitude, snr : float, optional
            One brightness for all instead of the survey's distribution: the magnitude, or the S/N for noise
            of a stated S/N.
        stars : int, optional
            Draw the stars of this stream instead, with the noise of `stream`.

        Returns
        -------
        SurveyBatch
        """
        rng = np.random.default_rng([self.seed, stream if stars is None else stars])
        labels = self.prior.sample(n, rng)
        limits = self.brightness_limits
        brightness = np.full(n, np.nan) if limits is None else rng.uniform(*limits, n)
        if magnitude is not None or snr is not None:
            brightness = np.full(n, self.noise.check_brightness(magnitude, snr), dtype=np.float64)
        velocity = self.velocity.sample(n, rng) if self.velocity else np.zeros(n)
        return self._observe(labels, brightness, velocity, rng, stream, device)

    def observe(
        self, labels, magnitude=None, *, snr=None, velocity=None, stream: int = 0, device="cpu"
    ) -> SurveyBatch:
        """Simulate spectra of given stars.

        Parameters
        ----------
        labels : array-like, shape (5,) or (n, 5)
            Teff [K], log g, [M/H], [alpha/M], [C/M].
        magnitude, snr : float or array-like, shape (n,)
            AB magnitude of the mean f_ν over the grid, or the S/N for noise of a stated S/N; neither for
            `NoNoise`.
        velocity : float or array-like, shape (n,), optional
            Radial velocity in km/s, within the survey's limits; drawn by default.
        stream, device
            As for `draw`.

        Returns
        -------
        SurveyBatch

        Raises
        ------
        ValueError
            If a label is outside the range of the emulator's library, or a velocity of the survey's limits.
        """
        labels = np.atleast_2d(label_rows(labels))
        self.emulator.check_labels(labels)
        brightness = np.broadcast_to(
            np.asarray(self.noise.check_brightness(magnitude, snr), np.float64), len(labels)
        )
        rng = np.random.default_rng([self.seed, stream])
        if velocity is None:
            velocity = self.velocity.sample(len(labels), rng) if self.velocity else 0.0
        velocity = np.asarray(in_unit("velocity", velocity, "km / s"), np.float64)
        velocity = np.broadcast_to(velocity, len(labels))
        low, high = self.velocity.low, self.velocity.high
        if not ((velocity >= low) & (velocity <= high)).all():
            raise ValueError(f"velocity must lie within the survey's limits, {low:g} to {high:g} km/s")
        return self._observe(labels, brightness, velocity, rng, stream, device)

    def forward(self, device="cpu", dtype=torch.float64):
        """Noiseless spectra for labels and brightness, their derivatives, and the variance of the noise.

        Parameters
        ----------
        device, dtype
            As for `ForwardModel`.

        Returns
        -------
        ForwardModel
            Of stars at rest and without imperfections, whatever the survey has.
        """
        return ForwardModel(self, device, dtype)

    @property
    def brightness_limits(self):
        """(low, high) of the magnitudes, or of the S/N where the noise states it; None for neither."""
        return self.noise.snr if self.noise.brightness == "snr" else self.magnitude

    def stream(self, batch_size, *, device="cpu", first=0):
        """A `SurveyStream` of batches of `batch_size` spectra on `device`, from stream `first` on."""
        return SurveyStream(self, batch_size, device, first)

    def to_dict(self) -> dict:
        """Everything that determines the survey's spectra, as plain Python values for records."""
        return survey_record(self)

    # -- checks ------------------------------------------------------------------------------------

    def _magnitudes(self, magnitude, usual):
        """Limits of the magnitudes; None where the noise knows no magnitude."""
        if self.noise.brightness != "magnitude":
            if magnitude is not None:
                raise ValueError(
                    f"magnitude has no meaning for {type(self.noise).__name__}, got {magnitude!r}"
                )
            return None
        magnitude = usual if magnitude is None else magnitude
        if magnitude is None:
            raise ValueError(f"magnitude is needed for {type(self.noise).__name__}: a number or two limits")
        low, high = np.broadcast_to(magnitude, 2)
        if not (np.isfinite([low, high]).all() and low <= high):
            raise ValueError(f"magnitude must be finite, the lower limit first, got {(low, high)!r}")
        return float(low), float(high)

    def _checked(self, emulator):
        """The emulator, if it fits the noise's grid and the prior's labels."""
        grid = self.noise.grid
        if grid is not None and grid != emulator.grid:
            raise ValueError(
                f"emulator must be on the grid of the noise, {grid!r}, it is on {emulator.grid!r}; "
                "regrid_emulator(emulator, grid) or Emulator.fit(library, grid) makes one"
            )
        bounds = emulator.label_range.double().numpy().T
        for name, (low, high), (first, last) in zip(LABELS, self.prior.ranges, bounds, strict=True):
            slack = _SLACK * (last - first)
            if low < first - slack or high > last + slack:
                raise ValueError(
                    f"prior must stay within the emulator's labels, {name} in [{first:.4g}, {last:.4g}], it "
                    f"reaches from {low:.4g} to {high:.4g}"
                )
        return emulator

    def _observe(self, labels, brightness, velocity, rng, stream, device):
        """Imperfections and noise on top of the stars; everything random is drawn here."""
        device = torch.device(device)
        imperfections = self.augmentation.draw(len(labels), rng, device)
        imperfections.generator = self._noise_generator(stream, device)
        if device not in self._on_device:  # moved there once
            self._on_device[device] = Observation(self, device)
        stars = to_device({"labels": labels, "brightness": brightness, "velocity": velocity}, device)
        with torch.no_grad(), full_float32():
            return self._on_device[device].expose(*stars.values(), imperfections)

    def _noise_generator(self, stream, device):
        """The device's own generator, for the noise of a stream."""
        generator = torch.Generator(device=device)
        return generator.manual_seed(int(np.random.default_rng([self.seed, stream, 1]).integers(2**62)))

    def __getstate__(self):
        return self.__dict__ | {"_on_device": {}}

    def __repr__(self):
        """The arguments that make it; for a named survey those that differ from it."""
        arguments = [repr(self.name), f"n={self.n}", f"seed={self.seed}", f"magnitude={self.magnitude}"]
        return f"Survey({', '.join(arguments + differences(self))})"

"""How well the labels of one's own star can be known: σ of each at a stated S/N, on any grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from specvit.grid import Instrument, PixelGrid
from specvit.labels import LABELS, label_of, label_rows, label_tuple, plain_label
from specvit.limits.compressed import CompressedSpectra
from specvit.limits.fisher import survey_fisher
from specvit.limits.fishermatrix import Fisher
from specvit.limits.posterior import Posterior, posterior
from specvit.stars import Emulator, regrid_emulator
from specvit.survey import PRIORS, Noise, SNRNoise, Survey, preset_survey
from specvit.survey.streams import LIMITS

__all__ = ["StarLimit", "star_limit"]

_DEFAULT_SNR = 50.0
_PRIOR_DRAWS = 100_000  # from which the widths of the prior are taken, to 0.3 %


@dataclass(frozen=True, repr=False)
class StarLimit:
    """The least errors of the labels of stars, as `star_limit` finds them.

    The last axis of arrays is that of the labels; before it stands one of stars, unless one star was given.

    Attributes
    ----------
    label_names : tuple of str
        Names of the labels: Teff in K, log g in dex(cm/s²), the abundances in dex.
    labels : ndarray, shape (5,) or (n, 5)
        The stars.
    sigma : ndarray, shape (5,) or (n, 5)
        Least σ of each label, all others unknown but for their priors.
    sigma_unbiased : ndarray, shape (5,) or (n, 5)
        The Cramér–Rao bound: the same without any prior.
    sigma_posterior : ndarray, shape (5,) or (n, 5), or None
        Root of the mean variance of the posteriors of simulated spectra, if `posteriors` were asked for.
    fisher : Fisher
        Information of the spectrum about labels and nuisances, without priors.
    priors : dict of str to float
        σ of the Gaussian priors in `sigma`.
    given : dict of str to float
        σ of what is known from elsewhere, in `priors` too.
    brightness : dict of str to float or ndarray
        ``snr`` or ``magnitude``, as keyword of `Survey.observe`.
    survey : Survey
        How the stars are observed.
    posterior : Posterior or None
        Posteriors of the simulated spectra, star by star.

    See Also
    --------
    star_limit : Makes it.
    specvit.assess.plots.plot_star_limit : The wavelengths that carry the information.

    Examples
    --------
    >>> limit = star_limit({"teff": 4500, "logg": 2.0, "mh": -0.3}, snr=50)
    >>> print(limit)
    S/N 50 per pixel, PFS MR, 4096 pixels, R = 6015
    Teff      ±    5 K
    log g     ± 0.06 dex
    [M/H]     ± 0.02 dex
    [alpha/M] ± 0.02 dex
    [C/M]     ± 0.02 dex
    """

    label_names: tuple[str, ...]
    labels: np.ndarray
    sigma: np.ndarray
    sigma_unbiased: np.ndarray
    sigma_posterior: np.ndarray | None
    fisher: Fisher
    priors: dict
    given: dict
    brightness: dict
    survey: Survey
    posterior: Posterior | None = None

    def __getitem__(self, name: str) -> Any:
        """σ of the label `name`: a float for one star, else an ndarray (n,)."""
        best = self.sigma if self.sigma_posterior is None else self.sigma_posterior
        return best[..., self.label_names.index(label_tuple(name, among=self.label_names)[0])][()]

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        grid, (kind, value) = self.survey.grid, next(iter(self.brightness.items()), ("", ""))
        text = {"snr": "S/N {} per pixel", "magnitude": "magnitude {}", "": "{}"}[kind]
        how = text.format(f"{value:g}" if kind and np.ndim(value) == 0 else value)
        power = np.median(grid.resolving_power)
        lines = [f"{how}, {grid.name}, {len(grid)} pixels, R = {power:.0f}".lstrip(", ")]
        width = max(len(label_of(name).plain) for name in self.label_names)
        for name in self.label_names:
            label, sigma = label_of(name), np.atleast_1d(self[name])
            values = " ".join(f"{one:>4.{label.decimals}f}" for one in sigma)
            note = f"  (± {self.given[name]:g} given)" if name in self.given else ""
            lines.append(f"{label.plain:<{width}} ± {values} {label.error_unit}{note}")
        return "\n".join(lines)


def star_limit(
    labels: npt.ArrayLike | Mapping[str, float],
    magnitude: npt.ArrayLike | None = None,
    *,
    snr: npt.ArrayLike | None = None,
    grid: PixelGrid | None = None,
    instrument: str | Instrument | None = None,
    noise: Noise | None = None,
    survey: Survey | None = None,
    given: Mapping[str, float] | None = None,
    prior: bool = True,
    continuum: int | None = 0,
    velocity: bool = False,
    posteriors: int = 0,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> StarLimit:
    r"""Least σ of each label of a star: "what can I know of my star at my S/N with my spectrograph?"

    .. math:: \sigma_i^2 = \big[(F + P)^{-1}\big]_{ii}

    F is the Fisher information of labels, amplitude and, if asked for, continuum and velocity
    (`survey_fisher`), P the diagonal of the inverse variances of the priors.

    Parameters
    ----------
    labels : array-like, shape (5,) or (n, 5), table, or dict of str to float or Quantity
        Teff [K], log g, [M/H], [alpha/M], [C/M] of one star or more. In a dict, [alpha/M] and [C/M] are 0,
        the Sun's mixture, unless they are there.
    magnitude, snr : float or array-like, shape (n,), optional
        Brightness of the stars: the S/N per pixel of `grid`, or the magnitude where the noise asks for one.
        By default an S/N of 50.
    grid : PixelGrid, optional
        Pixels and line spread function, of the emulator's resolution or lower; by default PFS MR.
    instrument : str or Instrument, optional
        Instead of `grid`: a preset by name (`specvit.grid.INSTRUMENTS`) or one's own, seen in its native
        pixels and without the telluric bands (`~specvit.survey.preset_survey`).
    noise : Noise, optional
        Noise model; by default Gaussian noise of a stated S/N, equal in all pixels.
    survey : Survey, optional
        Instead of grid, instrument and noise: a whole survey, without imperfections and velocities.
    given : dict of str to float or Quantity, optional
        σ with which labels are known from elsewhere: ``{"teff": 50}``.
    prior : bool
        Whether to add Gaussian priors as wide as the survey's distribution of each label. Without them the
        result is the Cramér–Rao bound (with `given`, if there is any).
    continuum, velocity
        Nuisance parameters, as for `survey_fisher`: by default the amplitude alone.
    posteriors : int
        Spectra to simulate of each star, whose posteriors under the survey's prior give `sigma_posterior`:
        some seconds, and right where σ is a large part of the prior's range, or cut by its ends. 0 leaves it.
    seed : int
        Seed of the noise of these spectra and of the sampling.
    device : str or torch.device
        Where the work is done.

    Returns
    -------
    StarLimit

    Raises
    ------
    ValueError
        If a label is unknown, missing or outside the emulator's range; `survey`, `instrument` and `grid` are
        not one at most; a σ of `given` is not positive; the noise asks for another brightness; or
        `posteriors` are asked for with nuisance parameters that they do not have.

    See Also
    --------
    bayes_limit : The same for the stars of a whole survey.
    specvit.assess.plots.plot_star_limit : Where in the spectrum the information is.

    Notes
    -----
    Advantages of the Fisher information: milliseconds a star, and exact for high S/N. Disadvantages: it takes
    the spectrum to be linear in the labels within σ, and the prior to be Gaussian. Compare `sigma_posterior`
    where σ is more than a tenth of a label's range. Lines of the synthetic library are taken to be those of
    the star, and so is its continuum but for the amplitude, unless `continuum` is higher: σ of real stars is
    larger, that of Teff above all.

    Examples
    --------
    A K giant at S/N 50 with a spectrograph of R = 2500, and with a photometric temperature beside it:

    >>> from specvit import PixelGrid
    >>> from specvit.limits import star_limit
    >>> giant = {"teff": 4500, "logg": 2.0, "mh": -0.3}
    >>> mine = PixelGrid.from_resolving_power(7150, 8800, 2500, name="mine")
    >>> alone = star_limit(giant, snr=50, grid=mine)["logg"]
    >>> helped = star_limit(giant, snr=50, grid=mine, given={"teff": 30})["logg"]
    >>> bool(helped < alone < 0.3)
    True
    """
    values, single = _stars(labels)
    survey = _survey(survey, grid, instrument, noise, snr)
    brightness = {name: x for name, x in (("magnitude", magnitude), ("snr", snr)) if x is not None}
    if not brightness and survey.noise.brightness == "snr":
        brightness = {"snr": _DEFAULT_SNR}
    if posteriors and (continuum != 0 or velocity):
        raise ValueError(
            "posteriors must be 0 with another continuum or a velocity: they have the amplitude alone, got "
            f"continuum={continuum!r}, velocity={velocity!r}"
        )
    given = {label_tuple(name, among=survey.label_names)[0]: sigma for name, sigma in (given or {}).items()}
    given = {name: float(plain_label(name, x, f"given[{name!r}]", err=True)) for name, x in given.items()}
    options = {"continuum": continuum, "velocity": velocity, "device": device}
    fisher = survey_fisher(survey, values, **brightness, **options)
    widths = _widths(survey.prior) if prior else {}
    informed = fisher.with_priors(**given).with_priors(**widths)  # which checks the σ
    # Both a prior and a measurement: their inverse variances add up.
    priors = {
        name: sum(1 / one[name] ** 2 for one in (widths, given) if name in one) ** -0.5
        for name in survey.label_names
        if name in widths or name in given
    }
    k = len(survey.label_names)
    sigma, unbiased = informed.sigma()[:, :k], fisher.sigma()[:, :k]
    found, sigma_posterior = None, None
    if posteriors:
        found = _posteriors(survey, values, brightness, given, posteriors, seed, device)
        variance = found.sigma**2
        sigma_posterior = np.sqrt(variance.reshape(len(values), posteriors, k).mean(1))
    shaped = [x if x is None or not single else x[0] for x in (values, sigma, unbiased, sigma_posterior)]
    return StarLimit(survey.label_names, *shaped, fisher, priors, given, brightness, survey, found)


def _stars(labels):
    """Labels (n, 5), and whether one star was given."""
    if isinstance(labels, Mapping):
        named = {label_tuple(name)[0]: value for name, value in labels.items()}
        values = {"alpham": 0.0, "cm": 0.0} | named
        missing = [name for name in LABELS if name not in values]
        if missing:
            raise ValueError(f"labels must have teff, logg and mh, {missing[0]} is missing in {labels!r}")
        values = {name: plain_label(name, values[name], f"labels[{name!r}]") for name in LABELS}
        labels = np.stack(np.broadcast_arrays(*(values[name] for name in LABELS)), -1)
    values = label_rows(labels)
    return np.atleast_2d(values), values.ndim == 1


def _survey(survey, grid, instrument, noise, snr):
    """The survey that the arguments describe."""
    chosen = {"survey": survey, "instrument": instrument, "grid": grid}
    several = [name for name, value in chosen.items() if value is not None]
    if len(several) > 1 or (survey is not None and noise is not None):
        raise ValueError(
            f"one at most must be given of survey, instrument and grid (and noise), got {several}"
        )
    if survey is not None:
        return survey
    limits = _DEFAULT_SNR if snr is None else (float(np.min(snr)), float(np.max(snr)))
    noise = SNRNoise(limits) if noise is None else noise
    if instrument is not None:
        return preset_survey(instrument, noise=noise)
    grid, emulator = noise.grid if grid is None else grid, Emulator.load()
    if grid is not None and grid != emulator.grid:
        emulator = regrid_emulator(emulator, grid)
    # Its magnitudes are those that the user states: the limits here only complete the survey.
    magnitudes = {"magnitude": (0.0, 30.0)} if noise.brightness == "magnitude" else {}
    return Survey("one's own", prior=PRIORS["pfs-mr"], noise=noise, emulator=emulator, **magnitudes)


def _widths(prior):
    """Standard deviations of the labels under a prior, dict of str to float."""
    drawn = prior.sample(_PRIOR_DRAWS, np.random.default_rng(0))
    return dict(zip(LABELS, drawn.std(0).tolist(), strict=True))


def _posteriors(survey, values, brightness, given, n, seed, device):
    """Posteriors of n spectra of each star, the measurements of `given` being drawn, too."""
    repeated = np.repeat(values, n, 0)
    each = {
        name: np.broadcast_to(np.asarray(x, np.float64), len(values)).repeat(n)
        for name, x in brightness.items()
    }
    # `observe` draws with the survey's own seed: another stream for each seed of ours.
    batch = survey.observe(repeated, **each, stream=LIMITS + 1 + seed, device=device)
    brightest = {name: (x.min() if name == "magnitude" else x.max()) for name, x in each.items()}
    spectra = CompressedSpectra(survey, **brightest, device=device)
    rng = np.random.default_rng([seed, 1])
    measured = {
        name: (
            repeated[:, survey.label_names.index(name)] + sigma * rng.standard_normal(len(repeated)),
            sigma,
        )
        for name, sigma in given.items()
    }
    variance = torch.where(batch.ivar > 0, batch.noiseless_sigma**2, torch.inf)
    return posterior(batch.flux, variance, spectra, given=measured or None, seed=seed)

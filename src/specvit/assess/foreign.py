"""Objects that are no cool stars: classes of templates, and how often a predictor raises an alarm on them.

All templates are made up here or from the emulator's stars. They have the shapes of the real objects, not
their lines one by one: what is asked is whether something unlike all that was learned is told. Each spectrum
of a class is another object, drawn at random within the ranges that its function states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from specvit.assess.scene import Scene
from specvit.constants import SPEED_OF_LIGHT
from specvit.grid import PFS_MR
from specvit.spectra import Flag

__all__ = ["FOREIGN", "Foreign", "ForeignCell", "foreign_cells"]

#: Vacuum wavelengths in Å: Paschen lines of upper level 20 to 11, and others of hot stars, O I and Ca II.
_LEVELS = np.arange(11, 21)
_PASCHEN = 8206.0 / (1 - 9 / _LEVELS**2.0)
_OXYGEN = np.array([7774.1, 7776.3, 7777.5, 8448.7])
_TRIPLET = np.array([8500.35, 8544.44, 8664.52])
#: Heads of TiO and VO bands in Å; they fade to the red over some 100 Å.
_BANDS = np.array([7126.0, 7336.0, 7592.0, 7668.0, 7853.0, 8206.0, 8434.0, 8445.0, 8454.0, 8575.0])
_SECOND_RADIATION = 1.4388e8  # hc/k in Å K
_HOTTER = (4600.0, 1.5, 0.0, 0.1, 0.0)  # labels of a star without bands, and of one that has them
_COOLER = (3700.0, 1.0, 0.0, 0.1, 0.0)


def _blackbody(wave, teff):
    value = wave**-5.0 / np.expm1(_SECOND_RADIATION / (wave * teff))
    return value / np.median(value)


def _gaussians(wave, centres, sigma, strength):
    """Sum of Gaussians of given heights, (n_pixels,)."""
    return (strength[:, None] * np.exp(-0.5 * ((wave - centres[:, None]) / sigma[:, None]) ** 2)).sum(0)


def hot_star(grid, rng):
    """A star of 8,000–12,000 K: Paschen lines with Stark wings, O I, the triplet; v sin i 20–250 km/s."""
    teff, spin, velocity = rng.uniform(8000, 12_000), rng.uniform(20, 250), rng.normal(0, 20)
    wave = grid.wave / (1 + velocity / SPEED_OF_LIGHT)
    width = np.hypot(grid.lsf_sigma.mean(), 8500 * spin / SPEED_OF_LIGHT / 2)
    wing = rng.uniform(4, 12)  # Å, less for lower gravity
    depth = 0.45 * rng.uniform(0.7, 1.1) * np.exp(-0.13 * (_LEVELS - 11.0))
    lorentz = 1 / (1 + ((wave - _PASCHEN[:, None]) / np.hypot(wing, width)) ** 2) ** 1.3
    tau = (-np.log1p(-depth)[:, None] * lorentz).sum(0)
    cool = np.exp(-(teff - 8000) / 2000)
    metals = np.concatenate([np.full(4, 0.25), 0.5 * cool * np.ones(3)]) * rng.uniform(0.5, 1)
    metals = metals * grid.lsf_sigma.mean() / width
    centres = np.concatenate([_OXYGEN, _TRIPLET])
    tau = tau + _gaussians(wave, centres, np.full(7, width), metals)
    return _blackbody(grid.wave, teff) * np.exp(-tau)


def featureless(grid, rng):
    """Power laws, blackbodies of 2,000 to 50,000 K and parabolas."""
    kind = rng.integers(3)
    if kind == 0:
        return (grid.wave / 8000) ** rng.uniform(-4, 4)
    if kind == 1:
        return _blackbody(grid.wave, np.exp(rng.uniform(np.log(2000), np.log(50_000))))
    x = np.linspace(-1, 1, len(grid))
    return 1 + rng.uniform(-0.4, 0.4) * x + rng.uniform(-0.4, 0.4) * x**2


def broad_emission(grid, rng):
    """One to four lines of FWHM 1,000–8,000 km/s, 20–150 % above a power law."""
    n = rng.integers(1, 5)
    centres = rng.uniform(7200, 8750, n)
    sigma = centres * np.exp(rng.uniform(np.log(1000), np.log(8000), n)) / SPEED_OF_LIGHT / 2.3548
    lines = _gaussians(grid.wave, centres, sigma, rng.uniform(0.2, 1.5, n))
    return (grid.wave / 8000) ** rng.uniform(-2, 2) * (1 + lines)


def galaxy(grid, rng):
    """Four giants broadened by 60–200 km/s, at z of 0 to 0.1 that nobody removed.

    Where the redshift brings in what lies blueward of the emulator, its spectrum goes on mirrored: lines of
    the right number and strength, not the right ones.
    """
    metallicity = rng.normal(-0.1, 0.2)
    z, sigma = rng.choice([0.0, rng.uniform(0, 0.1)]), rng.uniform(60, 200)
    lines = light = 0.0
    for teff in rng.uniform(3900, 5000, 4):
        labels = (teff, np.interp(teff, [3900, 5000], [0.9, 2.9]), np.clip(metallicity, -0.5, 0.3), 0.15, 0.0)
        star = Scene(labels, 1.0, grid)
        width = np.hypot(1, sigma / (SPEED_OF_LIGHT * grid.lsf_sigma / grid.wave))
        lines, light = lines + star.light(width=width), light + star.continuum
    x = np.log(grid.wave)
    inner = slice(40, -40)  # the ends of the emulator, broadened, are no galaxy's
    source, values = x[inner], (lines / light)[inner]
    source = np.concatenate([(2 * source[0] - source)[:0:-1], source, (2 * source[-1] - source)[-2:0:-1]])
    values = np.concatenate([values[:0:-1], values, values[-2:0:-1]])
    return np.interp(x - np.log1p(z), source, values) * light / 4


def cooler_star(grid, rng):
    """A star cooler than the domain: bands of the coolest to the power of 2 to 4, and VO.

    Labels by which depths change from 4600 to 3700 K are followed further; band heads of VO are added.
    """
    warm, cool = Scene(_HOTTER, 1.0, grid), Scene(_COOLER, 1.0, grid)
    more = rng.uniform(1, 3)
    lines = cool.lines() * np.clip(cool.lines() / warm.lines(), 0.05, 1.5) ** more
    beyond = grid.wave - _BANDS[:, None]
    shape = np.where(beyond > 0, np.exp(-np.maximum(beyond, 0) / 60), np.exp(np.minimum(beyond, 0) / 3))
    tau = (rng.uniform(0.1, 0.6, _BANDS.size)[:, None] * shape).sum(0)
    return lines * np.exp(-tau) * _blackbody(grid.wave, rng.uniform(2400, 3300))


def sky(grid, rng):
    """Airglow: 120 narrow lines, strengths like 1/u, up to 30 times a smooth continuum."""
    centres, strength = rng.uniform(7120, 8840, 120), 0.3 / rng.uniform(0.01, 1, 120)
    lines = _gaussians(grid.wave, centres, np.full(120, grid.lsf_sigma.mean()), strength)
    return (1 + 0.2 * (grid.wave / 8000 - 1) + lines) / np.median(1 + lines)


@dataclass(frozen=True)
class Foreign:
    """One class of objects.

    Attributes
    ----------
    name : str
        What it is called.
    template : callable
        Noiseless flux (n_pixels,) of one of them, of a `PixelGrid` and a generator.
    """

    name: str
    template: Callable

    def spectra(self, grid, snr, n, seed):
        """`n` noisy spectra and their inverse variances, both (n, n_pixels), noise as of a `Scene`."""
        rng = np.random.default_rng(seed)
        light = np.array([self.template(grid, rng) for _ in range(n)])
        scene = Scene(_HOTTER, snr, grid)
        sigma = np.array([scene.sigma(one) for one in light])
        return light + sigma * rng.standard_normal(light.shape), sigma**-2


#: Every class.
FOREIGN = (
    Foreign("hot stars, 8,000–12,000 K", hot_star),
    Foreign("featureless", featureless),
    Foreign("broad emission lines", broad_emission),
    Foreign("galaxies, z ≤ 0.1", galaxy),
    Foreign("stars cooler than the domain", cooler_star),
    Foreign("sky alone", sky),
)


@dataclass(frozen=True)
class ForeignCell:
    """What a predictor says of a class at one signal-to-noise ratio.

    Attributes
    ----------
    foreign : str
        The class.
    snr : float
        Median flux/σ per pixel.
    told : float
        Share of spectra refused or alarmed.
    alarms : dict of str to float
        Share of spectra with each alarm.
    """

    foreign: str
    snr: float
    told: float
    alarms: dict[str, float]


def foreign_cells(predictor, *, snr=(10, 20, 50), classes=FOREIGN, draws=100, seed=0, grid=PFS_MR):
    """Cells of all classes and signal-to-noise ratios.

    Parameters
    ----------
    predictor : Predictor
        On the grid of the emulator that ships.
    snr : sequence of float
        Median flux/σ per pixel.
    classes : sequence of Foreign
        Classes to be tried.
    draws : int
        Objects of each cell, one spectrum each.
    seed : int
        Objects and noise follow from it, the class and the signal-to-noise ratio.
    grid : PixelGrid
        That of the predictor.

    Yields
    ------
    ForeignCell
    """
    for i, foreign in enumerate(classes):
        for ratio in snr:
            flux, ivar = foreign.spectra(grid, ratio, draws, [seed, i, int(ratio)])
            flags = predictor.predict_labels(flux, ivar=ivar, on_error="nan").batch.flags
            shares = {flag.name: float(np.mean((flags & flag) > 0)) for flag in Flag if flag & Flag.ALARMS}
            told = float(np.mean((flags & Flag.ALARMS) > 0))
            yield ForeignCell(foreign.name, float(ratio), told, {k: v for k, v in shares.items() if v})

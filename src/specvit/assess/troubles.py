"""Spectra that are not what they are said to be: kinds of trouble, made from synthetic stars.

Each `Trouble` is said to the library to be what it is not, or carries light that no star sends. The templates
of foreign objects (hot stars, sky lines, telluric absorption) are made up here: they have the shape of the
real ones, not their strengths line by line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from specvit.assess.scene import STARS, Scene
from specvit.constants import SPEED_OF_LIGHT
from specvit.grid import Resampler, air_to_vacuum, matching_sigma, vacuum_to_air

__all__ = ["TROUBLES", "Trouble"]

_TRIPLET = np.array([8500.35, 8544.44, 8664.52])  # Å, vacuum
_PASCHEN = np.array([8440.3, 8469.6, 8504.8, 8547.7, 8600.8, 8667.4, 8752.9])


@dataclass(frozen=True)
class Trouble:
    """One kind of trouble.

    Attributes
    ----------
    name : str
        What it is called.
    light : callable
        `Scene` to noiseless flux, (n_pixels,).
    record : callable
        Noisy flux (n, n_pixels), the σ of its noise (n_pixels,), a generator and the scene to the flux and
        inverse variance, or None, that are handed to the library.
    harmless : bool
        Whether nothing is wrong enough to be told.
    """

    name: str
    light: Callable = Scene.light
    record: Callable = lambda flux, sigma, rng, scene: (flux, np.broadcast_to(sigma**-2.0, flux.shape))
    harmless: bool = False

    def spectra(self, scene, n, seed):
        """`n` noisy spectra of a scene: flux and inverse variance, (n, n_pixels), or None."""
        rng = np.random.default_rng(seed)
        light = self.light(scene)
        sigma = scene.sigma(light)
        flux = light + sigma * rng.standard_normal((n, light.size))
        return self.record(flux, sigma, rng, scene)


def position(scene):
    """Place of each pixel, −1 to 1."""
    return np.linspace(-1, 1, scene.wave.size)


def _width(power):
    """Relative LSF width of a resolving power."""
    return lambda scene: np.maximum(scene.grid.resolving_power / power, 0.9)


def _rotating(v_sin_i):
    """Light of a star that turns: limb-darkened rotation profile (ε = 0.6), summed over velocities."""
    u = np.linspace(-1, 1, 41)[1:-1]
    weight = 2 * 0.4 * np.sqrt(1 - u**2) + 0.5 * np.pi * 0.6 * (1 - u**2)
    weight /= weight.sum()

    def light(scene):
        parts = (w * scene.lines(velocity=v_sin_i * k) for k, w in zip(u, weight, strict=True))
        return sum(parts) * scene.continuum

    return light


def companion(scene):
    """A star unlike: a dwarf for a giant, a giant for a dwarf."""
    return scene.other(STARS["giant"] if scene.labels[1] > 3.5 else STARS["dwarf"])


def _binary(velocity, twin=False):
    def light(scene):
        second = scene if twin else companion(scene)
        first, other = scene.light(velocity=-velocity / 2), second.light(velocity=velocity / 2)
        return 0.5 * (first + other)

    return light


def _filled(scene):
    """The triplet's cores filled in, by emission of 0.5 Å equivalent width in each line."""
    sigma = np.interp(_TRIPLET, scene.wave, scene.grid.lsf_sigma)[:, None]
    shape = np.exp(-0.5 * ((scene.wave - _TRIPLET[:, None]) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    return (scene.lines() + 0.5 * shape.sum(0)) * scene.continuum


def _veiled(share):
    return lambda scene: (scene.lines() + share) / (1 + share) * scene.continuum


def _blackbody(scene):
    return (
        np.exp(-1.438e8 / scene.labels[0] * (1 / scene.wave - 1 / scene.wave.mean()))
        * (8000 / scene.wave) ** 5
    )


def _paschen(scene):
    profile = 0.4 / (1 + ((scene.wave - _PASCHEN[:, None]) / 8) ** 2) ** 1.5
    return (1 - np.minimum(profile.sum(0), 0.8)) * (scene.wave / 8000) ** -3


def _fringes(period):
    return lambda scene: scene.light() * (1 + 0.03 * np.sin(2 * np.pi * scene.wave / period))


def _ripple(scene):
    phase = (18 * (scene.wave - scene.wave[0]) / np.ptp(scene.wave)) % 1 - 0.5
    return scene.light() * np.sinc(0.9 * phase) ** 2


def _sky(share):
    """Sky lines left in (or taken off too much): fifty OH-like lines, strengths like 1/u."""

    def light(scene):
        rng = np.random.default_rng(11)
        where = np.sort(rng.uniform(7240, 8850, 50))[:, None]
        strength = np.minimum(0.1 / rng.uniform(0.03, 1, 50), 1)[:, None]
        lines = (strength * np.exp(-0.5 * ((scene.wave - where) / scene.grid.lsf_sigma.mean()) ** 2)).sum(0)
        return scene.light() + share * lines

    return light


def _telluric(scene):
    """Two hundred lines of water and oxygen in their bands."""
    rng = np.random.default_rng(12)
    bands = ((7165, 7340, 90), (7594, 7700, 50), (8110, 8360, 90))
    where = np.concatenate([rng.uniform(low, high, n) for low, high, n in bands])[:, None]
    depth = rng.uniform(0.03, 0.5, len(where))[:, None]
    tau = (depth * np.exp(-0.5 * ((scene.wave - where) / scene.grid.lsf_sigma.mean()) ** 2)).sum(0)
    return scene.light() * np.exp(-tau)


def _emission(scene):
    """A featureless continuum with three broad emission lines of 2000 km/s."""
    where = np.array([7400.0, 7900.0, 8500.0])[:, None]
    width = where * 2000 / SPEED_OF_LIGHT / 2.355
    return 1 + np.sum([[0.8], [0.4], [0.6]] * np.exp(-0.5 * ((scene.wave - where) / width) ** 2), 0)


def _galaxy(dispersion):
    def light(scene):
        width = np.hypot(1, dispersion / (SPEED_OF_LIGHT * scene.grid.lsf_sigma / scene.wave))
        return scene.light(width=width)

    return light


def given_plainly(flux, sigma):
    """Flux and inverse variance as a caller gives them."""
    return flux, np.broadcast_to(sigma**-2.0, flux.shape)


def _weights(change):
    """`change` makes the inverse variance that is stated of the true σ."""
    return lambda flux, sigma, rng, scene: (flux, np.broadcast_to(change(sigma), flux.shape))


def _transformed(function, slope):
    """A function of the flux, its errors propagated."""

    def record(flux, sigma, rng, scene):
        safe = np.maximum(flux, 0.05)
        return function(safe), (slope(safe) * sigma) ** -2.0

    return record


def _clipped(flux, sigma, rng, scene):
    return given_plainly(np.minimum(flux, np.median(flux, 1, keepdims=True)), sigma)


def _log_noise(flux, sigma, rng, scene):
    return given_plainly(1 + rng.standard_normal(flux.shape) / scene.snr, np.full_like(sigma, 1 / scene.snr))


def scaled_by(shape):
    """Flux and σ times a function of the scene."""

    def record(flux, sigma, rng, scene):
        factor = shape(scene)
        return given_plainly(flux * factor, sigma * factor)

    return record


def masked(choose):
    """Pixels masked, `choose` of the wavelengths."""

    def record(flux, sigma, rng, scene):
        ivar = np.broadcast_to(sigma**-2.0, flux.shape).copy()
        ivar[:, choose(scene.wave)] = 0
        return flux, ivar

    return record


def _running_median(flux, sigma, rng, scene):
    from scipy.ndimage import median_filter

    size = int(50 / scene.grid.width[0]) | 1
    smooth = median_filter(flux, (1, size), mode="nearest")
    return flux / smooth, (sigma / smooth) ** -2.0


def _rounded(flux, sigma, rng, scene):
    return given_plainly(np.round(20 * flux), 20 * sigma)


def _cosmics(count, low, high):
    def record(flux, sigma, rng, scene):
        flux = flux.copy()
        for row in flux:
            hit = rng.choice(row.size, count, replace=False)
            row[hit] += rng.uniform(low, high, count)
        return given_plainly(flux, sigma)

    return record


def zeros(choose):
    """Flux 0 with σ as it was, `choose` of shape, generator and wavelengths."""

    def record(flux, sigma, rng, scene):
        return given_plainly(np.where(choose(flux.shape, rng, scene.wave), 0, flux), sigma)

    return record


def _correlated(flux, sigma, rng, scene):
    white = rng.standard_normal(flux.shape)
    mixed = (white + np.roll(white, 1, 1) + np.roll(white, -1, 1)) / np.sqrt(3)
    return given_plainly(scene.light() + sigma * mixed, sigma)


def _interpolated(flux, sigma, rng, scene):
    """Interpolated to 0.1 Å with σ copied, then handed in as if pixels were independent."""
    fine = np.arange(scene.wave[0], scene.wave[-1], 0.1)
    edges = np.append(fine - 0.05, fine[-1] + 0.05)
    resampler = Resampler(edges, scene.grid)
    values = np.array([np.interp(fine, scene.wave, row) for row in flux])
    out = resampler(values, np.broadcast_to(np.interp(fine, scene.wave, sigma) ** 2, values.shape))
    return np.where(out.mask, 0, out.flux), np.where(out.mask, 0, out.ivar)


def _oversmoothed(flux, sigma, rng, scene):
    """R 20,000 stated: the library smooths to the grid's resolution what has it already."""
    sharp = scene.wave / 20_000 / 2.3548
    resampler = Resampler(scene.grid.edges, scene.grid, matching_sigma(scene.grid, sharp))
    out = resampler(flux, np.broadcast_to(sigma**2, flux.shape))
    return np.where(out.mask, 0, out.flux), np.where(out.mask, 0, out.ivar)


def _broadened(power):
    return lambda scene: scene.light(width=_width(power)(scene))


def _moved(velocity):
    return lambda scene: scene.light(velocity=velocity)


def _triplet_masked(wave):
    return (np.abs(wave - _TRIPLET[:, None]) < 8).any(0)


def _troubles():
    for v in (50, 100, 300, -50, 200, -300, 500):
        yield Trouble(f"velocity {v:+d} km/s", _moved(v))
    yield Trouble("air called vacuum", lambda s: s.light(centres=air_to_vacuum(s.wave)))
    yield Trouble("vacuum called air", lambda s: s.light(centres=vacuum_to_air(s.wave)))
    yield Trouble("all wavelengths + 1 Å", lambda s: s.light(centres=s.wave - 1))
    for power in (4000, 3000, 2000):
        yield Trouble(f"R {power} called the grid's", _broadened(power))
    yield Trouble("R 20,000 stated, the grid's in truth", record=_oversmoothed)
    for v in (40, 80):
        yield Trouble(f"rotation {v} km/s", _rotating(v))
    yield Trouble("giant + dwarf, same velocity", _binary(0))
    yield Trouble("giant + dwarf, 60 km/s apart", _binary(60))
    yield Trouble("equal twins at ± 40 km/s", _binary(80, twin=True))
    yield Trouble("triplet filled in, 0.5 Å", _filled)
    for share in (0.2, 0.5):
        yield Trouble(f"background + {share:.0%}", _veiled(share))
    yield Trouble("flux cut off at its median", record=_clipped)
    yield Trouble("square root of the flux", record=_transformed(np.sqrt, lambda f: 0.5 / np.sqrt(f)))
    log = _transformed(lambda f: np.log10(f) + 3, lambda f: 1 / (f * np.log(10)))
    yield Trouble("log10 of the flux + 3", record=log)
    yield Trouble("blackbody, no lines", _blackbody)
    yield Trouble("noise about 1", record=_log_noise)
    yield Trouble("Paschen lines, 10,000 K", _paschen)
    yield Trouble("broad emission lines", _emission)
    for dispersion in (60, 120, 200):
        yield Trouble(f"galaxy, {dispersion} km/s", _galaxy(dispersion))
    for period in (8, 40):
        yield Trouble(f"fringes of 3 %, {period} Å", _fringes(period))
    yield Trouble("blaze ripple of 18 orders", _ripple)
    for share in (0.05, 0.2, -0.2):
        yield Trouble(f"sky residual {share:+.0%}", _sky(share))
    yield Trouble("telluric lines left in", _telluric)
    for factor in (0.1, 10.0):
        yield Trouble(f"σ × {factor:g}", record=_weights(lambda sigma, k=factor: (k * sigma) ** -2))
    yield Trouble("σ in place of ivar", record=_weights(lambda sigma: sigma))
    yield Trouble("variance in place of ivar", record=_weights(lambda sigma: sigma**2))
    yield Trouble("σ of 1 for a flux of 1", record=_weights(np.ones_like))
    yield Trouble("5 cosmics × 3–30", record=_cosmics(5, 3, 30))
    yield Trouble("40 cosmics × 3–30", record=_cosmics(40, 3, 30))
    yield Trouble("40 cosmics + 0.2–1", record=_cosmics(40, 0.2, 1))
    yield Trouble("20 % of pixels 0", record=zeros(lambda shape, rng, wave: rng.random(shape) < 0.2))
    yield Trouble("8600–8850 Å 0", record=zeros(lambda shape, rng, wave: np.broadcast_to(wave > 8600, shape)))
    yield Trouble("noise correlated over 3 pixels", record=_correlated)
    yield Trouble("interpolated to 0.1 Å, σ copied", record=_interpolated)

    yield Trouble("untouched", harmless=True)
    yield Trouble(
        "one order's blaze", record=scaled_by(lambda s: np.sinc(0.45 * position(s)) ** 2), harmless=True
    )
    for power in (3, -3):
        slope = scaled_by(lambda s, power=power: (s.wave / 8000) ** power)
        yield Trouble(f"slope λ^{power:+d}", record=slope, harmless=True)
    yield Trouble("continuum-normalised", record=scaled_by(lambda s: 1 / s.continuum), harmless=True)
    yield Trouble("over a running median of 50 Å", record=_running_median, harmless=True)
    yield Trouble("f_ν called f_λ", record=scaled_by(lambda s: (s.wave / 8000) ** 2), harmless=True)
    yield Trouble("no errors given", record=lambda flux, *_: (flux, None), harmless=True)
    for factor in (0.33, 3.0):
        yield Trouble(
            f"σ × {factor:g}", record=_weights(lambda sigma, k=factor: (k * sigma) ** -2), harmless=True
        )
    yield Trouble("triplet masked", record=masked(_triplet_masked), harmless=True)
    yield Trouble("blue half masked", record=masked(lambda wave: wave < 7975), harmless=True)
    yield Trouble("R 7000 called the grid's", _broadened(7000), harmless=True)
    for v in (20, -20):
        yield Trouble(f"velocity {v:+d} km/s", _moved(v), harmless=True)
    yield Trouble("rounded at 20 counts", record=_rounded, harmless=True)


#: Every kind.
TROUBLES = tuple(_troubles())
